from __future__ import annotations

import json
from pathlib import Path

import pytest

from beeflow import elements
from beeflow.errors import SystemFileError
from beeflow.layout import Layout
from beeflow.models import ElementSpec, ElementTask
from beeflow.plan import Group, Task
from beeflow.values import Items, Known, Output, Value
from tests.fakes import step

KEY = "001-a"
ODD = "ä\n\u2028\udcff"


def group(*values: Value, per_element: int = 1) -> Group:
    """Make a group of one task a value of its input x."""
    tasks = [Task(str(number), {"x": value}) for number, value in enumerate(values)]
    return Group(KEY, "a", step("a", {"x": "x"}), virtual=False, tasks=tasks, tasks_per_element=per_element)


def spec(**values: object) -> ElementSpec:
    """Spell what an element runs: "t<label>" -> its input x as JSON."""
    return ElementSpec(tuple(ElementTask(name[1:], {"x": value}) for name, value in values.items()))


def element_of(output: Output) -> int | None:
    return None if output.group == "virtual" else int(output.label) // 10


def write(layout: Layout, made: Group, skipped: tuple[str, ...] = ()) -> None:
    elements.write(layout, made, skipped, element_of, {})


SEVERAL = group(Known(ODD), Known("long " * 10_000), Known(None), Output("002-b", "17", "out"))
LINES = [
    spec(t0={"known": ODD}),
    spec(t1={"known": "long " * 10_000}),
    spec(t2={"known": None}),
    spec(t3={"output": ["002-b", "17", "out"], "element": 1}),
]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.group(KEY).mkdir(parents=True)
    return made


def test_every_element_reads_its_own(layout: Layout) -> None:
    write(layout, SEVERAL)
    assert [elements.read(layout, KEY, number) for number in reversed(range(4))] == LINES[::-1]


def test_tasks_share_an_element(layout: Layout) -> None:
    write(layout, group(*[Known(number) for number in range(7)], per_element=3))
    assert elements.read(layout, KEY, 1) == spec(t3={"known": 3}, t4={"known": 4}, t5={"known": 5})
    assert elements.read(layout, KEY, 2) == spec(t6={"known": 6})


def test_skipped_tasks_are_left_out(layout: Layout) -> None:
    write(layout, group(Known(0), Known(1), Known(2), per_element=2), ("0", "2"))
    assert [elements.read(layout, KEY, number) for number in (0, 1)] == [spec(t1={"known": 1}), ElementSpec(())]


def test_three_files_whatever_the_width(layout: Layout) -> None:
    write(layout, group(*[Known(number) for number in range(3000)]))
    assert len(list(layout.group(KEY).iterdir())) == 3
    assert elements.read(layout, KEY, 2999) == spec(t2999={"known": 2999})


def test_what_all_take_is_kept_once(layout: Layout) -> None:
    many = Items(tuple(Output("virtual", str(number), "o") for number in range(100)))
    write(layout, group(*[many] * 50))
    assert elements.read(layout, KEY, 49).tasks[0].inputs["x"]["items"][7] == {
        "output": ["virtual", "7", "o"],
        "element": None,
    }
    assert layout.elements(KEY).stat().st_size < 50 * 50
    assert list(json.loads(layout.shared(KEY).read_text())) == ["x"]


def test_evaluated_inputs_take_the_place_of_the_given_ones(layout: Layout) -> None:
    elements.write(layout, group(Known(1), Output("002-b", "0", "out")), (), element_of, {"0": {"x": 2}})
    assert elements.read(layout, KEY, 0) == ElementSpec((ElementTask("0", {"x": {"known": 2}}, evaluated=True),))
    assert not elements.read(layout, KEY, 1).tasks[0].evaluated


def test_writing_again_replaces(layout: Layout) -> None:
    write(layout, SEVERAL)
    write(layout, group(Known(5)))
    assert elements.read(layout, KEY, 0) == spec(t0={"known": 5})


@pytest.mark.parametrize("number", [5, 100])
def test_an_element_that_is_not_there_is_said(layout: Layout, number: int) -> None:
    write(layout, SEVERAL)
    with pytest.raises(SystemFileError, match=rf"elements\.jsonl: element {number} cannot be read"):
        elements.read(layout, KEY, number)


def test_a_damaged_line_is_said(layout: Layout) -> None:
    write(layout, SEVERAL)
    layout.elements(KEY).write_text('{"tasks": 3}\n')
    with pytest.raises(SystemFileError, match="element 0 cannot be read"):
        elements.read(layout, KEY, 0)


def test_a_missing_file_is_said(layout: Layout) -> None:
    with pytest.raises(SystemFileError, match="element 0 cannot be read"):
        elements.read(layout, KEY, 0)
