"""Inflate an archive, hash its bytes as they are read, and hold them against the seal at its end."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import IO, Any

from beeflow.archive import seal
from beeflow.archive.limits import Limits
from beeflow.errors import ArchiveError, ArchiveVersionError, IncompleteArchiveError

_TAKE = 1 << 18
_MAKE = 1 << 20
_GZIP = b"\x1f\x8b\x08"
_ZIP = b"PK\x03\x04"
# A gzip header without options, and what follows the compressed bytes: checksum and size (RFC 1952).
_HEADER_SIZE, _TRAILER = 10, struct.Struct("<LL")
# Raw deflate: zlib would tell of a wrong checksum before anybody could see in which file it is.
_WBITS = -15


def fastest() -> ModuleType:
    """Return isal's zlib where it is installed, which takes half the time, else Python's."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    module: ModuleType = isal_zlib
    return module


class Inflating:
    """What comes out of an archive, in order; memory is flat, whatever does. ``size``: of the archive itself."""

    def __init__(self, raw: IO[bytes], limits: Limits, library: ModuleType | None = None) -> None:
        self.raw = raw
        self.limits = limits
        self.library = library or fastest()
        self.size = os.fstat(raw.fileno()).st_size
        self.digest = hashlib.sha256()
        self.sealed = _ends_with_seal(raw, self.size)
        self.left = self.size - seal.SIZE if self.sealed else self.size
        self.taken = 0
        self.came = 0
        self.checksum = 0
        self.engine: Any = self.library.decompressobj(_WBITS)
        self.made = memoryview(b"")
        self._begin()

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next ``size`` bytes; raises IncompleteArchiveError when there are less."""
        while size:
            if not self.made and not self._more():
                raise IncompleteArchiveError("incomplete: it ends too early; was it copied whole?")
            piece, self.made = self.made[:size], self.made[size:]
            size -= len(piece)
            yield piece

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if size <= len(self.made):
            piece, self.made = self.made[:size], self.made[size:]
            return bytes(piece)
        return b"".join(self.pieces(size))

    def finish(self) -> str:
        """Read on to the end, where zeros may follow; returns the sha256 of the whole archive."""
        while self.made or self._more():
            if any(self.made):
                raise ArchiveError("unsafe: something follows the end of the archive")
            self.made = memoryview(b"")
        self._end()
        sealed = self.raw.read(seal.SIZE)
        if sealed != seal.render(self.digest.digest()):
            raise ArchiveError("damaged: its bytes do not have the sha256 that is written at its end")
        self.digest.update(sealed)
        return self.digest.hexdigest()

    def _begin(self) -> None:
        header = self._take(_HEADER_SIZE)
        if not header:
            raise IncompleteArchiveError("incomplete: it is empty")
        if header.startswith(_ZIP):
            raise ArchiveVersionError("a .zip, which bee-archive --zip writes for others; take the .tgz it was made of")
        if not _GZIP.startswith(header[: len(_GZIP)]):
            raise ArchiveError("damaged, or no archive: it is not compressed by gzip")
        if any(header[len(_GZIP) : len(_GZIP) + 1]):
            raise ArchiveError("damaged, or no archive of beeflow's: its gzip header says more than that")

    def _end(self) -> None:
        """Read what gzip writes last; raises ArchiveError unless that is right, and all there is before the seal."""
        rest: bytes = self.engine.unused_data
        more = len(rest) + self.left - _TRAILER.size
        if more < 0 or (not self.sealed and more < seal.SIZE):
            raise IncompleteArchiveError("incomplete: its end is missing; was it copied whole?")
        if more:
            raise ArchiveError("damaged: something follows the end of the compressed archive")
        rest += self._take(self.left)
        if _TRAILER.unpack(rest) != (self.checksum, self.came & 0xFFFFFFFF):
            raise ArchiveError("damaged: gzip's checksum is wrong")

    def _more(self) -> bool:
        """Inflate some more; False at the end. Raises IncompleteArchiveError when the end is not there."""
        while not self.engine.eof:
            data = self.engine.unconsumed_tail or self._take(_TAKE)
            try:
                made = self.engine.decompress(data, _MAKE)
            except self.library.error as error:
                raise ArchiveError(f"damaged: {error}") from error
            if made:
                self.came += len(made)
                self.checksum = self.library.crc32(made, self.checksum)
                self.limits.check(self.came, self.taken)
                self.made = memoryview(made)
                return True
            if not data and not self.engine.eof:
                raise IncompleteArchiveError("incomplete: it ends too early; was it copied whole?")
        return False

    def _take(self, most: int) -> bytes:
        data = self.raw.read(min(most, self.left))
        self.left -= len(data)
        self.taken += len(data)
        self.digest.update(data)
        return data


def _ends_with_seal(raw: IO[bytes], size: int) -> bool:
    """Look at the end of a file, and go back to its beginning. What has no seal is cut off, or was never ours."""
    raw.seek(max(0, size - seal.SIZE))
    found = seal.parse(raw.read(seal.SIZE)) is not None
    raw.seek(0)
    return found
