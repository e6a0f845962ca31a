"""Compress a stream in threads into one gzip member, whose bytes do not depend on how many threads there were.

The stream is cut into blocks. Each is compressed by itself, with the end of the one before as its dictionary, and ends
at a whole byte, so that the results only need to be written one after the other (as pigz does).
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import IO

from beeflow.archive import seal

BLOCK = 1 << 20
# One thread reads and hashes for them all: more than these it cannot feed.
MAX_THREADS = 8

_WINDOW = 1 << 15
# Raw deflate; the header and the checksum are of the whole.
_WBITS = -15
_LEVEL = 1
# No name, no time, any system (RFC 1952).
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"


@dataclass(frozen=True)
class Codec:
    """What compresses. zlib level 1: level 9 costs 2.7 times the CPU for 1.3 % of the size."""

    name: str
    module: ModuleType

    def deflate(self, data: memoryview, dictionary: bytes, *, last: bool) -> bytes:
        """Compress a block."""
        module = self.module
        if dictionary:
            made = module.compressobj(_LEVEL, module.DEFLATED, _WBITS, 8, 0, dictionary)
        else:
            made = module.compressobj(_LEVEL, module.DEFLATED, _WBITS)
        body: bytes = made.compress(data)
        return body + bytes(made.flush(module.Z_FINISH if last else module.Z_SYNC_FLUSH))

    def crc32(self, data: memoryview, before: int) -> int:
        """Go on with a checksum."""
        return int(self.module.crc32(data, before))


ZLIB = Codec("zlib", zlib)


def fastest() -> Codec:
    """Return isal where it is installed, which takes a third of the time, else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return ZLIB
    return Codec("isal", isal_zlib)


def threads(env: Mapping[str, str], usable: int) -> int:
    """Say how many threads may compress. ``usable``: CPUs of this process; a job may have been given fewer."""
    given = env.get("SLURM_CPUS_PER_TASK") or env.get("SLURM_CPUS_ON_NODE") or ""
    if "SLURM_JOB_ID" in env and given.isdecimal():
        usable = min(usable, int(given))
    return max(1, min(usable, MAX_THREADS))


class Deflating:
    """A file of one gzip member. Memory: a few blocks a thread, whatever goes through.

    ``digest``: the sha256 of what is in the file so far.
    """

    def __init__(self, raw: IO[bytes], codec: Codec, submit: Callable[..., Future[bytes]] | None, ahead: int) -> None:
        self.raw = raw
        self.codec = codec
        self.submit = submit
        self.ahead = ahead
        self.block = bytearray(BLOCK)
        self.filled = 0
        self.dictionary = b""
        self.checksum = 0
        self.size = 0
        self.digest = hashlib.sha256()
        self.pending: deque[Future[bytes]] = deque()
        self._put(_HEADER)

    def room(self, most: int) -> memoryview:
        """Return a place to read into, of at least one byte and at most so many; ``advance`` says how many came."""
        if self.filled == BLOCK:
            self._emit(last=False)
        return memoryview(self.block)[self.filled : self.filled + most]

    def advance(self, count: int) -> None:
        """Take what was read into the room."""
        self.filled += count

    def write(self, data: bytes) -> None:
        """Take some bytes."""
        while data:
            room = self.room(len(data))
            room[:] = data[: len(room)]
            self.filled += len(room)
            data = data[len(room) :]

    def finish(self) -> None:
        """Write all that is left, and the end."""
        self._emit(last=True)
        while self.pending:
            self._put(self.pending.popleft().result())
        self._put(struct.pack("<LL", self.checksum, self.size & 0xFFFFFFFF))
        self._put(seal.render(self.digest.digest()))

    def _put(self, data: bytes) -> None:
        """Write all of it: a file that is not buffered may take less at a time."""
        self.digest.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self.raw.write(rest) :]

    def _emit(self, *, last: bool) -> None:
        data = memoryview(self.block)[: self.filled]
        self.checksum = self.codec.crc32(data, self.checksum)
        self.size += len(data)
        if self.submit is None:
            self._put(self.codec.deflate(data, self.dictionary, last=last))
        else:
            while len(self.pending) >= self.ahead:
                self._put(self.pending.popleft().result())
            self.pending.append(self.submit(self.codec.deflate, data, self.dictionary, last=last))
            # A thread has the old one.
            self.block = bytearray(BLOCK)
        self.dictionary = bytes(data[-_WINDOW:])
        self.filled = 0


@contextlib.contextmanager
def deflating(raw: IO[bytes], codec: Codec, count: int) -> Iterator[Deflating]:
    """Compress into a file in so many threads; what goes wrong leaves it without an end."""
    if count == 1:
        made = Deflating(raw, codec, None, 0)
        yield made
        made.finish()
        return
    pool = ThreadPoolExecutor(count)
    try:
        made = Deflating(raw, codec, pool.submit, 2 * count)
        yield made
        made.finish()
    finally:
        pool.shutdown(cancel_futures=True)
