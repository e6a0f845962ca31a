"""What every Scheduler tells of jobs and does with them: that of Slurm's programs and, if installed, pyslurm's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from beeflow.scheduler import Dependency, JobRecord, JobRequest, Scheduler
from beeflow.states import JobState
from tests.e2e.contract.conftest import Show
from tests.e2e.contract.jobs import short, states, wait_for, wait_states

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("indices", [range(0, 300, 3), range(1, 13, 2), [0, 2, 4, 6, 8, 10, 11], range(7)], ids=str)
def test_every_element_is_seen(scheduler: Scheduler, job: JobRequest, indices: Sequence[int]) -> None:
    job_id = scheduler.submit(replace(job, array=indices, hold=True))
    found = scheduler.query([job.name])
    assert [(each.job_id, each.array_task_id) for each in found] == [(job_id, index) for index in indices]
    # Also those that are on their own.
    scheduler.release(f"{job_id}_{indices[0]}")
    wait_for(scheduler, job.name, lambda records: any(each.state is JobState.RUNNING for each in records))
    assert sorted(each.array_task_id or 0 for each in scheduler.query([job.name])) == list(indices)


def test_both_see_the_same_jobs(by_programs: Scheduler, by_pyslurm: Scheduler, job: JobRequest) -> None:
    names = [
        f"{job.name}-{word}" for word in ("running", "wide", "big", "held", "linked", "failed", "cancelled", "pair")
    ]
    running, wide, big, held, linked, failed, cancelled, pair = (replace(job, name=name) for name in names)
    first = by_programs.submit(running)
    by_programs.submit(replace(held, array=[0, 5], hold=True))
    by_programs.submit(replace(linked, dependency=Dependency({"afterany": (first,)}), array=range(0, 300, 3)))
    by_programs.submit(replace(short(failed), script_args=("3",)))
    by_programs.cancel(cancelled.name, [by_programs.submit(replace(cancelled, array=[3, 4], hold=True))])
    part = by_programs.submit(replace(short(pair), array=[0, 1]))
    by_programs.submit(replace(big, options=replace(job.options, cpus_per_task=4), array=[0]))
    wait_for(by_programs, failed.name, lambda found: found[0].state is JobState.FAILED)
    wait_states(by_programs, pair.name, *((part, index, JobState.COMPLETED) for index in (0, 1)))
    by_programs.submit(replace(wide, options=replace(job.options, cpus_per_task=2), array=range(8)))
    wait_for(by_programs, wide.name, lambda found: any(each.state is JobState.RUNNING for each in found))

    def key(record: JobRecord) -> tuple[int, int]:
        return int(record.job_id), -1 if record.array_task_id is None else record.array_task_id

    def seen_by(scheduler: Scheduler, wanted: list[str] | None) -> list[JobRecord]:
        # pyslurm shows the record of an array whose waiting elements were cancelled as its first element.
        found = scheduler.query(wanted)
        left = {each for each in found if each.state.ended and not each.node and not each.array_task_id}
        return sorted((replace(each, array_task_id=None) if each in left else each for each in found), key=key)

    for wanted in (names, names[:2], ["no-such-name"], None):
        deadline = time.monotonic() + 20
        # Slurm may start something between the two.
        while seen_by(by_programs, wanted) != (found := seen_by(by_pyslurm, wanted)):
            assert time.monotonic() < deadline, set(seen_by(by_programs, wanted)) ^ set(found)
        seen = {each.name for each in found}
        assert seen >= set(names) if wanted is None else seen == set(wanted) & set(names)
    found = by_pyslurm.query([linked.name])
    assert [each.array_task_id for each in found] == list(range(0, 300, 3))
    assert {each.reason for each in found} == {"Dependency"}


def test_elements_that_slurm_cancelled_are_told_one_by_one(scheduler: Scheduler, job: JobRequest) -> None:
    bad = scheduler.submit(replace(short(job), script_args=("3",), array=[0]))
    other = scheduler.submit(replace(job, array=[0], dependency=Dependency({"aftercorr": (bad,)})))
    wait_states(scheduler, job.name, (bad, 0, JobState.FAILED), (other, 0, JobState.CANCELLED))
    (found,) = (each for each in scheduler.query([job.name]) if each.job_id == other)
    assert found.reason == "DependencyNeverSatisfied"


@pytest.mark.parametrize("array", [None, [0, 1, 2]], ids=["job", "array"])
def test_hold_and_release(scheduler: Scheduler, job: JobRequest, array: list[int] | None) -> None:
    indices: list[int | None] = [None] if array is None else [*array]
    held = scheduler.submit(replace(job, array=array, hold=True))
    assert {each.reason[:7] for each in scheduler.query([job.name])} == {"JobHeld"}
    scheduler.release(held)
    wait_states(scheduler, job.name, *((held, index, JobState.RUNNING) for index in indices))
    later = scheduler.submit(replace(job, array=array, dependency=Dependency({"afterany": (held,)})))
    scheduler.hold(later)
    scheduler.cancel(job.name, [held])
    wait_for(scheduler, job.name, lambda found: all(each.state.ended for each in found if each.job_id == held))
    assert {each.state for each in scheduler.query([job.name]) if each.job_id == later} == {JobState.PENDING}
    scheduler.release(later)
    wait_for(
        scheduler,
        job.name,
        lambda found: {each.state for each in found if each.job_id == later} == {JobState.RUNNING},
    )


def test_a_requeued_job_runs_again_under_its_id(scheduler: Scheduler, job: JobRequest, show: Show) -> None:
    job_id = scheduler.submit(job)
    wait_states(scheduler, job.name, (job_id, None, JobState.RUNNING))
    scheduler.requeue(job_id)
    wait_for(scheduler, job.name, lambda found: found[0].state is JobState.PENDING)
    assert show(job_id)["Restarts"] == "1"


def test_one_element_is_requeued(scheduler: Scheduler, job: JobRequest) -> None:
    job_id = scheduler.submit(replace(job, array=[0, 1, 2]))
    wait_states(scheduler, job.name, *((job_id, index, JobState.RUNNING) for index in range(3)))
    # The last element has the array's own number.
    scheduler.requeue(f"{job_id}_2")
    pending = (job_id, 2, JobState.PENDING)
    wait_states(scheduler, job.name, pending, *((job_id, index, JobState.RUNNING) for index in range(2)))


def test_mail_can_be_asked_for_later(
    by_programs: Scheduler, by_pyslurm: Scheduler, job: JobRequest, show: Show
) -> None:
    told = []
    for scheduler, mail_type in [(each, kind) for each in (by_programs, by_pyslurm) for kind in ("END,FAIL", "ALL")]:
        job_id = scheduler.submit(replace(job, hold=True))
        before = show(job_id)
        scheduler.set_mail(job_id, mail_type, "nobody@localhost")
        after = show(job_id)
        assert {key for key in after if after[key] != before.get(key)} - {"Priority"} == {"MailType", "MailUser"}
        told.append((mail_type, after["MailType"], after["MailUser"]))
    assert told[:2] == told[2:]


def test_cancel_takes_only_jobs_of_the_name(scheduler: Scheduler, job: JobRequest) -> None:
    mine, other = scheduler.submit(job), scheduler.submit(replace(job, name=f"{job.name}-other"))
    scheduler.cancel(job.name, [mine, other, "999999"])
    wait_states(scheduler, job.name, (mine, None, JobState.CANCELLED))
    assert not scheduler.query([f"{job.name}-other"])[0].state.ended
    # Ended already, or never there: no error.
    scheduler.cancel(job.name, [mine, "999999"])
    scheduler.cancel(None, [mine, "999999"])
    scheduler.cancel(None, [other])
    wait_states(scheduler, f"{job.name}-other", (other, None, JobState.CANCELLED))


@pytest.mark.parametrize("named", [True, False])
def test_elements_are_cancelled_one_by_one_and_an_array_as_a_whole(
    scheduler: Scheduler, job: JobRequest, named: bool
) -> None:
    two_run = replace(job, options=replace(job.options, cpus_per_task=4), array=range(6))
    name = job.name if named else None
    job_id = scheduler.submit(two_run)
    running, pending, cancelled = JobState.RUNNING, JobState.PENDING, JobState.CANCELLED
    wait_states(scheduler, job.name, *((job_id, index, running if index < 2 else pending) for index in range(6)))
    # 5 waits in the array's own record, and 1 runs.
    scheduler.cancel(name, [f"{job_id}_5", f"{job_id}_1"])
    wait_for(scheduler, job.name, lambda found: (job_id, 1, cancelled) in states(found))
    # Of one that waited no record is kept.
    assert {each.array_task_id for each in scheduler.query([job.name]) if not each.state.ended} == {0, 2, 3, 4}
    scheduler.cancel(name, [job_id])
    wait_for(scheduler, job.name, lambda found: all(each.state.ended for each in found))


def test_pending_elements_are_cancelled_one_by_one(scheduler: Scheduler, job: JobRequest) -> None:
    one_runs = replace(job, options=replace(job.options, cpus_per_task=3), array=range(5))
    job_id = scheduler.submit(one_runs)
    running = [(job_id, 0, JobState.RUNNING), (job_id, 1, JobState.RUNNING)]
    pending = [(job_id, index, JobState.PENDING) for index in (2, 3, 4)]
    wait_states(scheduler, job.name, *running, *pending)
    scheduler.cancel(job.name, [f"{job_id}_0", f"{job_id}_3"], pending_only=True)
    wait_states(scheduler, job.name, *running, pending[0], pending[2])


def test_cancel_of_what_is_pending_leaves_what_runs(scheduler: Scheduler, job: JobRequest) -> None:
    plain = scheduler.submit(job)
    wait_states(scheduler, job.name, (plain, None, JobState.RUNNING))
    waiting = scheduler.submit(replace(job, dependency=Dependency({"afterany": (plain,)})))
    array = scheduler.submit(replace(job, options=replace(job.options, cpus_per_task=3), array=range(4)))
    running = (array, 0, JobState.RUNNING), (array, 1, JobState.RUNNING), (plain, None, JobState.RUNNING)
    wait_for(scheduler, job.name, lambda found: set(states(found)) >= set(running))
    scheduler.cancel(job.name, [plain, waiting, array], pending_only=True)
    wait_for(scheduler, job.name, lambda found: (waiting, None, JobState.CANCELLED) in states(found))
    left = [each for each in scheduler.query([job.name]) if not each.state.ended]
    assert states(left) == sorted(running, key=str)
