"""The Scheduler that runs sbatch, squeue, scancel and scontrol."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from beeflow import process
from beeflow.errors import SlurmError, SubmissionError
from beeflow.scheduler import (
    Dependency,
    JobRecord,
    JobRequest,
    Limits,
    QueueFullError,
    SlurmUnreachableError,
    SubmissionDoubtError,
    SubmitLimitError,
    strides,
)
from beeflow.scheduler import command_lines as lines

log = logging.getLogger(__name__)

# sbatch itself retries for MessageTimeout several times over, and sleeps at MaxJobCount.
SUBMIT_TIMEOUT_S = 150.0
QUERY_TIMEOUT_S = 60.0
HISTORY_TIMEOUT_S = 20.0
CANCEL_BATCH = 1000


class CliScheduler:
    """Slurm by its command-line programs, in an environment we construct."""

    def __init__(self, env: Mapping[str, str], history_timeout_s: float = HISTORY_TIMEOUT_S) -> None:
        """``env``: what scheduler.target.environment made."""
        self.history_timeout_s = history_timeout_s
        self.env = dict(env)
        self.user = env.get("USER", "")

    def submit(self, request: JobRequest) -> str:
        """Submit a job and return its id."""
        argv = lines.sbatch_argv(request)
        try:
            done = self._run(argv, SUBMIT_TIMEOUT_S)
        except process.ProgramTimeoutError as error:
            raise SubmissionDoubtError(f"sbatch of {request.name}: {error}") from error
        if done.returncode == 0:
            *others, job_id = lines.parse_submitted(done.stdout)
            log.info("sbatch %s: job %s", request.name, job_id)
            self._drop(request.name, others)
            return job_id
        raise refusal(words_of(done))

    def _drop(self, name: str, job_ids: list[str]) -> None:
        """Cancel what was submitted more than once: a held one would keep others of its name from beginning.

        It would end by itself once it began, so that it need not succeed.
        """
        if job_ids:
            log.warning("sbatch %s was answered more than once: job(s) %s are cancelled", name, ", ".join(job_ids))
            try:
                self.cancel(name, job_ids)
            except SlurmError as error:
                log.warning("not cancelled: %s", error)

    def check(self, request: JobRequest) -> None:
        """Ask sbatch --test-only, and sbatch itself where only that can tell."""
        done = self._ask(lines.sbatch_argv(request, test_only=True))
        try:
            if done.returncode != 0 and lines.lacks_nodes(done.stderr):
                self._try_out(request)
            elif done.returncode != 0:
                raise refusal(words_of(done))
        except SubmissionDoubtError as error:
            # Nothing was to be submitted, so nothing is in doubt.
            raise SlurmUnreachableError(str(error)) from error

    def _try_out(self, request: JobRequest) -> None:
        """Submit a job that does nothing, and cancel it; raises what Slurm refuses it with.

        --test-only refuses a job while all nodes that could run it are down or drained. sbatch takes it, and refuses
        only what fits none; but one that is held or depends on another it takes unseen (seen on Slurm 22.05.8).
        """
        job_id = self.submit(replace(request, script=None, hold=False, dependency=Dependency(), requeue=False))
        self.cancel(request.name, [job_id])

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Make one squeue; a second where that may have left out an element."""
        records = self._squeue(lines.squeue_argv(self.user, names))
        doubtful = strides.missing(records)
        if doubtful:
            records += strides.confirm(doubtful, self._squeue(lines.squeue_argv(self.user, names, merged=True)))
        return records

    def _squeue(self, argv: Sequence[str]) -> list[JobRecord]:
        done = self._ask(argv)
        if done.returncode != 0:
            raise failure("squeue", words_of(done))
        return lines.parse_squeue(done.stdout)

    def history(self, job_ids: Sequence[str], since: str) -> list[JobRecord]:
        """Make one sacct."""
        records: list[JobRecord] = []
        for batch in lines.job_lists(job_ids):
            try:
                done = self._run(lines.sacct_argv(batch, since), self.history_timeout_s)
            except (process.ProgramTimeoutError, process.ProgramMissingError) as error:
                raise SlurmError(str(error)) from error
            if done.returncode != 0:
                raise failure("sacct", words_of(done))
            records += lines.parse_sacct(done.stdout)
        return records

    def release(self, *job_ids: str) -> None:
        """Run scontrol release, in batches that fit an argument."""
        self._scontrol_jobs("release", job_ids)

    def hold(self, *job_ids: str) -> None:
        """Run scontrol uhold, which holds as the jobs' owner does, whoever runs it."""
        self._scontrol_jobs("uhold", job_ids)

    def requeue(self, job_id: str) -> None:
        """Run scontrol requeue."""
        self._scontrol(["scontrol", "requeue", job_id])

    def change(self, job_id: str, *, begin_in_s: float = 0.0, time_limit_s: int = 0, mem_mib: int = 0) -> None:
        """Run scontrol update, for what is given: users may ask more for a pending job, not for one that runs."""
        argv = lines.change_argv(job_id, begin_in_s, time_limit_s, mem_mib)
        if argv:
            self._scontrol(argv)

    def max_time_s(self, partition: str) -> int | None:
        """Run scontrol show partition; returns the longest time limit, None where there is none."""
        return lines.parse_max_time(self._scontrol(["scontrol", "show", "partition", partition]))

    def relink(self, job_id: str, dependency: Dependency) -> None:
        """Run scontrol update Dependency=."""
        self._scontrol(lines.relink_argv(job_id, dependency))

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """Run scancel, in batches that fit a command line.

        With a name or a state to look at, scancel takes for an element that waits in its array all that wait there
        (seen on Slurm 22.05.8): so which elements to take is found out before, as scancel itself would, by a query.
        """
        elements = [job_id for job_id in job_ids if "_" in job_id]
        if elements and (name is not None or pending_only):
            records = self.query(None if name is None else [name])
            job_ids = [job_id for job_id in job_ids if "_" not in job_id]
            self._scancel(None, lines.live_elements(records, elements, pending_only=pending_only))
        self._scancel(name, job_ids, pending_only=pending_only)

    def _scancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        for start in range(0, len(job_ids), CANCEL_BATCH):
            batch = job_ids[start : start + CANCEL_BATCH]
            done = self._ask(lines.scancel_argv(name, batch, pending_only=pending_only))
            if lines.has_failed(done.returncode, done.stderr):
                raise failure("scancel", lines.complaint(words_of(done)))

    def set_mail(self, job_id: str, mail_type: str, mail_user: str) -> None:
        """Run scontrol update MailType=."""
        self._scontrol(lines.mail_argv(job_id, mail_type, mail_user))

    def limits(self) -> Limits:
        """Run scontrol show config."""
        return lines.parse_limits(self._scontrol(["scontrol", "show", "config"]))

    def _scontrol_jobs(self, verb: str, job_ids: Sequence[str]) -> None:
        for batch in lines.job_lists(job_ids):
            done = self._ask(["scontrol", verb, batch])
            if lines.has_failed(done.returncode, done.stderr):
                raise failure(f"scontrol {verb}", lines.complaint(words_of(done)))

    def _scontrol(self, argv: Sequence[str]) -> str:
        done = self._ask(argv)
        if done.returncode != 0:
            raise failure(" ".join(argv[:3]), words_of(done))
        return done.stdout

    def _ask(self, argv: Sequence[str]) -> process.Completed:
        """Run what may as well be run twice."""
        try:
            return self._run(argv, QUERY_TIMEOUT_S)
        except process.ProgramTimeoutError as error:
            raise SlurmUnreachableError(str(error)) from error

    def _run(self, argv: Sequence[str], timeout_s: float) -> process.Completed:
        return process.run(argv, timeout_s=timeout_s, env=self.env)


def words_of(done: process.Completed) -> str:
    """Return what a program that failed wrote, or how it ended when it wrote nothing: nobody knows what it did."""
    ending = f"exit code {done.returncode}" if done.returncode > 0 else f"killed by signal {-done.returncode}"
    return done.stderr if done.stderr.strip() else f"{done.argv[0]} {lines.SILENT} ({ending})"


def refusal(stderr: str) -> SlurmError:
    """Return the error that a complaint of sbatch is."""
    words = lines.refusal_words(stderr)
    return _KINDS[lines.refusal_kind(stderr)](f"Slurm says: {words}")


def failure(what: str, stderr: str) -> SlurmError:
    """Return the error that a complaint of another program, or of the library, is."""
    kind = SlurmUnreachableError if lines.refusal_kind(stderr) in ("unreachable", "doubt") else SlurmError
    return kind(f"{what}: {lines.refusal_words(stderr)}")


_KINDS: Mapping[str, type[SlurmError]] = {
    "unreachable": SlurmUnreachableError,
    "doubt": SubmissionDoubtError,
    "full": QueueFullError,
    "limit": SubmitLimitError,
    "refused": SubmissionError,
}
