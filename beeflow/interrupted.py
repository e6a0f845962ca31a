"""Tasks that were told to end and yet are to run again: to them, a requeue or preemption of their job is a scancel."""

from __future__ import annotations

import contextlib
import os

from beeflow import attempts
from beeflow.group_jobs import GroupJobs, shown_as
from beeflow.layout import Layout
from beeflow.look import Look
from beeflow.models import ElementResult
from beeflow.states import TaskState

Element = tuple[str, int]


def find(look: Look, layout: Layout, jobs: GroupJobs) -> set[Element]:
    """List the elements (group key, number) whose results say that tasks were cancelled, though nobody did that.

    Where Slurm does not run the job again itself, the result is set aside: what ran counts as lost with its node. Asks
    Slurm only where there is such a result.
    """
    found = set()
    for group in look.plan.groups.values():
        for number in range(group.elements) if not group.virtual and group.unknown is None else ():
            if not has_cancelled(look.results.element(group.key, number)):
                continue
            intent = jobs.newest(group.key).get(number)
            job = jobs.record(intent, number) if intent else None
            if intent is None or job is None:
                continue
            if job.state.ended and job.state.task_state is TaskState.NODE_FAIL:
                set_aside(layout, group.key, number, shown_as(intent, number, job.job_id))
            elif job.state.ended:
                continue
            found.add((group.key, number))
    return found


def has_cancelled(result: ElementResult | None) -> bool:
    """True when a task of an element says that it was cancelled."""
    return result is not None and any(task.state is TaskState.CANCELLED for task in result.tasks.values())


def set_aside(layout: Layout, key: str, number: int, job: str) -> None:
    """Have an element be one whose job died in the middle; killed halfway, it is done again."""
    attempts.doubt_cancelled(layout, key, number)
    path = layout.element_result(key, number)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, path.with_name(f"result.interrupted-{job}.json"))
