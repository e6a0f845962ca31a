"""Ask Slurm again when it was away or too busy for a moment: for a while, at growing intervals.

Only what Slurm surely did not do, or what may as well be done twice. A submission in doubt is neither: that is looked
for before anything is submitted again (beeflow.submission).
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from beeflow.scheduler import Dependency, JobRecord, JobRequest, Limits, Scheduler, SlurmUnreachableError

log = logging.getLogger(__name__)

T = TypeVar("T")

# How long in all somebody waits: a person who looks, one who has something done, a driver job.
LOOK_S = 5.0
COMMAND_S = 30.0
PASS_S = 120.0

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 15.0


def _jitter() -> random.Random:
    return random.Random()  # noqa: S311 - so that those whom Slurm sent away together do not all come back at once


@dataclass
class Patience:
    """So many seconds of asking in vain that all calls share; an answer fills it up again."""

    limit_s: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: random.Random = field(default_factory=_jitter)
    spent_s: float = field(default=0.0, init=False)

    def ask(self, call: Callable[[], T]) -> T:
        """Make a call until there is an answer; raises the last SlurmUnreachableError when patience is at its end."""
        tries, began, before_s = 0, self.clock(), self.spent_s
        while True:
            try:
                answer = call()
            except SlurmUnreachableError as error:
                tries += 1
                self.spent_s = before_s + self.clock() - began
                pause_s = min(_FIRST_PAUSE_S * 2 ** (tries - 1), _LONGEST_PAUSE_S) * self.jitter.uniform(0.5, 1.0)
                if self.spent_s + pause_s > self.limit_s:
                    raise _given_up(error, tries, self.clock() - began) from error
                log.info("%s; asking again in %.1f s", error, pause_s)
                self.sleep(pause_s)
            else:
                self.spent_s = 0.0
                return answer


def _given_up(error: SlurmUnreachableError, tries: int, seconds: float) -> SlurmUnreachableError:
    asked = f" (asked {tries} times in {seconds:.0f} s)" if tries > 1 else ""
    return SlurmUnreachableError(f"{error}{asked}; try again when sinfo answers")


@dataclass(frozen=True)
class PatientScheduler:
    """A scheduler, asked with patience."""

    inner: Scheduler
    patience: Patience

    def submit(self, request: JobRequest) -> str:
        """Submit a job; once more only when Slurm surely has none."""
        return self.patience.ask(lambda: self.inner.submit(request))

    def check(self, request: JobRequest) -> None:
        """Ask whether Slurm would take a job."""
        self.patience.ask(lambda: self.inner.check(request))

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Return the user's jobs."""
        return self.patience.ask(lambda: self.inner.query(names))

    def history(self, job_ids: Sequence[str], since: str) -> list[JobRecord]:
        """Return what accounting has, asking once: nothing hangs on it."""
        return self.inner.history(job_ids, since)

    def release(self, *job_ids: str) -> None:
        """Release jobs; those that are released already stay so."""
        self.patience.ask(lambda: self.inner.release(*job_ids))

    def hold(self, *job_ids: str) -> None:
        """Hold jobs; those that are held already stay so."""
        self.patience.ask(lambda: self.inner.hold(*job_ids))

    def requeue(self, job_id: str) -> None:
        """Requeue a job, asking once: a second time would end what the first one began."""
        self.inner.requeue(job_id)

    def relink(self, job_id: str, dependency: Dependency) -> None:
        """Replace what a pending job waits for."""
        self.patience.ask(lambda: self.inner.relink(job_id, dependency))

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """Cancel jobs; those that have ended are no error."""
        self.patience.ask(lambda: self.inner.cancel(name, job_ids, pending_only=pending_only))

    def set_mail(self, job_id: str, mail_type: str, mail_user: str) -> None:
        """Have Slurm send mail."""
        self.patience.ask(lambda: self.inner.set_mail(job_id, mail_type, mail_user))

    def limits(self) -> Limits:
        """Read the controller's limits."""
        return self.patience.ask(self.inner.limits)
