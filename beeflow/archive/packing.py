"""Pack a workflow directory into one archive; nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beeflow import sharing, store
from beeflow.archive import manifest, seal, verifying
from beeflow.archive.contents import Source
from beeflow.archive.hashing import Hashing
from beeflow.archive.verifying import Packed
from beeflow.errors import SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, DESCRIPTION, MANIFEST

# zlib level 1: level 9 costs 2.7 times the CPU for 1.3 % of the size.
_LEVEL = 1


@dataclass(frozen=True)
class Member:
    """A file that was packed, as its bytes went by. ``sha256``: hexadecimal."""

    sha256: str
    size: int


# Called once all sources are packed, with each file's name and what was packed of it: what else goes in, before the
# manifest.
Finish = Callable[[Mapping[str, Member]], Iterable[Source]]


def pack(
    top: str,
    sources: list[Source],
    archive_dir: Path,
    name: str | None = None,
    gid: int | None = None,
    *,
    finish: Finish = lambda _: (),
) -> Packed:
    """Write <archive_dir>/<name, else top>.tgz: temporary beside it, fsync, read back, link without overwriting.

    DESCRIPTION, if it is among the sources, comes first; the others in the order of their names. An archive of that
    name that is there already and is whole is taken for the one. Raises ArchiveError or SystemFileError (no space, no
    permission) and leaves nothing behind. ``gid``: of the group that may read it.
    """
    final = archive_dir / f"{name or top}{ARCHIVE_SUFFIX}"
    temporary = archive_dir / f".{name or top}{ARCHIVE_SUFFIX}.part"
    try:
        if not archive_dir.is_dir():
            sharing.make_folder(archive_dir, gid)
        if final.exists():
            return verifying.verify(final, top)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        try:
            _write(temporary, top, sources, finish)
            packed = verifying.verify(temporary, top)
            sharing.settle_file(temporary, gid)
            os.link(temporary, final)
            store.sync_folder(archive_dir)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise SystemFileError(f"{final}: the archive was not written: {error.strerror or error}") from error
    return Packed(final, packed.sha256, packed.size)


def _write(path: Path, top: str, sources: list[Source], finish: Finish) -> None:
    found: dict[str, Member] = {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        hashing = Hashing(raw)
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=hashing, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add_folder(tar, top)
            for source in sorted(sources, key=_rank):
                _add(tar, top, source, found)
            for source in finish(found):
                _add(tar, top, source, found)
            lines = (manifest.format_line(member.sha256, name) for name, member in found.items())
            _add_bytes(tar, f"{top}/{MANIFEST}", "".join(lines).encode(errors="surrogateescape"))
        raw.write(seal.render(hashing.digest.digest()))
        raw.flush()
        os.fsync(raw.fileno())


def _rank(source: Source) -> tuple[bool, str]:
    return source.name != DESCRIPTION, source.name


def _add(tar: tarfile.TarFile, top: str, source: Source, found: dict[str, Member]) -> None:
    if source.path is None:
        _add_folder(tar, f"{top}/{source.name}")
    else:
        found[source.name] = _add_file(tar, f"{top}/{source.name}", source.path)


def _info(name: str, kind: bytes, mode: int, mtime: float = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, int(mtime)
    return info


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    tar.addfile(_info(name, tarfile.DIRTYPE, 0o755))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> Member:
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        info = _info(name, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644, status.st_mtime)
        info.size = status.st_size
        hashing = Hashing(stream)
        try:
            tar.addfile(info, hashing)
        except OSError as error:
            if "unexpected end of data" in str(error):
                raise SystemFileError(f"{path}: became shorter while it was archived") from error
            raise
    return Member(hashing.digest.hexdigest(), hashing.size)


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = _info(name, tarfile.REGTYPE, 0o644)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
