"""JSON without json, which must read and write the same."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beeflow.runner import records

REPOSITORY = Path(__file__).parents[2]
VALUES: list[Any] = [
    None,
    True,
    [],
    {},
    0,
    -(10**30),
    0.1,
    1e-300,
    float("inf"),
    float("-inf"),
    'a"b\\c\n\u2028\x00',
    "\udcff",
    "ä€😀",
    {"a": [1, {"b": None}, "x"], "": False},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_the_same_as_json(value: Any) -> None:
    assert records.loads(json.dumps(value)) == value
    assert json.loads(records.dumps(value)) == value
    assert records.loads(f" {records.dumps(value)}\n") == value


class Decimals(float):
    """A float that shows itself otherwise, as cwltool's do."""

    def __repr__(self) -> str:
        return "shown"


@pytest.mark.parametrize("value", [signal.SIGTERM, Decimals(0.5), ("a", 1), {1: "a", None: []}, {True: 0.5}], ids=str)
def test_what_json_makes_json_of(value: Any) -> None:
    assert records.dumps(value) == json.dumps(value)


@pytest.mark.parametrize(
    "value", [b"a", {"a": [b"a"]}, {b"a": 1}, {1, 2}, Path("a"), object(), 1j], ids=lambda value: type(value).__name__
)
def test_what_is_no_json_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError):
        json.dumps(value)
    with pytest.raises(TypeError, match="is not JSON"):
        records.dumps(value)


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "started.json"
    with pytest.raises(TypeError):
        records.write_new(str(path), {"pid": b""})
    assert not path.exists()
    records.write_new(str(path), {"pid": 1})
    assert (records.read(str(path)), os.listdir(tmp_path)) == ({"pid": 1}, ["started.json"])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"tasks"')
    with pytest.raises(ValueError, match=r"/result\.json: damaged: "):
        records.read(str(tmp_path / "result.json"))


def test_not_a_number() -> None:
    assert records.dumps(float("nan")) == "NaN"
    assert str(records.loads("NaN")) == "nan"


CUT = ["", "{", '{"a": 1', '{"a": "b', '{"a" 1}', "[1,]", "nul", "1 2", '{"end": "1", "resu']


@pytest.mark.parametrize("text", CUT)
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated|Illegal"):
        records.loads(text)


def test_what_is_not_json_is_a_value_error_also_where_json_is_not_imported() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from beeflow.runner import records\n"
        f"for text in {CUT!r}:\n"
        "    try: records.loads(text)\n"
        "    except ValueError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["refused"] * len(CUT)


@pytest.mark.parametrize("links", [True, False])
def test_the_first_to_publish_wins_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = str(tmp_path / "result.json")
    assert records.publish(path, "1\n")
    assert not records.publish(path, "2\n")
    assert records.read(path) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    assert records.read(f"{path}.none") is None
