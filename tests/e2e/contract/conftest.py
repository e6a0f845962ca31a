"""The schedulers, and a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.scheduler import JobOptions, JobRequest, Scheduler
from beeflow.scheduler.connect import CLI, PYSLURM, connect
from tests.e2e.conftest import PrivateSlurm, target_of

Show = Callable[[str], dict[str, str]]


@pytest.fixture
def by_programs(slurm: PrivateSlurm) -> Iterator[Scheduler]:
    """Give the scheduler of Slurm's programs, and cancel what is left at the end."""
    yield connect(CLI, target_of(slurm), slurm.env)
    slurm.slurm("scancel", f"--user={os.getuid()}")


@pytest.fixture(params=[CLI, PYSLURM])
def scheduler(request: pytest.FixtureRequest, by_programs: Scheduler) -> Scheduler:
    """Give each scheduler in turn."""
    return by_programs if request.param == CLI else request.getfixturevalue("by_pyslurm")


@pytest.fixture
def job(tmp_path: Path) -> JobRequest:
    """A job that sleeps until it is cancelled."""
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/bash\nexec sleep 300\n")
    return JobRequest(
        name=f"contract-{os.getpid()}-{tmp_path.name}",
        script=script,
        chdir=tmp_path,
        output=tmp_path / "%j.log",
        options=JobOptions(time_limit=timedelta(minutes=10), mem_mib=10),
    )


@pytest.fixture
def show(slurm: PrivateSlurm) -> Show:
    """Tell how scontrol shows a job: its fields."""

    def told(job_id: str) -> dict[str, str]:
        text = slurm.slurm("scontrol", "--oneliner", "show", "job", job_id)
        return dict(field.split("=", 1) for field in text.split(" ") if "=" in field)

    return told
