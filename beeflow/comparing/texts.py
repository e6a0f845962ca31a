"""Compare two texts line by line, and show where they differ. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from beeflow.comparing.tolerance import Gap, Tolerance, compare_lines

# How much of two texts is looked at for a diff: difflib takes quadratic time.
_WINDOW = 1000
_CONTEXT = 2

Line = tuple[int, str]


@dataclass(frozen=True)
class How:
    """How contents are compared. ``tolerance``: None: byte for byte. ``lines``: how many of a diff to show at most."""

    tolerance: Tolerance | None = None
    ignore_lines: tuple[re.Pattern[str], ...] = ()
    lines: int = 20

    @property
    def lenient(self) -> bool:
        """True when contents that are not the same bytes may pass for the same."""
        return self.tolerance is not None or bool(self.ignore_lines)


@dataclass(frozen=True)
class Compared:
    """What came of two files that are not the same bytes. ``same``: they pass for the same."""

    same: bool
    detail: str = ""
    lines: tuple[str, ...] = ()


def compare(a: Iterable[str], b: Iterable[str], how: How) -> Compared:
    """Compare two texts that are not the same bytes, given as lines with their ends."""
    sides = _Kept(how, a), _Kept(how, b)
    if how.tolerance is None:
        return _compare_exactly(*sides, how)
    return _compare_numbers(*sides, how, how.tolerance)


class _Kept:
    """The lines of a text that are not to be ignored, with their numbers in it; counts the others."""

    def __init__(self, how: How, lines: Iterable[str]) -> None:
        self._patterns = how.ignore_lines
        self._lines = enumerate(lines, 1)
        self.ignored = 0

    def __iter__(self) -> Iterator[Line]:
        for line in self._lines:
            if any(pattern.search(line[1]) for pattern in self._patterns):
                self.ignored += 1
            else:
                yield line


def _compare_exactly(a: _Kept, b: _Kept, how: How) -> Compared:
    pairs = itertools.zip_longest(a, b)
    before: list[tuple[Line, Line]] = []
    for left, right in pairs:
        if left and right and left[1] == right[1]:
            before = [*before, (left, right)][-_CONTEXT:]
            continue
        window = [*before, (left, right), *itertools.islice(pairs, _WINDOW)]
        rest = next(pairs, None)
        lines = _diff([x for x, _ in window if x], [y for _, y in window if y], is_cut=rest is not None)
        return Compared(same=False, lines=_bounded(lines, how.lines))
    return Compared(how.lenient, f"but for {a.ignored} and {b.ignored} ignored lines" if how.ignore_lines else "")


def _diff(a: list[Line], b: list[Line], *, is_cut: bool) -> list[str]:
    """Write what differs in two stretches of text as diff -u does. ``is_cut``: the texts go on."""
    matcher = SequenceMatcher(None, [line for _, line in a], [line for _, line in b])
    groups = list(matcher.get_grouped_opcodes(_CONTEXT))
    if is_cut and len(groups) > 1 and groups[-1][-1][0] != "equal":
        # Where the stretches end is no end of the texts: what one has there and the other has not is no difference.
        groups.pop()
    lines: list[str] = []
    for group in groups:
        lines.append(f"@@ -{_number(a, group[0][1])} +{_number(b, group[0][3])} @@")
        for kind, from_a, to_a, from_b, to_b in group:
            if kind == "equal":
                lines += [_marked(" ", line) for line in a[from_a:to_a]]
            else:
                lines += [_marked("-", line) for line in a[from_a:to_a]]
                lines += [_marked("+", line) for line in b[from_b:to_b]]
    return [*lines, "..."] if is_cut else lines


def _number(lines: list[Line], index: int) -> int:
    """Return the number of a line, or the one that would follow the last."""
    if index < len(lines):
        return lines[index][0]
    return lines[-1][0] + 1 if lines else 1


def _marked(sign: str, line: Line) -> str:
    text = line[1]
    return sign + (text[:-1] if text.endswith("\n") else f"{text}  (no newline at the end)")


def _bounded(lines: list[str], most: int) -> tuple[str, ...]:
    more = len(lines) - most
    return (*lines[:most], f"... {more} more lines") if most and more > 1 else tuple(lines if most else ())


@dataclass
class _Tally:
    """What was seen of the lines so far. ``only_numbers``: nothing else differs."""

    count: int = 0
    different: int = 0
    only_numbers: bool = True
    gap: Gap = field(default_factory=Gap)

    def __str__(self) -> str:
        told = f"numbers differ by {self.gap}" if self.gap != Gap() else ""
        if not self.different:
            return told
        more = "" if self.only_numbers else ", not only in numbers"
        return "; ".join(filter(None, [f"{self.different} of {self.count} lines differ{more}", told]))


def _compare_numbers(a: _Kept, b: _Kept, how: How, tolerance: Tolerance) -> Compared:
    """Compare line n with line n: the numbers of what one text has more of have no partner."""
    tally, shown = _Tally(), list[str]()
    for left, right in itertools.zip_longest(a, b):
        tally.count += 1
        if left and right and left[1] == right[1]:
            continue
        verdict = compare_lines(left[1], right[1], tolerance) if left and right else None
        if verdict and verdict.gap:
            tally.gap = tally.gap.widened(verdict.gap)
        else:
            tally.only_numbers = False
        if not (verdict and verdict.close):
            tally.different += 1
            if len(shown) < how.lines:
                shown += _pair(left, right)
    return Compared(
        not tally.different, str(tally) or "the same numbers, written otherwise", _bounded(shown, how.lines)
    )


def _pair(left: Line | None, right: Line | None) -> list[str]:
    """Show two lines that stand for each other."""
    there = [(sign, line) for sign, line in (("-", left), ("+", right)) if line]
    header = " ".join(f"{sign}{line[0]}" for sign, line in there)
    return [f"@@ {header} @@", *(_marked(sign, line) for sign, line in there)]
