from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec, tables
from beeflow.errors import SystemFileError
from beeflow.inputs import InputPart
from beeflow.states import TaskState

SOURCE = Path("/w/record.json")


@dataclass(frozen=True)
class Inner:
    """A record inside another."""

    name: str
    when: float = 0.0


@dataclass(frozen=True)
class Record:
    """One field of each kind that our records have."""

    count: int
    ratio: float = 0.5
    flag: bool = False
    text: str | None = None
    state: TaskState = TaskState.WAITING
    path: Path = Path("/")
    words: tuple[str, ...] = ()
    inner: tuple[Inner, ...] = ()
    named: dict[str, Inner] = field(default_factory=dict)
    maybe: Inner | None = None
    free: Any = None


FULL = Record(
    count=3,
    ratio=1.0,
    flag=True,
    text="a\nb ä \udcff \N{PILE OF POO}",
    state=TaskState.OUT_OF_MEMORY,
    path=Path("/a b"),
    words=("x", ""),
    inner=(Inner("i", 2.5),),
    named={"k": Inner("n")},
    maybe=Inner("m"),
    free={"class": "File", "size": 1, "list": [None, True]},
)


@pytest.mark.parametrize("record", [FULL, Record(0)])
def test_a_record_comes_back(record: Record) -> None:
    assert codec.loads(Record, codec.dumps(record), SOURCE) == record


def test_the_text_is_for_people_and_says_its_version() -> None:
    text = codec.dumps(FULL)
    assert json.loads(text)["version"] == codec.VERSION
    assert text.endswith("}\n")
    assert "ä" in text


def test_an_int_is_a_float_and_stays_one() -> None:
    made = codec.from_json(Record, {"count": 1, "ratio": 2})
    assert isinstance(made.ratio, float)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"count": "1"}, r"Record\.count: str instead of int"),
        ({"count": True}, r"Record\.count: bool instead of int"),
        ({"count": 1.0}, r"Record\.count: float instead of int"),
        ({"count": None}, r"Record\.count: NoneType instead of int"),
        ({"count": 1, "ratio": "1"}, r"Record\.ratio: str instead of float"),
        ({"count": 1, "ratio": True}, r"Record\.ratio: bool instead of float"),
        ({"count": 1, "flag": 1}, r"Record\.flag: int instead of bool"),
        ({"count": 1, "text": 4}, r"Record\.text: int instead of str"),
        ({"count": 1, "state": "DONE"}, r"Record\.state: 'DONE' is not a valid TaskState"),
        ({"count": 1, "state": ["DONE"]}, r"Record\.state: "),
        ({"count": 1, "path": 3}, r"Record\.path: "),
        ({"count": 1, "words": "abc"}, r"Record\.words: str instead of list"),
        ({"count": 1, "words": ["a", 2]}, r"Record\.words\[\]: int instead of str"),
        ({"count": 1, "inner": [{}]}, r"Record\.inner\[\]: .*'name'"),
        ({"count": 1, "named": {"k": {"name": 1}}}, r"Record\.named\.k\.name: int instead of str"),
        ({"count": 1, "maybe": []}, r"Record\.maybe: list instead of dict"),
        ({"count": 1, "colour": 1}, r"Record: unknown field 'colour'"),
        ({}, r"Record: .*'count'"),
        ([], r"Record: list instead of dict"),
    ],
)
def test_what_does_not_fit_is_named(data: Any, complaint: str) -> None:
    with pytest.raises(codec.DecodeError, match=complaint):
        codec.from_json(Record, data)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "3", '{"count": 1}', '{"version": 1}', "\0"])
def test_a_damaged_file_is_named(text: str) -> None:
    with pytest.raises(SystemFileError, match=r"/w/record\.json: damaged"):
        codec.loads(Record, text, SOURCE)


@pytest.mark.parametrize("version", [codec.VERSION + 1, 99, "2", None])
def test_another_schema_is_refused_before_its_fields_are_looked_at(version: object) -> None:
    text = json.dumps({"version": version, "from the future": 1})
    with pytest.raises(SystemFileError, match=r"/w/record\.json: schema version .*use a newer one"):
        codec.loads(Record, text, SOURCE)


def test_long_lists_have_an_item_a_line() -> None:
    record = Record(1, words=tuple(f'w"{number}\n' for number in range(codec.LONG + 1)), free=[{"a": [1, {"b": None}]}])
    text = codec.dumps(record)
    assert codec.loads(Record, text, SOURCE) == record
    assert sum(line.startswith('  "w') for line in text.splitlines()) == codec.LONG + 1
    assert json.loads(text) == {"version": 1, **codec.to_json(record)}


@pytest.mark.parametrize("data", [[], {}, None, "ä\n", [[1]] * (codec.LONG + 1), [Inner("a")] * 2, (1.5, True)])
def test_plain_pieces_are_json(data: Any) -> None:
    assert json.loads("".join(codec.plain_pieces(data))) == codec.to_json(data)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"version": 1, "count": ' + "[" * 900 + "]" * 900 + "}",
        '{"version": 1, "count": 1, "ratio": 1' + "0" * 400 + "}",
        '{"version": 1, "count": 1' + "0" * 30 + "}",
        '{"version": 1, "count": -1' + "0" * 5000 + "}",
    ],
)
def test_what_no_record_has_is_damage(text: str) -> None:
    with pytest.raises(SystemFileError, match="/record: damaged"):
        codec.loads(Record, text, Path("/record"))


@pytest.mark.parametrize("size", [-1, 1 << 63, 10**400])
def test_no_file_has_such_a_size(size: int) -> None:
    with pytest.raises(codec.DecodeError, match=r"InputPart\.size"):
        codec.from_json(InputPart, {"name": "x", "size": size, "sha256": ""})
    assert not codec.is_size(size)
    assert tables.size(10**400) == "over 8 EiB"
