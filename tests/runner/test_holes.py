"""The holes of a task's inputs, filled from result files written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beeflow import values
from beeflow.errors import BrokenError
from beeflow.layout import Layout
from beeflow.runner.holes import Holes, LateError, NeedsPlanError, folder_of, places

REPOSITORY = Path(__file__).parents[2]
KEY = "001-p"


def write(root: Path, tasks: dict[str, Any], element: int = 0, key: str = KEY) -> Path:
    """Write the result of an element."""
    path = Layout(root).element_result(key, element)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "tasks": tasks}))
    return path


def hole(label: str, port: str = "o", element: int | None = 0) -> dict[str, Any]:
    """Write a hole as passes do."""
    made: dict[str, Any] = values.to_json(values.Output(KEY, label, port), lambda _: element)
    return made


def good(**outputs: Any) -> dict[str, Any]:
    return {"state": "COMPLETED", "outputs": outputs}


@pytest.mark.parametrize("value", [None, 0, "", [], {"class": "File", "location": "a"}])
def test_what_is_known(tmp_path: Path, value: Any) -> None:
    assert Holes(str(tmp_path)).value({"known": value}) == value


def test_what_a_task_made(tmp_path: Path) -> None:
    write(tmp_path, {"1000": good(o=[1], p=None)}, 1)
    write(tmp_path, {"x": good(o="far")}, 123456)
    holes = Holes(str(tmp_path))
    assert holes.value(hole("1000", element=1)) == [1]
    assert holes.value(hole("1000", "p", element=1)) is None
    assert holes.value(hole("1000", "no such port", element=1)) is None
    assert holes.value(hole("x", element=123456)) == "far"


def test_items_are_filled_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, {"0": good(o=1), "1": good(o=2)})
    items = {"items": [hole("0"), {"known": 7}, {"items": [hole("1")]}, {"items": []}]}
    assert Holes(str(tmp_path)).value(items) == [1, 7, [2], []]


def test_a_skipped_task_made_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"0": {"state": "SKIPPED"}, "1": {"state": "SKIPPED", "outputs": None}})
    holes = Holes(str(tmp_path))
    assert (holes.value(hole("0")), holes.value(hole("1"))) == (None, None)


def test_what_a_pass_found_not_to_be_run_made_nothing(tmp_path: Path) -> None:
    record = Layout(tmp_path).group_record(KEY)
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"version": 1, "skipped": ["1"]}))
    with pytest.raises(LateError):
        Holes(str(tmp_path)).value(hole("0"))
    assert Holes(str(tmp_path)).value(hole("1")) is None
    write(tmp_path, {"0": good(o=1)})
    assert Holes(str(tmp_path)).value({"items": [hole("0"), hole("1")]}) == [1, None]


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY"])
def test_what_failed_breaks_what_takes_from_it(tmp_path: Path, state: str) -> None:
    write(tmp_path, {"0": {"state": state, "outputs": {"o": 1}}, "1": good(o=1)})
    holes = Holes(str(tmp_path))
    with pytest.raises(BrokenError, match=rf"001-p\[0\] {state}"):
        holes.value({"items": [hole("1"), hole("0")]})
    assert holes.value(hole("1")) == 1


def test_what_was_not_run_breaks_what_takes_from_it(tmp_path: Path) -> None:
    write(tmp_path, {"0": good(o=1)})
    with pytest.raises(BrokenError, match=r"001-p\[1\] was not run"):
        Holes(str(tmp_path)).value(hole("1"))
    with pytest.raises(BrokenError, match="of the step itself"):
        Holes(str(tmp_path)).value({"broken": "of the step itself"})


def test_what_takes_the_rules_of_links(tmp_path: Path) -> None:
    linked = values.Linked((values.Known(1), values.Known(2)), "merge_flattened", None)
    for value in (values.to_json(linked, lambda _: 0), hole("0", element=None)):
        with pytest.raises(NeedsPlanError):
            Holes(str(tmp_path)).value(value)


def test_a_result_that_is_not_there_yet_is_looked_for_again(tmp_path: Path) -> None:
    holes = Holes(str(tmp_path))
    for _ in range(2):
        with pytest.raises(LateError, match=r"no result of 001-p\[0\]"):
            holes.value(hole("0"))
        holes.look_again({"x": hole("0")})
    write(tmp_path, {"0": good(o=1)})
    assert holes.value(hole("0")) == 1


def test_each_result_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, {"0": good(o=1), "1": good(o=2)})
    holes = Holes(str(tmp_path))
    assert holes.value(hole("0")) == 1
    path.unlink()
    assert holes.value(hole("1")) == 2


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    write(tmp_path, {}).write_text('{"tasks": ')
    with pytest.raises(ValueError, match=r"001-p/000/000000/result\.json: damaged"):
        Holes(str(tmp_path)).value(hole("0"))


def test_the_folder_is_that_of_the_layout() -> None:
    for element in (0, 7, 999, 1000, 123_456):
        assert folder_of(KEY, element) == str(Layout(Path()).element(KEY, element))


def test_the_places_that_a_value_takes_from() -> None:
    linked = values.Linked((values.Output(KEY, "0", "o"), values.Items((values.Output(KEY, "9", "o"),))), None, None)
    given = values.to_json(linked, lambda output: int(output.label))
    assert places([given, {"known": 1}, hole("0", element=None), {"items": [hole("5", element=5)]}]) == [
        (KEY, 0),
        (KEY, 9),
        (KEY, 5),
    ]


def test_every_folder_above_a_missing_result_is_listed(tmp_path: Path) -> None:
    """An NFS client takes a new look at the folders that are listed, and at no others."""
    write(tmp_path, {"0": good(o=1)}, 0)
    (tmp_path / "tasks/001-p/001/001000").mkdir(parents=True)
    (tmp_path / "tasks/002-q").mkdir()
    inputs = {
        "there": hole("0"),
        "missing": {"items": [hole("1000", element=1000), hole("1001", element=1001)]},
        "far": {"output": ["002-q", "0", "o"], "element": 0},
        "known": {"known": 1},
    }
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from beeflow.runner.holes import Holes\n"
        f"holes = Holes({str(tmp_path)!r})\n"
        f"holes.value({hole('0')!r})\n"
        "def hook(event, arguments):\n"
        "    if event == 'os.listdir': print(arguments[0])\n"
        "sys.addaudithook(hook)\n"
        f"holes.look_again({inputs!r})\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True)
    assert [path.removeprefix(f"{tmp_path}/") for path in done.stdout.split()] == [
        "tasks",
        "tasks/001-p",
        "tasks/001-p/001",
        "tasks/001-p/001/001000",
        "tasks/001-p/001/001001",
        "tasks/002-q",
        "tasks/002-q/000",
    ]
