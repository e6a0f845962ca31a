"""What became of an element's tasks so far; the attempt's log says it line by line, which is what a dead job keeps."""

from __future__ import annotations

import os
import time

from beeflow.errors import BeeError
from beeflow.runner import records
from beeflow.runner.again import Again
from beeflow.runner.job import Job, iso_time
from beeflow.runner.task import Task, tidy
from beeflow.tries import TIMEOUT

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

# What ended so shortly before we heard of SIGTERM may have ended by it: Slurm signals one process after another, and
# what a script runs may be first. On a busy node the script goes on without it meanwhile, to exit code 0, and we would
# collect half of its outputs (seen on Slurm 22.05.8, twice in some hundred scancels).
_IN_DOUBT_S = 1.0
# Slurm counts from the job's start: its prolog and our start come before we do.
_BEFORE_US_S = 30.0
# A task that begins so long after the first one of its job, in time limits, cannot have its whole time limit.
_LATE = 0.1


class Ledger:
    """The tasks of one element. ``results``: label -> result, of those that are settled.

    ``begun``: those that began and are not settled. ``blocked``: labels of tasks that take from one that failed.
    ``late``: of those that another job must run.
    """

    def __init__(self, job: Job, again: Again) -> None:
        self.job = job
        self.again = again
        self.opened = time.monotonic()
        self.results: dict[str, dict[str, Any]] = {}
        self.begun: dict[str, Task] = {}
        self.blocked: set[str] = set()
        self.late: list[str] = []
        self.log: Any = None
        self._first_began: float | None = None
        self._just_ended: list[Task] = []

    # The log.

    def write(self, entry: dict[str, Any]) -> None:
        """Add a line to this attempt's log."""
        self._write(records.dumps(entry))

    def _write(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()

    # Tasks that begin and end.

    def begin(self, task: Task) -> None:
        """Note that a task begins."""
        begins = self.again.tally.begins
        self.again.tally.begin(task.label)
        if begins[task.label] > 1:
            task.result["tries"] = begins[task.label]
        self.begun[task.label] = task
        if self._first_began is None:
            self._first_began = task.began
        self.write({"begin": task.label, "at": task.result["started"]})

    def end(self, task: Task, how: dict[str, Any]) -> None:
        """Keep a task's result."""
        result = {"ended": iso_time(), **task.result, **how}
        line = records.dumps({"end": task.label, "result": result})
        if result["state"] == "COMPLETED":
            tidy(task)
        self.results[task.label] = result
        self.begun.pop(task.label, None)
        self._write(line)

    def fail(self, task: Task, error: Exception) -> None:
        """Keep what went wrong with a task as its result."""
        self.end(task, {"state": "FAILED", "reason": describe(error)})

    def end_or_put_off(self, task: Task, cause: str, state: str, why: str) -> None:
        """Put a task off where it has another try."""
        entry, more = self.again.take(task.label, cause, why)
        if entry is None:
            self.end(task, {"state": state, "reason": why + more})
            return
        self.begun.pop(task.label, None)
        self.write(entry)
        say(f"{task.label}: {entry['reason']}")

    def give_up_lost(self, label: str) -> bool:
        """Settle a task whose job was restarted too often; False for any other."""
        reason = self.again.history.why_given_up(label, self.again.policy)
        if reason is None:
            return False
        result = {**self.job.result(), "state": "NODE_FAIL", "ended": iso_time(), "reason": reason}
        result["tries"] = max(1, self.again.tally.begins.get(label, 0))
        self.results[label] = result
        self.write({"end": label, "result": result})
        return True

    # The end before its time.

    def may_doubt(self, task: Task) -> None:
        """Note a task whose command ended just now: by itself, unless SIGTERM comes at once."""
        recent = task.ended - _IN_DOUBT_S
        self._just_ended = [*(each for each in self._just_ended if each.ended > recent), task]

    def doubt(self, came_at: float) -> None:
        """Take back what was said of commands that ended right before SIGTERM came."""
        for task in self._just_ended:
            if task.ended > came_at - _IN_DOUBT_S and task.label in self.results:
                del self.results[task.label]
                self.write({"doubt": task.label})
                self.begun[task.label] = task

    def give_up(self, labels: list[str]) -> None:
        """Settle what Slurm did not let end: a time limit or a scancel, which send the same signals."""
        limit = self.again.limit_s
        left = [label for label in labels if label not in self.results and label not in self.blocked]
        if limit and time.monotonic() - self.opened >= max(limit / 2, limit - _BEFORE_US_S):
            for task in list(self.begun.values()):
                if self._was_late(task, limit):
                    self.write({"cut": task.label})
                else:
                    self.end_or_put_off(task, TIMEOUT, "TIMEOUT", f"time limit of {limit} s")
            self.late = [label for label in left if label not in self.results]
            return
        for task in list(self.begun.values()):
            self.end(task, {"state": "CANCELLED", "reason": f"cancelled in Slurm {_when_cancelled(task)}"})
        for label in left:
            if label not in self.results:
                result = {**self.job.result(), "state": "CANCELLED", "ended": iso_time()}
                waited = self.again.tally.put_off.get(label)
                when = f"while it {waited.replace('waits', 'waited', 1)}" if waited else "before it began"
                self.results[label] = {**result, "reason": f"cancelled in Slurm {when}"}
        self.late = []
        self.again.put_off.clear()

    def _was_late(self, task: Task, limit: float) -> bool:
        """True for a task that the job's time limit ended before it had its own. The first to begin never is."""
        return task.began - (self._first_began or 0.0) > _LATE * limit


def _when_cancelled(task: Task) -> str:
    """Say how far a task had come when it was cancelled."""
    code = task.result.get("exit_code")
    if code is None:
        return "before its command began"
    return "while it ran" if code > 128 else f"while it ran, or as it ended with exit code {code}"


def describe(error: Exception) -> str:
    """Say what went wrong; a bug in us or in a library must still be told as a task's end."""
    return str(error) if isinstance(error, (BeeError, OSError)) else f"{type(error).__name__}: {error}"


def say(text: str) -> None:
    """Tell the log of the Slurm job."""
    os.write(2, f"beeflow: {text}\n".encode(errors="surrogateescape"))
