"""Read the members of an archive in order, and refuse what no archive of ours has.

An archive may be made to do harm: nothing here trusts a name, a size or a kind that it finds.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from beeflow import codec, store
from beeflow.archive import blocks, limits, names
from beeflow.archive.description import FORMAT, Description
from beeflow.archive.inflating import Inflating
from beeflow.archive.limits import Limits
from beeflow.errors import ArchiveError, ArchiveVersionError, IncompleteArchiveError, SystemFileError
from beeflow.layout import DESCRIPTION, MANIFEST

T = TypeVar("T")

# Two empty blocks end a tar file; writers fill the last record with more.
_END = bytes(blocks.SIZE)
_MAX_RECORDS = 1 << 16


@dataclass(frozen=True)
class Member:
    """A file or folder. ``name``: below the top directory, which is "" itself. ``size``: 0 for a folder."""

    name: str
    is_folder: bool
    size: int
    executable: bool
    mtime: int


@dataclass
class Contents:
    """What is in a member; to be read while it is the current one. ``left``: bytes that were not read yet."""

    left: int
    take: Callable[[int], Iterator[memoryview]]

    def pieces(self) -> Iterator[memoryview]:
        """Yield all of it in pieces of at most a MiB."""
        for piece in self.take(self.left):
            self.left -= len(piece)
            yield piece

    def read(self) -> bytes:
        """Return all of it; raises ArchiveError when that is too much for the memory."""
        if self.left > limits.IN_MEMORY:
            raise ArchiveError(f"unsafe: {self.left} bytes where a record should be")
        return b"".join(self.pieces())


@dataclass
class Archive:
    """An archive that is open. ``top``: its top directory, an id; ``description``: once its first file was read.

    ``sha256``: of the whole file, once all members were read.
    """

    path: Path
    stream: Inflating
    top: str = ""
    description: Description | None = None
    sha256: str = ""
    current: str = ""
    names: names.Names = field(default_factory=names.Names)

    @property
    def size(self) -> int:
        """Bytes of the archive itself."""
        return self.stream.size

    def __iter__(self) -> Iterator[tuple[Member, Contents]]:
        """Yield all members in order, and read to the end of the file.

        Raises ArchiveVersionError, IncompleteArchiveError or another ArchiveError, naming the archive and the place.
        """
        with self.explained(in_current=True):
            last = ""
            while (found := self._next()) is not None:
                if last == MANIFEST:
                    raise ArchiveError(f"unsafe: {found.name!r} comes after the manifest")
                last = self.current = found.name
                contents = self._contents(found)
                yield found, contents
                for _ in contents.pieces():
                    pass
                if any(self.stream.read(-found.size % blocks.SIZE)):
                    raise ArchiveError(f"unsafe: something is hidden after the end of {found.name!r}")
            if not self.top:
                raise ArchiveVersionError("not an archive of beeflow's: there is nothing in it")
            if last != MANIFEST:
                raise IncompleteArchiveError(f"incomplete: no {MANIFEST} at its end")
            self.sha256 = self.stream.finish()

    @contextlib.contextmanager
    def explained(self, *, in_current: bool = False) -> Iterator[None]:
        """Name the archive in what goes wrong, and, when it is read on, the member that was begun last."""
        try:
            yield
        except ArchiveError as error:
            text = str(error)
            if text.startswith(str(self.path)):
                raise
            place = f" (in or after {self.current!r})" if in_current and self.current and "'" not in text else ""
            raise type(error)(f"{self.path}: {text}{place}") from error
        except OSError as error:
            raise SystemFileError(f"{self.path}: {error.strerror or error}") from error

    def _next(self) -> Member | None:
        """Read the next header, with what stands before it; None at the end."""
        header = self._header()
        if header is None:
            return None
        if header.kind == blocks.PAX:
            if header.size > _MAX_RECORDS:
                raise ArchiveError(f"unsafe: {header.size} bytes of pax records")
            records = blocks.parse_records(self.stream.read(header.size))
            self.stream.read(-header.size % blocks.SIZE)
            following = self._header()
            if following is None:
                raise ArchiveError("damaged: pax records of nothing")
            header = blocks.apply(records, following)
        if header.size > self.stream.limits.member_size:
            raise ArchiveError(f"unsafe: a member of {header.size} bytes")
        return self._checked(header)

    def _header(self) -> blocks.Header | None:
        block = self.stream.read(blocks.SIZE)
        if block != _END:
            return blocks.parse(block)
        if self.stream.read(blocks.SIZE) != _END:
            raise ArchiveError("damaged: something follows the end mark")
        return None

    def _checked(self, header: blocks.Header) -> Member:
        """Say what is meant; raises ArchiveError for a name that leads elsewhere, or is there already."""
        first, *rest = names.split(header.name)
        is_folder = header.kind == blocks.FOLDER
        name = "/".join(rest)
        if not self.names.kinds:
            if rest or not is_folder or not store.is_id(first):
                raise ArchiveVersionError(f"not an archive of beeflow's: it begins with {'/'.join([first, *rest])!r}")
            if self.top and first != self.top:
                raise ArchiveError(f"it is the archive of {first}, not of {self.top}")
            self.top = first
        elif first != self.top:
            raise ArchiveError(f"unsafe: {'/'.join([first, *rest])!r} is outside the top directory {self.top}/")
        elif self.description is None and name != DESCRIPTION:
            raise ArchiveVersionError(
                f"no {DESCRIPTION} at its beginning: it was made before there was such a format, or is no archive of "
                "beeflow's"
            )
        self.names.add(name, is_folder=is_folder)
        self.stream.limits.check_members(len(self.names.kinds))
        return Member(name, is_folder, header.size, header.executable, header.mtime)

    def _contents(self, member: Member) -> Contents:
        if member.name != DESCRIPTION:
            return Contents(member.size, self._pieces)
        allowed = self.stream.limits
        allowed.check_description(member.size)
        data = b"".join(self.stream.pieces(member.size))
        allowed.check_values(data)
        self.description = describe(data, self.path, self.top)
        return Contents(len(data), lambda _: iter((memoryview(data),)))

    def _pieces(self, size: int) -> Iterator[memoryview]:
        with self.explained(in_current=True):
            yield from self.stream.pieces(size)


def describe(data: bytes, path: Path, top: str) -> Description:
    """Read bee-archive.json; raises ArchiveVersionError for a format that this beeflow does not know."""
    try:
        given = json.loads(data.decode(errors="surrogateescape"))
        version = given.get("format") if isinstance(given, dict) else None
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"damaged: {DESCRIPTION} is no JSON: {error}") from error
    if version != FORMAT:
        raise ArchiveVersionError(
            f"its format is {str(version)[:40]!r}, and this beeflow reads {FORMAT}: use a newer beeflow"
        )
    found = parse_record(Description, data, path / DESCRIPTION)
    if found.id != top:
        raise ArchiveError(f"unsafe: {DESCRIPTION} tells of workflow {found.id[:80]!r}, the top directory is {top}")
    return found


def parse_record(kind: type[T], data: bytes, source: Path) -> T:
    """Read a record of an archive; raises ArchiveError when it is not what it should be."""
    try:
        return codec.loads(kind, data.decode(errors="surrogateescape"), source)
    except (SystemFileError, RecursionError) as error:
        raise ArchiveError(
            str(error) if isinstance(error, SystemFileError) else f"{source}: unsafe: too deep"
        ) from error


@contextlib.contextmanager
def opened(path: Path, top: str = "", allowed: Limits | None = None) -> Iterator[Archive]:
    """Open an archive, of the workflow ``top`` if that is given; raises ArchiveError when there is none."""
    with opened_raw(path) as raw:
        try:
            stream = Inflating(raw, allowed or Limits())
        except ArchiveError as error:
            raise type(error)(f"{path}: {error}") from error
        yield Archive(path, stream, top)


@contextlib.contextmanager
def opened_raw(path: Path) -> Iterator[IO[bytes]]:
    """Open an archive as a file; raises ArchiveError for what cannot be one."""
    try:
        # A pipe in its place would have us wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ArchiveError(f"{path}: no such archive") from error
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArchiveError(f"{path}: not a file, so no archive")
    with open(descriptor, "rb") as raw:
        yield raw


def top_of(path: Path) -> str:
    """Return an archive's top directory: the id of the workflow it was made of."""
    return description_of(path).id


def description_of(path: Path, allowed: Limits | None = None) -> Description:
    """Read what an archive says it is, and nothing else of it."""
    with opened(path, allowed=allowed) as archive:
        for _ in archive:
            if archive.description is not None:
                return archive.description
    raise ArchiveError(f"{path}: damaged: no {DESCRIPTION}")


def read_record(kind: type[T], path: Path, name: str, allowed: Limits | None = None) -> T:
    """Read one record of an archive; raises ArchiveError when it has none of that name."""
    found = read_files(path, {name}, allowed)
    if name not in found:
        raise ArchiveError(f"{path}: no {name} in it; not a beeflow archive?")
    return parse_record(kind, found[name], path / name)


def read_files(path: Path, wanted: set[str], allowed: Limits | None = None) -> dict[str, bytes]:
    """Read some files of an archive, as far as there are such; stops once it has them."""
    found: dict[str, bytes] = {}
    with opened(path, allowed=allowed) as archive:
        for member, contents in archive:
            if member.name in wanted and not member.is_folder:
                with archive.explained():
                    found[member.name] = contents.read()
                if len(found) == len(wanted):
                    break
    return found
