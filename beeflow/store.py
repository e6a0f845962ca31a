"""The workflow directories on disk: find, read, write whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from beeflow import codec, publishing, sharing
from beeflow.errors import NotFoundError, SystemFileError
from beeflow.layout import Layout, folders
from beeflow.models import StateRecord, TaskRecord, TasksRecord, WorkflowRecord

T = TypeVar("T")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CANDIDATES = 10
TAIL_LINES = 10
# A workflow's directory has this before its id until all is written.
NEW_PREFIX = ".new-"
_TAIL_BYTES = 8192


def is_id(text: str) -> bool:
    """True for the id of a workflow, a UUID as uuid4 writes it."""
    return _ID.fullmatch(text) is not None


def find_ids(text: str) -> list[str]:
    """Find what looks like ids of workflows in a text."""
    return _ID.findall(text)


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error


def _write_temporary(path: Path, pieces: Iterable[str]) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        if sharing.is_shared(path.parent):
            os.fchmod(descriptor, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.writelines(pieces)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def write_text(path: Path, text: str) -> None:
    """Replace a file whole: temporary beside it, fsync, rename."""
    _write(path, (text,))


def _write(path: Path, pieces: Iterable[str]) -> None:
    with _explained(path):
        temporary = _write_temporary(path, pieces)
        try:
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise
        sync_folder(path.parent)


def remove(path: Path) -> bool:
    """Remove a file; False when it was not there."""
    with _explained(path):
        try:
            path.unlink()
        except FileNotFoundError:
            return False
    return True


def publish(path: Path, text: str) -> bool:
    """Create a file whole unless it is there; False when somebody else was first."""
    with _explained(path):
        temporary = _write_temporary(path, (text,))
        try:
            publishing.publish(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def replace_same(path: Path, known: os.stat_result, text: str) -> bool:
    """Replace a file whole if it is still the one that ``known`` tells of; False when it is another, or none."""
    with _explained(path):
        temporary = _write_temporary(path, text)
        try:
            if not _is_same(path, known):
                return False
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def stat(path: Path) -> os.stat_result | None:
    """Say which file it is, for ``replace_same`` and ``remove_same``; None when it is not there."""
    with _explained(path):
        try:
            return path.stat()
        except FileNotFoundError:
            return None


def remove_same(path: Path, known: os.stat_result | None) -> bool:
    """Remove a file if it is still the one that ``known`` tells of; False when it is another, or none."""
    with _explained(path):
        return known is not None and _is_same(path, known) and remove(path)


def _is_same(path: Path, known: os.stat_result) -> bool:
    found = stat(path)
    return found is not None and (found.st_ino, found.st_mtime_ns) == (known.st_ino, known.st_mtime_ns)


def read_text(path: Path) -> str | None:
    """Read a file, or None when it is not there."""
    with _explained(path):
        try:
            return path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return None


def read_record(kind: type[T], path: Path) -> T | None:
    """Read a record, or None when the file is not there; raises SystemFileError when it is damaged."""
    text = read_text(path)
    return None if text is None else codec.loads(kind, text, path)


def write_record(path: Path, record: Any) -> None:
    """Replace a record."""
    _write(path, codec.pieces(record))


def publish_record(path: Path, record: Any) -> bool:
    """Create a record unless it is there."""
    return publish(path, codec.dumps(record))


def read_json(path: Path) -> Any:
    """Read a plain JSON file that must be there."""
    text = read_text(path)
    if text is None:
        raise SystemFileError(f"{path}: not there")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SystemFileError(f"{path}: damaged: {error}") from error


def tail(path: Path, lines: int = TAIL_LINES) -> tuple[str, ...]:
    """Return the last lines of a text file; () when it is not there."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.splitlines() if line.strip())[-lines:]


def write_json(path: Path, data: Any) -> None:
    """Replace a plain JSON file; data may hold records."""
    _write(path, itertools.chain(codec.plain_pieces(data), ("\n",)))


@dataclass(frozen=True)
class WorkflowDir:
    """One workflow on disk."""

    layout: Layout

    @property
    def id(self) -> str:
        """The workflow's id: its folder's name."""
        return self.layout.root.name

    def record(self) -> WorkflowRecord:
        """Read workflow.json."""
        found = read_record(WorkflowRecord, self.layout.workflow)
        if found is None:
            raise SystemFileError(f"{self.layout.workflow}: not there; is {self.layout.root} a workflow directory?")
        return found

    def state(self) -> StateRecord | None:
        """Read state.json, or None when no pass has written it yet."""
        return read_record(StateRecord, self.layout.state)

    def final_tasks(self) -> tuple[TaskRecord, ...] | None:
        """Read tasks.json, or None while the workflow is not final."""
        found = read_record(TasksRecord, self.layout.final_tasks)
        return found.tasks if found else None


@dataclass(frozen=True)
class Store:
    """All workflow directories of a bee_workdir."""

    root: Path

    def get(self, workflow_id: str) -> WorkflowDir:
        """Name the directory of a workflow; nothing is read."""
        return WorkflowDir(Layout(self.root / workflow_id))

    def ids(self) -> list[str]:
        """List the ids of all workflows, in no order."""
        try:
            return [name for name in os.listdir(self.root) if is_id(name)]
        except FileNotFoundError:
            return []

    def create(self, record: WorkflowRecord) -> WorkflowDir:
        """Make a staging directory for a new workflow; ``commit`` gives it its name, ``discard`` removes it."""
        made = WorkflowDir(Layout(self.root / f"{NEW_PREFIX}{record.id}"))
        with _explained(made.layout.root):
            gid = sharing.gid_of(record.group)
            sharing.make_folder(self.root, gid)
            sharing.make_folder(made.layout.root, gid)
        try:
            with _explained(made.layout.root):
                for folder in folders(made.layout):
                    folder.mkdir()
            write_record(made.layout.workflow, record)
        except SystemFileError:
            self.discard(made)
            raise
        return made

    def commit(self, staged: WorkflowDir, workflow_id: str) -> WorkflowDir:
        """Give a staged workflow its place, all at once."""
        final = self.root / workflow_id
        with _explained(final):
            staged.layout.root.rename(final)
            sync_folder(self.root)
        return self.get(workflow_id)

    def discard(self, workflow: WorkflowDir) -> None:
        """Remove a workflow directory."""
        with _explained(workflow.layout.root):
            shutil.rmtree(workflow.layout.root)


def resolve_id(text: str, ids: list[str], what: str = "workflow") -> str:
    """Find the id a prefix means; raises NotFoundError when it is unknown or ambiguous, with candidates."""
    if text in ids:
        return text
    wanted = text.strip().lower()
    if not wanted:
        raise NotFoundError(f"an empty id is no {what}'s; see: bee-list")
    found = sorted(each for each in ids if each.startswith(wanted))
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"no {what} has an id that begins with {text!r}; see: bee-list")
    shown = "\n  ".join(found[:_CANDIDATES])
    more = f"\n  and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
    raise NotFoundError(f"{text!r} could be any of {len(found)} {what}s; write more of the id:\n  {shown}{more}")
