from __future__ import annotations

import math
import time

import pytest

from beeflow.comparing.tolerance import EXACT, Gap, LineVerdict, Tolerance, compare_lines, gap

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("a", "b", "tolerance", "close"),
    [
        (1, 1.0, EXACT, True),
        (0.1, 0.1 + 1e-12, EXACT, False),
        (0.1, 0.1 + 1e-12, Tolerance(atol=1e-9), True),
        (100.0, 100.1, Tolerance(rtol=1e-3), True),
        (100.1, 100.0, Tolerance(rtol=1e-3), True),
        (100.0, 100.2, Tolerance(rtol=1e-3), False),
        (0.0, 1e-9, Tolerance(rtol=0.5), False),  # nothing is relatively near zero
        (0.0, 1e-9, Tolerance(rtol=0.5, atol=1e-8), True),
        (0.0, -0.0, EXACT, True),
        (NAN, NAN, EXACT, True),
        (NAN, 1.0, Tolerance(1e9, 1e9), False),
        (INF, INF, EXACT, True),
        (INF, -INF, Tolerance(1e9, 1e9), False),
        (INF, 1e308, Tolerance(1e9, 1e9), False),
        (10**400, 10**400, EXACT, True),
        (10**400, 10**400 + 1, Tolerance(1e-3), False),  # no float can say how near
        (10**17, 10**17 + 1, EXACT, False),  # as floats they are the same
        (10**17, 10**17 + 1, Tolerance(atol=1), True),
        (1e308, -1e308, Tolerance(atol=1e300), False),
    ],
)
def test_numbers_are_close(a: float, b: float, tolerance: Tolerance, close: bool) -> None:
    assert tolerance.close(a, b) is close
    assert tolerance.close(b, a) is close


def test_how_far_numbers_are_apart() -> None:
    assert gap(1, 2) == Gap(1.0, 0.5)
    assert gap(NAN, NAN) == gap(INF, INF) == gap(3, 3.0) == Gap()
    assert gap(NAN, 1) == gap(INF, 1) == gap(10**400, 1) == Gap(INF, INF)
    assert str(Gap(0.25, 0.5).widened(Gap(0.5, 0.125))) == "at most 0.5 (relative 0.5)"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1e-3", "0.001"),
        ("1.0D-03", "1e-3"),
        ("x = 1.0, y = 2", "x = 1, y = 2.0"),
        ("energy:  -1.0 J", "energy: -1.00 J"),
        ("  1.0  2.0", " 1.0 2.0"),
        ("0.5;nan;inf", ".5;NaN;+Infinity"),
        ('{"a": [1, 2.50]}', '{"a": [1.0, 2.5]}'),
        ("1,2,3\r\n", "1,2,3\n"),
        ("", " "),
    ],
)
def test_lines_of_the_same_numbers(a: str, b: str) -> None:
    for x, y in ((a, b), (b, a)):
        verdict = compare_lines(x, y, EXACT)
        assert verdict.close
        assert verdict.gap == Gap()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("step 1", "stop 1"),
        ("1 2", "1 2 3"),
        ("1 2", "12"),
        ("x1", "x2"),  # a name
        ("v1.2.3", "v1.2.4"),  # a version
        ("1.2.3.4", "1.2.3.5"),  # an address
        ("3fa2", "4fa2"),  # a hash
        ("10ms", "11ms"),
        ("1.0", "one"),
        ("0x10", "0x11"),
        ("information", "inf"),
    ],
)
def test_other_text_must_be_the_same(a: str, b: str) -> None:
    verdict = compare_lines(a, b, Tolerance(10, 10))
    assert not verdict.close
    assert verdict.gap is None


@pytest.mark.parametrize(
    ("a", "b", "close"),
    [
        ("t=1.00 s=5", "t=1.04 s=5", True),
        ("t=1.00 s=5", "t=1.20 s=5", False),
        ("2024-01-02", "2024-01-03", False),
        ("-0.04", " 0.04", True),  # columns that a sign moves
        ("1-2", "1-2.05", True),  # no sign, but a dash
        ("nan", "1.0", False),
        ("1e400", "1e401", False),  # beyond any float, and not inf
        ("1e400", "inf", False),
        ("1" * 5000, "1" * 4999 + "2", False),
        ("1.", "1.01", True),
    ],
)
def test_numbers_in_lines(a: str, b: str, close: bool) -> None:
    for x, y in ((a, b), (b, a)):
        verdict = compare_lines(x, y, Tolerance(atol=0.1))
        assert verdict.close is close
        assert verdict.gap is not None


def test_long_lines_take_linear_time() -> None:
    for line in ("1" * 400_000 + "x", "." + "1" * 400_000 + "x", "1." + "1" * 400_000 + "e" + "1" * 400_000 + "x"):
        began = time.monotonic()
        assert not compare_lines(line, line + "y", EXACT).close
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("word", ["\u0131nf", "\u0131nfinity", "\u0661", "1\u0661", "\u00e91", "nan\u0131", "\u00b2"])
def test_what_only_looks_like_a_number_is_text(word: str) -> None:
    assert compare_lines(f"a {word}", f"a  {word}", Tolerance(1)).close
    assert compare_lines(f"a {word}", f"a {word}0", Tolerance(1)) == LineVerdict(close=False)
