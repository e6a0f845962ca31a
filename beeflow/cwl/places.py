"""Whether a File or Directory that an expression made is where it may be: below a folder, or among what was given."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import locations, staging


def readings(place: str, base: str) -> list[str] | None:
    """List the paths that a location or path may be taken for; None for what is nowhere on this file system.

    cwltool and we read percent signs, fragments and queries in different ways, which all count.
    """
    scheme, mark, rest = place.partition("://")
    if mark or ":" in place.partition("/")[0]:
        # With a host, whichever it is, nobody of us finds it; what does not begin so, cwltool takes for something else.
        if scheme != "file" or not rest.startswith("/"):
            return None
        parts = urllib.parse.urlsplit(place)
        texts = [
            rest,
            rest.partition("#")[0],
            parts.path,
            *([f"{parts.path}#{parts.fragment}"] if parts.fragment else []),
        ]
    else:
        texts = [os.path.join(base, place)]
    return list(dict.fromkeys(reading for each in texts for reading in (each, _unquoted(each))))


def _unquoted(text: str) -> str:
    return os.fsdecode(urllib.parse.unquote_to_bytes(text))


@dataclass(frozen=True)
class Places:
    """Where files may be. ``roots``: folders; ``base``: what relative paths are relative to.

    ``beside``: also the files beside those that were given whose names begin alike, as a pattern finds them
    (CWL v1.2, SecondaryFileSchema). What was given: ``words``, where it is as that was written, however that may be
    read; ``files`` and ``folders``, their paths.
    """

    roots: tuple[str, ...]
    base: str
    beside: bool = False
    words: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def give(self, value: Any) -> Places:
        """Admit the files and folders in a value; returns itself.

        No others than have their class: who looked at where they are took nothing else for one.
        """
        for entry in locations.entries(value):
            into = self.folders if entry["class"] == "Directory" else self.files
            for _, place in locations.places(entry):
                self.words.add(place)
                path = locations.to_path(place) if place.startswith("file:///") else Path(self.base, place)
                if path is not None and path.is_absolute() and not place.startswith("_:"):
                    into.add(str(path))
        return self

    def admit(self, place: str) -> bool:
        """True for a location or path where a file may be; nothing is read to find out."""
        if place in self.words:
            return True
        if place.startswith("_:"):
            # A literal's: as a path it must lead nowhere else.
            return "/" not in place
        found = readings(place, self.base)
        return found is not None and all(map(self.admits_path, found))

    def refused(self, place: str) -> str | None:
        """Say what of a location or path is where no file may be, as a link in a folder; None where all may be.

        What was given was looked at when it was made.
        """
        if not self.admit(place):
            return place
        found = () if place in self.words else readings(place, self.base) or ()
        for folder in found:
            if self._was_given(folder) or not os.path.isdir(folder):
                continue
            for _, path, _ in staging.contents(Path(folder)):
                if path.is_symlink() and not self.admits_path(str(path)):
                    return str(path)
        return None

    def admits_path(self, path: str) -> bool:
        """True for an absolute path where a file may be, links resolved."""
        try:
            real = os.path.realpath(path)
        except (OSError, ValueError):
            return False
        if any(_is_below(real, os.path.realpath(each)) for each in self.roots):
            return True
        # Where a link leads that somebody gave, or that is in a folder which he gave, is what he meant.
        return self._was_given(path)

    def _was_given(self, path: str) -> bool:
        if ".." in path.split("/"):
            return False
        path = os.path.normpath(path)
        if path in self.files or any(_is_below(path, each) for each in self.folders):
            return True
        return self.beside and any(_is_beside(path, each) for each in self.files)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _is_beside(path: str, file: str) -> bool:
    folder, _, name = path.rpartition("/")
    its_folder, _, its_name = file.rpartition("/")
    stem = its_name.partition(".")[0]
    return folder == its_folder and stem != "" and name.startswith(stem)
