"""Choose what of a workflow's inputs its archive has, and say what it is of the rest."""

from __future__ import annotations

import functools
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
    """What an archive has of an input. ``omitted``: what is in a folder to pack and cannot be packed: name -> why.

    ``is_as_here``: it is packed, or was hashed, as it is where the workflow took it from.
    """

    record: InputFile
    sources: tuple[Source, ...] = ()
    referenced: tuple[Referenced, ...] = ()
    omitted: Mapping[str, str] = field(default_factory=dict)
    is_as_here: bool = False

    def files(self) -> dict[str, str]:
        """List the files as they are here: name in the input, "" for itself -> path."""
        paths = (*(each.path for each in self.sources), *(each.origin for each in self.referenced))
        return {path[len(self.record.origin) + 1 :]: path for path in paths if path is not None}

    def judged(self, noted: Noted) -> Enclosed:
        """Say when it was changed, if that was after the workflow was submitted; raises OSError when some is gone."""
        changed = noted.changed(Path(self.record.origin), self.files())
        when = changed.isoformat(timespec="seconds") if changed else None
        return replace(self, record=replace(self.record, changed=when))


class Elsewhere(Protocol):
    """Finds inputs somewhere else (beeflow.earlier)."""

    def __call__(self, wanted: Mapping[Path, str], *, are_gone: bool) -> Mapping[Path, Enclosed]:
        """Turn path -> place into path -> what there is of it; if it is not gone, only what the tasks took."""


@dataclass(frozen=True)
class Inputs:
    """What an archive has of the inputs. ``noted``: what they were."""

    enclosed: tuple[Enclosed, ...]
    noted: Noted

    @functools.cached_property
    def sources(self) -> tuple[Source, ...]:
        """What is to be packed."""
        return tuple(source for each in self.enclosed for source in each.sources)

    @functools.cached_property
    def referenced(self) -> tuple[Referenced, ...]:
        """What the archive only refers to."""
        return tuple(file for each in self.enclosed for file in each.referenced)

    @property
    def omitted(self) -> dict[str, str]:
        """What cannot be packed: name -> why."""
        return {name: why for each in self.enclosed for name, why in each.omitted.items()}

    @property
    def records(self) -> tuple[InputFile, ...]:
        """What is said of each."""
        return tuple(each.record for each in self.enclosed)

    def packed(self) -> Source:
        """Write inputs.json once all is packed: what is changed by then may have been as it was read."""
        return record_source(RECORD, InputFiles(tuple(self._again(each).record for each in self.enclosed)))

    def _again(self, enclosed: Enclosed) -> Enclosed:
        if not enclosed.is_as_here or enclosed.record.changed:
            return enclosed
        try:
            found = enclosed.judged(self.noted)
        except OSError:
            # It was there as it was packed or hashed.
            return enclosed
        _tell_of_change(found.record)
        return found


def enclose(layout: Layout, policy: str, limit_mib: int, submitted: str, elsewhere: Elsewhere) -> Inputs:
    """Choose the input files to pack: all, none, or all while they fit the limit; what is left out is hashed.

    ``submitted``: when the workflow was; what was changed since is told. ``elsewhere``: asked for what is gone or was
    changed.
    """
    noted = Noted.read(layout, submitted)
    choosing, given = _Choosing(policy, limit_mib), list(_given(layout, noted))
    found: dict[Path, Enclosed] = {}
    gone: dict[Path, str] = {}
    for each in given:
        try:
            found[each.path] = choosing.enclose(each).judged(noted)
        except OSError as error:
            gone[each.path] = error.strerror or "cannot be read"
    changed = {path for path, each in found.items() if each.record.changed}
    for paths, are_gone in ((gone.keys(), True), (changed, False)):
        if paths:
            wanted = {each.path: each.place for each in given if each.path in paths}
            found.update(elsewhere(wanted, are_gone=are_gone))
    for path in changed:
        _tell_of_change(found[path].record)
    return Inputs(tuple(found.get(each.path) or _lost(each, gone[each.path]) for each in given), noted)


@dataclass
class _Choosing:
    """Chooses by policy. ``left``: bytes that may yet be packed."""

    policy: str
    limit_mib: int
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = sys.maxsize if self.policy == EMBED else self.limit_mib << 20

    def enclose(self, given: Given) -> Enclosed:
        """Pack an input, or say what it is; raises OSError when some of it cannot be read."""
        omitted: dict[str, str] = {}
        found = sources_of(given.path, given.place, omitted)
        size = sum(each.size for each in found)
        why = self.why_not(found, size)
        if why:
            outside = tuple(refer(each, why) for each in found if each.path is not None)
            return Enclosed(_described(given, size, outside), referenced=outside, is_as_here=True)
        self.left -= size
        record = InputFile(str(given.path), given.kind, size, given.place)
        return Enclosed(record, tuple(found), omitted=omitted, is_as_here=True)

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
