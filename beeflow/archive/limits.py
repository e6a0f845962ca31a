"""How large an archive may be: somebody else's may be made to fill a disk, or a day."""

from __future__ import annotations

from dataclasses import dataclass

from beeflow.errors import ArchiveError

# Of a member's name: folders above each other, which are all open as it is unpacked, bytes of all of it, bytes of each
# part (Linux: PATH_MAX, NAME_MAX). Our own archives have no other: what does not fit is left out and told of.
DEPTH = 512
NAME_SIZE = 4095
PART_SIZE = 255
# What is read into memory whole: a record, the manifest.
IN_MEMORY = 1 << 30
# Of bee-archive.json, which is read by whoever lists an archive: bytes, and values, of which "[]," is one of three
# bytes, and 64 in memory. A file that the archive only refers to takes 370 bytes and 7 values, so that 700,000 fit.
DESCRIPTION_SIZE = 256 << 20
DESCRIPTION_VALUES = 5_000_000
_NO_TRAP = "if it is no trap, say so: bee-verify and bee-inspect --large, bee-rerun --trust"


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive. ``ratio``: times its own size, once it is more than ``harmless`` bytes.

    Text is compressed to a fifth, and a disk full of zeros to a thousandth: what nobody can mean is refused early.
    """

    size: int = 1 << 44
    member_size: int = 1 << 43
    ratio: int = 200
    members: int = 5_000_000
    harmless: int = 1 << 30

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


# An archive that was just made, or that its maker vouches for: as large as it is.
UNLIMITED = Limits(size=1 << 62, member_size=1 << 62, ratio=1 << 62, members=1 << 62)
