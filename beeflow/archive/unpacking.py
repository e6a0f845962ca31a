"""Unpack an archive, and verify it as it is read: nothing of it can be written anywhere but below one new folder.

Every name is looked up in a folder that is open, and no link is followed, for somebody could put one there meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import removal
from beeflow.archive import reading, verifying
from beeflow.archive.limits import Limits
from beeflow.archive.reading import Member
from beeflow.archive.verifying import Packed
from beeflow.errors import ArchiveError, SystemFileError

_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(
    path: Path,
    into: Path,
    top: str | None = None,
    allowed: Limits | None = None,
    wanted: Callable[[str], bool] = lambda _: True,
) -> Packed:
    """Unpack an archive into a new folder ``into``, without its top directory; of its members those that are wanted.

    Raises ArchiveError when it is not whole, or unsafe, and SystemFileError for want of room or permission; then there
    is no such folder.
    """
    into.mkdir(mode=0o700)
    try:
        with removal.opened(into) as root, reading.opened(path, top or "", allowed) as archive:
            tree = Tree(into, root)
            try:
                for member, pieces in verifying.checked(archive):
                    with archive.explained():
                        if wanted(member.name):
                            tree.put(member, pieces)
                        for _ in pieces:
                            pass
            finally:
                tree.leave(0)
            return Packed(path, archive.sha256, archive.size)
    except BaseException:
        with removal.opened(into.parent) as parent:
            removal.remove(parent, into.name)
        raise


@dataclass
class Tree:
    """What is being unpacked. ``way``: the folders that are open, each in the one before, the first in ``root``."""

    folder: Path
    root: int
    way: list[tuple[str, int]] = field(default_factory=list)
    room: int = 0
    block: int = 4096

    def __post_init__(self) -> None:
        status = os.fstatvfs(self.root)
        self.room, self.block = status.f_bavail * status.f_frsize, status.f_frsize

    def put(self, member: Member, pieces: Iterable[memoryview]) -> None:
        """Write one member. A file may be run by its owner or not; that is all that is kept of its mode."""
        *above, name = member.name.split("/") if member.name else [""]
        try:
            parent = self.enter(above)
            if member.is_folder:
                if name:
                    self.enter([*above, name])
                return
            self.reserve(member)
            mode = 0o755 if member.executable else 0o644
            with open(os.open(name, _FILE, mode, dir_fd=parent), "wb", buffering=0) as made:
                for piece in pieces:
                    while piece:
                        piece = piece[made.write(piece) :]
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise ArchiveError(f"unsafe: {member.name!r} and another name are the same in {self.folder}") from error
            raise SystemFileError(f"{self.folder}: {member.name!r}: {error.strerror or error}") from error

    def enter(self, parts: list[str]) -> int:
        """Open a folder below the root, made if it is not there; returns its descriptor."""
        same = 0
        while same < min(len(parts), len(self.way)) and self.way[same][0] == parts[same]:
            same += 1
        self.leave(same)
        for part in parts[same:]:
            above = self.way[-1][1] if self.way else self.root
            # It may be there of an earlier member. What is no folder is not opened.
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=above)
            self.way.append((part, os.open(part, removal.FOLDER, dir_fd=above)))
        return self.way[-1][1] if self.way else self.root

    def leave(self, depth: int) -> None:
        """Close all folders but so many."""
        while len(self.way) > depth:
            os.close(self.way.pop()[1])

    def reserve(self, member: Member) -> None:
        """Raise SystemFileError when a file does not fit in what was free when we began."""
        self.room -= -(-member.size // self.block) * self.block
        if self.room < 0:
            raise SystemFileError(
                f"{self.folder}: no room to unpack {member.name!r} ({member.size} bytes); make room there"
            )
