"""What pyslurm's records stand for: as seen with pyslurm 22.5.3 on Slurm 22.05.8."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from beeflow.scheduler.pyslurm import to_records
from beeflow.states import JobState


def job(number: int, array: int | None = None, **given: Any) -> SimpleNamespace:
    """Make one of pyslurm's jobs; the index 0 is None, as it shows it."""
    values = {
        "id": number,
        "array_id": array,
        "name": "n",
        "state": "RUNNING",
        "state_reason": "None",
        "array_task_id": None,
        "array_tasks_waiting": None,
        "allocated_nodes": None,
    }
    return SimpleNamespace(**{**values, **given})


def elements(*jobs: SimpleNamespace) -> list[tuple[str, int | None, JobState]]:
    """Which elements are in which state."""
    return [(each.job_id, each.array_task_id, each.state) for each in to_records(jobs, None)]


CANCELLED = {"state": "CANCELLED"}


def test_a_plain_job_has_no_index() -> None:
    assert elements(job(7)) == [("7", None, JobState.RUNNING)]


def test_the_elements_of_an_array() -> None:
    jobs = (job(8, 7), job(9, 7, array_task_id=1), job(7, 7, array_tasks_waiting="3-4,9", state="PENDING"))
    running = [("7", 0, JobState.RUNNING), ("7", 1, JobState.RUNNING)]
    assert elements(*jobs) == [*running, *(("7", index, JobState.PENDING) for index in (3, 4, 9))]


def test_what_is_left_of_cancelled_elements_is_not_taken_for_the_first() -> None:
    assert elements(job(7, 7, **CANCELLED), job(8, 7)) == [("7", None, JobState.CANCELLED), ("7", 0, JobState.RUNNING)]


def test_a_first_element_that_was_cancelled_before_it_ran() -> None:
    assert elements(job(7, 7, **CANCELLED)) == [("7", 0, JobState.CANCELLED)]


def test_a_first_element_that_has_the_arrays_number() -> None:
    assert elements(job(7, 7, allocated_nodes="n1", **CANCELLED)) == [("7", 0, JobState.CANCELLED)]
    assert elements(job(7, 7)) == [("7", 0, JobState.RUNNING)]


def test_only_jobs_of_the_names_are_told() -> None:
    found = to_records([job(7), job(8, name="other"), job(9, name=None)], ["n", "m"])
    assert [each.job_id for each in found] == ["7"]
