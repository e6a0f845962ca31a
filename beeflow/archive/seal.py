"""The last bytes of an archive: an empty gzip member that names the sha256 of all bytes before it.

A flipped bit of a compressed stream need not change what comes out of it: of a small archive, one in thirty does not,
and no checksum of the contents finds it. The seal vouches for the file's own bytes. To gzip and tar it is nothing (RFC
1952: members may follow each other, and may have extra fields), and needs no second pass to write.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from beeflow.errors import ArchiveError, IncompleteArchiveError

_DIGEST_SIZE = 32
# gzip, deflate, with an extra field; no time, any system. The extra field: 36 bytes, of them 32 in a subfield "BE".
_HEADER = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + b"\x24\0" + b"BE" + b"\x20\0"
# Nothing, deflated; its checksum and size.
_TRAILER = b"\x03\0" + bytes(8)

SIZE = len(_HEADER) + _DIGEST_SIZE + len(_TRAILER)


def render(digest: bytes) -> bytes:
    """Write the seal for what has this sha256."""
    return _HEADER + digest + _TRAILER


def parse(data: bytes) -> bytes | None:
    """Return the sha256 that a seal names; None for what is no seal."""
    digest = data[len(_HEADER) : -len(_TRAILER)]
    return digest if len(digest) == _DIGEST_SIZE and data == render(digest) else None


class Sealed:
    """Takes the bytes of an archive as they are read, and holds them against the seal at its end."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._digest = hashlib.sha256()
        self._last = b""

    def update(self, data: bytes) -> None:
        """Take what comes next."""
        self.size += len(data)
        data = self._last + data
        self._digest.update(data[:-SIZE])
        self._last = data[-SIZE:]

    def finish(self) -> str:
        """Return the sha256 of all, hexadecimal; raises IncompleteArchiveError, ArchiveError for what is not whole."""
        sealed = parse(self._last)
        if sealed is None:
            raise IncompleteArchiveError(f"{self._path}: incomplete: its end is missing; was it copied whole?")
        if sealed != self._digest.digest():
            raise ArchiveError(f"{self._path}: damaged: its bytes do not have the sha256 that is written at its end")
        self._digest.update(self._last)
        return self._digest.hexdigest()
