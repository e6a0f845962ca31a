"""What every Scheduler refuses, and the limits that it knows, on a real Slurm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from beeflow.errors import SlurmError, SubmissionError
from beeflow.scheduler import Dependency, JobRequest, Limits, Scheduler, SubmitLimitError
from beeflow.states import JobState
from tests.e2e.conftest import PrivateSlurm

pytestmark = pytest.mark.e2e


REFUSED: Mapping[str, Callable[[JobRequest], JobRequest]] = {
    "partition": lambda job: replace(job, options=replace(job.options, partition="no-such")),
    "dependency": lambda job: replace(job, dependency=Dependency({"afterok": ("nonsense",)})),
    "memory": lambda job: replace(job, options=replace(job.options, mem_mib=2**30)),
    "gres": lambda job: replace(job, options=replace(job.options, gres="gpu:1")),
    "reservation": lambda job: replace(job, options=replace(job.options, reservation="no-such")),
    "array": lambda job: replace(job, array=[10**6]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_told_in_the_same_words(
    by_programs: Scheduler, by_pyslurm: Scheduler, job: JobRequest, kind: str
) -> None:
    told = []
    for scheduler in (by_programs, by_pyslurm):
        with pytest.raises(SubmissionError) as caught:
            scheduler.submit(REFUSED[kind](job))
        told.append((type(caught.value), str(caught.value)))
    assert told[0][0] is told[1][0] is (SubmitLimitError if kind == "array" else SubmissionError)
    # sbatch also says what it was about to do.
    assert told[0][1].endswith(told[1][1].removeprefix("Slurm says: "))


def test_a_time_limit_above_the_partitions_is_refused(
    by_programs: Scheduler, by_pyslurm: Scheduler, slurm: PrivateSlurm, job: JobRequest
) -> None:
    slurm.slurm("scontrol", "update", "PartitionName=local", "MaxTime=5")
    try:
        for scheduler in (by_programs, by_pyslurm):
            with pytest.raises(SubmissionError, match="Requested time limit is invalid"):
                scheduler.submit(job)
            with pytest.raises(SubmissionError, match="Requested time limit is invalid"):
                scheduler.check(replace(job, script=None))
    finally:
        slurm.slurm("scontrol", "update", "PartitionName=local", "MaxTime=INFINITE")


def test_a_script_that_is_none_is_refused(scheduler: Scheduler, job: JobRequest) -> None:
    assert job.script is not None
    job.script.write_text("no script\n")
    with pytest.raises(SubmissionError, match=r"batch script|Batch script"):
        scheduler.submit(job)


def test_check_refuses_what_submit_would(scheduler: Scheduler, job: JobRequest) -> None:
    asked = replace(job, script=None)
    scheduler.check(asked)
    with pytest.raises(SubmissionError, match="Invalid partition"):
        scheduler.check(replace(asked, options=replace(job.options, partition="no-such")))
    assert scheduler.query([job.name]) == []


@pytest.mark.parametrize("verb", ["release", "hold"])
def test_with_a_job_that_is_not_there_is_nothing_to_hold_or_release(scheduler: Scheduler, verb: str) -> None:
    getattr(scheduler, verb)("999999")


def test_a_job_that_is_not_there_is_an_error(scheduler: Scheduler) -> None:
    with pytest.raises(SlurmError, match="Invalid job id"):
        scheduler.requeue("999999")
    with pytest.raises(SlurmError, match="Invalid job id"):
        scheduler.relink("999999", Dependency({"afterany": ("1",)}))


def test_limits_are_the_same(by_programs: Scheduler, by_pyslurm: Scheduler) -> None:
    found = by_pyslurm.limits()
    assert found == by_programs.limits()
    assert isinstance(found, Limits)
    assert found.max_array_size > 1


def test_a_job_is_not_refused_because_its_nodes_are_down_for_now(
    slurm: PrivateSlurm, by_programs: Scheduler, job: JobRequest
) -> None:
    nodes = ",".join(sorted(set(slurm.slurm("sinfo", "--noheader", "--Node", "--format=%N").split())))
    slurm.slurm("scontrol", "update", f"nodename={nodes}", "state=down", "reason=test")
    try:
        by_programs.check(replace(job, script=None))
        assert by_programs.query([job.name])[0].state is JobState.CANCELLED
        with pytest.raises(SubmissionError, match="Requested node configuration is not available"):
            by_programs.check(replace(job, script=None, options=replace(job.options, mem_mib=10**8)))
    finally:
        slurm.slurm("scontrol", "update", f"nodename={nodes}", "state=resume")
