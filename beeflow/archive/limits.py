"""How large an archive may be: somebody else's may be made to fill a disk, or a day."""

from __future__ import annotations

from dataclasses import dataclass

from beeflow.errors import ArchiveError
from beeflow.layout import DESCRIPTION

# Of a member's name: folders above each other, which are all open as it is unpacked, bytes of all of it, bytes of each
# part (Linux: PATH_MAX, NAME_MAX). Our own archives have no other: what does not fit is left out and told of.
DEPTH = 512
NAME_SIZE = 4095
PART_SIZE = 255
# What is read into memory whole: a record, the manifest.
IN_MEMORY = 1 << 30
_NO_TRAP = "if it is no trap, say so: bee-verify and bee-inspect --large, bee-rerun --trust"


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive. ``ratio``: times its own size, once it is more than ``harmless`` bytes.

    Text is compressed to a fifth, and a disk full of zeros to a thousandth: what nobody can mean is refused early.
    ``description_size`` and ``description_values``: of bee-archive.json, which is read whole by whoever looks what an
    archive is. "[]," is a value of three bytes, and 64 in memory. A file that the archive only refers to takes 370
    bytes and 7 values, so that 700,000 fit.
    """

    size: int = 1 << 44
    member_size: int = 1 << 43
    ratio: int = 200
    members: int = 5_000_000
    harmless: int = 1 << 30
    description_size: int = 256 << 20
    description_values: int = 5_000_000

    def check(self, came: int, taken: int) -> None:
        """Raise ArchiveError when more came out of it than can be meant. ``taken``: of the archive's own bytes."""
        if came > self.size:
            raise ArchiveError(f"unsafe: more than {self.size} bytes come out of it")
        if came > self.harmless and came > self.ratio * taken:
            raise ArchiveError(f"unsafe: more than {came >> 20} MiB come out of {taken} bytes of it; {_NO_TRAP}")

    def check_members(self, count: int) -> None:
        """Raise ArchiveError when it has more members than can be meant."""
        if count > self.members:
            raise ArchiveError(f"unsafe: more than {self.members} members; {_NO_TRAP}")

    def check_description(self, size: int) -> None:
        """Raise ArchiveError for a bee-archive.json of more bytes than can be meant."""
        if size > self.description_size:
            most = f"more than {self.description_size} only fill the memory"
            raise ArchiveError(f"unsafe: {DESCRIPTION} of {size} bytes: {most}; {_NO_TRAP}")

    def check_values(self, description: bytes) -> None:
        """Raise ArchiveError for a bee-archive.json of more values than can be meant."""
        if sum(map(description.count, (b",", b"[", b"{"))) > self.description_values:
            raise ArchiveError(f"unsafe: {DESCRIPTION} has more than {self.description_values} values; {_NO_TRAP}")


# An archive that was just made, or that its maker vouches for: as large as it is.
_ANY = 1 << 62
UNLIMITED = Limits(
    size=_ANY, member_size=_ANY, ratio=_ANY, members=_ANY, description_size=_ANY, description_values=_ANY
)
