"""Read the members of an archive in order, and refuse what no archive of ours has."""

from __future__ import annotations

import contextlib
import gzip
import tarfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, TypeVar

from beeflow import codec
from beeflow.archive.hashing import CHUNK
from beeflow.errors import ArchiveError, SystemFileError

T = TypeVar("T")

_MAX_MEMBERS = 5_000_000


def members(path: Path) -> Generator[tuple[tarfile.TarInfo, IO[bytes] | None], None, None]:
    """Yield the members of an archive in order, files with their contents; ends with the whole file read."""
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for count, info in enumerate(tar):
            if count > _MAX_MEMBERS:
                raise ArchiveError(f"{path}: more than {_MAX_MEMBERS} members")
            yield info, tar.extractfile(info) if info.isreg() else None
        # tarfile stops at the end mark; gzip's checksum comes after it.
        while packed.read(CHUNK):
            pass


def checked_name(path: Path, info: tarfile.TarInfo, top: str | None) -> str:
    """Return a member's name below the top directory; raises ArchiveError for anything but a plain file or folder."""
    parts = info.name.split("/")
    if info.name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\0" in info.name:
        raise ArchiveError(f"{path}: unsafe: a member is named {info.name!r}")
    if top is not None and parts[0] != top:
        raise ArchiveError(f"{path}: unsafe: {info.name!r} is outside the top directory {top}/")
    if not (info.isreg() or info.isdir()):
        raise ArchiveError(f"{path}: unsafe: {info.name!r} is neither a file nor a folder")
    return "/".join(parts[1:])


@contextlib.contextmanager
def damaged_as_error(path: Path) -> Iterator[None]:
    """Turn what gzip and tarfile say of a damaged file into ArchiveError."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such archive") from error
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, ValueError) as error:
        raise ArchiveError(f"{path}: damaged or not a beeflow archive: {error}") from error
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise ArchiveError(f"{path}: damaged: {error}") from error
        raise


def top_of(path: Path) -> str:
    """Return an archive's top directory: the id of the workflow it was made of."""
    with damaged_as_error(path), contextlib.closing(members(path)) as found:
        for info, _ in found:
            return info.name.split("/")[0]
    raise ArchiveError(f"{path}: empty")


def read_record(kind: type[T], path: Path, name: str) -> T:
    """Read one record of an archive; raises ArchiveError when it has none of that name."""
    with damaged_as_error(path), contextlib.closing(members(path)) as found:
        for info, stream in found:
            if stream is not None and info.name.partition("/")[2] == name:
                return codec.loads(kind, stream.read().decode(errors="surrogateescape"), path / name)
    raise ArchiveError(f"{path}: no {name} in it; not a beeflow archive?")
