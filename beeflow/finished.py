"""Take away workflows that are over: their directories and, where asked, their archives."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beeflow import removal, store
from beeflow.config import Config
from beeflow.errors import BeeError, SystemFileError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX, Layout, split_archive_name
from beeflow.listing import Queues, is_over, of_sidecars, summarize
from beeflow.locking import AUTO, Lock, LockedError, StaleLockError
from beeflow.models import StateRecord, Summary, WorkflowRecord
from beeflow.removal import Removed
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.states import WorkflowState
from beeflow.store import Store, WorkflowDir

# The job of the last pass ends a moment after it said that the workflow has.
LAST_JOB_S = 20.0
PAUSE_S = 0.5
LOCK_S = 10.0

_FIRST = {
    WorkflowState.SUBMITTED: "bee-start it or bee-cancel it first",
    WorkflowState.STALLED: "bee-start it or bee-cancel it first",
    WorkflowState.COMPLETED: "its archive is still to be made",
    WorkflowState.FAILED: "its archive is still to be made",
    WorkflowState.CANCELLED: "its archive is still to be made",
}
_CANCEL_FIRST = "bee-cancel it first, or wait for its end"


class LastJobError(TransitionError):
    """The workflow is over, and a job of it has not ended."""


class Asked(Queues):
    """Queues that keep why a Slurm did not answer. They are always those of the user who runs this."""

    def __init__(self, env: Mapping[str, str]) -> None:
        # What cron or su left in $USER must not make us look at somebody else's jobs.
        try:
            name = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            name = str(os.geteuid())
        super().__init__({**env, "USER": name, "LOGNAME": name})
        self._errors: dict[tuple[str, str], BeeError] = {}

    def patience(self) -> Patience:
        """Say how long to ask: without an answer nothing is done."""
        return Patience(COMMAND_S)

    def unanswered(self, record: WorkflowRecord, error: BeeError) -> None:
        """Keep the reason."""
        self._errors[record.slurm.conf, record.slurm.clusters] = error

    def why_silent(self, record: WorkflowRecord) -> BeeError:
        """Return why the Slurm of a workflow did not answer."""
        return self._errors[record.slurm.conf, record.slurm.clusters]

    def live(self, record: WorkflowRecord) -> list[str]:
        """Return the ids of a workflow's jobs that have not ended; raises SlurmError."""
        jobs = self.of(record)
        if jobs is None:
            error = self.why_silent(record)
            raise type(error)(f"{error}; whether workflow {record.id} has a job cannot be known, so nothing was done")
        return sorted({job.job_id for job in jobs if not job.state.ended})


@dataclass(frozen=True)
class Target:
    """What there is of a workflow. ``workflow``: None when its directory is gone. ``archive``: sidecar last."""

    id: str
    workflow: WorkflowDir | None
    archive: tuple[Path, ...]
    half_removed: bool = False


def find(config: Config, texts: Sequence[str]) -> list[Target]:
    """Find workflows by beginnings of their ids, also those of which only the archive is left."""
    known = _known(config)
    return [target(config, each) for each in dict.fromkeys(store.resolve_id(text, known) for text in texts)]


def find_all(config: Config) -> list[Target]:
    """Find all there are."""
    return [target(config, each) for each in _known(config)]


def _known(config: Config) -> list[str]:
    ids = set(Store(config.workflows_dir).ids())
    ids |= {path.name.removeprefix(removal.PREFIX) for path in config.workflows_dir.glob(f"{removal.PREFIX}*")}
    ids |= {split_archive_name(path.stem)[0] for path in _of_archives(config.bee_archive_dir, "")}
    return sorted(filter(store.is_id, ids))


def target(config: Config, workflow_id: str) -> Target:
    """Say what there is of a workflow."""
    workflow = Store(config.workflows_dir).get(workflow_id)
    is_there = os.path.lexists(workflow.layout.root)
    places = [config.bee_archive_dir]
    if is_there:
        with contextlib.suppress(SystemFileError):
            state = workflow.state()
            if state is not None and state.archive:
                # bee_archive_dir may have been another when it was made.
                places.insert(0, Path(state.archive).parent)
    there = tuple(path for place in dict.fromkeys(places) for path in archives_of(place, workflow_id))
    half_removed = os.path.lexists(config.workflows_dir / f"{removal.PREFIX}{workflow_id}")
    return Target(workflow_id, workflow if is_there else None, there, half_removed)


def archives_of(folder: Path, workflow_id: str) -> list[Path]:
    """List the archives of a workflow in a folder, the newest version first, and what is beside each after it."""
    found = [path for path in _of_archives(folder, workflow_id) if split_archive_name(path.stem)[0] == workflow_id]
    return sorted(found, key=lambda path: (-split_archive_name(path.stem)[1], path.suffix == SIDECAR_SUFFIX))


def _of_archives(folder: Path, beginning: str) -> Iterator[Path]:
    return (path for path in folder.glob(f"{beginning}*") if path.suffix in (ARCHIVE_SUFFIX, SIDECAR_SUFFIX))


def describe(found: Target, queues: Queues) -> Summary | None:
    """Describe a workflow as bee-list does; None when too little of it is left."""
    if found.workflow is not None:
        return summarize(found.workflow, queues)
    return of_sidecars([path for path in found.archive if path.suffix == SIDECAR_SUFFIX])


def check(found: Target, queues: Asked) -> None:
    """Raise TransitionError when a workflow's directory may not go, SlurmError when that cannot be known."""
    if found.workflow is None or is_rest(found.workflow.layout, found):
        return
    record, state = found.workflow.record(), found.workflow.state()
    if state is None or not is_over(record, state):
        queues.live(record)
        shown = summarize(found.workflow, queues).state
        raise TransitionError(f"workflow {found.id} is {shown.value}: {_FIRST.get(shown, _CANCEL_FIRST)}")
    live = queues.live(record)
    if live:
        raise LastJobError(
            f"workflow {found.id} is {state.state.value}, and its job {live[0]} has not ended; try again, or, if that "
            f"does not move, end it: scancel {live[0]}"
        )


def inputs_of(workflow: WorkflowDir) -> set[str]:
    """Return the ids of workflows in whose directories a workflow's input files may be."""
    # The graph has the large files that documents name as defaults.
    texts = (store.read_text(path) or "" for path in (workflow.layout.job, workflow.layout.graph))
    return {each for text in texts for each in store.find_ids(text)} - {workflow.id}


def in_use(config: Config) -> dict[str, str]:
    """Find the workflows whose files are inputs of one that is not over: id -> the one that needs it."""
    used: dict[str, str] = {}
    workflows = Store(config.workflows_dir)
    for found in map(workflows.get, workflows.ids()):
        with contextlib.suppress(SystemFileError):
            if not over(found.layout):
                used.update(dict.fromkeys(inputs_of(found), found.id))
    return used


def check_all(
    config: Config, targets: Sequence[Target], env: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, BeeError]:
    """Check several, and wait a while for the last jobs of those that are over; returns why those stay that must."""
    deadline = time.monotonic() + LAST_JOB_S
    used = in_use(config)
    while True:
        queues = Asked(env)
        refused: dict[str, BeeError] = {}
        for each in targets:
            try:
                check(each, queues)
                if each.workflow is not None and each.id in used:
                    raise TransitionError(
                        f"workflow {each.id} has files that are inputs of {used[each.id]}, which is not over"
                    )
            except (TransitionError, SystemFileError) as error:
                refused[each.id] = error
        waited_for = [error for error in refused.values() if isinstance(error, LastJobError)]
        if not waited_for or len(waited_for) < len(refused) or time.monotonic() > deadline:
            return refused
        sleep(PAUSE_S)


def remove(config: Config, found: Target, *, archive: bool) -> Removed:
    """Remove a workflow that was checked; what is gone already is no error. ``archive``: its archive, too."""
    removed = Removed()
    with contextlib.ExitStack() as stack:
        if found.workflow is not None or found.half_removed:
            parent = stack.enter_context(_folder(config.workflows_dir))
            # First of all: it may still say no.
            set_aside(parent, found.id, lambda layout: over(layout) or is_rest(layout, found))
            _add(removed, removal.remove(parent, removal.PREFIX + found.id), config.workflows_dir)
        for path in found.archive if archive else ():
            folder = stack.enter_context(_folder(path.parent))
            _add(removed, removal.remove(folder, path.name), path.parent)
    return removed


def remove_directory(root: Path) -> Removed:
    """Remove the directory of a workflow that is over; raises as set_aside does."""
    removed = Removed()
    with _folder(root.parent) as parent:
        aside = set_aside(parent, root.name, over, lock_s=LOCK_S)
        if aside:
            _add(removed, removal.remove(parent, aside), root.parent)
    return removed


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[int]:
    try:
        with removal.opened(os.path.realpath(path)) as descriptor:
            yield descriptor
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error


def _add(total: Removed, one: Removed, folder: Path) -> None:
    total.entries += one.entries
    total.size += one.size
    total.left += [f"{folder}/{each}" for each in one.left]
    total.left_count += one.left_count


def over(layout: Layout) -> bool:
    """True when a workflow's own files say that it is over."""
    record = store.read_record(WorkflowRecord, layout.workflow)
    state = store.read_record(StateRecord, layout.state)
    return record is not None and state is not None and is_over(record, state)


def is_rest(layout: Layout, found: Target) -> bool:
    """True for what a killed pass left of a directory that it removed (delete_completed_workflow_dirs)."""
    return not layout.workflow.exists() and any(path.suffix == SIDECAR_SUFFIX for path in found.archive)


def set_aside(parent: int, workflow_id: str, may_go: Callable[[Layout], bool], *, lock_s: float = LOCK_S) -> str | None:
    """Rename a workflow's directory to what no command takes for a workflow; returns its new name, None if it is gone.

    While nobody else works on it, and only the very folder of which ``may_go`` is true: raises TransitionError
    otherwise, and SystemFileError for a link or what belongs to another user.
    """
    try:
        status = removal.lstat(parent, workflow_id)
        if status is None:
            return None
        if not stat.S_ISDIR(status.st_mode):
            raise SystemFileError(f"{workflow_id}: not a workflow's directory but a link or file; left as it is")
        if status.st_uid != os.geteuid():
            raise SystemFileError(
                f"{workflow_id}: belongs to {removal.owner_name(status.st_uid)}, not to you; left as it is"
            )
        with removal.opened(workflow_id, parent) as folder, _locked(folder, workflow_id, lock_s) as layout:
            seen, now = os.fstat(folder), removal.lstat(parent, workflow_id)
            if now is None:
                # Another command was faster.
                return None
            if (now.st_dev, now.st_ino) != (seen.st_dev, seen.st_ino) or not may_go(layout):
                raise TransitionError(f"workflow {workflow_id} has changed meanwhile; see: bee-query {workflow_id}")
            return removal.set_aside(parent, workflow_id)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemFileError(f"{workflow_id}: {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(folder: int, workflow_id: str, lock_s: float) -> Iterator[Layout]:
    # The open folder by a name: whoever renames it or puts a link in its place does not lead us elsewhere.
    layout = Layout(Path(f"/proc/self/fd/{folder}"))
    if not layout.control.is_dir():
        yield layout
        return
    record = store.read_record(WorkflowRecord, layout.workflow)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(Lock(layout.lock, record.lock if record else AUTO).held(lock_s))
        except (LockedError, StaleLockError) as error:
            shown = str(error).replace(str(layout.root), workflow_id)
            raise type(error)(f"workflow {workflow_id}: another command works on it: {shown}") from error
        yield layout
