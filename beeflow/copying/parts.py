"""The part of an archive that has arrived: a file beside where it goes, named after what it is to become.

The name has the beginning of the archive's sha256: a part is continued only by the bytes it was begun with. Whether it
is what it should be is decided by the sha256 of the whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from beeflow import publishing, store, tables
from beeflow.archive.hashing import CHUNK
from beeflow.copying.offers import Alive, Offer
from beeflow.errors import SystemFileError
from beeflow.locking import LockedError

# bee-clean knows it by that (beeflow/cleaning.py).
SUFFIX = ".copy.part"
_DIGITS = 16
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Part:
    """An open part. ``offset``: how much of it has arrived; ``is_continued``: some of that by an earlier copy."""

    def __init__(self, path: Path, descriptor: int, offer: Offer) -> None:
        self.path = path
        self.offer = offer
        self.offset = 0
        self.is_continued = False
        self._descriptor = descriptor
        self._digest = hashlib.sha256()

    @property
    def is_right(self) -> bool:
        """True when all of the archive is there, and nothing else."""
        return self.offset == self.offer.size and self._digest.hexdigest() == self.offer.sha256

    @property
    def described(self) -> str:
        """Say how much there is, and what to do with it."""
        amount = f"{tables.size(self.offset)} of {tables.size(self.offer.size)}"
        return f"{amount} are kept in {self.path}; give the command again to continue"

    def read_back(self, alive: Alive) -> None:
        """Take in what an earlier copy left; what is longer than the archive is none of it."""
        size = os.fstat(self._descriptor).st_size
        if size > self.offer.size:
            self.restart()
            return
        while data := os.pread(self._descriptor, min(CHUNK, size - self.offset), self.offset):
            self._digest.update(data)
            self.offset += len(data)
            alive()
        self.is_continued = self.offset > 0

    def restart(self) -> None:
        """Forget what has arrived."""
        os.ftruncate(self._descriptor, 0)
        self.offset, self.is_continued, self._digest = 0, False, hashlib.sha256()

    def append(self, data: bytes) -> None:
        """Write what arrived."""
        left = memoryview(data)
        while left:
            written = os.pwrite(self._descriptor, left, self.offset)
            self._digest.update(left[:written])
            self.offset += written
            left = left[written:]

    def check_room(self) -> None:
        """Raise SystemFileError when the file system has no room for the rest."""
        status = os.fstatvfs(self._descriptor)
        free, need = status.f_bavail * status.f_frsize, self.offer.size - self.offset
        if need > free:
            raise SystemFileError(f"no room: {tables.size(need)} are to come, {tables.size(free)} are free")

    def sync(self) -> None:
        """Have what arrived on disk."""
        os.fsync(self._descriptor)

    def publish(self, target: Path) -> bool:
        """Give the file its name; False when there is a file of that name."""
        try:
            publishing.publish(self.path, target)
        except FileExistsError:
            return False
        store.sync_folder(target.parent)
        return True

    def discard(self) -> None:
        """Remove what has arrived."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


@contextlib.contextmanager
def opened(target: Path, offer: Offer, alive: Alive) -> Iterator[Part]:
    """Open the part of an archive, or begin one, and keep others from it; an empty one does not stay.

    Raises LockedError while another process writes it, SystemFileError where none can be made.
    """
    path = target.with_name(f".{target.name}.{offer.sha256[:_DIGITS]}{SUFFIX}")
    try:
        descriptor = _open(path)
    except OSError as error:
        raise SystemFileError(f"{target}: {error.strerror or error}") from error
    part = Part(path, descriptor, offer)
    try:
        part.read_back(alive)
        yield part
    finally:
        if part.offset == 0:
            part.discard()
        os.close(descriptor)


def _open(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _lock(path, descriptor)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # It was published, or removed, before we had the lock.
        os.close(descriptor)


def _lock(path: Path, descriptor: int) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise SystemFileError(f"{path}: not a file of yours; remove it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(
            f"{path}: another bee-copy is writing it, or one whose connection was cut a moment ago; try again later"
        ) from None
    except OSError as error:
        # Two that write the same bytes to the same places do no harm.
        if error.errno not in _NO_LOCKS:
            raise


def _is_still(path: Path, descriptor: int) -> bool:
    opened_file = os.fstat(descriptor)
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(opened_file, there) and opened_file.st_nlink == 1
