"""The files a workflow was given: remembered at submit, copied into the archive up to a limit, found again on re-run.

inputs.json: one record a File or Directory location of job.json, or of cwl/graph.json. What is not embedded is known by
its origin, size and sha256.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

from beeflow import codec, locations, staging, store
from beeflow.archive import contents
from beeflow.archive.contents import Source, record_source
from beeflow.archive.description import Referenced
from beeflow.archive.hashing import sha256_of_size
from beeflow.archive.referring import refer
from beeflow.errors import ArchiveError
from beeflow.layout import Layout
from beeflow.models import EMBED, REFERENCE

log = logging.getLogger(__name__)

RECORD = "inputs.json"
# A file server's clock and ours may be so far apart.
_CLOCKS = timedelta(seconds=2)

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


@dataclass(frozen=True)
class InputFiles:
    """inputs.json."""

    files: tuple[InputFile, ...]


def _outside(layout: Layout) -> list[tuple[str, Path]]:
    """List the distinct (class, path) of what a workflow takes from outside its directory.

    Of the graph that is what its documents name as a default and is too large to be copied as it is submitted.
    """
    found: dict[Path, str] = {}
    given, graph = (locations.entries(store.read_json(path)) for path in (layout.job, layout.graph))
    for entry, is_given in (*((each, True) for each in given), *((each, False) for each in graph)):
        path = locations.to_path(str(entry.get("location", "")))
        # A default that is not there may not be needed.
        if path is not None and (is_given or path.exists()):
            found.setdefault(path, entry["class"])
    # A file inside a Directory that is named too is there already.
    folders = [path for path, kind in found.items() if kind == "Directory"]
    return [
        (kind, path)
        for path, kind in found.items()
        if not any(folder != path and path.is_relative_to(folder) for folder in folders)
    ]


def _sources(path: Path, place: str, omitted: dict[str, str]) -> list[Source]:
    """List what to pack of an input; raises OSError when some of it cannot be read.

    ``omitted``: gets what is left out: name -> why.
    """
    if path.is_file():
        _check_readable(path)
        return [Source(place, str(path), size=path.stat().st_size)]
    found = [Source(place, None)]
    for name, each, is_folder in staging.contents(path, lambda name, why: omitted.update({f"{place}/{name}": why})):
        _check_readable(each)
        size = 0 if is_folder else each.stat().st_size
        found.append(Source(f"{place}/{name}", None if is_folder else str(each), size=size))
    return found


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionError(path)


def _free_folders(layout: Layout) -> Iterator[str]:
    """Yield the folders that inputs are packed in; a re-execution has some of its archive's in its own directory."""
    names = (f"inputs/{number:04}" for number in itertools.count())
    return (name for name in names if not (layout.root / name).exists())


@dataclass(frozen=True)
class Inputs:
    """What an archive has of the inputs: files to pack, inputs.json among them, and what it only refers to.

    ``omitted``: what is in folders to pack and cannot be packed: name -> why.
    """

    sources: tuple[Source, ...]
    referenced: tuple[Referenced, ...]
    omitted: Mapping[str, str]


def embed(layout: Layout, policy: str, limit_mib: int, submitted: str) -> Inputs:
    """Choose the input files to pack: all, none, or all while they fit the limit; what is left out is hashed.

    ``submitted``: when the workflow was; what was changed since is told.
    """
    left = sys.maxsize if policy == EMBED else limit_mib << 20
    why = f"inputs = {policy}" if policy == REFERENCE else f"does not fit input_copy_limit_mib = {limit_mib}"
    records: list[InputFile] = []
    sources: list[Source] = []
    referenced: list[Referenced] = []
    omitted: dict[str, str] = {}
    for folder, (kind, path) in zip(_free_folders(layout), _outside(layout), strict=False):
        place = f"{folder}/{path.name}"
        left_out: dict[str, str] = {}
        try:
            found = _sources(path, place, left_out)
            changed = _changed(path, found, submitted)
        except OSError as error:
            # Gone meanwhile, or not readable: its origin is what can be kept.
            records.append(InputFile(str(path), kind, 0))
            referenced.append(Referenced(place, str(path), kind, 0, None, error.strerror or "cannot be read"))
            continue
        size = sum(each.size for each in found)
        unfit = next(filter(None, (contents.unfit(each.name) for each in found)), "")
        if policy == REFERENCE or size > left or unfit:
            outside = [refer(each, unfit or why) for each in found if each.path is not None]
            made = _described(path, kind, size, place, outside)
            referenced += outside
        else:
            left -= size
            sources += found
            omitted.update(left_out)
            made = InputFile(str(path), kind, size, place)
        records.append(replace(made, changed=changed))
    record = record_source(RECORD, InputFiles(tuple(records)))
    return Inputs((*sources, record), tuple(referenced), omitted)


def _changed(path: Path, found: list[Source], submitted: str) -> str | None:
    """Say when an input was changed, if that was after the workflow was submitted; warns of it."""
    names = {str(path), *(each.path for each in found if each.path is not None)}
    newest = datetime.fromtimestamp(max(os.stat(each).st_mtime for each in names), timezone.utc)
    if newest <= datetime.fromisoformat(submitted) + _CLOCKS:
        return None
    when = newest.isoformat(timespec="seconds")
    log.warning(
        "%s: changed at %s, after the workflow was submitted: the archive may have something else than its tasks took",
        *(path, when),
    )
    return when


def _described(path: Path, kind: str, size: int, place: str, files: list[Referenced]) -> InputFile:
    """Describe what is not embedded: a file by its hash, a folder by those of its files."""
    if kind == "Directory":
        parts = (InputPart(each.name.removeprefix(f"{place}/"), each.size, each.sha256 or "") for each in files)
        return InputFile(str(path), kind, size, parts=tuple(parts))
    return InputFile(str(path), kind, size, sha256=files[0].sha256)


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
