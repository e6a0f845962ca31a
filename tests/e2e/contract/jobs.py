"""What the jobs of a name come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from beeflow.scheduler import JobRecord, JobRequest, Scheduler
from beeflow.states import JobState


def short(job: JobRequest) -> JobRequest:
    """Write the job as one that ends at once."""
    assert job.script is not None
    script = job.script.with_name("short.sh")
    script.write_text("#!/bin/bash\nexit ${1:-0}\n")
    return replace(job, script=script)


def wait_for(
    scheduler: Scheduler, name: str, wanted: Callable[[list[JobRecord]], bool], timeout_s: float = 30.0
) -> list[JobRecord]:
    """Query until the jobs of a name are as wanted."""
    deadline = time.monotonic() + timeout_s
    while not wanted(found := scheduler.query([name])):
        if time.monotonic() > deadline:
            pytest.fail(f"not in time: {found}")
        time.sleep(0.1)
    return found


def states(records: list[JobRecord]) -> list[tuple[str, int | None, JobState]]:
    """Reduce records to which job is in which state."""
    return sorted(((each.job_id, each.array_task_id, each.state) for each in records), key=str)


def wait_states(scheduler: Scheduler, name: str, *wanted: tuple[str, int | None, JobState]) -> None:
    """Query until the jobs of a name are in these states."""
    wait_for(scheduler, name, lambda records: states(records) == sorted(wanted, key=str))
