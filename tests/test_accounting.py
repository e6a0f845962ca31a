"""What became of jobs that Slurm has forgotten: accounting says it where there is any, and nothing hangs on that."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import models
from beeflow.errors import SlurmError
from beeflow.layout import Layout, folders
from beeflow.scheduler import JobRecord
from beeflow.scheduler.cli import CliScheduler
from beeflow.states import JobState
from tests.fakes import RECORD, FakeJob
from tests.test_driver import World, chain, wide

WITH_ACCOUNTING = replace(RECORD, slurm=replace(RECORD.slurm, accounting=True))
UNKNOWN = "the job ended without a result: before it started; Slurm: no longer known"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    for folder in folders(made):
        folder.mkdir(parents=True)
    return made


def forget(world: World) -> dict[str, FakeJob]:
    """Run a pass, and have Slurm forget its jobs; returns those of groups by the number of the group."""
    world.record = WITH_ACCOUNTING
    world.run()
    jobs = dict(world.scheduler.jobs)
    for job_id in jobs:
        world.scheduler.forget(job_id)
    return {job.request.name.rpartition("-")[2].partition(".")[0]: job for job in jobs.values()}


def past(job: FakeJob, state: JobState, reason: str = "", index: int | None = None) -> JobRecord:
    """Say how a job ended."""
    return JobRecord(job.id, job.request.name, state, reason, index, "n3")


@pytest.mark.parametrize("state", [JobState.TIMEOUT, JobState.OUT_OF_MEMORY, JobState.NODE_FAIL, JobState.FAILED])
def test_how_it_ended_is_known(layout: Layout, state: JobState) -> None:
    world = chain(layout)
    jobs = forget(world)
    world.scheduler.past = [past(jobs["001"], state)]
    tasks = world.final_tasks(world.go_on())
    said = f"the job ended without a result: before it started; Slurm: {state.value}"
    assert tasks["a"] == (state.task_state.value, said)
    assert world.result("a").node == "n3"
    assert tasks["b"][0] == "DEP_FAIL"


def test_elements_of_an_array_are_told_apart_by_one_sacct(layout: Layout) -> None:
    world = wide(layout)
    jobs = forget(world)
    ended = (JobState.TIMEOUT, JobState.NODE_FAIL, JobState.OUT_OF_MEMORY)
    world.scheduler.past = [past(jobs["001"], state, index=index) for index, state in enumerate(ended)]
    before = world.passes
    tasks = world.final_tasks(world.go_on())
    assert [tasks[f"s[{index}]"][0] for index in range(3)] == [state.value for state in ended]
    assert world.scheduler.histories == world.passes - before


@pytest.mark.parametrize(
    "how",
    [
        # Slurm itself, because of what it waited for; or root.
        {"state": JobState.CANCELLED, "reason": "by 0"},
        {"state": JobState.CANCELLED, "reason": ""},
        # The database has not heard of the end.
        {"state": JobState.RUNNING},
        {"state": JobState.PENDING},
        {"state": JobState.FAILED, "name": "another job of that number"},
    ],
)
def test_what_is_not_certain_is_not_believed(layout: Layout, how: dict[str, object]) -> None:
    world = chain(layout)
    jobs = forget(world)
    told = past(jobs["001"], JobState.FAILED)
    world.scheduler.past = [replace(told, **how)]  # type: ignore[arg-type]
    assert world.final_tasks(world.go_on())["a"] == ("CANCELLED", UNKNOWN)


def test_what_a_user_cancelled(layout: Layout) -> None:
    world = chain(layout)
    jobs = forget(world)
    world.scheduler.past = [past(jobs["001"], JobState.CANCELLED, "by 1000")]
    state, reason = world.final_tasks(world.go_on())["a"]
    assert (state, reason[-16:]) == ("CANCELLED", "Slurm: CANCELLED")


def test_no_answer_is_no_failure_of_the_pass(layout: Layout) -> None:
    world = chain(layout)
    forget(world)
    world.scheduler.past = SlurmError("sacct: slurmdbd is away")
    assert world.final_tasks(world.go_on())["a"] == ("CANCELLED", UNKNOWN)


def test_without_accounting_it_is_not_asked(layout: Layout) -> None:
    world = chain(layout)
    forget(world)
    world.record = RECORD
    world.go_on()
    assert world.scheduler.histories == 0


def test_what_went_well_is_not_asked_about(layout: Layout) -> None:
    world = chain(layout)
    world.record = WITH_ACCOUNTING
    world.run()
    world.finish("a", 1)
    world.finish("b", 2)
    for job_id in list(world.scheduler.jobs):
        world.scheduler.forget(job_id)
    world.go_on()
    assert world.scheduler.histories == 0


# -- the program -------------------------------------------------------------------------------------------------------


def scheduler(folder: Path, script: str | None) -> CliScheduler:
    """Make a scheduler whose sacct is this script; None: there is none."""
    if script is not None:
        (folder / "sacct").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "sacct").chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}" if script is not None else str(folder)
    return CliScheduler({"PATH": path, "USER": "u"}, history_timeout_s=2.0)


def test_many_jobs_are_one_call(tmp_path: Path) -> None:
    made = scheduler(tmp_path, f"echo x >> {tmp_path}/calls; echo '12_7|TIMEOUT|n1|1|n'")
    (found,) = made.history([str(number) for number in range(1000)], models.now())
    assert (found.shown, found.state) == ("12_7", JobState.TIMEOUT)
    assert (tmp_path / "calls").read_text() == "x\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "sacct: program not found"),
        ("echo 'Slurm accounting storage is disabled' >&2; exit 1", "accounting storage is disabled"),
        ("exec sleep 30", "no answer within 2 s"),
    ],
)
def test_sacct_that_is_missing_refuses_or_hangs(tmp_path: Path, script: str | None, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(SlurmError, match=words):
        scheduler(tmp_path, script).history(["12"], models.now())
    assert time.monotonic() - began < 15
