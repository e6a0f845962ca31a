from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from beeflow import locations

ROOT = Path("/w dir/50%41#1")
NAMES = ["plain", "a b", "100%", "%41", "ä", "日本", "a\nb", "a#b", "a?b", "a:b", "a\\b", "'\"$(x)`", "...", "_:x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_comes_back_from_its_uri(name: str) -> None:
    path = Path("/top") / name / name
    uri = locations.to_uri(path)
    assert uri.isascii()
    assert not set(uri) & set(" \n#?")
    assert locations.to_path(uri) == path


def test_a_name_that_is_not_unicode_comes_back_from_its_uri() -> None:
    path = Path(os.fsdecode(b"/top/\xff\xfe.dat"))
    assert locations.to_path(locations.to_uri(path)) == path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_inside_becomes_relative_and_absolute_again(name: str) -> None:
    value = {"class": "File", "location": locations.to_uri(ROOT / "outputs" / name)}
    inside = locations.relative(value, ROOT)
    assert locations.is_relative(inside["location"])
    assert inside["location"].startswith("outputs/")
    assert locations.absolute(inside, ROOT) == value
    # Unpacked elsewhere, it is found there.
    moved = locations.absolute(inside, Path("/else where"))
    assert locations.to_path(moved["location"]) == Path("/else where/outputs") / name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_right_below_the_root_is_relative_too(name: str) -> None:
    inside = locations.relative({"class": "File", "location": locations.to_uri(ROOT / name)}, ROOT)
    assert locations.to_path(locations.absolute(inside, ROOT)["location"]) == ROOT / name


@pytest.mark.parametrize(
    "location",
    [
        "file:///elsewhere/x",
        "file:///w%20dir/50%2541%231x/y",  # a neighbour whose name begins like the root's
        "_:literal",
        "http://example.org/x",
        "/absolute/path",
        "keep:d41d8cd98f00b204e9800998ecf8427e+0/x",
    ],
)
def test_what_is_not_inside_is_left_alone(location: str) -> None:
    value = {"class": "File", "location": location}
    assert locations.relative(value, ROOT) == value
    assert locations.absolute(value, ROOT) == value


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("file:///a/b#main", Path("/a/b")),
        ("_:x", None),
        ("http://example.org/a", None),
        ("outputs/x", None),
        ("", None),
    ],
)
def test_to_path(location: str, path: Path | None) -> None:
    assert locations.to_path(location) == path


def test_files_are_found_at_any_depth() -> None:
    value: Any = {
        "a": [{"class": "File", "location": "1", "secondaryFiles": [{"class": "File", "location": "2"}]}],
        "b": {"class": "Directory", "listing": [{"class": "Directory", "location": "3"}]},
        "c": {"class": "other", "inner": {"class": "File", "location": "4"}},
        "d": "File",
        "e": None,
    }
    assert [entry.get("location") for entry in locations.entries(value)] == ["1", "2", None, "3", "4"]


def test_rewriting_copies() -> None:
    value = {"f": {"class": "File", "location": "a", "listing": [{"class": "File", "location": "b"}]}, "location": "c"}
    made = locations.rewritten(value, str.upper)
    assert made == {
        "f": {"class": "File", "location": "A", "listing": [{"class": "File", "location": "B"}]},
        "location": "c",
    }
    assert value["f"] == {"class": "File", "location": "a", "listing": [{"class": "File", "location": "b"}]}
    made["f"]["listing"].append(None)
    assert locations.copied(value) == value
    assert locations.copied(value) is not value
