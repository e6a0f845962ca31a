"""A flat RO-Crate as one .zip, as WorkflowHub and others take it: all of an archive, without its top directory."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from beeflow import paths, publishing, store
from beeflow.archive import reading, verifying
from beeflow.archive.limits import Limits
from beeflow.archive.reading import Member
from beeflow.errors import ArchiveError, SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, CRATE

ZIP_SUFFIX = ".zip"
_LEVEL = 6
_PREFIX = 200
# The oldest and the newest time that a zip file can tell.
_EPOCH, _LAST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_FOLDER_MODE, _FILE_MODE, _PROGRAM_MODE = 0o40755, 0o100644, 0o100755
_MS_DOS_FOLDER = 0x10
_UNIX = 3


def write_zip(archive: Path, dest: Path, allowed: Limits | None = None) -> Path:
    """Write an archive as a .zip; returns its path. The same archive gives the same bytes.

    ``dest``: a folder, or the new file. The archive is verified as it is read. Raises ArchiveError for one that is
    damaged, has no crate or a name that a .zip cannot hold, or when the file is there already; SystemFileError.
    """
    final = dest / f"{archive.name.removesuffix(ARCHIVE_SUFFIX)}{ZIP_SUFFIX}" if paths.is_folder(dest) else dest
    if os.path.lexists(final):
        raise ArchiveError(f"{final}: there already; nothing was overwritten")
    try:
        with _temporary(final) as stream:
            _write(stream, archive, allowed)
            stream.flush()
            os.fsync(stream.fileno())
            publishing.publish(Path(stream.name), final)
            store.sync_folder(final.parent)
    except FileExistsError as error:
        raise ArchiveError(f"{final}: there already; nothing was overwritten") from error
    except OSError as error:
        raise SystemFileError(f"{final}: not written: {error.strerror or error}") from error
    return final


@contextlib.contextmanager
def _temporary(final: Path) -> Iterator[IO[bytes]]:
    """Make a file beside the one that it is to become; it goes in any case."""
    # A name of which the file system takes as much.
    prefix = os.fsdecode(os.fsencode(f".{final.name}.")[:_PREFIX])
    with tempfile.NamedTemporaryFile(dir=final.parent, prefix=prefix, suffix=".part", delete=False) as stream:
        try:
            yield stream
        finally:
            Path(stream.name).unlink(missing_ok=True)


def _write(stream: IO[bytes], path: Path, allowed: Limits | None) -> None:
    has_crate = False
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as made,
        reading.opened(path, allowed=allowed) as archive,
    ):
        for member, pieces in verifying.checked(archive):
            has_crate = has_crate or member.name == CRATE
            # The top directory has no name.
            if member.name:
                _add(made, member, pieces, path)
    if not has_crate:
        raise ArchiveError(f"{path}: no {CRATE} in it; it was made by an older beeflow: archive the workflow again")


def _add(made: zipfile.ZipFile, member: Member, pieces: Iterator[memoryview], path: Path) -> None:
    try:
        member.name.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError(
            f"{path}: {member.name!r} is no text, and a .zip has only names that are: take the {ARCHIVE_SUFFIX}"
        ) from error
    info = zipfile.ZipInfo(f"{member.name}/" if member.is_folder else member.name, _date(member.mtime))
    info.create_system = _UNIX
    if member.is_folder:
        info.external_attr = _FOLDER_MODE << 16 | _MS_DOS_FOLDER
        made.writestr(info, b"")
        return
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (_PROGRAM_MODE if member.executable else _FILE_MODE) << 16
    info.file_size = member.size
    with made.open(info, "w") as target:
        for piece in pieces:
            target.write(piece)


def _date(mtime: int) -> tuple[int, int, int, int, int, int]:
    at = time.gmtime(mtime)
    told = (at.tm_year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec)
    return min(max(_EPOCH, told), _LAST)
