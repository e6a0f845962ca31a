"""What an archive says of the files a workflow was given: copied into it up to a limit, found again on re-run.

inputs.json: one record a File or Directory location of job.json, or of cwl/graph.json. What is not embedded is known by
its origin, size and sha256.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from beeflow import codec
from beeflow.archive.hashing import sha256_of_size
from beeflow.errors import ArchiveError

RECORD = "inputs.json"

T = TypeVar("T")


@dataclass(frozen=True)
class InputPart(codec.Sized):
    """A file in a Directory. ``name``: relative to it."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class InputFile(codec.Sized):
    """One input. ``origin``: its path on the host where the workflow was submitted. ``embedded``: its place here.

    ``parts``: the files of a Directory that is not embedded. ``changed``: when it was last, if that was after the
    workflow was submitted: what its tasks took may have been something else.
    """

    origin: str
    kind: str
    size: int
    embedded: str | None = None
    sha256: str | None = None
    parts: tuple[InputPart, ...] = ()
    changed: str | None = None

    @property
    def is_known(self) -> bool:
        """False for what could not be read when it was archived."""
        return bool(self.embedded or self.sha256 or self.parts)


@dataclass(frozen=True)
class InputFiles:
    """inputs.json."""

    files: tuple[InputFile, ...]


def by_origin(records: Iterable[tuple[str, T]]) -> dict[Path, T]:
    """Key what an archive says of its inputs by where they were; raises ArchiveError for what may be read in two ways.

    ``records``: origin, and what is said of it.
    """
    found: dict[Path, T] = {}
    for origin, record in records:
        path = Path(origin)
        if not path.is_absolute() or str(path) != origin or origin.startswith("//"):
            raise ArchiveError(f"unsafe: {RECORD} has an origin that is no plain absolute path: {origin!r}")
        if path in found:
            raise ArchiveError(f"unsafe: {RECORD} has two records of {origin!r}")
        found[path] = record
    return found


def origin_of(known: Mapping[Path, T], path: Path) -> tuple[Path, T] | None:
    """Find what is said of a file, or of the folder that it is in, and where that was."""
    return next(((each, known[each]) for each in (path, *path.parents) if each in known), None)


def different_part(folder: Path, origin: InputFile) -> str | None:
    """Name a file of a Directory that is not what it was when the archive was made; raises OSError when one is gone."""
    return next(
        (part.name for part in origin.parts if part.sha256 != sha256_of_size(folder / part.name, part.size)), None
    )
