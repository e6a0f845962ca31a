"""How large an archive may be: somebody else's may be made to fill a disk, or a day."""

from __future__ import annotations

from dataclasses import dataclass

from beeflow.errors import ArchiveError

MEMBERS = 5_000_000
# Of a member's name: folders above each other, bytes of all of it, bytes of each part (Linux: PATH_MAX, NAME_MAX).
DEPTH = 200
NAME_SIZE = 4000
PART_SIZE = 255
# What is read into memory whole: a record, the manifest.
IN_MEMORY = 1 << 30


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive. ``ratio``: times its own size, once it is more than ``harmless`` bytes.

    Text is compressed to a fifth, and a disk full of zeros to a thousandth: what nobody can mean is refused early.
    """

    size: int = 1 << 44
    member_size: int = 1 << 43
    ratio: int = 200
    harmless: int = 1 << 30

    def check(self, came: int, taken: int) -> None:
        """Raise ArchiveError when more came out of it than can be meant. ``taken``: of the archive's own bytes."""
        if came > self.size:
            raise ArchiveError(f"unsafe: more than {self.size} bytes come out of it")
        if came > self.harmless and came > self.ratio * taken:
            raise ArchiveError(
                f"unsafe: more than {came >> 20} MiB come out of {taken} bytes of it; if it is no trap, say so: "
                "bee-verify and bee-inspect --large, bee-rerun --trust"
            )


# An archive that was just made, or that its maker vouches for: as large as it is.
UNLIMITED = Limits(size=1 << 62, member_size=1 << 62, ratio=1 << 62)
