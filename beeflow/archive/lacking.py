"""What an archive lacks that it was to have, as its omitted.json tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beeflow.archive.contents import LOST, UNFIT
from beeflow.layout import OMITTED

_NOT_THERE = f"not in the archive (gone or not readable when it was made; see {OMITTED} in it)"
# What say_lost says, of however many.
_LOST = re.compile(rf"(?:1 input is|\d+ inputs are) {re.escape(_NOT_THERE)}(?:; )?")


@dataclass(frozen=True)
class Lacks:
    """So many files. ``unfit``: no archive can hold them; ``lost``: inputs that could not be read."""

    unfit: int = 0
    lost: int = 0

    @classmethod
    def of(cls, omitted: Mapping[str, str]) -> Lacks:
        """Count what is told to be missing; links and the like are not."""
        why = [str(each) for each in omitted.values()]
        return cls(sum(each.startswith(UNFIT) for each in why), sum(each.startswith(LOST) for each in why))

    def told(self, root: Path) -> list[str]:
        """Say it. ``root``: the workflow directory."""
        made = [say_lost(self.lost)] if self.lost else []
        if self.unfit:
            files = "1 file is" if self.unfit == 1 else f"{self.unfit} files are"
            made.append(
                f"{files} too deep or too long in path to be archived, and only in {root}; {OMITTED} lists them"
            )
        return made

    def added_to(self, reason: str, root: Path) -> str:
        """Say it before a reason, which may be cut short where it is shown, in place of what it says of another."""
        kept = _LOST.sub("", reason)
        return "; ".join(filter(None, [*(each for each in self.told(root) if each not in kept), kept]))


def say_lost(count: int) -> str:
    """Say of so many inputs that they could not be read."""
    inputs = "1 input is" if count == 1 else f"{count} inputs are"
    return f"{inputs} {_NOT_THERE}"
