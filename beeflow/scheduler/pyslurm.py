"""The Scheduler that calls libslurm through pyslurm: no program is started for what pyslurm can do.

Written from the sources of pyslurm 22.5. What it cannot do, or not safely, Slurm's programs do as ever: each place says
why. What a site has sbatch do when it submits (cli_filter and SPANK plugins) is not done by libslurm.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from beeflow.errors import ConfigError, SlurmError, SubmissionError
from beeflow.scheduler import Dependency, JobRecord, JobRequest, Limits, description, libslurm
from beeflow.scheduler import command_lines as lines
from beeflow.scheduler.cli import CliScheduler, failure, refusal
from beeflow.states import JobState

log = logging.getLogger(__name__)

# Of slurm_strerror: the controller does not speak what this libslurm does.
_OTHER_VERSION = "Incompatible versions of client and server code"


class PyslurmScheduler:
    """Slurm by libslurm, in an environment we construct."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """``env``: what scheduler.target.environment made. Raises ConfigError when pyslurm cannot be used."""
        self.env = dict(env)
        self.cli = CliScheduler(env)
        self.pyslurm = libslurm.load(self.env)
        self._no_arrays: set[str] = set()

    def submit(self, request: JobRequest) -> str:
        """Submit a job and return its id."""
        if not description.is_describable(request):
            return self.cli.submit(request)
        with self._calling("submit", refusal):
            try:
                described = self.pyslurm.JobSubmitDescription(**description.describe(request, self.env))
                job_id = str(described.submit())
            except ValueError as error:
                # What pyslurm itself finds wrong, before it asks the controller.
                raise SubmissionError(f"pyslurm says: {error}") from error
        log.info("submitted %s: job %s", request.name, job_id)
        if request.array is None:
            self._no_arrays.add(job_id)
        return job_id

    def check(self, request: JobRequest) -> None:
        """Ask sbatch --test-only: pyslurm's only call of it prints what Slurm says, and then ends the process."""
        self.cli.check(request)

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Load all jobs, once."""
        return list(to_records(self._jobs(), names))

    def history(self, job_ids: Sequence[str], since: str) -> list[JobRecord]:
        """Ask sacct: rarely needed, and pyslurm's own call has no time limit."""
        return self.cli.history(job_ids, since)

    def release(self, *job_ids: str) -> None:
        """Update the jobs."""
        rest = [job_id for job_id in job_ids if not self._done_or_gone("release", job_id)]
        if rest:
            self.cli.release(*rest)

    def hold(self, *job_ids: str) -> None:
        """Update the jobs: without a mode, as scontrol hold does (hold(mode="user") writes through a null pointer)."""
        rest = [job_id for job_id in job_ids if not self._done_or_gone("hold", job_id)]
        if rest:
            self.cli.hold(*rest)

    def requeue(self, job_id: str) -> None:
        """Requeue the job."""
        if not self._done_by_number("requeue", job_id):
            self.cli.requeue(job_id)

    def relink(self, job_id: str, dependency: Dependency) -> None:
        """Update the job; no dependency at all is something that pyslurm cannot ask for."""
        if dependency.render():
            self._update(job_id, dependencies=dependency.render())
        else:
            self.cli.relink(job_id, dependency)

    def set_mail(self, job_id: str, mail_type: str, mail_user: str) -> None:
        """Update the job."""
        if description.has_mail_types(mail_type):
            self._update(job_id, mail_types=mail_type, mail_user=mail_user or None)
        else:
            self.cli.set_mail(job_id, mail_type, mail_user)

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """Cancel plain jobs and whole arrays, after one query where there is a name or a state to look at.

        An element is scancel's: pyslurm knows jobs by number only, and an element that waits in its array has none, the
        last one has the array's (seen on Slurm 22.05.8). So are the pending elements of an array.
        """
        elements = [job_id for job_id in job_ids if "_" in job_id]
        numbers = [job_id for job_id in job_ids if "_" not in job_id]
        arrays: list[str] = []
        if name is not None or pending_only:
            records = self.query(None if name is None else [name])
            elements = lines.live_elements(records, elements, pending_only=pending_only)
            numbers, arrays = _split(records, numbers, pending_only=pending_only)
        with self._calling("cancel"):
            for job_id in numbers:
                self.pyslurm.Job(int(job_id)).cancel()
        self.cli.cancel(None, elements)
        self.cli.cancel(name, arrays, pending_only=pending_only)

    def limits(self) -> Limits:
        """Ask for the controller's configuration."""
        with self._calling("limits"):
            return _limits(self.pyslurm)

    def _jobs(self) -> list[Any]:
        user_id = os.getuid()
        with self._calling("query"):
            return [job for job in self.pyslurm.Jobs.load().values() if job.user_id == user_id]

    def _update(self, job_id: str, **changes: Any) -> None:
        with self._calling("update"):
            self.pyslurm.Job(int(job_id)).modify(self.pyslurm.JobSubmitDescription(**changes))

    def _done_or_gone(self, verb: str, job_id: str) -> bool:
        """Do it as _done_by_number does; with a job that ended or is forgotten there is nothing to do."""
        try:
            return self._done_by_number(verb, job_id)
        except SlurmError as error:
            if lines.complaint(str(error)):
                raise
            return True

    def _done_by_number(self, verb: str, job_id: str) -> bool:
        """Do it to a plain job; False for an element and for an array, whose number stands for some elements only."""
        if not job_id.isdecimal():
            return False
        with self._calling(verb):
            # Of what was just submitted nothing needs to be asked.
            if job_id not in self._no_arrays and self.pyslurm.Job.load(int(job_id)).array_id:
                return False
            getattr(self.pyslurm.Job(int(job_id)), verb)()
        return True

    @contextlib.contextmanager
    def _calling(self, verb: str, refused: Callable[[str], SlurmError] | None = None) -> Iterator[None]:
        with libslurm.environment(self.env):
            try:
                yield
            except self.pyslurm.RPCError as error:
                words = str(error)
                if _OTHER_VERSION in words:
                    raise ConfigError(libslurm.unusable(words, self.env)) from error
                raise refused(words) if refused else failure(verb, words) from error


def to_records(jobs: Iterable[Any], names: Sequence[str] | None) -> Iterator[JobRecord]:
    """Make records of pyslurm's jobs, one an element; only those of these names if given."""
    wanted = None if names is None else frozenset(names)
    chosen = [job for job in jobs if wanted is None or job.name in wanted]
    with_first = {job.array_id for job in chosen if not _may_be_remains(job) and _indices(job)[0] == 0}
    for job in chosen:
        remains = _may_be_remains(job) and job.array_id in with_first
        name, state, node = (job.name or "").strip(), JobState.parse(job.state), job.allocated_nodes or ""
        for index in [None] if remains else _indices(job):
            yield JobRecord(str(job.array_id or job.id), name, state, job.state_reason, index, node)


def _indices(job: Any) -> list[int | None]:
    """List the elements that one of pyslurm's jobs stands for. It shows the index 0 as None."""
    if not job.array_id:
        return [None]
    return lines.parse_array(job.array_tasks_waiting) if job.array_tasks_waiting else [job.array_task_id or 0]


def _may_be_remains(job: Any) -> bool:
    """True for what may be an array's own record after the elements that waited there were cancelled.

    That has no index, which pyslurm shows as it does 0. It is no element 0 where there is another one; where there is
    none, element 0 was among the cancelled, or Slurm has forgotten it.
    """
    is_own = job.id == job.array_id and job.array_task_id is None and not job.array_tasks_waiting
    return is_own and not job.allocated_nodes and JobState.parse(job.state).ended


def _split(records: Sequence[JobRecord], job_ids: Sequence[str], *, pending_only: bool) -> tuple[list[str], list[str]]:
    """Tell which jobs can be cancelled by their number, and which arrays not: those of which only some are to go."""
    live = {record.job_id: record for record in records if not record.state.ended}
    found = [job_id for job_id in job_ids if job_id in live]
    if not pending_only:
        return found, []
    numbers = [each for each in found if live[each].array_task_id is None and live[each].state is JobState.PENDING]
    return numbers, [each for each in found if live[each].array_task_id is not None]


def _limits(pyslurm: Any) -> Limits:
    if hasattr(pyslurm.slurmctld.Config, "max_array_size"):
        new = pyslurm.slurmctld.Config.load()
        storage = getattr(new, "accounting_storage_type", None)
        accounting = lines.has_accounting(storage)
        return Limits(new.cluster_name, new.version, new.max_array_size, new.max_job_count, accounting)
    # In 22.5 that has no more than the cluster's name, and this the rest.
    try:
        old = pyslurm.config().get()
    except ValueError as error:
        raise pyslurm.RPCError(msg=str(error.args[0])) from error
    accounting = lines.has_accounting(old.get("accounting_storage_type"))
    return Limits(old["cluster_name"], old["version"], old["max_array_sz"], old["max_job_cnt"], accounting)
