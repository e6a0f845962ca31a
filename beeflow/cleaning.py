"""Tidy up a bee_workdir: directories whose archive is good, leftovers of what was killed, what nobody continues.

Made to run unattended. What cannot be judged is left as it is, and said.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from beeflow import archived, control, publishing, recognising, removal, store, workdir
from beeflow.archive import hashing, verifying
from beeflow.archive.limits import UNLIMITED
from beeflow.config import Config
from beeflow.copying import parts
from beeflow.errors import ArchiveError, BeeError, SystemFileError, TransitionError
from beeflow.finished import Asked, inputs_of, over, set_aside
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX, versions
from beeflow.listing import is_over, scheduler_of, summarize
from beeflow.locking import Lock, LockedError
from beeflow.models import Cleaned, Sidecar, StateRecord, WorkflowRecord, seconds_between
from beeflow.states import Command, WorkflowState
from beeflow.store import Store, WorkflowDir
from beeflow.workdir import WorkDir

log = logging.getLogger(__name__)

LOCK = ".clean.lock"
DEFAULT_AGE = timedelta(days=30)
# Nobody writes anything for so long without moving it into place.
LEFTOVER_S = 86400.0
# A copy that was cut off can be continued: after a weekend, too.
COPY_S = 7 * 86400.0
STATES = (
    WorkflowState.ARCHIVED,
    WorkflowState.ARCHIVED_FAILED,
    WorkflowState.ARCHIVED_CANCELLED,
    WorkflowState.STALLED,
)
REMOVED, FINALISED, LEFTOVER = "removed", "finalised", "leftover removed"

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What a killed process leaves in each folder; the group is its process id, where the name has it.
_ASIDE = re.compile(rf"{re.escape(removal.PREFIX)}{_UUID}()")
_NEW = re.compile(rf"{re.escape(store.NEW_PREFIX)}{_UUID}()")
_PART = re.compile(rf"\.{_UUID}(?:\.v\d+)?(?:\.tgz(?:\.(\d+))?\.part|\.(?:json|inputs)\.\w+)")
_COPY = re.compile(rf"\.{_UUID}(?:\.v\d+)?\.tgz\.[0-9a-f]{{16}}{re.escape(parts.SUFFIX)}()")
_TRIED = re.compile(
    rf"(?:{re.escape(publishing.PROBE_PREFIX)}|\.{re.escape(workdir.MARK)}\.)[a-z0-9_]{{8}}(?:\.new)?()"
)
_IMAGE = re.compile(r"\.[0-9a-f]{8,}\.(\d+)")


@dataclass(frozen=True)
class Policy:
    """What may go. ``keep_last``: the directories of so many workflows that ended last stay, whatever their age."""

    older_than: timedelta = DEFAULT_AGE
    states: frozenset[WorkflowState] = frozenset(STATES)
    keep_last: int = 0
    dry_run: bool = False


@dataclass
class Report:
    """What was done, or would be, and what went wrong."""

    done: list[Cleaned] = field(default_factory=list)
    problems: list[BeeError] = field(default_factory=list)


def clean(config: Config, policy: Policy, env: Mapping[str, str]) -> Report | None:
    """Tidy up; returns None when another process is at it. Raises ConfigError for a bee_workdir it must not touch."""
    with workdir.opened(config) as work:
        if not recognising.is_bee_workdir(work):
            why = "is empty, or not a folder of beeflow's: it has no workflow, nor the mark that bee-submit leaves"
            raise workdir.refusal(config, why)
        report = Report()
        cleaner = _Cleaner(config, policy, env, work, report)
        if policy.dry_run:
            cleaner.run()
            return report
        with alone(work, config.lock) as is_alone:
            if not is_alone:
                return None
            # What it is known by now may be what goes.
            with contextlib.suppress(SystemFileError):
                workdir.mark(Path(f"/proc/self/fd/{work.top}"))
            cleaner.run()
    return report


@contextlib.contextmanager
def alone(work: WorkDir, kind: str) -> Iterator[bool]:
    """Keep others from tidying up at the same time; False when somebody does. ``kind``: of beeflow.locking."""
    status = removal.lstat(work.top, LOCK)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise SystemFileError(f"{work.path / LOCK}: not a file of ours but a link or folder; remove it")
    with contextlib.ExitStack() as stack:
        try:
            # The open folder by a name, as only we write in it.
            stack.enter_context(Lock(Path(f"/proc/self/fd/{work.top}") / LOCK, kind, shown=work.path / LOCK).held(0))
        except LockedError:
            yield False
            return
        yield True


class _Cleaner:
    """Tidies up one bee_workdir once."""

    def __init__(self, config: Config, policy: Policy, env: Mapping[str, str], work: WorkDir, report: Report) -> None:
        self.config = config
        self.policy = policy
        self.work = work
        self.report = report
        self.queues = Asked(env)
        self.silent: list[BeeError] = []

    def run(self) -> None:
        """Leftovers first: they are what an earlier run did not finish."""
        for parent, pattern, least_s in (
            (self.work.workflows, _ASIDE, 0.0),
            (self.work.workflows, _NEW, LEFTOVER_S),
            (self.work.workflows, _TRIED, LEFTOVER_S),
            (self.work.top, _TRIED, LEFTOVER_S),
            (self.work.archives, _PART, LEFTOVER_S),
            (self.work.archives, _COPY, COPY_S),
            (self.work.images, _IMAGE, LEFTOVER_S),
        ):
            if parent is not None:
                for name, age_s in leftovers(parent, pattern, least_s):
                    self.take_away(parent, name, Cleaned(LEFTOVER, name, age_s=age_s))
        if self.work.workflows is not None:
            self.tidy_workflows(self.work.workflows)

    def tidy_workflows(self, parent: int) -> None:
        """Judge every workflow, each for itself: what goes wrong with one does not keep the others."""
        ended: list[tuple[WorkflowDir, StateRecord]] = []
        used: set[str] = set()
        for found in self.own_workflows(parent):
            with self.collected():
                if not found.layout.workflow.exists():
                    self.remove_rest(parent, found)
                    continue
                state = found.state()
                if state is not None and state.state in STATES:
                    ended.append((found, state))
                elif state is None or not is_over(found.record(), state):
                    used |= inputs_of(found)
                    self.finalise(found, state)
        ended.sort(key=lambda each: each[1].updated)
        for found, state in ended[: max(0, len(ended) - self.policy.keep_last)]:
            with self.collected():
                is_old = self.is_old(age_s(state.updated))
                if is_old and state.state in self.policy.states and found.id not in used:
                    self.retire(parent, found, state)

    def own_workflows(self, parent: int) -> Iterator[WorkflowDir]:
        """Yield the directories; what has such a name and is a link, or somebody else's, is left and said."""
        workflows = Store(self.work.path / "workflows")
        for name in sorted(filter(store.is_id, os.listdir(parent))):
            status = removal.lstat(parent, name)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                yield workflows.get(name)
                continue
            whose = "is a link or file" if not stat.S_ISDIR(status.st_mode) else "belongs to somebody else"
            self.report.problems.append(SystemFileError(f"{workflows.root / name} {whose}; it was left as it is"))

    def is_old(self, seconds: float) -> bool:
        """True for what is old enough to go."""
        return seconds >= self.policy.older_than.total_seconds()

    def retire(self, parent: int, found: WorkflowDir, state: StateRecord) -> None:
        """Remove the directory of an archived workflow, if the archive is good and Slurm has no job of it."""
        record = found.record()
        if self.is_live(record):
            return
        made = archive_of(self.config, record, state)
        check_archive(made, found.id)
        if archived.needs_directory(made):
            log.info("%s refers to files in the directory of workflow %s, which therefore stays", made, found.id)
            return
        done = Cleaned(REMOVED, found.id, record.name, state.state.value, age_s(state.updated))
        if self.policy.dry_run or set_aside(parent, found.id, over, lock_s=0):
            self.take_away(parent, removal.PREFIX + found.id, done)

    def remove_rest(self, parent: int, found: WorkflowDir) -> None:
        """Remove what a killed pass left of a directory it removed (delete_completed_workflow_dirs)."""
        beside = versions(self.config.bee_archive_dir.glob(f"{found.id}*{SIDECAR_SUFFIX}"))
        last = archived.last_sidecar(beside.get(found.id, ()))
        if last is None:
            raise SystemFileError(f"{found.layout.root}: no workflow.json in it, and no archive of it; left as it is")
        made, sidecar = last[0].with_suffix(ARCHIVE_SUFFIX), last[1]
        seconds = age_s(sidecar.archived)
        if seconds >= LEFTOVER_S and self.is_old(seconds):
            check_archive(made, found.id)
            done = Cleaned(REMOVED, found.id, sidecar.name, sidecar.state.value, seconds)
            is_rest = self.policy.dry_run or set_aside(parent, found.id, lambda layout: not layout.workflow.exists())
            if is_rest:
                self.take_away(parent, removal.PREFIX + found.id, done)

    def take_away(self, parent: int, name: str, done: Cleaned) -> None:
        """Remove something that nobody takes for a workflow any more."""
        size = 0
        if not self.policy.dry_run:
            removed = removal.remove(parent, name)
            size = removed.size
            for line in removed.left:
                self.report.problems.append(SystemFileError(f"not removed: {line}"))
            if removed.left_count and not removed.entries:
                return
        self.report.done.append(Cleaned(done.action, done.id, done.name, done.state, done.age_s, size))

    def is_live(self, record: WorkflowRecord) -> bool:
        """True when Slurm has a job of a workflow. Raises SlurmError, once for each Slurm, when it does not answer."""
        try:
            return bool(self.queues.live(record))
        except BeeError as error:
            why = self.queues.why_silent(record)
            if why in self.silent:
                return True
            self.silent.append(why)
            raise type(error)(f"{why}; no workflow of this Slurm was touched") from error

    def finalise(self, found: WorkflowDir, state: StateRecord | None) -> None:
        """End a workflow that has been Stalled for long as bee-cancel would: it is archived, as Cancelled."""
        record = found.record()
        since = last_sign(found, record, state)
        if WorkflowState.STALLED not in self.policy.states or not self.is_old(age_s(since)) or self.is_live(record):
            return
        if summarize(found, self.queues).state is not WorkflowState.STALLED:
            return
        if not self.policy.dry_run:
            # The queue was read a while ago, and bee-start may have been faster.
            now = Asked(self.queues.env)
            if now.live(record) or summarize(found, now).state is not WorkflowState.STALLED:
                return
            why = f"cancelled by bee-clean: Stalled, and nothing happened since {since[:10]}"
            control.perform_one(Command.CANCEL, found, lambda each: scheduler_of(each, now.env, now.patience()), why)
        shown = WorkflowState.STALLED.value
        self.report.done.append(Cleaned(FINALISED, found.id, record.name, shown, age_s(since)))

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Keep what goes wrong for the report; what somebody else works on waits for the next run."""
        try:
            yield
        except TransitionError as error:
            log.info("%s", error)
        except BeeError as error:
            self.report.problems.append(error)
        except OSError as error:
            self.report.problems.append(SystemFileError(f"{error.filename}: {error.strerror or error}"))


def age_s(then: str) -> float:
    """Seconds since a recorded time; raises SystemFileError when it is none."""
    try:
        return seconds_between(then, None) or 0.0
    except (ValueError, TypeError) as error:
        raise SystemFileError(f"{then!r} is not a time; a record of a workflow is damaged") from error


def last_sign(found: WorkflowDir, record: WorkflowRecord, state: StateRecord | None) -> str:
    """Return when something last happened in a workflow that has not ended: by its records and the files that grow."""
    layout = found.layout
    latest = 0.0
    for path in (layout.jobs, layout.control, layout.tasks, layout.log, layout.passes_log, layout.state):
        with contextlib.suppress(FileNotFoundError):
            latest = max(latest, path.stat().st_mtime)
    seen = datetime.datetime.fromtimestamp(latest, datetime.timezone.utc).isoformat(timespec="milliseconds")
    return max(seen, record.created, state.updated if state else "")


def archive_of(config: Config, record: WorkflowRecord, state: StateRecord) -> Path:
    """Say where a workflow's archive is: where it was made, or where bee.conf has archives now."""
    made = Path(state.archive or Path(record.archive_dir, f"{record.id}{ARCHIVE_SUFFIX}"))
    moved = config.bee_archive_dir / made.name
    return moved if not os.path.lexists(made) and os.path.lexists(moved) else made


def check_archive(path: Path, workflow_id: str) -> None:
    """Raise ArchiveError unless an archive is whole.

    By the sha256 it had when every file in it was compared with the manifest, where that is written beside it: that
    reads the archive once and unpacks nothing. Else by the manifest.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        raise ArchiveError(f"{path}: not there; the directory of workflow {workflow_id} stays") from None
    if not stat.S_ISREG(status.st_mode):
        raise ArchiveError(f"{path}: not a file but a link; the directory of workflow {workflow_id} stays")
    sidecar = store.read_record(Sidecar, path.with_suffix(SIDECAR_SUFFIX))
    if sidecar is None:
        verifying.verify(path, workflow_id, UNLIMITED)
    elif (sidecar.id, sidecar.size) != (workflow_id, status.st_size) or sidecar.sha256 != hashing.sha256_of(path):
        raise ArchiveError(f"{path}: not what was archived; the directory of workflow {workflow_id} stays")


def leftovers(parent: int, pattern: re.Pattern[str], least_s: float) -> Iterator[tuple[str, float]]:
    """Yield the user's leftovers in an open folder that are old enough, and their ages in seconds."""
    for name in sorted(os.listdir(parent)):
        match = pattern.fullmatch(name)
        status = removal.lstat(parent, name) if match else None
        if match is None or status is None or status.st_uid != os.geteuid():
            continue
        seconds = time.time() - max(status.st_mtime, _newest_inside(parent, name))
        if seconds >= least_s and not (match.group(1) and Path("/proc", match.group(1)).exists()):
            yield name, max(0.0, seconds)


def _newest_inside(parent: int, name: str) -> float:
    """Return when something was last put into a folder or one of its folders; 0 for what is none."""
    try:
        with removal.opened(name, parent) as folder, os.scandir(folder) as entries:
            return max((entry.stat(follow_symlinks=False).st_mtime for entry in entries), default=0.0)
    except OSError:
        return 0.0
