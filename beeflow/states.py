"""The words a user sees for workflows and tasks, and Slurm's own for jobs."""

from __future__ import annotations

import enum
import logging

log = logging.getLogger(__name__)


class WorkflowState(str, enum.Enum):
    """Where a workflow is in its life."""

    SUBMITTED = "Submitted"  # written, held until bee-start
    PENDING = "Pending"
    RUNNING = "Running"
    PAUSED = "Paused"
    STALLED = "Stalled"  # computed by whoever looks: not final, and no job of it lives
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    ARCHIVED = "Archived"
    ARCHIVED_FAILED = "Archived/Failed"
    ARCHIVED_CANCELLED = "Archived/Cancelled"

    @property
    def final(self) -> bool:
        """True when nothing of the workflow will run again by itself."""
        return self in _FINAL

    @property
    def archived(self) -> WorkflowState:
        """The state once the archive of a workflow that ended in this one is verified on disk."""
        return _ARCHIVED[self]

    @property
    def outcome(self) -> WorkflowState:
        """The state before archiving: Archived/Failed -> Failed."""
        return _OUTCOME.get(self, self)


_ARCHIVED = {
    WorkflowState.COMPLETED: WorkflowState.ARCHIVED,
    WorkflowState.FAILED: WorkflowState.ARCHIVED_FAILED,
    WorkflowState.CANCELLED: WorkflowState.ARCHIVED_CANCELLED,
}
_OUTCOME = {archived: state for state, archived in _ARCHIVED.items()}
_FINAL = frozenset([*_ARCHIVED, *_ARCHIVED.values()])


class Command(str, enum.Enum):
    """What a user can have done to a workflow."""

    START = "bee-start"
    PAUSE = "bee-pause"
    RESUME = "bee-resume"
    CANCEL = "bee-cancel"
    RETRY = "bee-retry"
    ARCHIVE = "bee-archive"
    COPY = "bee-copy"
    RERUN = "bee-rerun"
    REMOVE = "bee-remove"

    def changes(self, state: WorkflowState) -> bool:
        """True when the command does something to a workflow in this state."""
        return state in _CHANGES[self]

    def allowed(self, state: WorkflowState) -> bool:
        """True when it may be given: also to a workflow that is already as it would make it."""
        return self.changes(state) or state in _LEAVES.get(self, ())


def useful_commands(state: WorkflowState) -> list[str]:
    """List the commands that do something to a workflow in this state, or else those that it takes."""
    useful = [command.value for command in Command if command.changes(state)]
    return useful or [command.value for command in Command if command.allowed(state)]


_HELD, _PENDING, _RUNNING = WorkflowState.SUBMITTED, WorkflowState.PENDING, WorkflowState.RUNNING
_PAUSED, _STALLED = WorkflowState.PAUSED, WorkflowState.STALLED
_CHANGES = {
    Command.START: frozenset([_HELD, _STALLED]),
    Command.PAUSE: frozenset([_PENDING, _RUNNING]),
    Command.RESUME: frozenset([_PAUSED, _STALLED]),
    Command.CANCEL: frozenset([_HELD, _PENDING, _RUNNING, _PAUSED, _STALLED]),
    Command.RETRY: frozenset(
        [
            _STALLED,
            WorkflowState.FAILED,
            WorkflowState.CANCELLED,
            WorkflowState.ARCHIVED_FAILED,
            WorkflowState.ARCHIVED_CANCELLED,
        ]
    ),
    Command.ARCHIVE: frozenset(_ARCHIVED),
    Command.COPY: frozenset(_ARCHIVED.values()),
    Command.RERUN: frozenset(_ARCHIVED.values()),
    Command.REMOVE: _FINAL,
}
_LEAVES = {
    Command.START: frozenset([_PENDING, _RUNNING]),
    Command.PAUSE: frozenset([_PAUSED]),
    Command.RESUME: frozenset([_PENDING, _RUNNING]),
    Command.CANCEL: frozenset([WorkflowState.CANCELLED, WorkflowState.ARCHIVED_CANCELLED]),
    Command.RETRY: frozenset([WorkflowState.COMPLETED, WorkflowState.ARCHIVED]),
    Command.ARCHIVE: frozenset(WorkflowState),
}


class TaskState(str, enum.Enum):
    """Where a task is in its life."""

    WAITING = "WAITING"  # not handed to Slurm yet
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE_FAIL = "NODE_FAIL"
    CANCELLED = "CANCELLED"
    DEP_FAIL = "DEP_FAIL"  # derived by a pass, never written by a task

    @property
    def final(self) -> bool:
        """True when the task will not change by itself."""
        return self not in (TaskState.WAITING, TaskState.PENDING, TaskState.RUNNING)

    @property
    def good(self) -> bool:
        """True when consumers may use the outputs (those of a skipped task are null)."""
        return self in (TaskState.COMPLETED, TaskState.SKIPPED)


class JobState(str, enum.Enum):
    """Slurm's job states, verbatim (squeue(1), JOB STATE CODES)."""

    BOOT_FAIL = "BOOT_FAIL"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    COMPLETING = "COMPLETING"
    CONFIGURING = "CONFIGURING"
    DEADLINE = "DEADLINE"
    FAILED = "FAILED"
    NODE_FAIL = "NODE_FAIL"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    PENDING = "PENDING"
    PREEMPTED = "PREEMPTED"
    REQUEUED = "REQUEUED"
    REQUEUE_FED = "REQUEUE_FED"
    REQUEUE_HOLD = "REQUEUE_HOLD"
    RESIZING = "RESIZING"
    RESV_DEL_HOLD = "RESV_DEL_HOLD"
    REVOKED = "REVOKED"
    RUNNING = "RUNNING"
    SIGNALING = "SIGNALING"
    SPECIAL_EXIT = "SPECIAL_EXIT"
    STAGE_OUT = "STAGE_OUT"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN = "UNKNOWN"  # ours: a word this list does not have

    @classmethod
    def parse(cls, word: str) -> JobState:
        """Read one of Slurm's words; an unknown one is logged and never final."""
        head = word.split()[0] if word.split() else ""
        try:
            return cls(head)
        except ValueError:
            log.warning("Slurm reports a job state we don't know: %r", word)
            return cls.UNKNOWN

    @property
    def ended(self) -> bool:
        """True when the job will do nothing more."""
        return self in _ENDED

    @property
    def is_lost(self) -> bool:
        """True for an end that neither its tasks are to blame for, nor anybody who cancelled the job."""
        return self.task_state is TaskState.NODE_FAIL

    @property
    def task_state(self) -> TaskState:
        """What a job that ended like this, and left no result, means for its task."""
        return _TASK_STATE.get(self, TaskState.FAILED)


_ENDED = frozenset(
    JobState(word)
    for word in (
        "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split()  # noqa: SIM905
    )
)
_TASK_STATE = {
    JobState.BOOT_FAIL: TaskState.NODE_FAIL,
    JobState.CANCELLED: TaskState.CANCELLED,
    JobState.DEADLINE: TaskState.TIMEOUT,
    JobState.NODE_FAIL: TaskState.NODE_FAIL,
    JobState.OUT_OF_MEMORY: TaskState.OUT_OF_MEMORY,
    JobState.PREEMPTED: TaskState.NODE_FAIL,
    JobState.REVOKED: TaskState.CANCELLED,
    JobState.TIMEOUT: TaskState.TIMEOUT,
}
