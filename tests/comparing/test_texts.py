from __future__ import annotations

import re

import pytest

from beeflow.comparing.texts import How, compare
from beeflow.comparing.tolerance import Tolerance


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def numbered(*numbers: int, changed: tuple[int, ...] = ()) -> list[str]:
    return [f"line {n}{' changed' if n in changed else ''}\n" for n in numbers]


def test_a_diff_has_context_and_the_numbers_of_lines() -> None:
    found = compare(numbered(*range(1, 101)), numbered(*range(1, 101), changed=(50,)), How())
    assert not found.same
    assert found.lines == (
        "@@ -48 +48 @@",
        " line 48",
        " line 49",
        "-line 50",
        "+line 50 changed",
        " line 51",
        " line 52",
    )


def test_what_is_inserted_is_all_that_differs() -> None:
    found = compare(numbered(*range(1, 21)), numbered(1, 2, 3, 99, *range(4, 21)), How())
    assert [line for line in found.lines if line[0] in "+-"] == ["+line 99"]


def test_long_texts_are_looked_at_for_a_while() -> None:
    # The window of one text ends a line earlier than the other's: that is no difference.
    found = compare(numbered(*range(1, 9001)), numbered(0, *range(1, 9001)), How())
    assert [line for line in found.lines if line[0] in "+-"] == ["+line 0"]
    assert found.lines[-1] == "..."


def test_texts_of_which_nothing_is_the_same() -> None:
    found = compare(numbered(*range(9000)), numbered(*range(9000, 18000)), How(lines=3))
    assert found.lines[:3] == ("@@ -1 +1 @@", "-line 0", "-line 1")
    assert len(found.lines) == 4
    assert compare(["a\n"], ["b\n"], How(lines=0)).lines == ()


@pytest.mark.parametrize(("a", "b", "said"), [("a\nb", "a\nb\n", "-b  (no newline at the end)"), ("", "a\n", "+a")])
def test_ends_of_files(a: str, b: str, said: str) -> None:
    found = compare(lines(a), lines(b), How())
    assert not found.same
    assert said in found.lines


def test_ends_of_lines_are_told_apart() -> None:
    assert compare(["a\r\n"], ["a\n"], How()).lines[1:] == ("-a\r", "+a")


def test_lines_are_ignored_wherever_they_are() -> None:
    how = How(ignore_lines=(re.compile("^# "), re.compile(r"\d\d:\d\d")))
    found = compare(lines("# one\na\nat 10:11\nb\n"), lines("a\nb\n# two\n# three\n"), how)
    assert found.same
    assert found.detail == "but for 2 and 2 ignored lines"
    found = compare(lines("# one\na\nb\n"), lines("a\n# two\nB\n"), how)
    assert not found.same
    assert found.lines == ("@@ -2 +1 @@", " a", "-b", "+B")


def test_numbers_within_the_tolerance() -> None:
    how = How(Tolerance(atol=0.01))
    found = compare(lines("x,y\n1,2.000\n3,4\n"), lines("x,y\n1,2.005\n3,4\n"), how)
    assert found.same
    assert found.detail == "numbers differ by at most 0.005 (relative 0.00249)"
    found = compare(lines("1.0\n"), lines("1\n"), How(Tolerance()))
    assert found.same
    assert found.detail == "the same numbers, written otherwise"


def test_numbers_beyond_the_tolerance() -> None:
    found = compare(lines("x,y\n1,2.0\n3,4\n"), lines("x,y\n1,2.5\n3,4.001\n"), How(Tolerance(atol=0.01)))
    assert not found.same
    assert found.detail == "1 of 3 lines differ; numbers differ by at most 0.5 (relative 0.2)"
    assert found.lines == ("@@ -2 +2 @@", "-1,2.0", "+1,2.5")


def test_other_text_and_more_lines_do_not_pass_for_numbers() -> None:
    how = How(Tolerance(atol=10))
    found = compare(lines("one 1\n"), lines("two 1\n"), how)
    assert not found.same
    assert found.detail == "1 of 1 lines differ, not only in numbers"
    found = compare(lines("1\n"), lines("1\n2\n"), how)
    assert not found.same
    assert found.lines == ("@@ +2 @@", "+2")


def test_only_so_many_lines_are_shown() -> None:
    one, two = ([f"x {n}\n" for n in range(m, m + 1000)] for m in (0, 1000))
    found = compare(one, two, How(Tolerance(), lines=5))
    assert len(found.lines) <= 7
    assert found.detail.startswith("1000 of 1000 lines differ")


def test_tolerance_and_ignored_lines_together() -> None:
    how = How(Tolerance(atol=1), (re.compile("^date"),))
    assert compare(lines("date 1\nv 1\n"), lines("v 1.5\ndate 99\n"), how).same
