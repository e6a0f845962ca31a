"""What of an archive says what it would run: its documents and records, in memory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import inputs
from beeflow.archive import reading, verifying
from beeflow.archive.limits import Limits
from beeflow.archive.verifying import Packed, Verified
from beeflow.errors import ArchiveError
from beeflow.trust.results import Entries, is_result, reaching_out

GRAPH, PACKED_CWL, JOB, INPUTS, WORKFLOW = (
    "cwl/graph.json",
    "cwl/packed.json",
    "job.json",
    "inputs.json",
    "workflow.json",
)
DOCUMENTS = "cwl/documents/"
# Of a resolved tool.
_LISTS = ("requirements", "hints", "inputs", "outputs")
_RECORDS = frozenset({GRAPH, PACKED_CWL, JOB, INPUTS, WORKFLOW})
# Of one file; a graph has a step's resolved tool once, however wide it is scattered.
MAX_SIZE = 256 << 20


@dataclass(frozen=True)
class Shipped:
    """``files``: the contents of those that say what would run; ``sizes``: of all files.

    ``results``: of those that say what tasks made, what leads elsewhere; None: too large to see.
    """

    path: Path
    files: Mapping[str, bytes]
    sizes: Mapping[str, int]
    results: Mapping[str, Entries | None] = field(default_factory=dict)

    def record(self, name: str) -> Any:
        """Read one of the JSON files, None when it is not there; raises ArchiveError when it is none."""
        if name not in self.files:
            return None
        try:
            return json.loads(self.files[name].decode(errors="surrogateescape"))
        except (ValueError, RecursionError) as error:
            raise ArchiveError(f"{self.path}: damaged or unsafe: {name} cannot be read: {error}") from error

    def mapping(self, name: str) -> dict[str, Any]:
        """Read one that is a JSON object; empty when it is not there."""
        found = self.record(name)
        if found is not None and not isinstance(found, dict):
            raise ArchiveError(f"{self.path}: damaged or unsafe: {name} is no JSON object")
        return found or {}

    def origins(self) -> dict[Path, dict[str, Any]]:
        """Return what inputs.json says, by where each was; raises ArchiveError for what may be read in two ways."""
        files = [each for each in listed(self.mapping(INPUTS).get("files")) if isinstance(each, dict)]
        try:
            return inputs.by_origin((str(each.get("origin")), each) for each in files)
        except ArchiveError as error:
            raise ArchiveError(f"{self.path}: {error}") from error

    def tools(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the tools that would run, by the names that the graph has for them."""
        for name, tool in entries_of(self.mapping(GRAPH).get("tools")):
            odd = what_is_odd(tool)
            if odd:
                raise ArchiveError(f"{self.path}: damaged or unsafe: {GRAPH}: the tool {name!r} {odd}")
            yield name, tool

    def documents(self) -> Iterator[tuple[str, bytes]]:
        """Yield the documents as they were given."""
        return ((name, data) for name, data in self.files.items() if name.startswith(DOCUMENTS))


def what_is_odd(tool: dict[str, Any]) -> str | None:
    """Say in what a tool is not of the form that our own submission writes, or None: who looks at it relies on that."""
    document = tool.get("document")
    if not isinstance(document, dict):
        return "has no document"
    if "kind" in tool and tool["kind"] != document.get("class"):
        return f"is said to be a {tool['kind']!r} and is a {document.get('class')!r}"
    for name in _LISTS:
        found = document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            return f"has {name} that are no list of objects"
        if name in _LISTS[:2] and not all(isinstance(each.get("class"), str) for each in found):
            return f"has {name} without a class"
    return None


@contextlib.contextmanager
def making_sense(path: Path) -> Iterator[None]:
    """Turn what trips over an archive's documents, which may be of any form, into an ArchiveError."""
    try:
        yield
    except (LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: damaged or unsafe: what it would run makes no sense: {error!r}") from error


def entries_of(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the entries of a JSON object that are objects themselves."""
    for name, each in value.items() if isinstance(value, dict) else ():
        if isinstance(each, dict):
            yield name, each


def listed(value: Any) -> list[Any]:
    """Return a list as it is, nothing for null, and anything else in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_wanted(name: str, size: int) -> bool:
    return (name in _RECORDS or name.startswith(DOCUMENTS) or is_result(name)) and size <= MAX_SIZE


@dataclass
class _Gathering:
    """What was seen so far of the files of an archive."""

    files: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    results: dict[str, Entries | None] = field(default_factory=dict)

    def add(self, name: str, size: int, data: bytes) -> None:
        """Keep what counts of a file. ``data``: nothing of one that is not wanted."""
        self.sizes[name] = size
        if is_result(name):
            # Those of 100,000 tasks need not be held.
            self.results[name] = reaching_out(name, data) if size <= MAX_SIZE else None
        elif data or name in _RECORDS:
            self.files[name] = data


def of_archive(path: Path, allowed: Limits | None = None) -> tuple[Verified, Shipped]:
    """Verify an archive, and keep what says what it would run; raises ArchiveError."""
    seen = _Gathering()
    with reading.opened(path, "", allowed) as archive:
        for member, pieces in verifying.checked(archive):
            kept = [bytes(piece) for piece in pieces if _is_wanted(member.name, member.size)]
            if not member.is_folder:
                seen.add(member.name, member.size, b"".join(kept))
        found = verifying.summary(archive, len(seen.sizes), sum(seen.sizes.values()))
    return found, Shipped(path, seen.files, seen.sizes, seen.results)


def of_folder(packed: Packed, root: Path) -> Shipped:
    """Read the same of an archive that was unpacked."""
    seen = _Gathering()
    for parent, _, names in os.walk(root):
        for each in names:
            path = Path(parent, each)
            name, size = str(path.relative_to(root)), path.lstat().st_size
            seen.add(name, size, path.read_bytes() if _is_wanted(name, size) else b"")
    return Shipped(packed.path, seen.files, seen.sizes, seen.results)
