from __future__ import annotations

import math
from typing import Any

import pytest

from beeflow.comparing.files import Content, of_entry
from beeflow.comparing.tolerance import Tolerance
from beeflow.comparing.values import Tree, Values, listed
from beeflow.comparing.verdicts import Verdict, judged


class Told:
    """Knows of files what their objects tell, and of folders what it is told."""

    def __init__(self, **trees: dict[str, Content]) -> None:
        self.trees: dict[str, Tree] = {
            name: {path: (each,) for path, each in tree.items()} for name, tree in trees.items()
        }

    def content(self, entry: dict[str, Any]) -> Content:
        return of_entry(entry)

    def tree(self, entry: dict[str, Any]) -> Tree | None:
        if "listing" in entry:
            return listed(self, entry["listing"])
        return self.trees.get(str(entry.get("basename")))


def file(name: str, text: str = "x", **more: Any) -> dict[str, Any]:
    return {"class": "File", "basename": name, "contents": text, **more}


def compare(a: Any, b: Any, **settings: Any) -> list[tuple[str, str]]:
    """Where two values differ, and the verdicts."""
    values = Values(Told(), Told(), **settings)
    return [(each.where, each.verdict.value) for each in values.compare("o", a, b)]


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 1.5, math.nan, math.inf, "text", [], {}, [None], {"a": [1, {"b": "c"}]}, file("f"), [file("f")]],
)
def test_the_same(value: Any) -> None:
    assert compare(value, value) == []


@pytest.mark.parametrize(
    ("a", "b", "where", "verdict"),
    [
        (1, 2, "o", "differs"),
        (1, True, "o", "differs"),
        (0, False, "o", "differs"),
        ("1", 1, "o", "differs"),
        ("a", "b", "o", "differs"),
        (math.nan, 1.0, "o", "differs"),
        (None, 0, "o", "extra"),
        ("", None, "o", "missing"),
        ([], None, "o", "missing"),
        ([1], 1, "o", "differs"),
        ({}, [], "o", "differs"),
        ([1, 2], [1, 3], "o[1]", "differs"),
        ([1, 2], [1], "o[1]", "missing"),
        ([1], [1, None], "o[1]", "extra"),
        ([None], [1], "o[0]", "extra"),
        ({"a": 1}, {"a": 2}, "o.a", "differs"),
        ({"a": 1, "b": 2}, {"a": 1}, "o.b", "missing"),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "o.a.b[0]", "differs"),
        (file("f"), "f", "o", "differs"),
        (file("f"), {"class": "Directory", "basename": "f"}, "o", "differs"),
        (file("f", "x"), file("f", "y"), "o", "differs"),
        (file("f"), file("g"), "o.basename", "differs"),
        (file("f", format="x"), file("f", format="y"), "o.format", "differs"),
        (file("f", secondaryFiles=[file("f.i")]), file("f"), "o + .i", "missing"),
        (file("f"), file("f", secondaryFiles=[file("f.i")]), "o + .i", "extra"),
    ],
)
def test_one_difference(a: Any, b: Any, where: str, verdict: str) -> None:
    assert compare(a, b) == [(where, verdict)]


def test_ints_and_floats_are_numbers() -> None:
    assert compare(1, 1.0) == []
    assert compare([1, 2], [1.0, 2.0]) == []


def test_tolerance() -> None:
    assert compare(1.0, 1.05, tolerance=Tolerance(0.1)) == [("o", "equivalent")]
    assert compare(1.0, 1.5, tolerance=Tolerance(0.1)) == [("o", "differs")]
    assert compare("1.0", "1.05", tolerance=Tolerance(0.1)) == [("o", "differs")]
    assert compare(math.nan, math.nan, tolerance=Tolerance(0.1)) == []


def test_names_of_files_may_not_count() -> None:
    a = file("a.bam", secondaryFiles=[file("a.bam.bai", "i"), file("a.dict", "d")])
    b = file("b.bam", secondaryFiles=[file("b.dict", "d"), file("b.bam.bai", "j")])
    assert compare(a, b, named=False) == [("o + .bai", "differs")]


def test_files_known_only_by_checksum() -> None:
    a = {"class": "File", "basename": "f", "size": 1, "checksum": "sha1$aa"}
    assert compare(a, a) == []
    assert compare(a, {**a, "checksum": "sha1$bb"}) == [("o", "differs")]
    assert compare(a, {**a, "size": 2}) == [("o", "differs")]
    unknown = {"class": "File", "basename": "f"}
    found = list(Values(Told(), Told()).compare("o", unknown, unknown))
    assert [each.verdict for each in found] == [Verdict.UNKNOWN]
    assert judged("o", found).verdict is Verdict.UNKNOWN
    assert not Verdict.UNKNOWN.same
    assert found[0].detail == "cannot be compared: what is in it is not known"


def test_folders_file_by_file() -> None:
    one = Content(1, "1")
    a = Told(d={"same": one, "sub/changed": one, "gone": one, "empty/": Content(0, "")})
    b = Told(d={"same": one, "sub/changed": Content(1, "2"), "new": one})
    folder = {"class": "Directory", "basename": "d"}
    found = [(each.where, each.verdict.value) for each in Values(a, b).compare("o", folder, folder)]
    assert found == [
        ("o/sub/changed", "differs"),
        ("o/gone", "missing"),
        ("o/empty/", "missing"),
        ("o/new", "extra"),
    ]
    other = {"class": "Directory", "basename": "unknown"}
    assert [each.where for each in Values(a, b, named=False).compare("o", folder, other)] == ["o"]


def folder(*listing: dict[str, Any]) -> dict[str, Any]:
    return {"class": "Directory", "basename": "d", "listing": list(listing)}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # Names that are there twice
        (folder(file("f", "x"), file("f")), folder(file("f", "y"), file("f")), [("o/f (1)", "differs")]),
        (folder(file("f"), file("f")), folder(file("f")), [("o/f (2)", "missing")]),
        (folder(folder(file("f"))), folder(folder(file("f")), folder(file("f"))), [("o/d/f (2)", "extra")]),
        (file("f", secondaryFiles=[file("i", "x"), file("i")]), file("f", secondaryFiles=[file("i", "x")] * 2), []),
        (
            file("f", secondaryFiles=[file("i"), file("i", "1")]),
            file("f", secondaryFiles=[file("i"), file("i", "2")]),
            [("o + i (2)", "differs")],
        ),
        # What lies beside a file of a folder
        (folder(file("f", secondaryFiles=[file("f.i")])), folder(file("f")), [("o/f.i", "missing")]),
        (
            folder(file("f", secondaryFiles=[file("f.i", "1")])),
            folder(file("f", secondaryFiles=[file("f.i", "2")])),
            [("o/f.i", "differs")],
        ),
        (folder(file("f", secondaryFiles=[file("f.i")])), folder(file("f"), file("f.i")), []),
    ],
)
def test_nothing_in_a_listing_is_hidden(a: Any, b: Any, expected: list[tuple[str, str]]) -> None:
    assert compare(a, b) == expected


def test_a_folder_of_which_nothing_is_known_is_not_empty() -> None:
    unknown = folder({"class": "Directory", "basename": "sub"})
    for other in (unknown, folder(folder()), folder({**folder(file("f")), "basename": "sub"})):
        for pair in ((unknown, other), (other, unknown)):
            assert ("o/sub/", "unknown") in compare(*pair)
    # The same by what is known of it
    assert compare(folder(folder()), folder(folder())) == []


def test_an_item_sums_up_its_differences() -> None:
    values = Values(Told(), Told(), tolerance=Tolerance(0.1))
    for a, b, verdict in (
        ([1.0], [1.05], Verdict.EQUIVALENT),
        ([1.0, 2], [1.05, 3], Verdict.DIFFERS),
        ([1.0, 2], [1.05], Verdict.DIFFERS),
        (None, [1], Verdict.EXTRA),
        ([1], None, Verdict.MISSING),
        ([1], [1], Verdict.IDENTICAL),
    ):
        assert judged("o", list(values.compare("o", a, b))).verdict is verdict
