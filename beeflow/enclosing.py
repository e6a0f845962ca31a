"""Choose what of a workflow's inputs its archive has, and say what it is of the rest."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from beeflow import staging
from beeflow.archive import contents
from beeflow.archive.contents import Source, record_source
from beeflow.archive.description import Referenced
from beeflow.archive.referring import refer
from beeflow.inputs import RECORD, InputFile, InputFiles, InputPart
from beeflow.layout import Layout
from beeflow.models import EMBED, REFERENCE
from beeflow.noting import Noted, outside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Given:
    """An input. ``place``: where in the archive it belongs; ``kind``: File or Directory."""

    place: str
    kind: str
    path: Path


@dataclass(frozen=True)
class Enclosed:
    """What an archive has of an input. ``omitted``: what is in a folder to pack and cannot be packed: name -> why."""

    record: InputFile
    sources: tuple[Source, ...] = ()
    referenced: tuple[Referenced, ...] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)


class Elsewhere(Protocol):
    """Finds inputs somewhere else (beeflow.earlier)."""

    def __call__(self, wanted: Mapping[Path, str], *, are_gone: bool) -> Mapping[Path, Enclosed]:
        """Turn path -> place into path -> what there is of it; if it is not gone, only what the tasks took."""


@dataclass(frozen=True)
class Inputs:
    """What an archive has of the inputs: files to pack, inputs.json among them, and what it only refers to.

    ``omitted``: what could not be packed: name -> why.
    """

    sources: tuple[Source, ...]
    referenced: tuple[Referenced, ...]
    omitted: Mapping[str, str]


def enclose(layout: Layout, policy: str, limit_mib: int, submitted: str, elsewhere: Elsewhere) -> Inputs:
    """Choose the input files to pack: all, none, or all while they fit the limit; what is left out is hashed.

    ``submitted``: when the workflow was; what was changed since is told. ``elsewhere``: asked for what is gone or was
    changed.
    """
    noted = Noted.read(layout, submitted)
    choosing, given = _Choosing(policy, limit_mib, noted), list(_given(layout, noted))
    found: dict[Path, Enclosed] = {}
    gone: dict[Path, str] = {}
    for each in given:
        try:
            found[each.path] = choosing.enclose(each)
        except OSError as error:
            gone[each.path] = error.strerror or "cannot be read"
    changed = {path for path, each in found.items() if each.record.changed}
    for paths, are_gone in ((gone.keys(), True), (changed, False)):
        if paths:
            wanted = {each.path: each.place for each in given if each.path in paths}
            found.update(elsewhere(wanted, are_gone=are_gone))
    for path in changed:
        _tell_of_change(found[path].record)
    all_ = [found.get(each.path) or _lost(each, gone[each.path]) for each in given]
    return Inputs(
        (
            *(source for each in all_ for source in each.sources),
            record_source(RECORD, InputFiles(tuple(each.record for each in all_))),
        ),
        tuple(file for each in all_ for file in each.referenced),
        {name: why for each in all_ for name, why in each.omitted.items()},
    )


@dataclass
class _Choosing:
    """Chooses by policy. ``left``: bytes that may yet be packed."""

    policy: str
    limit_mib: int
    noted: Noted
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = sys.maxsize if self.policy == EMBED else self.limit_mib << 20

    def enclose(self, given: Given) -> Enclosed:
        """Pack an input, or say what it is; raises OSError when some of it cannot be read."""
        omitted: dict[str, str] = {}
        found = sources_of(given.path, given.place, omitted)
        changed = _changed(given, found, self.noted)
        size = sum(each.size for each in found)
        why = self.why_not(found, size)
        if why:
            outside = tuple(refer(each, why) for each in found if each.path is not None)
            return Enclosed(replace(_described(given, size, outside), changed=changed), referenced=outside)
        self.left -= size
        record = InputFile(str(given.path), given.kind, size, given.place, changed=changed)
        return Enclosed(record, tuple(found), omitted=omitted)

    def why_not(self, found: list[Source], size: int) -> str:
        """Say why an input is not packed; "" when it is."""
        unfit = next(filter(None, (contents.unfit(each.name) for each in found)), "")
        if unfit or self.policy == REFERENCE:
            return unfit or f"inputs = {self.policy}"
        return f"does not fit input_copy_limit_mib = {self.limit_mib}" if size > self.left else ""


def _given(layout: Layout, noted: Noted) -> Iterator[Given]:
    """Yield what a workflow takes from outside its directory, each with a folder of its own in the archive."""
    for folder, (kind, path) in zip(_free_folders(layout), outside(layout, noted.inputs), strict=False):
        yield Given(f"{folder}/{path.name}", kind, path)


def _free_folders(layout: Layout) -> Iterator[str]:
    """Yield the folders that inputs are packed in; a re-execution has some of its archive's in its own directory."""
    names = (f"inputs/{number:04}" for number in itertools.count())
    return (name for name in names if not (layout.root / name).exists())


def sources_of(path: Path, place: str, omitted: dict[str, str]) -> list[Source]:
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


def _lost(given: Given, why: str) -> Enclosed:
    """Tell of what is gone, or cannot be read, and is nowhere else: its origin is what can be kept."""
    log.warning("%s: %s: the archive does not have this input", given.path, why)
    return Enclosed(
        InputFile(str(given.path), given.kind, 0),
        referenced=(Referenced(given.place, str(given.path), given.kind, 0, None, why),),
        omitted={given.place: f"{contents.LOST}{given.path}: {why}"},
    )


def _changed(given: Given, found: list[Source], noted: Noted) -> str | None:
    """Say when an input was changed, if that was after the workflow was submitted."""
    files = {each.name[len(given.place) + 1 :]: each.path for each in found if each.path is not None}
    changed = noted.changed(given.path, files)
    return None if changed is None else changed.isoformat(timespec="seconds")


def _tell_of_change(record: InputFile) -> None:
    if record.changed:
        log.warning(
            "%s: changed at %s, after the workflow was submitted: the archive may have something else than its tasks "
            "took",
            *(record.origin, record.changed),
        )


def _described(given: Given, size: int, files: tuple[Referenced, ...]) -> InputFile:
    """Describe what is not embedded: a file by its hash, a folder by those of its files."""
    if given.kind == "Directory":
        parts = (InputPart(each.name.removeprefix(f"{given.place}/"), each.size, each.sha256 or "") for each in files)
        return InputFile(str(given.path), given.kind, size, parts=tuple(parts))
    return InputFile(str(given.path), given.kind, size, sha256=files[0].sha256)
