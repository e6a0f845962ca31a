"""Elements of a job array that squeue --array leaves out.

Where the elements that wait in an array are many and equally far apart, Slurm writes them with their distance,
"0-99:3", and of those squeue --array lists all but the last (seen on Slurm 22.05.8). Without --array it shows the
expression, but also merges what is held with what is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from beeflow.scheduler import JobRecord
from beeflow.states import JobState

# Fewer are written one by one.
_LEAST = 5


def missing(records: Sequence[JobRecord]) -> list[JobRecord]:
    """Return the records of elements that may have been left out."""
    return [
        replace(run[-1], array_task_id=index)
        for run in _runs(records)
        if (index := _next(run)) is not None and not any(_is(each, run[-1].job_id, index) for each in records)
    ]


def confirm(doubtful: Sequence[JobRecord], merged: Iterable[JobRecord]) -> list[JobRecord]:
    """Keep those that are there. ``merged``: what squeue said without --array."""
    pending = {(each.job_id, each.array_task_id) for each in merged if each.state is JobState.PENDING}
    return [each for each in doubtful if (each.job_id, each.array_task_id) in pending]


def _runs(records: Sequence[JobRecord]) -> Iterator[list[JobRecord]]:
    """Yield the lines of elements that wait together."""
    for (_, state, _), lines in groupby(records, lambda each: (each.job_id, each.state, each.reason)):
        run = list(lines)
        if state is JobState.PENDING and len(run) >= _LEAST:
            yield run


def _next(run: Sequence[JobRecord]) -> int | None:
    """Return the index that would come next where all are equally far apart, and not neighbours."""
    indices = [each.array_task_id for each in run if each.array_task_id is not None]
    steps = {later - earlier for earlier, later in pairwise(indices)}
    step = steps.pop() if len(steps) == 1 else 0
    return indices[-1] + step if step > 1 else None


def _is(record: JobRecord, job_id: str, index: int) -> bool:
    return (record.job_id, record.array_task_id) == (job_id, index)
