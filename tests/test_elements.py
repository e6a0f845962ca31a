from __future__ import annotations

from pathlib import Path

import pytest

from beeflow import elements
from beeflow.errors import SystemFileError
from beeflow.layout import Layout
from beeflow.models import ElementSpec, ElementTask

KEY = "001-a"
SPECS = [
    ElementSpec((ElementTask("0", {"x": {"known": "ä\n\u2028\udcff"}}),)),
    ElementSpec((ElementTask("1", {}), ElementTask("2", {"x": {"output": ["001-b", "0", "out"]}}))),
    ElementSpec(()),
    ElementSpec((ElementTask("3.0", {"x": {"known": "long " * 10_000}}),)),
    ElementSpec((ElementTask("4", {"x": {"known": None}}),)),
]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.group(KEY).mkdir(parents=True)
    return made


def test_every_element_reads_its_own(layout: Layout) -> None:
    elements.write(layout, KEY, SPECS)
    assert [elements.read(layout, KEY, number) for number in reversed(range(5))] == SPECS[::-1]


def test_two_files_whatever_the_width(layout: Layout) -> None:
    elements.write(layout, KEY, SPECS[:1] * 3000)
    assert sorted(path.name for path in layout.group(KEY).iterdir()) == ["elements.index", "elements.jsonl"]
    assert elements.read(layout, KEY, 2999) == SPECS[0]


def test_writing_again_replaces(layout: Layout) -> None:
    elements.write(layout, KEY, SPECS)
    elements.write(layout, KEY, SPECS[3:])
    assert elements.read(layout, KEY, 0) == SPECS[3]


@pytest.mark.parametrize("number", [5, 100])
def test_an_element_that_is_not_there_is_said(layout: Layout, number: int) -> None:
    elements.write(layout, KEY, SPECS)
    with pytest.raises(SystemFileError, match=rf"elements\.jsonl: element {number} cannot be read"):
        elements.read(layout, KEY, number)


def test_a_damaged_line_is_said(layout: Layout) -> None:
    elements.write(layout, KEY, SPECS)
    layout.elements(KEY).write_text('{"tasks": 3}\n')
    with pytest.raises(SystemFileError, match="element 0 cannot be read"):
        elements.read(layout, KEY, 0)


def test_a_missing_file_is_said(layout: Layout) -> None:
    with pytest.raises(SystemFileError, match="element 0 cannot be read"):
        elements.read(layout, KEY, 0)
