"""See whether there is room for an archive before it is written: free space, and the user's quota."""

from __future__ import annotations

import ctypes
import errno
import heapq
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from beeflow.archive.contents import Source
from beeflow.errors import SystemFileError

# Less than this is simply written.
_SMALL = 16 << 20
# The largest files tell how much all can be compressed: so many, so much of each.
_SAMPLES, _SAMPLE = 32, 64 << 10
# What the estimate may be wrong by, so that nothing is refused that would have fitted.
_DOUBT = 0.8
_KEEP_SIZE = 1  # fallocate(2): FALLOC_FL_KEEP_SIZE
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def reserve(descriptor: int, final: Path, sources: Sequence[Source]) -> None:
    """Reserve what an archive will surely need; raises SystemFileError when it does not fit.

    Where the file system can reserve nothing, only its free space is looked at.
    """
    need = int(_DOUBT * estimate(sources))
    status = os.fstatvfs(descriptor)
    free = status.f_bavail * status.f_frsize
    if need > free:
        raise SystemFileError(
            f"{final}: no room for the archive: it needs about {mib(need)} MiB, and {final.parent} has {mib(free)} MiB "
            "free; make room there, or set another bee_archive_dir in bee.conf for the workflows to come"
        )
    if need > _SMALL:
        why = _allocate(descriptor, need)
        if why in NO_ROOM:
            raise SystemFileError(
                f"{final}: no room for the archive: it needs about {mib(need)} MiB ({os.strerror(why)}); make room in "
                f"{final.parent}"
            )


def estimate(sources: Iterable[Source]) -> int:
    """Say about how large the archive of some files will be."""
    sizes = [(source.size, source.path) for source in sources if source.path is not None]
    total = sum(size for size, _ in sizes)
    if total < _SMALL:
        return 0
    taken = made = 0
    for _, path in heapq.nlargest(_SAMPLES, sizes):
        data = _middle(path)
        taken += len(data)
        made += len(zlib.compress(data, 1))
    return total * made // taken if taken else 0


def _middle(path: str) -> bytes:
    """Read from the middle of a file: it may begin with a header."""
    try:
        with open(path, "rb", buffering=0) as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _SAMPLE) // 2)
            return stream.read(_SAMPLE) or b""
    except OSError:
        return b""


def _allocate(descriptor: int, size: int) -> int:
    """Have blocks set aside for a file; returns why that was refused, or 0. posix_fallocate(3) would write them all."""
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return ctypes.get_errno() if fallocate(descriptor, _KEEP_SIZE, 0, size) else 0


def mib(size: int) -> int:
    """Write a size for people."""
    return -(-size >> 20)
