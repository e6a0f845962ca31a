"""Read a run from its archive: all of it once, every file checked against the manifest, only the records kept."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import tables
from beeflow.archive import manifest, reading, verifying
from beeflow.archive.contents import SAME_AS
from beeflow.archive.hashing import Hashing
from beeflow.archive.limits import Limits
from beeflow.archive.reading import Member
from beeflow.comparing.files import EMPTY_FOLDER, UNKNOWN, Content, beginning, link
from beeflow.comparing.records import parse_object
from beeflow.comparing.runs import MAX_RECORD, RECORDS, Run
from beeflow.errors import ArchiveError, SystemFileError
from beeflow.layout import MANIFEST, OMITTED
from beeflow.staging import LINK_TO


def read(path: Path, allowed: Limits) -> Run:
    """Read an archive; raises ArchiveError when it is damaged, or when more comes out of it than is allowed."""
    texts: dict[str, str] = {}
    sizes: dict[str, int] = {}
    folders: set[str] = set()
    with reading.opened(path, allowed=allowed) as archive:
        for member, pieces in verifying.checked(archive):
            if member.is_folder:
                folders.add(member.name)
                continue
            sizes[member.name] = member.size
            kept = _read_text(member, pieces, path)
            if kept is not None:
                texts[member.name] = kept
    # All that is in it was compared with this.
    vouched = manifest.parse(texts.pop(MANIFEST))
    found = {name: Content(sizes[name], digest, name=name) for name, digest in vouched.items()}
    omitted = parse_object(texts[OMITTED], f"{path}: {OMITTED}") if OMITTED in texts else {}
    told = {name: str(why) for name, why in omitted.items()}
    return Run.read(path, texts, ArchivedFiles(path, found, frozenset(folders), allowed, told))


def _read_text(member: Member, pieces: Iterable[memoryview], path: Path) -> str | None:
    """Return a record or the manifest; of any other file, None once it was read."""
    if member.name not in RECORDS and member.name != MANIFEST:
        for _ in pieces:
            pass
        return None
    if member.size > MAX_RECORD:
        raise ArchiveError(f"{path}: {member.name} is larger than {tables.size(MAX_RECORD)}; it is not compared")
    return b"".join(pieces).decode(errors="surrogateescape")


@dataclass(frozen=True)
class ArchivedFiles:
    """The files of an archive that was read. ``omitted``: name -> why it has none of that name."""

    path: Path
    found: Mapping[str, Content]
    folders: frozenset[str]
    allowed: Limits
    omitted: Mapping[str, str] = field(default_factory=dict)

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
        """List what is in a folder (Files.below)."""
        if folder not in self.folders:
            return None
        prefix = f"{folder}/"
        made = {name[len(prefix) :]: self.found[name] for name in beginning(self.names, prefix)}
        made.update(self._left_out(prefix))
        inner = [name[len(prefix) :] for name in beginning(self.folder_names, prefix)]
        parents = {os.path.dirname(name) for name in (*made, *inner)}
        made.update({f"{name}/": EMPTY_FOLDER for name in inner if name not in parents})
        return dict(sorted(made.items()))

    def _left_out(self, prefix: str) -> Iterator[tuple[str, Content]]:
        """Yield what of a folder could not be packed, as far as it is known."""
        for name, why in self.omitted.items():
            if name.startswith(prefix):
                inner = name[len(prefix) :]
                if why.startswith(LINK_TO):
                    yield inner, link(inner, why.removeprefix(LINK_TO))
                else:
                    yield inner, self.found.get(why.removeprefix(SAME_AS), UNKNOWN)

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
        with reading.opened(self.path, allowed=self.allowed) as archive:
            for member, contents in archive:
                if len(made) == len(wanted):
                    break
                if member.name in wanted:
                    made[member.name] = folder / str(len(made))
                    self._copy(member.name, contents.pieces(), made[member.name])
        if made.keys() != wanted:
            raise ArchiveError(f"{self.path}: changed while it was read")
        return made

    def _copy(self, name: str, pieces: Iterable[memoryview], target: Path) -> None:
        with target.open("xb") as copy:
            hashing = Hashing(copy)
            for piece in pieces:
                hashing.write(bytes(piece))
        if hashing.digest.hexdigest() != self.found[name].sha256:
            raise ArchiveError(f"{self.path}: {name!r} changed while it was read")
