"""The files of an archive, as data entities."""

from __future__ import annotations

import bisect
import functools
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes

from beeflow import locations
from beeflow.archive.packing import Member
from beeflow.crate.terms import Entity, quoted, refs, without_nothing
from beeflow.inputs import InputFile

FILE, FOLDER = "File", "Directory"
UNKNOWN_FORMAT = "application/octet-stream"
_SAME = "the same file as "
# The types that Python knows itself: what a host adds would make other bytes of the same run.
_KNOWN_TYPES = mimetypes.MimeTypes()
_MORE_TYPES = {
    ".cwl": "application/cwl+yaml",
    ".log": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".jsonl": "application/jsonl",
}


@dataclass(frozen=True)
class Payload:
    """What an archive has. Keys are names of members, of folders with a "/" behind, or URIs of what it only refers to.

    ``root``: the workflow directory. ``omitted``: why what is not in it is not. ``inputs``: by their origin.
    """

    root: Path
    members: Mapping[str, Member]
    omitted: Mapping[str, str]
    inputs: Mapping[str, InputFile]
    host: str

    def place(self, location: str, kind: str) -> str | None:
        """Return the key of a File's or Directory's location; None when the archive does not have it."""
        if location.startswith("_:"):
            return None
        if locations.is_relative(location):
            return self._own(_decoded(location), kind)
        path = locations.to_path(location)
        if path is None:
            return location
        if path.is_relative_to(self.root):
            return self._own(str(path.relative_to(self.root)), kind)
        return self._given(path, kind)

    def _own(self, name: str, kind: str) -> str | None:
        name = name.rstrip("/")
        if kind == FOLDER:
            name = self._same_folder(name)
            return f"{name}/" if self._below(name) or (self.root / name).is_dir() else None
        if name not in self.members:
            name = self.omitted.get(name, "").removeprefix(_SAME)
        return name if name in self.members else None

    def _given(self, path: Path, kind: str) -> str | None:
        """Find a file that the user gave: a copy, or where it was."""
        for each in (path, *path.parents):
            origin = self.inputs.get(str(each))
            if origin is not None and origin.embedded:
                inner = path.relative_to(each)
                return self._own(str(PurePosixPath(origin.embedded) / inner), kind)
        return locations.to_uri(path) + ("/" if kind == FOLDER else "")

    def _same_folder(self, name: str) -> str:
        """Return the folder that has a folder's files, when they are packed under another name only."""
        if self._below(name):
            return name
        first = bisect.bisect_left(self._omitted_names, f"{name}/")
        if first < len(self._omitted_names) and self._omitted_names[first].startswith(f"{name}/"):
            inner = self._omitted_names[first].removeprefix(name)
            other = self.omitted[self._omitted_names[first]].removeprefix(_SAME)
            if other.endswith(inner) and other in self.members:
                return other.removesuffix(inner)
        return name

    def _below(self, folder: str) -> list[str]:
        first = bisect.bisect_left(self._names, f"{folder}/")
        last = bisect.bisect_left(self._names, f"{folder}0")  # "0" is what follows "/"
        return self._names[first:last]

    @functools.cached_property
    def _names(self) -> list[str]:
        return sorted(self.members)

    @functools.cached_property
    def _omitted_names(self) -> list[str]:
        return sorted(name for name, why in self.omitted.items() if why.startswith(_SAME))

    def entities(self, key: str, more: Entity) -> Iterator[Entity]:
        """Describe a file, or a folder with all that is in it. ``more``: further properties of it."""
        if key in self.members:
            yield self._file(key, more)
        elif "://" in key:
            yield self._elsewhere(key, more)
        else:
            inside = self._below(key.rstrip("/"))
            name = PurePosixPath(key).name
            yield without_nothing(
                {"@id": quoted(key), "@type": "Dataset", "name": shown(name), "hasPart": refs(map(quoted, inside))}
                | more
            )
            for each in inside:
                yield self._file(each, {})

    def _file(self, name: str, more: Entity) -> Entity:
        member = self.members[name]
        return {
            "@id": quoted(name),
            "@type": "File",
            "name": shown(PurePosixPath(name).name),
            "contentSize": str(member.size),
            "sha256": member.sha256,
            "encodingFormat": format_of(name),
        } | more

    def _elsewhere(self, uri: str, more: Entity) -> Entity:
        path = locations.to_path(uri)
        known = self.inputs.get(str(path).rstrip("/")) if path else None
        name = PurePosixPath(_decoded(uri)).name
        where = f"Not in the archive, which only refers to it: it was {path} on {self.host}." if path else None
        is_folder = uri.endswith("/")
        return without_nothing(
            {
                "@id": uri,
                "@type": "Dataset" if is_folder else "File",
                "name": shown(name),
                "description": where,
                "contentSize": str(known.size) if known and known.sha256 else None,
                "sha256": known.sha256 if known else None,
                "encodingFormat": None if is_folder else format_of(name),
            }
            | more
        )


def format_of(name: str) -> str:
    """Tell a file's media type from its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return _MORE_TYPES.get(suffix) or _KNOWN_TYPES.guess_type(f"x{suffix}")[0] or UNKNOWN_FORMAT


def shown(name: str) -> str:
    """Write a name whose bytes are no text as well as it can be."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _decoded(location: str) -> str:
    return unquote_to_bytes(location).decode(errors="surrogateescape")
