"""What every Scheduler makes of a request, on a real Slurm: the one of Slurm's programs and that of pyslurm."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.scheduler import Dependency, JobOptions, JobRequest, Scheduler
from beeflow.states import JobState
from tests.e2e.contract.conftest import Show
from tests.e2e.contract.jobs import short, wait_states

pytestmark = pytest.mark.e2e


# Fields of a job that no two jobs have in common.
OF_EACH = {
    "JobId",
    "ArrayJobId",
    "SubmitTime",
    "AccrueTime",
    "EligibleTime",
    "LastSchedEval",
    "Priority",
    "StdOut",
    "StdErr",
}

OPTIONS = JobOptions(time_limit=timedelta(minutes=7, seconds=30))
REQUESTS: Mapping[str, Callable[[JobRequest], JobRequest]] = {
    "plain": lambda job: job,
    "array": lambda job: replace(job, array=[0, 1, 2, 7]),
    "resources": lambda job: replace(job, options=replace(OPTIONS, cpus_per_task=2, mem_mib=100, tmp_mib=1)),
    "tasks": lambda job: replace(job, options=replace(OPTIONS, ntasks=6)),
    "named": lambda job: replace(job, options=replace(OPTIONS, partition="local", account="a", qos="normal")),
    "mail": lambda job: replace(job, options=replace(OPTIONS, mail_type="BEGIN", mail_user="nobody@localhost")),
    "no requeue": lambda job: replace(job, requeue=False, open_mode_append=False),
    "arguments": lambda job: replace(job, script_args=("a b", "'$x", "")),
    "unicode": lambda job: replace(job, output=job.chdir / "ü 🐝/%j.log", script_args=("ü 🐝",)),
    "percent": lambda job: replace(job, output=job.chdir / "100%/%j.log"),
    "singleton": lambda job: replace(job, dependency=Dependency(singleton=True)),
    "extra": lambda job: replace(job, options=replace(OPTIONS, extra=("--nice=5", "--comment=what a site wants"))),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_job_is_the_same_whoever_submits_it(
    by_programs: Scheduler, by_pyslurm: Scheduler, job: JobRequest, show: Show, kind: str
) -> None:
    request = replace(REQUESTS[kind](job), hold=True)
    (one, other) = (show(each.submit(request)) for each in (by_programs, by_pyslurm))
    assert {name: value for name, value in one.items() if name not in OF_EACH} == {
        name: value for name, value in other.items() if name not in OF_EACH
    }
    outputs = [each["StdOut"].replace(f"/{each['JobId']}.log", "/ID.log") for each in (one, other)]
    assert outputs[0] == outputs[1]


# What Slurm sets in each job as it is.
OF_A_JOB = {
    *("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_ARRAY_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_NODELIST", "SLURMD_NODENAME"),
    *("SLURM_TASK_PID", "SLURM_TOPOLOGY_ADDR", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"),
}


def run_environment(scheduler: Scheduler, job: JobRequest, folder: Path) -> dict[str, str]:
    """Run a job that writes down what it runs in: variables, limits, umask, arguments."""
    folder.mkdir()
    script = folder / "job.sh"
    script.write_text(
        "#!/bin/bash\nenv -0 > env\nulimit -aS > limits\numask > mask\nprintf '%s\\n' \"$@\" > arguments\n"
    )
    job_id = scheduler.submit(replace(job, name=f"{job.name}-{folder.name}", script=script, chdir=folder))
    wait_states(scheduler, f"{job.name}-{folder.name}", (job_id, None, JobState.COMPLETED))
    found = dict(each.split("=", 1) for each in (folder / "env").read_text().split("\0") if each)
    told = {name: (folder / name).read_text() for name in ("limits", "mask", "arguments")}
    return {name: value.replace(folder.name, "*") for name, value in {**found, **told}.items() if name not in OF_A_JOB}


@pytest.mark.parametrize("ntasks", [None, 2])
def test_a_job_runs_in_the_same_environment_whoever_submits_it(
    by_programs: Scheduler,
    by_pyslurm: Scheduler,
    job: JobRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ntasks: int | None,
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_TRES_PER_TASK", "SLURM_EXPORT_ENV", "SBATCH_PARTITION", "SECRET"):
        monkeypatch.setenv(name, "leaked")
    request = replace(
        job, script_args=("a b", "$x", "ü 🐝"), options=replace(job.options, cpus_per_task=2, ntasks=ntasks)
    )
    umask = os.umask(0o027)
    try:
        one = run_environment(by_programs, request, tmp_path / "one")
        other = run_environment(by_pyslurm, request, tmp_path / "two")
    finally:
        os.umask(umask)
    assert one == other
    assert "leaked" not in one.values()
    assert other["mask"] == "0027\n"
    assert os.environ["SLURM_JOB_ID"] == "leaked"


def test_nothing_is_added_to_the_environment_of_the_process(by_pyslurm: Scheduler, job: JobRequest) -> None:
    before = dict(os.environ)
    by_pyslurm.submit(job)
    assert dict(os.environ) == before


DEPENDENCIES: Mapping[str, Callable[[str, str], Dependency]] = {
    "afterok": lambda a, b: Dependency({"afterok": (a, b)}),
    "afterany": lambda a, b: Dependency({"afterany": (a,)}),
    "several": lambda a, b: Dependency({"afterany": (a,), "afterok": (b,)}, singleton=True),
    "any of": lambda a, b: Dependency(any_of=(a, b)),
    "or failed": lambda a, b: Dependency(any_of=(a,), or_failed=(b,)),
}


@pytest.mark.parametrize("kind", DEPENDENCIES)
def test_dependencies_and_relinks_are_the_same_to_slurm(
    by_programs: Scheduler, by_pyslurm: Scheduler, job: JobRequest, show: Show, kind: str
) -> None:
    first, second = by_programs.submit(job), by_programs.submit(job)
    dependency = DEPENDENCIES[kind](first, second)
    told = []
    for scheduler in (by_programs, by_pyslurm):
        submitted = scheduler.submit(replace(job, name=f"{job.name}-x", dependency=dependency, hold=True))
        relinked = scheduler.submit(replace(job, dependency=Dependency({"afterany": (first,)}), hold=True))
        before = show(relinked)
        scheduler.relink(relinked, dependency)
        after = show(relinked)
        # Nothing but the dependency is another.
        assert {key for key in after if after[key] != before.get(key)} <= {"Dependency", "LastSchedEval", "Priority"}
        told.append([show(submitted)["Dependency"], after["Dependency"]])
        assert show(submitted)["KillOInInvalidDependent"] == "Yes"
    assert told[0] == told[1]
    assert "(null)" not in told[0]


def test_aftercorr_links_element_by_element(scheduler: Scheduler, job: JobRequest) -> None:
    job = short(job)
    first = scheduler.submit(replace(job, array=[0, 1, 2]))
    second = scheduler.submit(replace(job, array=[0, 1, 2], dependency=Dependency({"aftercorr": (first,)})))
    done = JobState.COMPLETED
    wait_states(scheduler, job.name, *((each, index, done) for each in (first, second) for index in (0, 1, 2)))


def test_what_can_never_run_is_cancelled(scheduler: Scheduler, job: JobRequest) -> None:
    bad = scheduler.submit(replace(short(job), script_args=("3",)))
    other = scheduler.submit(replace(job, dependency=Dependency({"afterok": (bad,)})))
    wait_states(scheduler, job.name, (bad, None, JobState.FAILED), (other, None, JobState.CANCELLED))


def test_a_relink_to_nothing_lets_the_job_run(scheduler: Scheduler, job: JobRequest) -> None:
    first = scheduler.submit(job)
    second = scheduler.submit(replace(job, name=f"{job.name}-2", dependency=Dependency({"afterany": (first,)})))
    scheduler.relink(second, Dependency())
    wait_states(scheduler, f"{job.name}-2", (second, None, JobState.RUNNING))
