"""Read a run from its archive: all of it once, every file checked against the manifest, only the records kept."""

from __future__ import annotations

import bisect
import functools
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from beeflow import tables
from beeflow.archive import manifest, reading
from beeflow.archive.hashing import CHUNK, Hashing
from beeflow.comparing.files import EMPTY_FOLDER, Content
from beeflow.comparing.runs import MAX_RECORD, RECORDS, Run
from beeflow.errors import ArchiveError, IncompleteArchiveError, SystemFileError
from beeflow.layout import MANIFEST


def read(path: Path) -> Run:
    """Read an archive; raises ArchiveError when it is damaged."""
    texts: dict[str, str] = {}
    found: dict[str, Content] = {}
    folders: set[str] = set()
    with reading.damaged_as_error(path):
        for name, stream in _members(path):
            if stream is None:
                folders.add(name)
                continue
            hashing = Hashing(stream)
            if name in RECORDS or name == MANIFEST:
                texts[name] = _read_text(hashing, path, name)
            while hashing.read(CHUNK):
                pass
            found[name] = Content(hashing.size, hashing.digest.hexdigest(), name=name)
    _verify(path, found, texts.pop(MANIFEST, None))
    return Run.read(path, texts, ArchivedFiles(path, found, frozenset(folders)))


def _members(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Yield the members by their names below the top directory."""
    top = None
    for info, stream in reading.members(path):
        name = reading.checked_name(path, info, top)
        top = top or info.name.split("/")[0]
        if name:
            yield name, stream


def _read_text(stream: Hashing, path: Path, name: str) -> str:
    data = stream.read(MAX_RECORD + 1)
    if len(data) > MAX_RECORD:
        raise ArchiveError(f"{path}: {name} is larger than {tables.size(MAX_RECORD)}; it is not compared")
    return data.decode(errors="surrogateescape")


def _verify(path: Path, found: Mapping[str, Content], text: str | None) -> None:
    if text is None:
        raise IncompleteArchiveError(f"{path}: incomplete: no {MANIFEST} in it; was it copied whole?")
    vouched = manifest.parse(text)
    for name in sorted({*vouched, *found} - {MANIFEST}):
        if name not in found:
            raise IncompleteArchiveError(f"{path}: incomplete: {name!r} is in the manifest and not in the archive")
        if vouched.get(name) != found[name].sha256:
            raise ArchiveError(f"{path}: damaged: {name!r} does not have the sha256 of the manifest; see: bee-verify")


@dataclass(frozen=True)
class ArchivedFiles:
    """The files of an archive that was read."""

    path: Path
    found: Mapping[str, Content]
    folders: frozenset[str]

    @functools.cached_property
    def names(self) -> list[str]:
        """All files, sorted."""
        return sorted(self.found)

    @functools.cached_property
    def folder_names(self) -> list[str]:
        """All folders, sorted."""
        return sorted(self.folders)

    def content(self, name: str) -> Content | None:
        """Say what a file is; None when the archive has none of that name."""
        return self.found.get(name)

    def below(self, folder: str) -> dict[str, Content] | None:
        """List the files in a folder, all the way down, an empty folder as "path/"; None when there is none."""
        if folder not in self.folders:
            return None
        prefix = f"{folder}/"
        made = {name[len(prefix) :]: self.found[name] for name in _beginning(self.names, prefix)}
        inner = [name[len(prefix) :] for name in _beginning(self.folder_names, prefix)]
        parents = {os.path.dirname(name) for name in (*made, *inner)}
        made.update({f"{name}/": EMPTY_FOLDER for name in inner if name not in parents})
        return dict(sorted(made.items()))

    def fetch(self, names: Iterable[str], folder: Path) -> dict[str, Path]:
        """Copy files out of the archive into an empty folder, under names of ours; nothing else is unpacked."""
        wanted = set(names)
        needed = sum(self.found[name].size or 0 for name in wanted)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise SystemFileError(
                f"{folder}: {tables.size(needed)} of {self.path} are to be compared there, and only "
                f"{tables.size(free)} are free; set TMPDIR to a folder with more room, or leave files out with --ignore"
            )
        made: dict[str, Path] = {}
        with reading.damaged_as_error(self.path):
            for name, stream in _members(self.path) if wanted else ():
                if stream is not None and name in wanted:
                    made[name] = folder / str(len(made))
                    self._copy(name, stream, made[name])
        if made.keys() != wanted:
            raise ArchiveError(f"{self.path}: changed while it was read")
        return made

    def _copy(self, name: str, stream: IO[bytes], target: Path) -> None:
        hashing = Hashing(stream)
        with target.open("xb") as copy:
            while chunk := hashing.read(CHUNK):
                copy.write(chunk)
        if hashing.digest.hexdigest() != self.found[name].sha256:
            raise ArchiveError(f"{self.path}: {name!r} changed while it was read")


def _beginning(names: list[str], prefix: str) -> Iterator[str]:
    """Yield those of sorted names that begin with a prefix."""
    rest = itertools.islice(names, bisect.bisect_left(names, prefix), None)
    return itertools.takewhile(lambda name: name.startswith(prefix), rest)
