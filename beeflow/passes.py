"""One pass as a whole: its successor first, then the work, then the last word to Slurm.

First a pass submits its own successor, so that no job of ours is the last one; last it relinks the successor behind
what must end next, or cancels it when the workflow has ended.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from beeflow import archived, finished, store
from beeflow.cwl.late import LateTools
from beeflow.driver import Driver
from beeflow.epilog import Epilog
from beeflow.errors import BeeError, SlurmError, SystemFileError
from beeflow.layout import Layout, cache_dir
from beeflow.listing import is_over
from beeflow.locking import NoLocksError, StaleLockError
from beeflow.models import StateRecord, WorkflowRecord
from beeflow.results import read_graph
from beeflow.scheduler import Dependency, Scheduler, SubmitLimitError
from beeflow.states import WorkflowState
from beeflow.submission import DOUBT_PAUSES_S, Submitter, pass_key, pass_number

log = logging.getLogger(__name__)

T = TypeVar("T")

# Longer than the last call to Slurm of a pass that holds the lock may take, asked with patience.
LOCK_TIMEOUT_S = 300.0
TRIES_S = (5.0, 15.0, 45.0)
# A pass that fails is followed by its successor; after so many failures in a row the workflow is left to the user.
MAX_FAILURES = 3


class Pass:
    """One pass, as a job or inside a command."""

    def __init__(
        self, layout: Layout, record: WorkflowRecord, scheduler: Scheduler, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> None:
        self.layout = layout
        self.record = record
        self.submitter = Submitter(layout, record, scheduler)
        self.lock_timeout_s = lock_timeout_s

    def run(self, key: str, job_id: str | None) -> int:
        """Run the pass; returns 1 when the workflow ended and did not complete. ``job_id``: None outside a job."""
        state = store.read_record(StateRecord, self.layout.state)
        if state is not None and is_over(self.record, state):
            self.end(key)
            self.remove(state)
            return 0
        successor = self.submit_successor(key, job_id) if self.may_submit(job_id) else None
        # A pass that waits for any of several jobs has no singleton: it may begin while this one is about to end.
        with self.counted(key), self.locked():
            final = self.advance(successor, job_id)
        if final is None:
            if successor and job_id is None:
                self.submitter.scheduler.release(successor)
            return 0
        self.mail(final, job_id)
        self.end(key)
        self.remove(final)
        return 0 if final.state.outcome is WorkflowState.COMPLETED else 1

    def remove(self, final: StateRecord) -> None:
        """Remove the directory, where bee.conf says so, as bee-clean does: what stays, that finds again."""
        if not self.record.delete_completed or final.state is not WorkflowState.ARCHIVED:
            return
        if final.archive and archived.needs_directory(Path(final.archive)):
            log.info("%s refers to files in the workflow's directory, which therefore stays", final.archive)
            return
        try:
            for line in finished.remove_directory(self.layout.root).left:
                log.warning("not removed: %s", line)
        except BeeError as error:
            log.warning("%s", error)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep two passes of one workflow from doing the same work at once, where that can be.

        Nothing runs twice without it either: whom nobody can ask, and a file system without locks, keep no pass.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.submitter.lock(self.layout.lock).held(self.lock_timeout_s))
            except (StaleLockError, NoLocksError) as error:
                log.warning("%s; this pass goes on without the lock", error)
            yield

    def may_submit(self, job_id: str | None) -> bool:
        """True where sbatch works: everywhere, unless this site refuses it on compute nodes ([slurm] drive = here)."""
        return job_id is None or self.record.drive != "here"

    def advance(self, successor: str | None, job_id: str | None) -> StateRecord | None:
        """Drive; when nothing is outstanding, end the workflow."""
        graph = read_graph(self.layout)
        tools = LateTools(graph, self.layout.root, cache_dir(self.layout), foreign=self.record.foreign)
        driver = Driver(
            self.layout,
            self.record,
            graph,
            store.read_json(self.layout.job),
            tools,
            self.submitter,
            may_submit=self.may_submit(job_id),
            looks_again_s=() if job_id else DOUBT_PAUSES_S,
        )
        ended = driver.run(successor)
        return Epilog(self.layout, self.record, graph).run(ended) if ended else None

    def submit_successor(self, key: str, job_id: str | None) -> str:
        """Submit the next pass; Slurm being away for a moment is no reason to be the last one."""
        after: dict[str, tuple[str, ...]] = {"afterany": (job_id,)} if job_id else {}
        # Outside a job nothing keeps the next pass from starting at once, so it is held until it is relinked.
        number, dependency = pass_number(key) + 1, Dependency(after, singleton=True)
        return patiently(lambda: self.submitter.submit_pass(number, dependency, hold=job_id is None))

    def end(self, key: str) -> None:
        """Cancel the passes that are pending: the archive is published, or nothing is left to do."""
        keys = [pass_key(number) for number in range(pass_number(key) + 1, self.submitter.last_pass() + 1)]
        known = {each: self.submitter.known_id(each) for each in keys}
        pending = {job_id for job_id in known.values() if job_id}
        if any(not known[each] and self.layout.intent(each).exists() for each in keys):
            pending |= self.in_doubt(key)
        mine = pending & self.submitter.submitted
        for name, job_ids in ((None, mine), (self.record.job_name(key), pending - mine)):
            if job_ids:
                self.cancel(name, sorted(job_ids))

    def in_doubt(self, key: str) -> set[str]:
        """Find the passes that are pending: a command that was killed may have left one held, and not its id."""
        self.submitter.asked = None
        found = patiently(self.submitter.queue)
        return {job.job_id for job in found if job.name == self.record.job_name(key) and job.pending}

    def cancel(self, name: str | None, job_ids: list[str]) -> None:
        """Cancel passes: one that a command left held would stay for ever."""
        patiently(lambda: self.submitter.scheduler.cancel(name, job_ids))

    def mail(self, final: StateRecord, job_id: str | None) -> None:
        """Ask Slurm for the mail about the end: this job's end is the workflow's."""
        wanted = set(self.record.options.mail_type.upper().split(","))
        failed = final.state.outcome is not WorkflowState.COMPLETED
        if job_id and ({"END", "ALL"} & wanted or (failed and "FAIL" in wanted)):
            try:
                self.submitter.scheduler.set_mail(job_id, "END,FAIL", self.record.options.mail_user)
            except SlurmError as error:
                # The workflow has ended well or badly, mail or not.
                log.warning("no mail will be sent: %s", error)

    # A pass that fails again and again (a full disk) must not resubmit itself for ever.

    @contextlib.contextmanager
    def counted(self, key: str) -> Iterator[None]:
        """Count the pass as failed until it has ended well."""
        self.check_failures(key)
        try:
            yield
        except Exception as error:
            known = (store.read_text(self.layout.failures) or "").splitlines()
            self.note_failure([*known[:-1], " ".join(self.words(error).split())])
            raise
        self.clear_failures()

    def words(self, error: Exception) -> str:
        """Say why a pass failed; of what nobody expected, where more is to be read."""
        if isinstance(error, BeeError):
            return str(error)
        return f"{type(error).__name__}: {error}; {self.layout.passes_log} tells where"

    def check_failures(self, key: str) -> None:
        """Count this pass as failed until it ends well; raises BeeError, successor cancelled, after too many."""
        known = (store.read_text(self.layout.failures) or "").splitlines()
        if len(known) < MAX_FAILURES:
            try:
                self.note_failure([*known, "killed"])
            except SystemFileError:
                self.end(key)
                raise
            return
        self.clear_failures()
        self.end(key)
        raise BeeError(f"{len(known)} passes failed in a row; the last: {known[-1]}")

    def note_failure(self, lines: list[str]) -> None:
        """Write what failed, a line a pass."""
        store.write_text(self.layout.failures, "".join(f"{line}\n" for line in lines))

    def clear_failures(self) -> None:
        """Forget failures: this pass went well."""
        self.layout.failures.unlink(missing_ok=True)


def drive_here(submitter: Submitter) -> None:
    """Run the next pass in this process, the pass after it as a job that waits for what it submits.

    For sites that refuse sbatch on compute nodes: the job may end the workflow, but not go on with it.
    """
    layout, record = submitter.layout, submitter.record
    layout.failures.unlink(missing_ok=True)
    Pass(layout, record, submitter.scheduler).run(pass_key(submitter.last_pass() + 1), None)


def patiently(call: Callable[[], T]) -> T:
    """Call Slurm, and call it again when it is away for a moment."""
    for pause in TRIES_S:
        try:
            return call()
        except SlurmError as error:
            if not is_transient(error):
                raise
            log.warning("%s; trying again in %g s", error, pause)
            time.sleep(pause)
    return call()


def is_transient(error: SlurmError) -> bool:
    """True when asking Slurm again may help."""
    return error.exit_code == SlurmError.exit_code or isinstance(error, SubmitLimitError)
