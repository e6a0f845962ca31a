"""A flat RO-Crate as one .zip, as WorkflowHub and others take it: all of an archive, without its top directory."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from beeflow import store
from beeflow.archive import reading, verifying
from beeflow.archive.hashing import CHUNK
from beeflow.errors import ArchiveError, SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, CRATE

ZIP_SUFFIX = ".zip"
_LEVEL = 6
# The oldest time that a zip file can tell.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FOLDER_MODE, _FILE_MODE, _PROGRAM_MODE = 0o40755, 0o100644, 0o100755
_MS_DOS_FOLDER = 0x10
_UNIX = 3


@dataclass(frozen=True)
class _Found:
    """A file (with what is in it) or folder of an archive."""

    name: str
    size: int
    is_executable: bool
    mtime: float
    stream: IO[bytes] | None


def write_zip(archive: Path, dest: Path) -> Path:
    """Write an archive as a .zip; returns its path. The same archive gives the same bytes.

    ``dest``: a folder, or the new file. The archive is verified first. Raises ArchiveError for one that is damaged, has
    no crate or a name that a .zip cannot hold, or when the file is there already; SystemFileError.
    """
    final = dest / f"{archive.name.removesuffix(ARCHIVE_SUFFIX)}{ZIP_SUFFIX}" if dest.is_dir() else dest
    if os.path.lexists(final):
        raise ArchiveError(f"{final}: there already; nothing was overwritten")
    verifying.verify(archive)
    top = reading.top_of(archive)
    try:
        with _temporary(final) as stream:
            _write(stream, archive, top)
            stream.flush()
            os.fsync(stream.fileno())
            os.link(stream.name, final)
            store.sync_folder(final.parent)
    except FileExistsError as error:
        raise ArchiveError(f"{final}: there already; nothing was overwritten") from error
    except OSError as error:
        raise SystemFileError(f"{final}: not written: {error.strerror or error}") from error
    return final


@contextlib.contextmanager
def _temporary(final: Path) -> Iterator[IO[bytes]]:
    """Make a file beside the one that it is to become; it goes in any case."""
    with tempfile.NamedTemporaryFile(dir=final.parent, prefix=f".{final.name}.", suffix=".part") as stream:
        yield stream


def _write(stream: IO[bytes], archive: Path, top: str) -> None:
    has_crate = False
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as made:
        for found in _members(archive, top):
            has_crate = has_crate or found.name == CRATE
            _add(made, found, archive)
    if not has_crate:
        raise ArchiveError(f"{archive}: no {CRATE} in it; it was made by an older beeflow: archive the workflow again")


def _members(archive: Path, top: str) -> Iterator[_Found]:
    """Yield what is in an archive, in its order."""
    with reading.damaged_as_error(archive):
        for info, stream in reading.members(archive):
            name = reading.checked_name(archive, info, top)
            if name:
                yield _Found(name, info.size, bool(info.mode & 0o100), info.mtime, stream)


def _add(made: zipfile.ZipFile, found: _Found, archive: Path) -> None:
    try:
        found.name.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError(
            f"{archive}: {found.name!r} is no text, and a .zip has only names that are: take the {ARCHIVE_SUFFIX}"
        ) from error
    info = zipfile.ZipInfo(found.name if found.stream else f"{found.name}/", _date(found.mtime))
    info.create_system = _UNIX
    info.compress_type = zipfile.ZIP_DEFLATED if found.stream else zipfile.ZIP_STORED
    if found.stream is None:
        info.external_attr = _FOLDER_MODE << 16 | _MS_DOS_FOLDER
        made.writestr(info, b"")
        return
    info.external_attr = (_PROGRAM_MODE if found.is_executable else _FILE_MODE) << 16
    info.file_size = found.size
    with made.open(info, "w") as target:
        while chunk := found.stream.read(CHUNK):
            target.write(chunk)


def _date(mtime: float) -> tuple[int, int, int, int, int, int]:
    at = time.gmtime(mtime)
    return max(_EPOCH, (at.tm_year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec))
