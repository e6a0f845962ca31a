"""The names of members: where they may lead, and that no two mean the same."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from beeflow.archive import limits
from beeflow.errors import ArchiveError

# What users and tools name: a folder of theirs may well have Makefile and makefile in it. Where a file system cannot
# tell these apart, unpacking refuses them.
_THEIRS = ("inputs/", "outputs/", "tasks/", "cwl/documents/", "cwl/files/", "provenance/")


def split(name: bytes) -> list[str]:
    """Take a member's name apart; raises ArchiveError for one that could lead anywhere but below its top directory."""
    text = name.decode(errors="surrogateescape")
    parts = text.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in text:
        raise ArchiveError(f"unsafe: a member is named {text[:200]!r}")
    why = unfit(name)
    if why:
        raise ArchiveError(f"unsafe: {why}: {text[:200]!r}...")
    return parts


def unfit(name: bytes) -> str:
    """Say why an archive can have no member of this name, which begins with its top directory; "" when it can."""
    parts = name.split(b"/")
    if len(parts) > limits.DEPTH:
        return f"{len(parts)} folders above each other"
    if len(name) > limits.NAME_SIZE or max(map(len, parts)) > limits.PART_SIZE:
        return f"a name of {len(name)} bytes"
    return ""


@dataclass
class Names:
    """The names so far, below the top directory. ``kinds``: name -> is it a folder; ``implied``: so only by others."""

    kinds: dict[str, bool] = field(default_factory=dict)
    implied: set[str] = field(default_factory=set)
    folded: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *, is_folder: bool) -> None:
        """Take a member; raises ArchiveError when it is there already, or a file is where a folder should be."""
        if name in self.kinds and not (is_folder and name in self.implied):
            raise ArchiveError(f"unsafe: {name!r} is in it twice")
        self.implied.discard(name)
        self._put(name, is_folder)
        parent = name.rpartition("/")[0]
        while parent and parent not in self.kinds:
            self._put(parent, True)
            self.implied.add(parent)
            parent = parent.rpartition("/")[0]
        if parent and not self.kinds[parent]:
            raise ArchiveError(f"unsafe: {name!r} is below a file")

    def _put(self, name: str, is_folder: bool) -> None:
        self.kinds[name] = is_folder
        if not name.startswith(_THEIRS):
            same = self.folded.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if same != name:
                raise ArchiveError(f"unsafe: {name!r} and {same!r} differ only in the case of letters")
