"""Hash what passes by, so that nothing is read twice only to be hashed."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20


@dataclass
class Hashing:
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


def whole(path: Path) -> tuple[str, int]:
    hashing = Hashing(path.open("rb"))
    with hashing.stream:
        while hashing.read(CHUNK):
            pass
    return hashing.digest.hexdigest(), hashing.size


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    return whole(path)[0]


def sha256_of_size(path: Path, size: int) -> str | None:
    """Return the sha256 of a regular file of this size (bytes), and None for any other: some never end (proc(5))."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return None
        hashing = Hashing(stream)
        while hashing.size <= size and hashing.read(min(CHUNK, size + 1 - hashing.size)):
            pass
    return hashing.digest.hexdigest() if hashing.size == size else None
