"""What a run's files are by their contents, and who reads them."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from beeflow import codec


@dataclass(frozen=True)
class Content:
    """A file by its contents; hashes are hexadecimal. ``name``: what to fetch it by; None: it cannot be had."""

    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    name: str | None = None

    def same_as(self, other: Content) -> bool | None:
        """Say whether both are byte for byte the same; None when that cannot be known."""
        if self.size is not None and other.size is not None and self.size != other.size:
            return False
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        if self.sha1 and other.sha1:
            return self.sha1 == other.sha1
        return None


# What stands for a folder with nothing in it.
EMPTY_FOLDER = Content(0, sha256="-")
# Of what nothing is known: the same as nothing else, nor different.
UNKNOWN = Content()


def link(path: str, target: str) -> Content:
    """Say what a symbolic link is that stands for no file, by where it points. ``path``: its own, in its folder.

    What is in the folder is compared itself; what lies elsewhere may be anything.
    """
    led_to = os.path.normpath(os.path.join(os.path.dirname(path), target))
    is_inside = not os.path.isabs(target) and led_to.split("/")[0] != ".."
    return Content(len(target), sha256=f"-> {target}") if is_inside else UNKNOWN


def of_entry(entry: Mapping[str, Any]) -> Content:
    """Say what a File object itself tells of its contents (CWL v1.2, File: contents, checksum, size)."""
    literal = entry.get("contents")
    if isinstance(literal, str):
        data = literal.encode(errors="surrogateescape")
        return Content(
            len(data), hashlib.sha256(data).hexdigest(), hashlib.sha1(data, usedforsecurity=False).hexdigest()
        )
    size = entry.get("size")
    algorithm, _, digest = str(entry.get("checksum") or "").partition("$")
    return Content(size if codec.is_size(size) else None, sha1=digest if algorithm == "sha1" else None)


class Files(Protocol):
    """The files of a run, by their names below its top directory, or by absolute paths on its host."""

    def content(self, name: str) -> Content | None:
        """Say what a file is; None when the run has none of that name."""

    def below(self, folder: str) -> dict[str, Content] | None:
        """List what is in a folder, all the way down, by its path there; None when there is no such folder.

        An empty folder is "path/"; a link that stands for no file is told by where it points.
        """

    def fetch(self, names: Iterable[str], folder: Path) -> dict[str, Path]:
        """Make files readable, below an empty folder where they are not on disk: name -> path."""


def beginning(names: list[str], prefix: str) -> Iterator[str]:
    """Yield those of sorted names that begin with a prefix."""
    rest = itertools.islice(names, bisect.bisect_left(names, prefix), None)
    return itertools.takewhile(lambda name: name.startswith(prefix), rest)
