"""What squeue --array leaves out of an array whose elements are equally far apart. Seen on Slurm 22.05.8."""

from __future__ import annotations

import pytest

from beeflow.scheduler import command_lines as lines
from beeflow.scheduler import strides


def listed(*indices: int, job_id: str = "22", state: str = "PENDING", reason: str = "Dependency") -> str:
    """Write squeue's lines of some elements."""
    return "".join(f"{job_id}|{index}|{state}||{reason}|bee-x\n" for index in indices)


def found(array: str, merged: str) -> list[tuple[str, int | None, str]]:
    """Return what is added to a list, and why it waits."""
    doubtful = strides.missing(lines.parse_squeue(array))
    more = strides.confirm(doubtful, lines.parse_squeue(merged))
    return [(each.job_id, each.array_task_id, each.reason) for each in more]


# sbatch --hold --array=0-15:3; squeue --array, and without.
STRIDE = listed(0, 3, 6, 9, 12)


def test_the_last_element_is_found() -> None:
    assert found(STRIDE, "22|0-15:3|PENDING||Dependency|bee-x\n") == [("22", 15, "Dependency")]


def test_it_waits_for_what_its_neighbours_do() -> None:
    array = listed(3, reason="JobHeldUser") + listed(*range(6, 96, 3), reason="Resources")
    assert found(array, "22|3,6-96:3|PENDING||JobHeldUser,Resources|bee-x\n") == [("22", 96, "Resources")]


def test_each_array_is_asked_about() -> None:
    array = STRIDE + listed(*range(1, 21, 2), job_id="23")
    merged = "22|0-15:3|PENDING||Dependency|bee-x\n23|1-21:2|PENDING||Dependency|bee-x\n"
    assert found(array, merged) == [("22", 15, "Dependency"), ("23", 21, "Dependency")]


@pytest.mark.parametrize("merged", ["", "22|0,3,6,9,12|PENDING||Dependency|bee-x\n", listed(15, state="RUNNING")])
def test_what_does_not_wait_is_not_added(merged: str) -> None:
    assert found(STRIDE, merged) == []


@pytest.mark.parametrize(
    "array",
    [
        listed(*range(9)),
        listed(0, 3, 6, 9),
        listed(0, 3, 6, 9, 13),
        listed(0, 3, 6, 9, 12, 15, state="RUNNING"),
        STRIDE + listed(15, state="RUNNING", reason="None"),
        "".join(f"{number}|N/A|PENDING||Dependency|bee-x\n" for number in range(0, 20, 2)),
    ],
    ids=["neighbours", "few", "uneven", "running", "there", "no-array"],
)
def test_nothing_more_is_asked(array: str) -> None:
    assert strides.missing(lines.parse_squeue(array)) == []
