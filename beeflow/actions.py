"""What starting, pausing, resuming and cancelling are for one workflow.

A command first writes its wish into control/, then looks at what Slurm has and acts on it, and looks again until there
is nothing more to do: a pass may be about to submit. A pass looks at control/ before it submits, and once more after.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from beeflow import store, workflow
from beeflow.errors import BeeError, NotFoundError, SlurmError, SystemFileError, TransitionError
from beeflow.holding import Holding, Wishes, is_paused
from beeflow.listing import is_just_written, is_over, workflow_state
from beeflow.locking import LockedError
from beeflow.models import WorkflowRecord, now
from beeflow.scheduler import Dependency, JobRecord
from beeflow.scheduler.command_lines import render_elements
from beeflow.states import Command, JobState, WorkflowState, useful_commands
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter, pass_key

log = logging.getLogger(__name__)

# How long bee-cancel waits for the lock that bee-retry works under. Another bee-cancel, which only looks, has it for
# less; who has it longer is a bee-retry.
RETRY_S = 1.0


@dataclass
class Action:
    """One command on one workflow. ``why``: for whom, where that is not the user. ``said``: what came of it.

    ``is_wish``: what it begins with stays, and counts, also where Slurm does not answer.
    """

    is_wish: ClassVar[bool] = True
    workflow: WorkflowDir
    submitter: Submitter
    why: str = ""
    said: str = ""

    def begin(self) -> bool:
        """Write the wish down; False when that is all. Raises TransitionError when the state does not allow it."""
        raise NotImplementedError

    def act(self, jobs: list[JobRecord]) -> bool:
        """Do what these jobs of the workflow need; False to be called again with what Slurm has then."""
        raise NotImplementedError

    def check(self, command: Command) -> WorkflowState:
        """Return the workflow's state; raises TransitionError when it does not allow the command."""
        state = current_state(self.workflow, self.submitter.record)
        if not command.allowed(state):
            raise refusal(command, self.workflow, state)
        return state

    def over(self) -> WorkflowState | None:
        """Return how the workflow ended; None when something is left to do."""
        state = self.workflow.state()
        return state.state if state is not None and is_over(self.submitter.record, state) else None

    def is_pass(self, job: JobRecord) -> bool:
        """True for a driver or epilog."""
        return job.name == self.submitter.record.job_name(pass_key(1))

    def passes(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        """List the passes that have yet to end, oldest first."""
        live = (job for job in jobs if self.is_pass(job) and not job.state.ended)
        return sorted(live, key=lambda job: int(job.job_id))

    def tasks(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        """List the other jobs and elements that have yet to end."""
        return [job for job in jobs if not self.is_pass(job) and not job.state.ended]

    def go_on(self, jobs: Sequence[JobRecord]) -> bool:
        """See to it that a pass comes; False when one will anyway.

        One that is held was left so by a command that was killed; any job that Slurm could not launch may be tried
        again. Where no job at all is left, passes are told that those which never began are to be submitted again.
        """
        passes = self.passes(jobs)
        if self.submitter.record.drive == "here" and any(job.held for job in passes):
            # The command that was killed had more to submit, which the pass that it left may not.
            self.submitter.scheduler.cancel(passes[0].name, [job.job_id for job in passes])
            passes = []
        held = [job for job in jobs if not job.state.ended and (job.put_aside or (job.held and job in passes))]
        for job in self.made_twice(held):
            self.submitter.scheduler.cancel(job.name, [job.shown])
            held.remove(job)
        if held:
            self.submitter.scheduler.release(*render_elements(held))
        if not passes:
            if not self.tasks(jobs):
                self.note_vanished()
            workflow.go(self.submitter)
        return bool(held) or not passes

    def made_twice(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        """List those that Slurm made of a submission of which we know another job: they have nothing to do."""
        intents = (intent for intent in self.submitter.intents() if intent.group) if jobs else ()
        known = {intent.job_name: self.submitter.known_id(intent.key) for intent in intents}
        return [job for job in jobs if known.get(job.name) not in (None, job.job_id)]

    def note_vanished(self) -> None:
        """Write which submissions there were."""
        keys = sorted(intent.key for intent in self.submitter.intents() if intent.group)
        if keys:
            store.write_text(self.workflow.layout.vanished, "".join(f"{key}\n" for key in keys))


class Starting(Action):
    """Let a held workflow go, or continue one that has no job left."""

    is_wish = False
    was_held = False

    def begin(self) -> bool:
        """Only see that it may be."""
        self.was_held = self.check(Command.START) is WorkflowState.SUBMITTED
        return True

    def act(self, jobs: list[JobRecord]) -> bool:
        """Submit a pass if there is none."""
        moved = self.go_on(jobs)
        store.remove(self.workflow.layout.held)
        started = moved or self.was_held
        self.said = f"Started workflow {self.workflow.id}." if started else under_way(self.workflow)
        return True


class Pausing(Action):
    """Let what runs finish, and nothing else begin."""

    is_new = False
    has_held = False
    wish = Wishes(None, None)

    def begin(self) -> bool:
        """Write the flag."""
        self.check(Command.PAUSE)
        self.is_new, self.wish = Holding(self.submitter).pause()
        return True

    def act(self, jobs: list[JobRecord]) -> bool:
        """Hold what is pending."""
        tasks = self.tasks(jobs)
        if self.is_new and not tasks and not self.passes(jobs):
            self.check_stalled()
        changed = Holding(self.submitter).agree(jobs)
        self.has_held = self.has_held or bool(changed)
        if not is_paused(self.workflow.layout):
            self.said = f"Workflow {self.workflow.id} was paused, but another command has it go on."
        elif self.is_new or self.has_held:
            pending = sum(job.state is JobState.PENDING for job in tasks)
            counts = f"jobs running, which finish: {len(tasks) - pending}; held: {pending}"
            self.said = f"Paused workflow {self.workflow.id} ({counts})."
        else:
            self.said = f"Workflow {self.workflow.id} is paused already."
        return not changed

    def check_stalled(self) -> None:
        """Take the flag back and raise TransitionError when there is nothing that could be paused."""
        over = self.over()
        if over or not is_just_written(self.workflow, self.submitter.record):
            taken_back = Holding(self.submitter).take_back(self.wish)
            # Another command had it go on since, or paused it, too.
            if over or taken_back:
                raise refusal(Command.PAUSE, self.workflow, over or WorkflowState.STALLED)


class Resuming(Action):
    """Have a paused workflow go on, or continue one that has no job left."""

    was_paused = False

    def begin(self) -> bool:
        """Take the flag away."""
        self.check(Command.RESUME)
        self.was_paused = Holding(self.submitter).resume()
        return True

    def act(self, jobs: list[JobRecord]) -> bool:
        """Release what is held, and have a pass come."""
        Holding(self.submitter).agree(jobs)
        if is_paused(self.workflow.layout):
            self.said = f"Workflow {self.workflow.id} was resumed, but another command paused it again."
            return True
        moved = self.go_on(jobs)
        if self.was_paused and not moved:
            self.wake(self.passes(jobs))
        resumed = moved or self.was_paused
        self.said = f"Resumed workflow {self.workflow.id}." if resumed else under_way(self.workflow)
        return True

    def wake(self, passes: Sequence[JobRecord]) -> None:
        """Have a pass come at once: one that came while the workflow was paused submitted nothing."""
        if self.submitter.record.drive == "here":
            workflow.go(self.submitter)
            return
        pending = [job.job_id for job in passes if job.state is JobState.PENDING]
        try:
            if pending:
                self.submitter.scheduler.relink(pending[0], Dependency(singleton=True))
        except SlurmError as error:
            # It has begun. If it has not, it comes when what runs has ended.
            log.info("%s", error)


class Cancelling(Action):
    """Cancel the workflow's jobs; a pass settles and archives it."""

    is_new = False
    is_retried = False
    told: frozenset[str] = frozenset()

    def begin(self) -> bool:
        """Write the flag."""
        over = self.over_for_good()
        if over:
            self.check(Command.CANCEL)
            self.said = f"Workflow {self.workflow.id} is {over.value} already."
            return False
        self.is_new = Holding(self.submitter).cancel(f"{now()} {self.why}".rstrip() + "\n")
        return True

    def over_for_good(self) -> WorkflowState | None:
        """Return how the workflow ended; None also while bee-retry is at it, which sees the flag at its own end."""
        if not self.over():
            return None
        try:
            with self.submitter.lock(self.workflow.layout.retry_lock).held(RETRY_S):
                # It may have been done just then.
                return self.over()
        except LockedError:
            self.is_retried = True
            return None
        except SystemFileError:
            # Nobody can say whether a bee-retry that was killed lives: the files say what is.
            return self.over()

    def act(self, jobs: list[JobRecord]) -> bool:
        """Cancel the jobs that were not yet, then see that a pass comes; one that is submitting sees the flag too."""
        found = {job.job_id: job.name for job in self.tasks(jobs) if job.job_id not in self.told}
        for name in sorted(set(found.values())):
            self.submitter.scheduler.cancel(name, sorted(job_id for job_id in found if found[job_id] == name))
        self.told |= found.keys()
        if found:
            return False
        if not self.over():
            self.go_on(jobs)
        elif self.is_retried:
            self.said = f"Workflow {self.workflow.id} is just being retried; it is cancelled as soon as that is done."
            return True
        store.remove(self.workflow.layout.held)
        how = "Cancelling workflow {}." if self.is_new else "Workflow {} is being cancelled already."
        self.said = how.format(self.workflow.id)
        return True


def current_state(found: WorkflowDir, record: WorkflowRecord) -> WorkflowState:
    """Say where a workflow is as its files have it; Slurm is not asked, so a Stalled one looks as if it ran.

    One that is being cancelled is Cancelled, one that is being archived has not ended.
    """
    state = found.state()
    if state is not None and is_over(record, state):
        return state.state
    if found.layout.cancel.exists():
        return WorkflowState.CANCELLED
    return workflow_state(found.layout, None if state is None or state.state.final else state, None)


def is_being_cancelled(found: WorkflowDir, state: WorkflowState) -> bool:
    """True where current_state, which said ``state``, goes by the wish, and the workflow is not over."""
    if state is not WorkflowState.CANCELLED or not found.layout.cancel.exists():
        return False
    told = found.state()
    return told is None or not is_over(found.record(), told)


def refusal(command: Command, found: WorkflowDir, state: WorkflowState) -> TransitionError:
    """Say that a command is not for a workflow in this state, and what is."""
    cancelling = is_being_cancelled(found, state)
    word = "being cancelled" if cancelling else state.value
    useful = [Command.CANCEL.value] if cancelling else useful_commands(state)
    possible = f"what is: {', '.join(useful) or 'nothing'}"
    return TransitionError(f"workflow {found.id} is {word}: {command.value} is not possible; {possible}")


@contextlib.contextmanager
def unless_removed(found: WorkflowDir) -> Iterator[None]:
    """Say so when what went wrong did because another command removed the workflow meanwhile; raises NotFoundError."""
    try:
        yield
    except (BeeError, OSError) as error:
        root = found.layout.root
        if os.path.lexists(root):
            if isinstance(error, BeeError):
                raise
            raise SystemFileError(f"{error.filename or root}: {error.strerror or error}") from error
        raise NotFoundError(f"workflow {found.id} was removed meanwhile; see: bee-list") from error


def under_way(found: WorkflowDir) -> str:
    """Say that there is nothing to do."""
    return f"Workflow {found.id} is under way already."
