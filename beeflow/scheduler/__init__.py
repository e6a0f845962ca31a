"""Slurm, as the rest of beeflow sees it: one small protocol, and what goes in and out.

This package is the only home of sbatch, squeue, scancel and scontrol, and of pyslurm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from beeflow.errors import SlurmError, SubmissionError
from beeflow.states import JobState


class SubmissionDoubtError(SlurmError):
    """sbatch did not say no, and did not give an id: the job may or may not be there."""


class SlurmUnreachableError(SlurmError):
    """No controller answered, or it had too much to do: nothing was submitted, and asking again may help."""


class QueueFullError(SlurmError):
    """The controller has as many jobs as it takes, everybody's (MaxJobCount): nothing was submitted."""


class SubmitLimitError(SubmissionError):
    """More jobs than the user may have submitted, or in an array: fewer may be taken."""


@dataclass(frozen=True)
class Dependency:
    """What a job waits for, as sbatch's --dependency has it. ``by_type``: "afterok" -> job ids.

    ``any_of``: start when any one of these (afterany) ended, or any of ``or_failed`` ended badly (afternotok); neither
    mixes with the rest.
    """

    by_type: dict[str, tuple[str, ...]] = field(default_factory=dict)
    singleton: bool = False
    any_of: tuple[str, ...] = ()
    or_failed: tuple[str, ...] = ()

    def render(self) -> str:
        """Write the option's value; "" when there is nothing to wait for."""
        either = [f"afterany:{job_id}" for job_id in self.any_of]
        either += [f"afternotok:{job_id}" for job_id in self.or_failed]
        if either:
            return "?".join(either)
        parts = ["singleton"] if self.singleton else []
        parts += [f"{kind}:{':'.join(job_ids)}" for kind, job_ids in self.by_type.items() if job_ids]
        return ",".join(parts)


@dataclass(frozen=True)
class JobOptions:
    """What sbatch is asked for; names are sbatch's. ``extra``: options the site or the user wrote, word by word."""

    time_limit: timedelta
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    cpus_per_task: int = 1
    ntasks: int | None = None
    mem_mib: int | None = None
    tmp_mib: int | None = None
    gres: str | None = None
    mail_type: str = ""
    mail_user: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobRequest:
    """One sbatch. ``array``: None, or the indices of the elements. ``script``: None only to ask (check)."""

    name: str
    script: Path | None
    chdir: Path
    output: Path
    options: JobOptions
    array: Sequence[int] | None = None
    dependency: Dependency = field(default_factory=Dependency)
    hold: bool = False
    requeue: bool = True
    open_mode_append: bool = True
    script_args: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobRecord:
    """One line of squeue: a job, or one element of an array (``array_task_id``). ``reason``: Slurm's word."""

    job_id: str
    name: str
    state: JobState
    reason: str = ""
    array_task_id: int | None = None
    node: str = ""

    @property
    def shown(self) -> str:
        """The id as Slurm shows it: "12", or "12_3"."""
        return self.job_id if self.array_task_id is None else f"{self.job_id}_{self.array_task_id}"

    @property
    def pending(self) -> bool:
        """True while it has not begun."""
        return self.state is JobState.PENDING

    @property
    def held(self) -> bool:
        """True when somebody held it; also for one that was held as it began, and is to be held when it is requeued."""
        return self.reason in ("JobHeldUser", "JobHeldAdmin")

    @property
    def put_aside(self) -> bool:
        """True when Slurm itself holds it, because a node could not launch it (seen on Slurm 22.05.8)."""
        return self.reason == "launch failed requeued held"


class Known:
    """What is known of jobs, by id and array index."""

    def __init__(self, jobs: Iterable[JobRecord] = ()) -> None:
        self._jobs = {(job.job_id, job.array_task_id): job for job in jobs}

    def get(self, job_id: str | None, index: int | None) -> JobRecord | None:
        """Return the record of a job (index None) or of an element of an array.

        One without an index is of all elements that waited when an array was cancelled by its name, or together with
        those that ran (seen on Slurm 22.05.8).
        """
        found = self._jobs.get((job_id or "", index))
        if found is None and index is not None:
            rest = self._jobs.get((job_id or "", None))
            return replace(rest, array_task_id=index) if rest and rest.state.ended else None
        return found


@dataclass(frozen=True)
class Limits:
    """What the controller allows (scontrol show config). ``max_array_size``: the greatest index is one less.

    ``accounting``: sacct knows of jobs that the controller has forgotten.
    """

    cluster_name: str
    slurm_version: str
    max_array_size: int
    max_job_count: int
    accounting: bool = False


class Scheduler(Protocol):
    """What beeflow asks of Slurm. Every call raises SlurmError when Slurm did not answer."""

    def submit(self, request: JobRequest) -> str:
        """Submit a job and return its id. Raises SubmissionError when refused, SubmissionDoubtError when unclear."""
        ...

    def check(self, request: JobRequest) -> None:
        """Ask whether Slurm would take a job (sbatch --test-only); raises SubmissionError when it would not."""
        ...

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Return the user's jobs, also those that ended within MinJobAge; only those of these names if given."""
        ...

    def history(self, job_ids: Sequence[str], since: str) -> list[JobRecord]:
        """Return what accounting has of jobs, or of arrays and their elements, submitted since a recorded time.

        ``reason`` of one that was cancelled: by whom ("by 1000"). Of several runs of one job only the last.
        """
        ...

    def release(self, *job_ids: str) -> None:
        """Release held jobs or elements ("12", "12_[0-3,7]"); one that ended already is no error."""
        ...

    def hold(self, *job_ids: str) -> None:
        """Keep pending jobs or elements from starting; one that ended already is no error."""
        ...

    def requeue(self, job_id: str) -> None:
        """Have a running job, or an array element ("12_3"), run again from its beginning under the same id."""
        ...

    def relink(self, job_id: str, dependency: Dependency) -> None:
        """Replace what a pending job waits for."""
        ...

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """Cancel jobs of this name among these ids; one that ended already is no error.

        ``pending_only``: what runs goes on, also the elements of an array that do.

        Without a name only for ids this process was just given: it saves a query (seen on Slurm 22.05.8).
        """
        ...

    def set_mail(self, job_id: str, mail_type: str, mail_user: str) -> None:
        """Have Slurm send mail about a job that is there already."""
        ...

    def limits(self) -> Limits:
        """Read the controller's limits."""
        ...
