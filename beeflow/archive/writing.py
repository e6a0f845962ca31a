"""Write the members of an archive: each file is read once, hashed as it goes by and compressed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from beeflow.archive import deflating, headers, manifest
from beeflow.archive.contents import Source
from beeflow.archive.deflating import Codec, Deflating
from beeflow.errors import SystemFileError
from beeflow.layout import DESCRIPTION, MANIFEST

# A pipe that took a file's place must not keep us waiting.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Member(NamedTuple):
    """A file that was packed, as its bytes went by. ``sha256``: hexadecimal."""

    sha256: str
    size: int


# Called once all sources are packed, with each file's name and what was packed of it: what else goes in, before the
# manifest.
Finish = Callable[[Mapping[str, Member]], Iterable[Source]]
# Says what to pack of a file, just before it is: it may be replaced at any time.
Look = Callable[[Source], Source]
# Told of a file that cannot be packed as it was found, and why. It may raise.
Changed = Callable[[Source, str], None]


# How often a file is looked at that is replaced before it is open.
_LOOKS = 5


class _GoneError(Exception):
    """A file is not there any more, or something else is in its place."""


class _ReplacedError(Exception):
    """A file is not the one that was looked at."""


def as_it_is(source: Source) -> Source:
    """Pack all of it."""
    return source


def refuse(source: Source, why: str) -> None:
    """Raise SystemFileError: nobody changes what is archived, so something is wrong."""
    raise SystemFileError(f"{source.path}: {why} while it was archived; see what changes it, and archive again")


@dataclass
class Writer:
    """Writes one archive. ``changed``: told of a file that vanished or became shorter; it goes on if that returns."""

    top: str
    out: Deflating
    look: Look = as_it_is
    changed: Changed = refuse
    found: dict[str, Member] = field(default_factory=dict)

    def write(self, sources: Iterable[Source], finish: Finish) -> None:
        """Write all there is, in the order of its names, the description first and the manifest last."""
        self.out.write(headers.render(self.top, headers.FOLDER))
        for source in sorted(sources, key=_rank):
            self.add(source)
        for source in finish(self.found):
            self.add(source)
        lines = (manifest.format_line(member.sha256, name) for name, member in self.found.items())
        self.add_data(MANIFEST, "".join(lines).encode(errors="surrogateescape"))
        self.out.write(headers.END)

    def add(self, source: Source) -> None:
        """Write one member."""
        if source.data is None and source.path is None:
            self.out.write(headers.render(f"{self.top}/{source.name}", headers.FOLDER))
            return
        try:
            self.found[source.name] = self.add_as_looked_at(source)
        except _GoneError as error:
            self.changed(source, str(error))

    def add_as_looked_at(self, source: Source) -> Member:
        """Write what is to be packed of a file, or of data. Raises SystemFileError, or _GoneError."""
        for _ in range(_LOOKS):
            seen = source if source.data is not None else self.look(source)
            try:
                return self.add_data(seen.name, seen.data) if seen.data is not None else self.add_file(seen)
            except _ReplacedError:
                continue
        raise _GoneError("was replaced again and again")

    def add_data(self, name: str, data: bytes) -> Member:
        """Write a file that is on no disk."""
        self.out.write(headers.render(f"{self.top}/{name}", headers.FILE, size=len(data)))
        self.out.write(data)
        self.out.write(headers.padding(len(data)))
        return Member(hashlib.sha256(data).hexdigest(), len(data))

    def add_file(self, source: Source) -> Member:
        """Write a file with what it had when it was opened. Raises SystemFileError, _GoneError or _ReplacedError."""
        path = str(source.path)
        descriptor = _open(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _GoneError("was replaced by something that is not a file")
            if source.inode not in (0, status.st_ino):
                raise _ReplacedError
            size = min(status.st_size, source.most)
            header = headers.render(
                f"{self.top}/{source.name}",
                headers.FILE,
                size=size,
                executable=bool(status.st_mode & stat.S_IXUSR),
                mtime=int(status.st_mtime),
            )
            self.out.write(header)
            digest = hashlib.sha256()
            missing = self.copy(path, descriptor, size, digest)
        finally:
            os.close(descriptor)
        if missing:
            self.changed(source, f"became shorter by {missing} bytes")
            self.fill(missing, digest)
        self.out.write(headers.padding(size))
        return Member(digest.hexdigest(), size)

    def copy(self, path: str, descriptor: int, size: int, digest: Any) -> int:
        """Copy so many bytes of an open file; returns how many it did not have any more."""
        left = size
        while left:
            room = self.out.room(left)
            try:
                count = os.readv(descriptor, [room])
            except OSError as error:
                raise SystemFileError(f"{path}: cannot be read: {error.strerror or error}") from error
            if not count:
                break
            digest.update(room[:count])
            self.out.advance(count)
            left -= count
        return left

    def fill(self, missing: int, digest: Any) -> None:
        """Put zeros in the place of what a file lost: its size is written already."""
        while missing:
            zeros = bytes(min(missing, deflating.BLOCK))
            digest.update(zeros)
            self.out.write(zeros)
            missing -= len(zeros)


def write(
    raw: IO[bytes],
    top: str,
    sources: Iterable[Source],
    finish: Finish,
    *,
    codec: Codec,
    threads: int,
    look: Look = as_it_is,
    changed: Changed = refuse,
) -> bytes:
    """Write an archive to a file; returns the sha256 of what was written.

    The bytes depend on the sources and the codec only. Raises SystemFileError for what cannot be read, OSError for what
    cannot be written.
    """
    with deflating.deflating(raw, codec, threads) as out:
        Writer(top, out, look, changed).write(sources, finish)
    return out.digest.digest()


def _rank(source: Source) -> tuple[bool, str]:
    return source.name != DESCRIPTION, source.name


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ESTALE):
            raise _GoneError("vanished") from error
        raise SystemFileError(f"{path}: cannot be read: {error.strerror or error}") from error
