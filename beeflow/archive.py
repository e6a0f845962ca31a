"""Pack a workflow directory into one .tgz, verify it, unpack it.

One top directory <id>/, regular files and folders only, sorted, without owners, so that the same tree gives the same
bytes. manifest-sha256.txt comes last and is what ``sha256sum -c`` reads. Nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

from beeflow import codec, sharing, staging, store
from beeflow.errors import ArchiveError, SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, MANIFEST

T = TypeVar("T")

# zlib level 1: level 9 costs 2.7 times the CPU for 1.3 % of the size.
_LEVEL = 1
_CHUNK = 1 << 20
_MAX_MEMBERS = 5_000_000
OMITTED = "omitted.json"


@dataclass(frozen=True)
class Source:
    """A file or folder (``path`` None) to pack under a name relative to the top directory."""

    name: str
    path: Path | None


@dataclass
class _Hashing:
    """A file object that hashes what is read or written through it."""

    stream: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0

    def read(self, count: int = -1) -> bytes:
        data = self.stream.read(count)
        self.digest.update(data)
        self.size += len(data)
        return data

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


@dataclass(frozen=True)
class Packed:
    """An archive that was written and read back. ``sha256``: of the whole file."""

    path: Path
    sha256: str
    size: int


def manifest_line(digest: str, name: str) -> str:
    """Write one line as sha256sum does: a name with a newline or backslash is escaped and the line marked."""
    if "\\" in name or "\n" in name or "\r" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {name}\n"


def parse_manifest(text: str) -> dict[str, str]:
    """Read a manifest: name -> sha256. Raises ArchiveError on a line sha256sum would not read."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        match = re.fullmatch(r"(\\?)([0-9a-f]{64})  (.+)", line)
        if not match:
            raise ArchiveError(f"{MANIFEST}: cannot read the line {line[:80]!r}")
        marked, digest, name = match.groups()
        if marked:
            name = re.sub(r"\\(.)", lambda each: {"n": "\n", "r": "\r"}.get(each.group(1), each.group(1)), name)
        found[name] = digest
    return found


def pack(top: str, sources: list[Source], archive_dir: Path, name: str | None = None, gid: int | None = None) -> Packed:
    """Write <archive_dir>/<name, else top>.tgz: temporary beside it, fsync, read back, link without overwriting.

    An archive of that name that is there already and is whole is taken for the one. Raises ArchiveError or
    SystemFileError (no space, no permission) and leaves nothing behind. ``gid``: of the group that may read it.
    """
    final = archive_dir / f"{name or top}{ARCHIVE_SUFFIX}"
    temporary = archive_dir / f".{name or top}{ARCHIVE_SUFFIX}.part"
    try:
        if not archive_dir.is_dir():
            sharing.make_folder(archive_dir, gid)
        if final.exists():
            return verify(final, top)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        try:
            _write(temporary, top, sources)
            packed = verify(temporary, top)
            sharing.settle_file(temporary, gid)
            os.link(temporary, final)
            store.sync_folder(archive_dir)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise SystemFileError(f"{final}: the archive was not written: {error.strerror or error}") from error
    return Packed(final, packed.sha256, packed.size)


def _write(path: Path, top: str, sources: list[Source]) -> None:
    lines: list[str] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add_folder(tar, top)
            for source in sorted(sources, key=lambda each: each.name):
                if source.path is None:
                    _add_folder(tar, f"{top}/{source.name}")
                else:
                    lines.append(manifest_line(_add_file(tar, f"{top}/{source.name}", source.path), source.name))
            _add_bytes(tar, f"{top}/{MANIFEST}", "".join(lines).encode(errors="surrogateescape"))
        raw.flush()
        os.fsync(raw.fileno())


def _info(name: str, kind: bytes, mode: int, mtime: float = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, int(mtime)
    return info


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    tar.addfile(_info(name, tarfile.DIRTYPE, 0o755))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> str:
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        info = _info(name, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644, status.st_mtime)
        info.size = status.st_size
        hashing = _Hashing(stream)
        try:
            tar.addfile(info, hashing)
        except OSError as error:
            if "unexpected end of data" in str(error):
                raise SystemFileError(f"{path}: became shorter while it was archived") from error
            raise
    return str(hashing.digest.hexdigest())


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = _info(name, tarfile.REGTYPE, 0o644)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def members(path: Path) -> Generator[tuple[tarfile.TarInfo, IO[bytes] | None], None, None]:
    """Yield the members of an archive in order, files with their contents; ends with the whole file read."""
    with gzip.open(path) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for count, info in enumerate(tar):
            if count > _MAX_MEMBERS:
                raise ArchiveError(f"{path}: more than {_MAX_MEMBERS} members")
            yield info, tar.extractfile(info) if info.isreg() else None
        # tarfile stops at the end mark; gzip's checksum comes after it.
        while packed.read(_CHUNK):
            pass


def verify(path: Path, top: str | None = None) -> Packed:
    """Read an archive back and compare every file with the manifest; raises ArchiveError naming what differs."""
    digests: dict[str, str] = {}
    manifest: dict[str, str] | None = None
    with damaged_as_error(path):
        for info, stream in members(path):
            name = checked_name(path, info, top)
            top = top or info.name.split("/")[0]
            if stream is None:
                continue
            if name == MANIFEST:
                manifest = parse_manifest(stream.read().decode(errors="surrogateescape"))
                continue
            if name in digests:
                raise ArchiveError(f"{path}: unsafe: {name!r} is in it twice")
            hashing = _Hashing(stream)
            while hashing.read(_CHUNK):
                pass
            digests[name] = hashing.digest.hexdigest()
    _compare(path, digests, manifest)
    return Packed(path, *_whole(path))


def _compare(path: Path, digests: dict[str, str], manifest: dict[str, str] | None) -> None:
    if manifest is None:
        raise ArchiveError(f"{path}: incomplete: no {MANIFEST} in it; was it copied whole?")
    for name, digest in manifest.items():
        if name not in digests:
            raise ArchiveError(f"{path}: incomplete: {name} is in the manifest and not in the archive")
        if digests[name] != digest:
            raise ArchiveError(f"{path}: damaged: {name} does not have the sha256 of the manifest")
    extra = sorted(set(digests) - set(manifest))
    if extra:
        raise ArchiveError(f"{path}: {extra[0]} is not in the manifest")


def _whole(path: Path) -> tuple[str, int]:
    hashing = _Hashing(path.open("rb"))
    with hashing.stream:
        while hashing.read(_CHUNK):
            pass
    return hashing.digest.hexdigest(), hashing.size


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    return _whole(path)[0]


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


def top_of(path: Path) -> str:
    """Return an archive's top directory: the id of the workflow it was made of."""
    with damaged_as_error(path), contextlib.closing(members(path)) as found:
        for info, _ in found:
            return info.name.split("/")[0]
    raise ArchiveError(f"{path}: empty")


def unpack(path: Path, into: Path) -> None:
    """Unpack an archive that verified into a new folder ``into``, without its top directory."""
    into.mkdir(mode=0o700)
    with damaged_as_error(path):
        for info, stream in members(path):
            name = checked_name(path, info, None)
            target = into / name if name else into
            if stream is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                _unpack_file(info, stream, target)


def _unpack_file(info: tarfile.TarInfo, stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(target, flags, 0o755 if info.mode & 0o100 else 0o644), "wb") as made:
        while chunk := stream.read(_CHUNK):
            made.write(chunk)


# tasks/GROUP/000/000000/ATTEMPT/LABEL/ (beeflow.layout)
_TASK_DEPTH = 6


def tree(root: Path, skip: frozenset[str] = frozenset()) -> tuple[list[Source], dict[str, str]]:
    """List a workflow directory for packing. Returns the sources, and name -> why for what cannot be packed.

    Folders named in ``skip`` are left out where they are a task's own, beside what it made. A symbolic link to a file
    inside the directory becomes that file; two names of one file are packed once, the rest is listed.
    """
    staging.make_readable(root / "tasks")
    sources: list[Source] = []
    omitted: dict[str, str] = {}
    inodes: dict[tuple[int, int], str] = {}
    for parent, folders, names in os.walk(root):
        relative = os.path.relpath(parent, root)
        prefix = "" if relative == "." else f"{relative}/"
        folders.sort(key=lambda name: (name != "outputs", name))
        if prefix.startswith("tasks/") and prefix.count("/") == _TASK_DEPTH:
            folders[:] = [name for name in folders if name not in skip]
        for name in list(folders):
            if os.path.islink(os.path.join(parent, name)):
                folders.remove(name)
                omitted[prefix + name] = f"a symbolic link to {os.readlink(os.path.join(parent, name))}"
            else:
                sources.append(Source(prefix + name, None))
        for name in sorted(names):
            path = Path(parent, name)
            why = _unpackable(path, root)
            if why:
                omitted[prefix + name] = why
                continue
            status = path.stat()
            known = inodes.setdefault((status.st_dev, status.st_ino), prefix + name)
            if known != prefix + name and prefix.startswith("tasks/"):
                omitted[prefix + name] = f"the same file as {known}"
            else:
                sources.append(Source(prefix + name, path))
    return sources, omitted


def _unpackable(path: Path, root: Path) -> str | None:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        real = Path(os.path.realpath(path))
        inside = real.is_relative_to(os.path.realpath(root))
        return None if inside and real.is_file() else f"a symbolic link to {target}"
    return None if stat.S_ISREG(mode) else "not a regular file"


def read_record(kind: type[T], path: Path, name: str) -> T:
    """Read one record of an archive; raises ArchiveError when it has none of that name."""
    with damaged_as_error(path), contextlib.closing(members(path)) as found:
        for info, stream in found:
            if stream is not None and info.name.partition("/")[2] == name:
                return codec.loads(kind, stream.read().decode(errors="surrogateescape"), path / name)
    raise ArchiveError(f"{path}: no {name} in it; not a beeflow archive?")
