"""What came of a comparison: differences, of things, of sections, of two runs. Pure."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from beeflow.comparing.files import Content


class Verdict(enum.Enum):
    """How something of run B is to the same of run A."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"  # within the tolerance, or but for ignored lines
    DIFFERS = "differs"
    MISSING = "missing"  # of A only, or null in B
    EXTRA = "extra"  # of B only, or null in A
    UNKNOWN = "unknown"  # what is in it cannot be known
    IGNORED = "ignored"

    @property
    def same(self) -> bool:
        """True when it is no difference between the runs."""
        return self in (Verdict.IDENTICAL, Verdict.EQUIVALENT, Verdict.IGNORED)


@dataclass(frozen=True)
class Difference:
    """One place where two runs are not byte for byte the same.

    ``where``: "frames[3]", "folder/sub/file.txt". ``a``, ``b``: what is there, JSON or a file's size in words.
    ``basename``: of the file. ``pair``: the two files, when it is their contents. ``lines``: some of a text diff.
    """

    where: str
    verdict: Verdict
    a: Any = None
    b: Any = None
    detail: str = ""
    basename: str = ""
    pair: tuple[Content, Content] | None = None
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A thing that both runs may have: a step, an input, an output. ``differences``: none when it is identical."""

    name: str
    verdict: Verdict
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class Section:
    """Things of one kind. ``counted``: a difference among them is one between the runs. ``note``: what else to say."""

    name: str
    items: tuple[Item, ...]
    counted: bool = True
    note: str = ""

    @property
    def same(self) -> bool:
        """True when nothing differs."""
        return all(item.verdict.same for item in self.items)

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many things there are of each verdict, of those there are any of."""
        return count(item.verdict for item in self.items)


@dataclass(frozen=True)
class Title:
    """Which run it is. ``source``: the archive or directory that was read; ``state``: how the run ended."""

    source: str
    id: str
    name: str
    state: str
    created: str
    parent: str | None = None


@dataclass(frozen=True)
class Report:
    """What came of comparing two runs."""

    a: Title
    b: Title
    sections: tuple[Section, ...] = field(default_factory=tuple)

    @property
    def same(self) -> bool:
        """True when nothing that counts differs."""
        return all(section.same for section in self.sections if section.counted)


def judged(name: str, differences: Sequence[Difference]) -> Item:
    """Sum up what was found of one thing: missing or extra only when all of it is."""
    verdicts = {each.verdict for each in differences}
    if not verdicts:
        return Item(name, Verdict.IDENTICAL)
    whole = next((each.verdict for each in differences if each.where == name), None)
    for verdict in (Verdict.MISSING, Verdict.EXTRA):
        if verdict is whole:
            return Item(name, verdict, tuple(differences))
    if verdicts & {Verdict.DIFFERS, Verdict.MISSING, Verdict.EXTRA}:
        return Item(name, Verdict.DIFFERS, tuple(differences))
    if Verdict.UNKNOWN in verdicts:
        return Item(name, Verdict.UNKNOWN, tuple(differences))
    return Item(name, Verdict.EQUIVALENT if Verdict.EQUIVALENT in verdicts else Verdict.IGNORED, tuple(differences))


def count(verdicts: Iterable[Verdict]) -> dict[Verdict, int]:
    """Count verdicts; those that there are, in their order."""
    found = Counter(verdicts)
    return {each: found[each] for each in Verdict if found[each]}


def words(counts: dict[Verdict, int]) -> str:
    """Write counts as "3 identical, 1 differs"."""
    return ", ".join(
        f"{count} {'differ' if each is Verdict.DIFFERS and count > 1 else each.value}" for each, count in counts.items()
    )
