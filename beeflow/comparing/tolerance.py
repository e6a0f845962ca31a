"""Compare numbers, and the numbers inside lines of text, with a tolerance. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# Not inside a word (x1, 3fa2, 10ms) nor one of several parts (1.2.3); Fortran writes 1.0D-03. Digits can be matched in
# one way only, which takes linear time, and no case is ignored: there are letters that are an i only then.
_DIGITS, _WORD = "[0-9]+", "[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN]"
_NUMBER = re.compile(
    rf"(?<![\w.])[+-]?(?:(?:{_DIGITS}(?:\.[0-9]*)?|\.{_DIGITS})(?:[eEdD][+-]?{_DIGITS})?|{_WORD})(?!\w|\.[0-9])"
)
# Python refuses to make an int of more than 4300 digits, and nobody means such a number.
_MAX_DIGITS = 300

Number = int | float


@dataclass(frozen=True)
class Tolerance:
    """How far apart two numbers may be: by ``atol``, or by ``rtol`` times the greater of both."""

    rtol: float = 0.0
    atol: float = 0.0

    def close(self, a: Number, b: Number) -> bool:
        """True for numbers near enough. nan is like nan, inf only like inf of the same sign."""
        if a == b or (_is_nan(a) and _is_nan(b)):
            return True
        if not (_is_finite(a) and _is_finite(b)):
            return False
        try:
            return abs(a - b) <= max(self.atol, self.rtol * max(abs(a), abs(b)))
        except OverflowError:
            return False


EXACT = Tolerance()


def _is_nan(number: Number) -> bool:
    return isinstance(number, float) and math.isnan(number)


def _is_finite(number: Number) -> bool:
    return isinstance(number, int) or math.isfinite(number)


@dataclass(frozen=True)
class Gap:
    """How far numbers are apart at most. inf: one of them is nan or infinite, and the other is not."""

    absolute: float = 0.0
    relative: float = 0.0

    def widened(self, other: Gap) -> Gap:
        """Return the greater of both."""
        return Gap(max(self.absolute, other.absolute), max(self.relative, other.relative))

    def __str__(self) -> str:
        return f"at most {self.absolute:.3g} (relative {self.relative:.3g})"


def gap(a: Number, b: Number) -> Gap:
    """Say how far two numbers are apart."""
    if a == b or (_is_nan(a) and _is_nan(b)):
        return Gap()
    if not (_is_finite(a) and _is_finite(b)):
        return Gap(math.inf, math.inf)
    try:
        return Gap(float(abs(a - b)), float(abs(a - b) / max(abs(a), abs(b))))
    except OverflowError:
        return Gap(math.inf, math.inf)


def is_number(value: object) -> bool:
    """True for a JSON number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class LineVerdict:
    """What came of two lines of text. ``gap``: of their numbers; None when it is other text that differs."""

    close: bool
    gap: Gap | None = None


def compare_lines(a: str, b: str, tolerance: Tolerance) -> LineVerdict:
    """Compare the numbers of two lines pairwise; all else must be the same, but for the blanks between words."""
    if a == b:
        return LineVerdict(close=True, gap=Gap())
    if _rest(a) != _rest(b):
        return LineVerdict(close=False)
    widest, close = Gap(), True
    for left, right in zip(_NUMBER.findall(a), _NUMBER.findall(b), strict=True):
        if left == right:
            continue
        numbers = _parse(left), _parse(right)
        if numbers[0] is None or numbers[1] is None:
            return LineVerdict(close=False, gap=Gap(math.inf, math.inf))
        widest = widest.widened(gap(numbers[0], numbers[1]))
        close = close and tolerance.close(numbers[0], numbers[1])
    return LineVerdict(close, widest)


def _rest(line: str) -> list[str]:
    """Split a line at its numbers. Blanks do not count: columns move when a sign or a digit comes or goes."""
    return [" ".join(piece.split()) for piece in _NUMBER.split(line)]


def _parse(text: str) -> Number | None:
    """Read a number; None for one that no float can hold."""
    if len(text) > _MAX_DIGITS:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    number = float(text.lower().replace("d", "e") if not text.strip("+-").isalpha() else text)
    is_out_of_range = math.isinf(number) and any(character.isdigit() for character in text)
    return None if is_out_of_range else number
