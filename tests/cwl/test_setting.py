"""NAME=VALUE as a value of an input's type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beeflow.cwl import documents, job_order
from beeflow.cwl.setting import Settings
from beeflow.errors import InputError, UsageError

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements:
  SchemaDefRequirement:
    types:
      - {name: pair, type: record, fields: {a: {type: int}, f: {type: File?}}}
      - {name: colour, type: enum, symbols: [red, green]}
inputs:
  i: int
  long: long?
  x: float
  yes: boolean
  s: string
  maybe: string?
  f: File
  d: Directory?
  ff: File[]
  names: string[]
  both: {type: [int, string]}
  pair: "#pair"
  colour: "#colour"
  pairs: {type: {type: array, items: "#pair"}}
  any: Any
outputs: []
steps: []
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "w.cwl").write_text(DOCUMENT)
    return Settings(documents.load(str(folder / "w.cwl"), folder / "cache"), Path("/base"))


def file(path: str, kind: str = "File") -> dict[str, str]:
    return {"class": kind, "location": f"file://{path}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("i=7", 7),
        ("i=-7", -7),
        ("long=5000000000", 5000000000),
        ("long=null", None),
        ("x=1", 1),
        ("x=2.5e-3", 2.5e-3),
        ("yes=true", True),
        ("s=7", "7"),
        ("s=null", "null"),
        ("s=a=b: [c", "a=b: [c"),
        ("s=", ""),
        ("maybe=null", None),
        ("maybe=x", "x"),
        ("f=sub/a b.txt", file("/base/sub/a%20b.txt")),
        ("f=/x: y", file("/x%3A%20y")),
        ("f=file:///x%20y", file("/x%20y")),
        ("f={class: File, path: /x, format: z}", {**file("/x"), "format": "z"}),
        ("d=/x", file("/x", "Directory")),
        ("ff=[a, {class: File, location: 'file:///b'}]", [file("/base/a"), file("/b")]),
        ("ff=[]", []),
        ("names=[a, '1']", ["a", "1"]),
        ("both=7", 7),
        ("both=seven", "seven"),
        ("pair={a: 1, f: x}", {"a": 1, "f": file("/base/x")}),
        ("pair={a: 1}", {"a": 1, "f": None}),
        ("colour=green", "green"),
        ("pairs=[{a: 1}]", [{"a": 1, "f": None}]),
        ("any={k: [1]}", {"k": [1]}),
    ],
)
def test_values(settings: Settings, text: str, value: Any) -> None:
    assert settings.read(text) == (text.partition("=")[0], value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("i=x", "i takes int: 'x' is not of type int"),
        ("i=1.0", "is not of type int"),
        ("i=true", "is not of type int"),
        ("i=5000000000", "is not of type int"),
        ("i=", "None is not of type int"),
        ("i=null", "None is not of type int"),
        ("yes=yes please", "is not of type boolean"),
        ("x=[1]", "is not of type float"),
        ("ff=a", "takes File[]: 'a' is not an array: write [A, B]"),
        ("ff=[1]", "1 is not a File: write its path"),
        ("f={class: Directory, path: x}", "is not a File"),
        ("f={a: [", "not YAML"),
        ("f=", "an empty path is no File"),
        ("d=", "an empty path is no Directory; write null for none"),
        ("ff=[a, '']", "an empty path is no File"),
        ("names=[1]", "1 is not of type string"),
        ("pair={b: 1}", "is not a record of a, f: write {NAME: VALUE}"),
        ("pair={}", "None is not of type int"),
        ("colour=blue", "takes one of red, green: 'blue' is none of red, green"),
        ("nothing=1", "the workflow has no input 'nothing'"),
        ("any=!!python/object:os.system {}", "not YAML"),
    ],
)
def test_what_does_not_fit_is_told_with_the_inputs(settings: Settings, text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        settings.read(text)
    assert complaint in str(caught.value)
    assert "its inputs are:\n  any: Any\n" in str(caught.value)
    assert "  ff: File[]\n" in str(caught.value)
    assert "  pair: {a: int, f: File?}\n" in str(caught.value)


def test_what_is_complete_is_completed_alike(tmp_path: Path) -> None:
    (tmp_path / "t.cwl").write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: cat, outputs: [], inputs: "
        "{f: {type: File, secondaryFiles: [.idx]}, n: {type: int, default: 3}}}"
    )
    for name in ("a", "a.idx"):
        (tmp_path / name).write_text(name)
    document = documents.load(str(tmp_path / "t.cwl"), tmp_path / "cache")
    made = job_order.load(document, ["--f", str(tmp_path / "a")], [])
    assert made["n"] == 3
    assert [each["basename"] for each in made["f"]["secondaryFiles"]] == ["a.idx"]
    assert job_order.complete(document, made, tmp_path) == made


@pytest.mark.parametrize("text", ["i", "=1", ""])
def test_what_is_no_setting_is_a_slip_of_the_command_line(settings: Settings, text: str) -> None:
    with pytest.raises(UsageError, match=f"--set {text}: write INPUT=VALUE\nits inputs are:"):
        settings.read(text)
