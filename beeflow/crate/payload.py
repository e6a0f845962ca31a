"""The files of an archive, as data entities."""

from __future__ import annotations

import bisect
import functools
import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes

from beeflow import locations
from beeflow.archive.contents import SAME_AS
from beeflow.archive.description import Referenced
from beeflow.archive.packing import Member
from beeflow.crate.terms import Entity, quoted, refs, without_nothing
from beeflow.inputs import InputFile

FILE, FOLDER = "File", "Directory"
UNKNOWN_FORMAT = "application/octet-stream"
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
    ``referenced``: what is left out, by the name it would have.
    """

    root: Path
    members: Mapping[str, Member]
    omitted: Mapping[str, str]
    inputs: Mapping[str, InputFile]
    referenced: Mapping[str, Referenced]
    host: str

    def place(self, location: str, kind: str) -> str | None:
        """Return the key of a File's or Directory's location; None when the archive knows nothing of it."""
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
            is_there = self._below(name) or self._left_out_below(name) or (self.root / name).is_dir()
            return f"{name}/" if is_there else None
        if name in self.omitted:
            name = self.omitted[name].removeprefix(SAME_AS)
        if name in self.referenced:
            return locations.to_uri(Path(self.referenced[name].origin))
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
        for each in _starting(self._omitted_names, f"{name}/"):
            inner, other = each.removeprefix(name), self.omitted[each].removeprefix(SAME_AS)
            return other.removesuffix(inner) if other.endswith(inner) and not self._below(name) else name
        return name

    def _below(self, folder: str) -> Sequence[str]:
        return _starting(self._names, f"{folder}/")

    def _left_out_below(self, folder: str) -> list[str]:
        """List the URIs of what of a folder is only referred to."""
        names = _starting(self._referenced_names, f"{folder}/")
        return [locations.to_uri(Path(self.referenced[name].origin)) for name in names]

    @functools.cached_property
    def _names(self) -> list[str]:
        return sorted(self.members)

    @functools.cached_property
    def _omitted_names(self) -> list[str]:
        return sorted(name for name, why in self.omitted.items() if why.startswith(SAME_AS))

    @functools.cached_property
    def _referenced_names(self) -> list[str]:
        return sorted(self.referenced)

    @functools.cached_property
    def _by_origin(self) -> dict[str, Referenced]:
        return {each.origin: each for each in self.referenced.values()}

    @functools.cached_property
    def _origins(self) -> list[str]:
        return sorted(self._by_origin)

    def entities(self, key: str, more: Entity) -> Iterator[Entity]:
        """Describe a file, or a folder with all that is in it. ``more``: further properties of it."""
        if key in self.members:
            yield self._file(key, more)
        elif "://" in key:
            yield from self._elsewhere(key, more)
        else:
            inside, outside = self._below(key.rstrip("/")), self._left_out_below(key.rstrip("/"))
            about = {"@id": quoted(key), "@type": "Dataset", "name": shown(PurePosixPath(key).name)}
            yield without_nothing(about | {"hasPart": refs([*map(quoted, inside), *outside])} | more)
            for each in inside:
                yield self._file(each, {})
            for each in outside:
                yield from self._elsewhere(each, {})

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

    def _elsewhere(self, uri: str, more: Entity) -> Iterator[Entity]:
        """Describe what is not in the archive: a file or folder that it refers to, or something on the web."""
        path, is_folder = locations.to_path(uri), uri.endswith("/")
        origin = str(path).rstrip("/")
        known = self._by_origin.get(origin) or self.inputs.get(origin)
        is_hashed = known is not None and bool(known.sha256)
        inside = _starting(self._origins, f"{origin}/") if is_folder else []
        parts = [locations.to_uri(Path(each)) for each in inside]
        where = f"Not in the archive, which only refers to it: it was {path} on {self.host}."
        yield without_nothing(
            {
                "@id": uri,
                "@type": "Dataset" if is_folder else "File",
                "name": shown(PurePosixPath(_decoded(uri)).name),
                "description": shown(where) if path else None,
                "contentSize": str(known.size) if known and is_hashed else None,
                "sha256": known.sha256 if known and is_hashed else None,
                "encodingFormat": None if is_folder else format_of(uri),
                "hasPart": refs(parts),
            }
            | more
        )
        for each in parts:
            yield from self._elsewhere(each, {})


def _starting(names: Sequence[str], prefix: str) -> Sequence[str]:
    """Pick, of sorted names, those that begin so; "0" is what follows "/"."""
    return names[bisect.bisect_left(names, prefix) : bisect.bisect_left(names, f"{prefix[:-1]}0")]


def format_of(name: str) -> str:
    """Tell a file's media type from its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return _MORE_TYPES.get(suffix) or _KNOWN_TYPES.guess_type(f"x{suffix}")[0] or UNKNOWN_FORMAT


def shown(name: str) -> str:
    """Write a name whose bytes are no text as well as it can be."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _decoded(location: str) -> str:
    return unquote_to_bytes(location).decode(errors="surrogateescape")
