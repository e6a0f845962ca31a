from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beeflow import store
from beeflow.comparing import parent
from beeflow.comparing.parent import Comparison
from beeflow.layout import Layout

PARENT = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"


def file(name: str, digest: str, size: int = 1) -> dict[str, Any]:
    return {
        "class": "File",
        "basename": name,
        "location": f"outputs/{name}",
        "size": size,
        "checksum": f"sha1${digest}",
    }


def folder(*listing: dict[str, Any]) -> dict[str, Any]:
    return {"class": "Directory", "basename": "d", "location": "outputs/d", "listing": list(listing)}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.provenance.mkdir()
    return made


def compare(layout: Layout, before: Any, now: Any) -> Comparison:
    (layout.provenance / "outputs.json").write_text(before if isinstance(before, str) else json.dumps(before))
    store.write_json(layout.output_object, now)
    return parent.compare(layout, PARENT)


def test_identical(layout: Layout) -> None:
    outputs = {"f": file("f", "aa"), "d": folder(file("x", "bb"), folder()), "n": 1, "none": None}
    found = compare(layout, outputs, outputs)
    assert str(found) == f"identical to those of {PARENT}"
    assert {each.name: each.verdict.value for each in found.outputs} == dict.fromkeys(outputs, "identical")


def test_all_that_may_be(layout: Layout) -> None:
    before = {"f": file("f", "aa"), "d": folder(file("x", "bb"), file("y", "cc")), "n": 1, "gone": "x", "failed": 1}
    now = {"f": file("f", "ab"), "d": folder(file("x", "bc"), file("y", "cc")), "n": 1, "failed": None, "new": 3}
    found = compare(layout, before, now)
    assert {each.name: (each.verdict.value, *each.places) for each in found.outputs} == {
        "f": ("differs", "f"),
        "d": ("differs", "d/x"),
        "n": ("identical",),
        "gone": ("missing", "gone"),
        "failed": ("missing", "failed"),
        "new": ("extra", "new"),
    }
    counts = "1 identical, 2 differ, 2 missing, 1 extra"
    assert str(found) == f"{counts}, compared with those of {PARENT} (f, d, gone, ...)"


def test_what_cannot_be_known_is_not_identical(layout: Layout) -> None:
    outputs = {"d": folder({"class": "Directory", "basename": "sub"}), "f": {"class": "File", "basename": "f"}}
    found = compare(layout, outputs, outputs)
    assert [(each.verdict.value, *each.places) for each in found.outputs] == [("unknown", "d/sub/"), ("unknown", "f")]
    assert str(found).startswith("2 unknown, compared with")
    hidden = [{"d": folder(file("x", "aa"), file("x", digest))} for digest in ("bb", "cc")]
    assert not str(compare(layout, *hidden)).startswith("identical")


def test_only_some_places_are_kept(layout: Layout) -> None:
    found = compare(layout, {"a": [0] * 1000}, {"a": [1] * 1000})
    assert len(found.outputs[0].places) == 20


@pytest.mark.parametrize("text", ["", "3", "{", "[" * 9999, '{"o": {"class": "Directory", "listing": 3}}'])
def test_a_parent_that_makes_no_sense_is_no_obstacle(layout: Layout, text: str) -> None:
    found = compare(layout, text, {"n": 1})
    assert not found.outputs
    assert str(found).startswith(f"not compared with those of {PARENT}: provenance/outputs.json: damaged")


def test_a_parent_without_outputs(layout: Layout) -> None:
    store.write_json(layout.output_object, {})
    assert parent.compare(layout, PARENT).reason == "its archive has no outputs.json"


def test_it_is_kept_as_it_is_read(layout: Layout) -> None:
    found = compare(layout, {"a": 1, "b": [1]}, {"a": 1, "b": [2]})
    store.write_record(layout.comparison, found)
    assert store.read_record(Comparison, layout.comparison) == found
