"""Where a file may be that an expression makes, and what an expression was given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cwl_utils.expression import jshead

from beeflow.cwl.guard import given_to
from beeflow.cwl.places import Places


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Make a workflow directory, and what is beside it: an input, a folder of them, and what is nobody's business."""
    for name in ("wf/tasks/out", "data/folder/sub", "home"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("wf/tasks/out/made", "data/a.txt", "data/a.idx", "data/b.txt", "data/folder/sub/c", "home/key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "wf/tasks/out/link").symlink_to(tmp_path / "home/key")
    (tmp_path / "wf/tasks/up").symlink_to(tmp_path / "home")
    (tmp_path / "data/folder/link").symlink_to(tmp_path / "home")
    (tmp_path / "alias").symlink_to(tmp_path / "wf")
    return tmp_path


def places(top: Path, *, beside: bool = False) -> Places:
    given = {
        "f": [{"class": "File", "location": f"file://{top}/data/a.txt"}],
        "d": {"class": "Directory", "location": f"file://{top}/data/folder", "path": "/tmp/cwl/in/1/folder"},
    }
    return Places((f"{top}/alias",), f"{top}/wf", beside).give(given)


@pytest.mark.parametrize(
    "place",
    [
        "file://{top}/wf/tasks/out/made",
        "file://{top}/alias/tasks/out/made",
        "file://{top}/wf/tasks/out/../out/made",
        "file://{top}/wf/tasks/not%20there%23%3f",
        "{top}/wf/x",
        "tasks/out/made",
        "file://{top}/wf",
        "file://{top}/data/a.txt",
        "{top}/data/a.txt",
        "file://{top}/data/folder",
        "file://{top}/data/folder/sub/c",
        "{top}/data/folder/link/key",
        "/tmp/cwl/in/1/folder",
        "/tmp/cwl/in/1/folder/x",
        "_:0815",
    ],
)
def test_where_a_file_may_be(top: Path, place: str) -> None:
    assert places(top).admit(place.format(top=top))


@pytest.mark.parametrize(
    "place",
    [
        "file://{top}/home/key",
        "{top}/home/key",
        "file://{top}/wf/../home/key",
        "file://{top}/wf/%2e%2E/home/key",
        "file://{top}/wf/..%2fhome/key",
        "{top}/wf/%2e%2e/home/key",
        "../home/key",
        "tasks/../../home/key",
        "tasks/%2e%2e/%2e%2e/home/key",
        "tasks/out/link",
        "file://{top}/wf/tasks/out/link",
        "file://{top}/wf/tasks/up/key",
        "file://{top}/wf/x#/../../home/key",
        "file://{top}/home/key?/../../wf/x",
        "file://{top}/home/key#/../../wf/x",
        "file://localhost{top}/wf/x",
        "file://localhost{top}/home/key",
        "file://other{top}/wf/x",
        "file:{top}/wf/x",
        "FILE://{top}/wf/x",
        "http://localhost/x",
        "https://localhost/x",
        "ftp://localhost/x",
        "data:text/plain,x",
        "file://{top}/data",
        "file://{top}/data/b.txt",
        "file://{top}/data/a.idx",
        "file://{top}/data/a.txt/../b.txt",
        "file://{top}/data/folder/../b.txt",
        "file://{top}/data/folder/link/../b.txt",
        "file://{top}/data/folder-other",
        "/tmp/cwl/in/1/folder/../x",
        "_:x/../../home/key",
        "file://{top}/wf/a\0b",
        "file://",
    ],
)
def test_where_it_may_not_be(top: Path, place: str) -> None:
    assert not places(top).admit(place.format(top=top))


def test_beside_an_input_that_the_user_gives(top: Path) -> None:
    around = places(top, beside=True)
    assert around.admit(f"file://{top}/data/a.idx")
    assert not around.admit(f"file://{top}/data/b.txt")
    assert not around.admit(f"file://{top}/data/a/../b.txt")
    hidden = Places((f"{top}/wf",), f"{top}/wf", beside=True)
    assert not hidden.give({"class": "File", "location": f"file://{top}/data/.rc"}).admit(f"file://{top}/data/a.txt")


def test_what_has_no_class_was_not_given(top: Path) -> None:
    """Nobody looked at where it is."""
    for key in ("secondaryFiles", "listing"):
        given = {"class": "File", "location": "_:1", key: [{"location": f"file://{top}/home/key", "basename": "k"}]}
        assert not Places((f"{top}/wf",), f"{top}/wf").give(given).admit(f"file://{top}/home/key")


INPUTS = {"text": '\nvar inputs = {"class": "File"};\n', "f": {"class": "File", "location": "file:///a"}}


def test_what_an_expression_was_given_is_read_as_cwltool_writes_it() -> None:
    library = [
        'var inputs = {"class": "File", "location": "/b"};\nvar self = null;\nvar runtime = {};',
        "\nvar inputs = 1",
    ]
    text = jshead(library, {"inputs": INPUTS, "self": [1, None], "runtime": {"outdir": "/o", "cores": 1}})
    assert given_to(text) == (INPUTS, [1, None], {"outdir": "/o", "cores": 1})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "var inputs = {};",
        'var inputs = {};\nvar self = null;\nvar runtime = {"outdir": "/home"};\nvar more = 1;',
        "var inputs = {};\nvar runtime = {};\nvar self = null;",
        "var inputs = {;\nvar self = null;\nvar runtime = {};",
        "var inputs = {};\nvar self = null;\nvar runtime = 1;",
    ],
)
def test_nothing_was_given_where_it_is_written_otherwise(text: str) -> None:
    assert given_to(text) == (None, None, {})


def test_a_folder_is_looked_through_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many readings its location has, which most often are the same."""
    real, listed = os.listdir, []

    def listdir(path: Path) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    (top / "wf/tasks/up").unlink()
    (top / "wf/tasks/out/link").unlink()
    assert places(top).refused(f"file://{top}/wf/tasks/out") is None
    assert len(listed) == 1
