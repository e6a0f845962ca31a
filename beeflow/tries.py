"""How often the tasks of an element were tried, and what for, as the logs of its attempts tell.

Passes and the runner on the node both count here, so this imports nothing. A policy is beeflow.graph.RetryPolicy as
JSON: its keys for counts are the causes.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NODE_FAIL, TEMPORARY_FAIL, TIMEOUT, OUT_OF_MEMORY = "node_fail", "temporary_fail", "timeout", "out_of_memory"
# However often a task was tried: nobody looks for it later than that.
MAX_WAIT_S = 3600.0


class Tally:
    """The tries of the tasks of one element. ``begins``: label -> how often the task began.

    ``put_off``: label -> which try comes next and why, of tasks that wait for one. ``time_limit_s``, ``mem_mib``: what
    their jobs have beyond what the step asks for; 0: nothing.
    """

    def __init__(self) -> None:
        self.begins: dict[str, int] = {}
        self.put_off: dict[str, str] = {}
        self.time_limit_s = 0
        self.mem_mib = 0
        self._used: dict[tuple[str, str], int] = {}

    def read(self, entries: Iterable[dict[str, Any]]) -> None:
        """Read the log of one attempt; those of the attempts before come first."""
        running: set[str] = set()
        for entry in entries:
            if "begin" in entry:
                running.add(entry["begin"])
                self.begin(entry["begin"])
            elif "end" in entry:
                # Only what is requeued or preempted comes here again: a job that was cancelled does not.
                if entry["result"]["state"] != "CANCELLED":
                    running.discard(entry["end"])
            elif "doubt" in entry:
                running.add(entry["doubt"])
            elif "again" in entry:
                running.discard(entry["again"])
                self._put_off(entry["again"], entry["cause"], entry["reason"])
            elif "cut" in entry:
                running.discard(entry["cut"])
            elif "raised" in entry:
                self.raise_to(**entry["raised"])
        for label in running:
            self._use(label, NODE_FAIL)

    def begin(self, label: str) -> None:
        """Count a try that begins."""
        self.begins[label] = self.begins.get(label, 0) + 1
        self.put_off.pop(label, None)

    def read_lost(self, lost: dict[str, Any]) -> None:
        """Read what a pass said of tasks whose job died (beeflow.models.Lost as JSON), once all logs are read."""
        self.raise_to(lost.get("time_limit_s", 0), lost.get("mem_mib", 0))
        for each in lost.get("again", ()):
            # Its log only tells that the job died while it ran.
            self._use(each["label"], NODE_FAIL, -1)
            if self.begins.get(each["label"]) == each["tries"]:
                self._put_off(each["label"], each["cause"], each["reason"])
            else:
                self._use(each["label"], each["cause"])

    def raise_to(self, time_limit_s: int = 0, mem_mib: int = 0) -> None:
        """Note what jobs have from now on."""
        self.time_limit_s = max(self.time_limit_s, time_limit_s)
        self.mem_mib = max(self.mem_mib, mem_mib)

    def used(self, label: str, cause: str) -> int:
        """Count the tries that a cause ended."""
        return self._used.get((label, cause), 0)

    def left(self, policy: dict[str, Any], label: str, cause: str) -> int:
        """Count the tries that a task still has when a cause ends this one."""
        return int(policy.get(cause, 0)) - self.used(label, cause)

    def announce(self, policy: dict[str, Any], label: str, cause: str, why: str) -> str:
        """Say which try comes next, and why."""
        tries = self.begins.get(label, 0)
        return f"waits for try {tries + 1} of {tries + self.left(policy, label, cause)}: {why}"

    def wait_s(self, policy: dict[str, Any]) -> float:
        """Return how long what waits for its next try waits at the least."""
        tries = max((self.begins.get(label, 1) for label in self.put_off), default=1)
        return min(MAX_WAIT_S, float(policy["wait_s"]) * 2.0 ** min(tries - 1, 30))

    def put_off_now(self, policy: dict[str, Any], label: str, cause: str, why: str) -> dict[str, Any]:
        """Put off a task that ran just now; returns what its attempt's log is to say."""
        reason = self.announce(policy, label, cause, why)
        self._put_off(label, cause, reason)
        return {"again": label, "cause": cause, "reason": reason}

    def judge(self, policy: dict[str, Any], label: str, cause: str, why: str) -> str | None:
        """Put off a task that ran when its job died; returns which try comes next and why, None where there is none."""
        self._use(label, NODE_FAIL, -1)
        if self.left(policy, label, cause) < 1:
            return None
        reason: str = self.put_off_now(policy, label, cause, why)["reason"]
        return reason

    def _put_off(self, label: str, cause: str, reason: str) -> None:
        self._use(label, cause)
        self.put_off[label] = reason

    def _use(self, label: str, cause: str, count: int = 1) -> None:
        self._used[label, cause] = self.used(label, cause) + count
