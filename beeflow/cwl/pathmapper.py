"""Hand tools the real paths of their inputs; stage only what is not where CWL wants it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cwltool.pathmapper import MapperEnt, PathMapper

from beeflow import locations, paths

SeenAs = Callable[[str], str]
# Raises for a location that a tool must not have.
Check = Callable[[str], None]


def anywhere(_: str) -> None:
    """Let a tool have any file (Check)."""


def _is_in_place(entry: Any, parent: Path | None = None) -> bool:
    """True when a File or Directory is on disk under its own name, its secondaryFiles beside it."""
    path = locations.to_path(entry.get("location", ""))
    if path is None or entry.get("basename", path.name) != path.name or (parent and path.parent != parent):
        return False
    children = entry.get("listing") or [] if entry["class"] == "Directory" else []
    beside = entry.get("secondaryFiles") or []
    return all(_is_in_place(each, path) for each in children) and all(
        _is_in_place(each, path.parent) for each in beside
    )


class _CheckedMapper(PathMapper):
    """A PathMapper that looks at no file which somebody has not agreed to."""

    check: Check

    def visit(self, obj: Any, stagedir: str, basedir: str, copy: bool = False, staged: bool = False) -> None:
        """Map a file or folder, and what belongs to it."""
        self.check(obj["location"])
        super().visit(obj, stagedir, basedir, copy=copy, staged=staged)


class InPlaceMapper(_CheckedMapper):
    """A PathMapper whose target is the file itself where nothing needs staging.

    ``seen_as``: host path -> path that the command sees (another one inside a container).
    """

    def __init__(self, files: Any, basedir: str, stagedir: str, seen_as: SeenAs, check: Check) -> None:
        self.seen_as = seen_as
        self.check = check
        super().__init__(files, basedir, stagedir, True)

    def setup(self, files: Any, basedir: str) -> None:
        """Map every input; what is staged goes to stagedir/<n>/, and takes its secondaryFiles along."""
        in_place: list[Any] = []
        elsewhere: list[Any] = []
        for entry in files:
            (in_place if _is_in_place(entry) else elsewhere).append(entry)
        for number, entry in enumerate(elsewhere):
            self.visit(entry, f"{self.stagedir}/{number}", basedir, staged=True)
        for entry in in_place:
            self._in_place(entry)

    def _in_place(self, entry: Any) -> None:
        path = locations.to_path(entry["location"])
        if path is None or entry["location"] in self._pathmap:
            return
        self.check(entry["location"])
        self._pathmap[entry["location"]] = MapperEnt(str(path), self.seen_as(str(path)), entry["class"], False)
        for inner in [*(entry.get("secondaryFiles") or []), *(entry.get("listing") or [])]:
            self._in_place(inner)


class WorkdirMapper(_CheckedMapper):
    """A PathMapper for what goes into the working directory: a file need not be there yet."""

    def __init__(self, files: Any, basedir: str, stagedir: str, check: Check) -> None:
        self.check = check
        super().__init__(files, basedir, stagedir, False)

    def visit(self, obj: Any, stagedir: str, basedir: str, copy: bool = False, staged: bool = False) -> None:
        """Map a file or folder; whether a file is there, and what a link leads to, shows when it is staged."""
        self.check(obj["location"])
        path = locations.to_path(obj["location"])
        if obj["class"] != "File" or path is None or paths.is_there(path) or obj["location"] in self._pathmap:
            super().visit(obj, stagedir, basedir, copy=copy, staged=staged)
            return
        target = os.path.join(obj.get("dirname") or stagedir, obj["basename"])
        self._pathmap[obj["location"]] = MapperEnt(str(path), target, "WritableFile" if copy else "File", staged)
        self.visitlisting(obj.get("secondaryFiles", []), stagedir, basedir, copy=copy, staged=staged)


def forget_below(mapper: PathMapper, folder: str) -> None:
    """Forget where the files came from that were staged into a folder, so that outputs found there are there."""
    below = [key for key, entry in mapper.items() if entry.target.startswith(f"{folder}/")]
    for key in below:
        del mapper._pathmap[key]
