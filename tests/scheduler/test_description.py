"""What pyslurm is told of a job; tests/e2e/contract has what comes of it."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.scheduler import Dependency, JobOptions, JobRequest
from beeflow.scheduler.description import describe, is_describable, sbatch_env

OPTIONS = JobOptions(time_limit=timedelta(minutes=90))
REQUEST = JobRequest("n", Path("/w/job.sh"), Path("/w"), Path("/100%/%j.log"), OPTIONS)


def test_what_is_not_asked_for_is_left_to_slurm() -> None:
    described = describe(REQUEST, {"PATH": "/bin"})
    assert {name for name, value in described.items() if value is not None} == {
        "name",
        "script",
        "script_args",
        "working_directory",
        "standard_output",
        "standard_in",
        "is_requeueable",
        "log_files_open_mode",
        "time_limit",
        "cpus_per_task",
        # Asked for so that nothing is.
        "nodes",
        "ntasks",
        "min_cpus_per_node",
        "environment",
    }
    assert described["standard_output"] == "/100%%/%j.log"
    assert described["time_limit"] == "0-01:30:00"


def test_the_cpus_are_those_of_all_tasks() -> None:
    described = describe(replace(REQUEST, options=replace(OPTIONS, ntasks=6, cpus_per_task=2)), {})
    assert (described["ntasks"], described["min_cpus_per_node"]) == (6, 12)


def test_a_dependency_and_what_becomes_of_the_job_if_it_cannot_be_met() -> None:
    described = describe(replace(REQUEST, dependency=Dependency(any_of=("1", "2")), array=[1, 2, 5], hold=True), {})
    wanted = {
        "dependencies": "afterany:1?afterany:2",
        "kill_on_invalid_dependency": True,
        "array": "1-2,5",
        "priority": 0,
    }
    assert wanted.items() <= described.items()


@pytest.mark.parametrize(
    ("request_", "describable"),
    [
        (REQUEST, True),
        (replace(REQUEST, script=None), False),
        (replace(REQUEST, options=replace(OPTIONS, extra=("--exclusive",))), False),
        (replace(REQUEST, options=replace(OPTIONS, mail_type="begin,END")), True),
        (replace(REQUEST, options=replace(OPTIONS, mail_type="ALL")), False),
    ],
)
def test_what_only_sbatch_can_say_is_left_to_it(request_: JobRequest, describable: bool) -> None:
    assert is_describable(request_) is describable


def test_the_environment_says_what_sbatch_would() -> None:
    umask = os.umask(0o027)
    try:
        made = sbatch_env(replace(REQUEST, options=replace(OPTIONS, cpus_per_task=3)))
    finally:
        os.umask(umask)
    assert made["SLURM_UMASK"] == "0027"
    assert made["SLURM_CPUS_PER_TASK"] == "3"
    assert made["SLURM_RLIMIT_CORE"].isdecimal()
    assert "SLURM_NTASKS" not in made
