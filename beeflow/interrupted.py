"""Tasks that were told to end and yet are to run again: to them, a requeue or preemption of their job is a scancel."""

from __future__ import annotations

import contextlib
import os

from beeflow import attempts, store
from beeflow.group_jobs import GroupJobs
from beeflow.layout import Layout
from beeflow.look import Look
from beeflow.models import ElementResult, Intent
from beeflow.scheduler import JobRecord
from beeflow.states import TaskState

Element = tuple[str, int]


def find(look: Look, jobs: GroupJobs) -> set[Element]:
    """List the elements (group key, number) whose results say that tasks were cancelled, though nobody did that.

    Asks Slurm only where there is such a result.
    """
    doubtful = dict(_cancelled(look, jobs))
    jobs.submitter.disbelieved.update(intent.key for intent in doubtful.values())
    records = ((element, jobs.record(intent, element[1])) for element, intent in doubtful.items())
    return {element for element, job in records if job is not None and (not job.state.ended or job.state.is_lost)}


def _cancelled(look: Look, jobs: GroupJobs) -> dict[Element, Intent]:
    found = {}
    for group in look.plan.groups.values():
        if group.virtual or group.unknown is not None:
            continue
        numbers = [each for each in range(group.elements) if has_cancelled(look.results.element(group.key, each))]
        newest = jobs.newest(group.key) if numbers else {}
        found.update({(group.key, number): newest[number] for number in numbers if number in newest})
    return found


def has_cancelled(result: ElementResult | None) -> bool:
    """True when a task of an element says that it was cancelled."""
    return result is not None and any(task.state is TaskState.CANCELLED for task in result.tasks.values())


def take_back(layout: Layout, key: str, number: int, job: JobRecord) -> None:
    """Take what an element says of tasks that were cancelled for what it is: their job died.

    Killed halfway, this is done again.
    """
    path = layout.element_result(key, number)
    if has_cancelled(store.read_record(ElementResult, path)):
        attempts.doubt_cancelled(layout, key, number)
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(f"result.interrupted-{job.shown}.json"))
