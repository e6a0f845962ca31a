"""Which of a workflow's archives counts: the newest whole one of its end. Others were made by hand while it ran."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from beeflow import store
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.errors import BeeError
from beeflow.layout import ARCHIVE_SUFFIX, DESCRIPTION, SIDECAR_SUFFIX, split_archive_name, versions
from beeflow.models import Sidecar

log = logging.getLogger(__name__)


def archives_of(folder: Path, workflow_id: str) -> list[Path]:
    """List the archives of a workflow in a folder, the newest first."""
    return versions(folder.glob(f"{workflow_id}*{ARCHIVE_SUFFIX}")).get(workflow_id, [])


def newest_number(folder: Path, workflow_id: str) -> int:
    """Return the greatest number of a workflow's archives in a folder; 0 when there is none."""
    return max((split_archive_name(path.stem)[1] for path in archives_of(folder, workflow_id)), default=0)


def last_word(archives: Sequence[Path]) -> Path | None:
    """Pick the archive that counts, from the newest to the oldest; says so when that leaves out one that is damaged."""
    for path in archives:
        try:
            if is_of_the_end(path):
                return path
        except BeeError as error:
            log.warning("left out: %s", error)
    return None


def is_of_the_end(archive: Path) -> bool:
    """True for a whole archive of a workflow that had ended, as far as that can be seen without reading all of it."""
    sidecar = read_sidecar(archive.with_suffix(SIDECAR_SUFFIX))
    if sidecar is not None:
        if sidecar.state.final and sidecar.size != archive.stat().st_size:
            log.warning("left out: %s: not whole: it had %d bytes when it was made", archive, sidecar.size)
            return False
        return sidecar.state.final
    # A list of workflows reads no archive.
    from beeflow.archive import reading
    from beeflow.archive.description import Description

    return reading.read_record(Description, archive, DESCRIPTION).state.final


def needs_directory(archive: Path) -> bool:
    """True when an archive refers to files that are nowhere but in its workflow's directory."""
    sidecar = read_sidecar(archive.with_suffix(SIDECAR_SUFFIX))
    return sidecar is not None and sidecar.needs_directory


def last_sidecar(paths: Iterable[Path]) -> tuple[Path, Sidecar] | None:
    """Pick what is beside the archive that counts, from the newest to the oldest."""
    for path in paths:
        sidecar = read_sidecar(path)
        if sidecar is not None and sidecar.state.final:
            return path, sidecar
    return None


def own_sidecar(archive: Path, folder: Path) -> Sidecar | None:
    """Read what is beside an archive that this user's own workflow made in this folder; None for any other.

    Raises BeeError when it cannot be read.
    """
    beside = archive.with_suffix(SIDECAR_SUFFIX)
    if archive.parent.resolve() != folder.resolve():
        return None
    try:
        owned = all(_is_users_file(each) for each in (archive, beside))
    except OSError:
        return None
    sidecar = store.read_record(Sidecar, beside) if owned else None
    return None if sidecar is None or sidecar.imported else sidecar


def allowed(archive: Path, folder: Path) -> Limits:
    """How large an archive may be: the user's own is as large as it is."""
    return UNLIMITED if own_sidecar(archive, folder) else Limits()


def _is_users_file(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH


def read_sidecar(path: Path) -> Sidecar | None:
    """Read what is beside an archive; None, with a warning, when that cannot be read."""
    try:
        return store.read_record(Sidecar, path)
    except BeeError as error:
        log.warning("left out: %s", error)
        return None
