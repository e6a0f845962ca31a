"""Which tasks of an element are tried again, and the end of the job that ran them: Slurm runs it again.

The attempt's log says so first. So where the job is not requeued, or its runner is killed before it is, a pass submits
the element again; and where it is, its next attempt runs these tasks and no others.
"""

from __future__ import annotations

import os

from beeflow.errors import BeeError
from beeflow.runner.history import History
from beeflow.runner.job import Job
from beeflow.runner.memory import OomKills
from beeflow.tries import OUT_OF_MEMORY, TEMPORARY_FAIL, TIMEOUT

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

    from beeflow.runner.launch import Ended


class Again:
    """Tries of one element. ``put_off``: labels of tasks that this attempt leaves to the next.

    ``limit_s``: the time limit of this job.
    """

    def __init__(self, root: str, run: dict[str, Any], job: Job, folder: str) -> None:
        self.root = root
        self.job = job
        self.folder = folder
        self.policy: dict[str, Any] = run.get("retry", {})
        self.history = History(folder, job)
        self.tally = self.history.tally
        self.limit_s: int = run["time_limit_s"] and max(run["time_limit_s"], self.tally.time_limit_s)
        self.mem_mib: int | None = max(run["mem_mib"] or 0, self.tally.mem_mib) or None
        self.oom_kills = OomKills()
        self.put_off: set[str] = set()
        self.next: dict[str, int] = {}
        self._more_time: tuple[int, str] | None = None

    def cause_of(self, command: dict[str, Any], ended: Ended) -> str | None:
        """Say what ended a command that failed, where that may be a reason to try it again."""
        if self.oom_kills.came():
            return OUT_OF_MEMORY
        return TEMPORARY_FAIL if ended.code in command["temporary_fail_codes"] else None

    def take(self, label: str, cause: str, why: str) -> tuple[dict[str, Any] | None, str]:
        """Put a task off: returns what the log is to say; or None, and what to tell of that beside ``why``."""
        if self.tally.left(self.policy, label, cause) < 1:
            tries = self.tally.begins[label]
            return None, f"; try {tries} of {tries}" if tries > 1 else ""
        refusal = self.raise_for(cause)
        if refusal:
            return None, f"; {refusal}"
        self.put_off.add(label)
        return self.tally.put_off_now(self.policy, label, cause, why), ""

    def raise_for(self, cause: str) -> str:
        """Work out what the next try is to have more of; returns why it cannot, or ""."""
        if cause == TIMEOUT:
            if self._more_time is None:
                from beeflow.runner.requeue import more_time  # seldom needed

                self._more_time = more_time(self.limit_s, self.policy["timeout_factor"])
            limit_s, refusal = self._more_time
            if not refusal:
                self.next["time_limit_s"] = limit_s
            return refusal
        if cause == OUT_OF_MEMORY:
            if self.job.mem_mib is None:
                return "how much memory its job had is not known, so that it cannot have more"
            self.next["mem_mib"] = int(self.job.mem_mib * self.policy["memory_factor"])
        return ""

    def requeue(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Have Slurm run this job again; returns what the log is to say, and what to tell the job's own log."""
        if os.path.exists(f"{self.root}/control/paused") or os.path.exists(f"{self.root}/control/cancel"):
            return None, ["not requeued: the workflow is paused or cancelled"]
        if os.path.exists(f"{self.folder}/{self.job.element_id}.{self.job.restart_count + 1}"):
            return None, ["not requeued: that was done already, and its next attempt runs"]
        from beeflow.runner.requeue import requeue  # seldom needed

        more = {"time_limit_s": 0, "mem_mib": 0, **self.next}
        try:
            is_raised, complaints = requeue(self.job.element_id, self.tally.wait_s(self.policy), **more)
        except BeeError as error:
            return None, [f"not requeued: {error}; a pass submits these tasks again"]
        return {"raised": self.next} if self.next and is_raised else None, complaints
