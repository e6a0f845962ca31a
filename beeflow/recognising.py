"""Whether a folder is a bee_workdir: by the mark that whoever writes there leaves, or by records of ours in it.

Names do not tell: many a folder has one called images or slurm in it, /etc for one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from beeflow import removal, store, workdir
from beeflow.archive import reading
from beeflow.archive.description import Description
from beeflow.errors import BeeError
from beeflow.layout import ARCHIVE_SUFFIX, DESCRIPTION, SIDECAR_SUFFIX, Layout, split_archive_name
from beeflow.models import Sidecar, WorkflowRecord
from beeflow.private_slurm import record as slurm_record
from beeflow.workdir import WorkDir

T = TypeVar("T")

_WORKFLOW = Layout(Path()).workflow.name


def is_bee_workdir(work: WorkDir) -> bool:
    """True for an open folder that has the mark, a workflow, an archive of one, or a private Slurm."""
    return (
        workdir.has_mark(work)
        or any(_is_workflow(work.workflows, name) for name in _entries(work.workflows))
        or any(_is_of_archive(work.archives, Path(name)) for name in _entries(work.archives))
        or _read_below(work.top, "slurm", slurm_record.FILE, lambda path: slurm_record.read(path.parent)) is not None
    )


def _entries(folder: int | None) -> list[str]:
    return [] if folder is None else os.listdir(folder)


def _is_workflow(folder: int | None, name: str) -> bool:
    """True for a workflow, whole, or left by a bee-submit or bee-remove that was killed."""
    found = _read_below(folder, name, _WORKFLOW, lambda path: store.read_record(WorkflowRecord, path))
    return found is not None and name in (found.id, removal.PREFIX + found.id, store.NEW_PREFIX + found.id)


def _is_of_archive(folder: int | None, name: Path) -> bool:
    """True for an archive, and what is beside one."""
    found: Sidecar | Description | None = None
    if name.suffix == SIDECAR_SUFFIX:
        found = _read(folder, name.name, lambda path: store.read_record(Sidecar, path))
    elif name.suffix == ARCHIVE_SUFFIX:
        found = _read(folder, name.name, lambda path: reading.read_record(Description, path, DESCRIPTION))
    return found is not None and found.id == split_archive_name(name.stem)[0]


def _read_below(folder: int | None, name: str, file: str, read: Callable[[Path], T | None]) -> T | None:
    """Read a record in a folder of an open folder; None for one that is not there or a link."""
    with contextlib.suppress(OSError), removal.opened(name, folder) as inner:
        return _read(inner, file, read)
    return None


def _read(folder: int | None, name: str, read: Callable[[Path], T | None]) -> T | None:
    """Read a record in an open folder; None for what is none, or no file of the user's own."""
    status = None if folder is None else removal.lstat(folder, name)
    if status is None or not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        return None
    with contextlib.suppress(BeeError, OSError):
        return read(Path(f"/proc/self/fd/{folder}", name))
    return None
