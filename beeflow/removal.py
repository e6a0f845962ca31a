"""Remove files and folders by descriptor: no link is followed, nothing of another user or file system is touched.

Standard library only. Every name is looked up in a folder that is open, so nobody can put a link in its place
meanwhile; two descriptors are open at a time, however deep the tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from beeflow.terminal import escaped

# What is being removed is renamed to this first: half of it must not look like the whole.
PREFIX = ".removing-"

# How a folder is opened that must be none by a link.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ESTALE)
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
# Others may write where we remove, or remove the same.
_TRIES = 3
_MAX_LEFT = 10


@dataclass
class Removed:
    """What came of it. ``size``: bytes of disk that are free now. ``left``: what is still there, and why."""

    entries: int = 0
    size: int = 0
    left: list[str] = field(default_factory=list)
    left_count: int = 0

    def leave(self, path: str, why: str) -> None:
        """Note something that could not be removed."""
        self.left_count += 1
        if self.left_count <= _MAX_LEFT:
            self.left.append(f"{escaped(path)}: {why}")


@dataclass
class _Folder:
    """A folder that we are in. ``identity``: device and inode. ``left_before``: how much was left when we entered."""

    name: str
    identity: tuple[int, int]
    left_before: int
    tries: int
    folders: list[str] = field(default_factory=list)


class _LostError(Exception):
    """The way up does not lead where we came from."""


def owner_name(uid: int) -> str:
    """Name a user for a message."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


@contextlib.contextmanager
def opened(folder: str | Path, parent: int | None = None) -> Iterator[int]:
    """Open a folder that is not a link, below an open one or by its path; raises OSError."""
    descriptor = os.open(folder, FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def lstat(parent: int, name: str) -> os.stat_result | None:
    """Look at an entry of an open folder; None when it is not there."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def set_aside(parent: int, name: str) -> str:
    """Rename what is to be removed, in the same folder; returns its new name. Raises OSError."""
    aside = PREFIX + name
    try:
        os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
        # Left by a removal that was killed, of what has come back since.
        remove(parent, aside)
        os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
    return aside


def remove(parent: int, name: str, *, own_only: bool = True) -> Removed:
    """Remove a file or folder of an open folder, whatever modes there are; what is not there is no error.

    ``own_only``: leave what belongs to another user, and the folders that it is in. Raises nothing: see Removed.left.
    """
    removed = Removed()
    try:
        status = lstat(parent, name)
        if status is None:
            return removed
        tree = _Tree(removed, own_only, status.st_dev)
        if not stat.S_ISDIR(status.st_mode):
            tree.unlink(parent, name)
            return removed
        for _ in range(_TRIES):
            with contextlib.suppress(_LostError):
                tree.remove(parent, name)
                return removed
        removed.leave(name, "folders in it are moved while it is removed")
    except OSError as error:
        removed.leave(name, error.strerror or str(error))
    return removed


class _Tree:
    """Removes one tree."""

    def __init__(self, removed: Removed, own_only: bool, device: int) -> None:
        self.removed = removed
        self.own_only = own_only
        self.device = device
        self.mount: str | None = None
        self.way: list[_Folder] = []

    def remove(self, parent: int, name: str) -> None:
        """Remove the tree, deepest first; raises _LostError."""
        self.way, self.mount = [], _mount(parent)
        here = self.enter(parent, name)
        if here is None:
            return
        try:
            while self.way:
                folder = self.way[-1]
                if folder.folders:
                    there = self.enter(here, folder.folders.pop())
                elif len(self.way) > 1:
                    there = self.leave(here)
                else:
                    self.way.pop()
                    there = self.rmdir(parent, folder)
                if there is not None:
                    os.close(here)
                    here = there
        finally:
            os.close(here)

    def enter(self, parent: int, name: str, tries: int = 0) -> int | None:
        """Open a folder, empty it of all but folders, and go on in it; None when it is left alone, or gone."""
        try:
            descriptor = open_folder(parent, name)
        except OSError as error:
            if error.errno not in _GONE:
                self.note(name, error.strerror or str(error))
            return None
        status = os.fstat(descriptor)
        why = self.foreign(status) or self.elsewhere(descriptor, status)
        if why:
            self.note(name, why)
            os.close(descriptor)
            return None
        folder = _Folder(name, (status.st_dev, status.st_ino), self.removed.left_count, tries)
        self.way.append(folder)
        try:
            self.empty(descriptor, status.st_mode, folder.folders)
        except OSError as error:
            self.note("", error.strerror or str(error))
        return descriptor

    def empty(self, descriptor: int, mode: int, folders: list[str]) -> None:
        """Remove all but folders from a folder, and list those."""
        if mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(descriptor, stat.S_IRWXU)
        with os.scandir(descriptor) as entries:
            found = list(entries)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                self.unlink(descriptor, entry.name)

    def leave(self, here: int) -> int:
        """Go up, and remove the folder that we were in; returns the one above."""
        folder = self.way.pop()
        try:
            above = os.open("..", FOLDER, dir_fd=here)
        except OSError as error:
            raise _LostError from error
        status = os.fstat(above)
        if (status.st_dev, status.st_ino) != self.way[-1].identity:
            os.close(above)
            raise _LostError
        again = self.rmdir(above, folder)
        if again is None:
            return above
        os.close(above)
        return again

    def rmdir(self, parent: int, folder: _Folder) -> int | None:
        """Remove an empty folder; where something has come into it meanwhile, enter it again."""
        try:
            os.rmdir(folder.name, dir_fd=parent)
            self.removed.entries += 1
        except OSError as error:
            if error.errno in _GONE or self.removed.left_count > folder.left_before:
                return None
            if error.errno in _NOT_EMPTY and folder.tries < _TRIES:
                return self.enter(parent, folder.name, folder.tries + 1)
            self.note(folder.name, error.strerror or str(error))
        return None

    def unlink(self, parent: int, name: str) -> None:
        """Remove what is no folder; raises nothing."""
        try:
            status = lstat(parent, name)
            if status is None:
                return
            why = self.foreign(status)
            if why:
                self.note(name, why)
                return
            os.unlink(name, dir_fd=parent)
            self.removed.entries += 1
            self.removed.size += status.st_blocks * 512 if status.st_nlink == 1 else 0
        except OSError as error:
            if error.errno not in _GONE:
                self.note(name, error.strerror or str(error))

    def foreign(self, status: os.stat_result) -> str:
        """Say whose it is when it is somebody else's."""
        if self.own_only and status.st_uid != os.geteuid():
            return f"belongs to {owner_name(status.st_uid)}"
        return ""

    def elsewhere(self, descriptor: int, status: os.stat_result) -> str:
        """Say so when something is mounted on a folder."""
        if status.st_dev != self.device or _mount(descriptor) != self.mount:
            return "another file system is mounted there"
        return ""

    def note(self, name: str, why: str) -> None:
        """Note what stays, by its path."""
        self.removed.leave("/".join([*(folder.name for folder in self.way), name]), why)


def open_folder(parent: int, name: str) -> int:
    """Open a folder for reading, also one that its owner may not read."""
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, _HANDLE, dir_fd=parent)
        try:
            # A name that leads to this very folder: chmod(2) of a path would follow a link.
            os.chmod(f"/proc/self/fd/{handle}", stat.S_IRWXU)
            return os.open(".", FOLDER, dir_fd=handle)
        finally:
            os.close(handle)


def _mount(descriptor: int) -> str | None:
    """Return the mount that an open folder is on: a bind mount has the device of what it shows."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
            return next((line for line in stream if line.startswith("mnt_id:")), None)
    except OSError:
        return None
