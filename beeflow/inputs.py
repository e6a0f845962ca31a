"""The files a workflow was given: remembered at submit, copied into the archive up to a limit, found again on re-run.

inputs.json: one record a File or Directory location of job.json. What is not embedded is known by its origin, size and
sha256.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import locations, staging, store
from beeflow.archive.contents import Source, record_source
from beeflow.archive.hashing import sha256_of
from beeflow.layout import Layout

RECORD = "inputs.json"


@dataclass(frozen=True)
class InputFile:
    """One input. ``origin``: its path on the host where the workflow was submitted. ``embedded``: its place here."""

    origin: str
    kind: str
    size: int
    embedded: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class InputFiles:
    """inputs.json."""

    files: tuple[InputFile, ...]


def _outside(job: Any) -> list[tuple[str, Path]]:
    """List the distinct (class, path) of what an input object names outside the workflow directory."""
    found: dict[Path, str] = {}
    for entry in locations.entries(job):
        path = locations.to_path(str(entry.get("location", "")))
        if path is not None:
            found.setdefault(path, entry["class"])
    # A file inside a Directory that is named too is there already.
    folders = [path for path, kind in found.items() if kind == "Directory"]
    return [
        (kind, path)
        for path, kind in found.items()
        if not any(folder != path and path.is_relative_to(folder) for folder in folders)
    ]


def _sources(path: Path, place: str) -> list[Source]:
    """List what to pack of an input; raises OSError when some of it cannot be read."""
    if path.is_file():
        _check_readable(path)
        return [Source(place, path, size=path.stat().st_size)]
    found = [Source(place, None)]
    for name, each, is_folder in staging.contents(path):
        _check_readable(each)
        size = 0 if is_folder else each.stat().st_size
        found.append(Source(f"{place}/{name}", None if is_folder else each, size=size))
    return found


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionError(path)


def embed(layout: Layout, limit_mib: int) -> list[Source]:
    """List the input files to pack, all while they fit the limit, the rest by hash, and inputs.json."""
    left = limit_mib << 20
    records: list[InputFile] = []
    sources: list[Source] = []
    for number, (kind, path) in enumerate(_outside(store.read_json(layout.job))):
        place = f"inputs/{number:04}/{path.name}"
        try:
            found = _sources(path, place)
        except OSError:
            # Gone meanwhile, or not readable: its origin is what can be kept.
            records.append(InputFile(str(path), kind, 0))
            continue
        size = sum(each.size for each in found)
        if size > left:
            digest = sha256_of(path) if path.is_file() else None
            records.append(InputFile(str(path), kind, size, None, digest))
            continue
        left -= size
        sources += found
        records.append(InputFile(str(path), kind, size, place))
    return [*sources, record_source(RECORD, InputFiles(tuple(records)))]
