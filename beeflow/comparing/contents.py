"""Compare two files that are not the same bytes: as arrays, as text, or as bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from beeflow.comparing import arrays, texts
from beeflow.comparing.texts import Compared, How
from beeflow.errors import SystemFileError

_CHUNK = 1 << 20
# What has a zero byte near its beginning, or a longer line, is no text.
_HEAD = 8192
_LONGEST_LINE = 1 << 20


class NoTextError(Exception):
    """A file is not made of lines of text."""


def compare(a: Path, b: Path, how: How) -> Compared:
    """Compare two files; raises SystemFileError when one cannot be read."""
    try:
        with a.open("rb") as left, b.open("rb") as right:
            heads = left.read(_HEAD), right.read(_HEAD)
            if all(head.startswith(arrays.MAGIC) for head in heads):
                return arrays.compare(a, b, how.tolerance)
            try:
                if any(b"\0" in head for head in heads):
                    raise NoTextError
                left.seek(0)
                right.seek(0)
                return texts.compare(_lines(left), _lines(right), how)
            except NoTextError:
                left.seek(0)
                right.seek(0)
                return Compared(same=False, detail=f"not text; the first difference is at byte {_first(left, right)}")
    except OSError as error:
        raise SystemFileError(f"{error.filename or a}: {error.strerror or error}") from error


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while line := stream.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise NoTextError
        yield line.decode(errors="surrogateescape")


def _first(left: IO[bytes], right: IO[bytes]) -> int:
    """Return the offset of the first byte that differs."""
    position = 0
    while True:
        a, b = left.read(_CHUNK), right.read(_CHUNK)
        if a != b or not a:
            pairs = zip(a, b, strict=False)
            return position + next((n for n, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
        position += len(a)
