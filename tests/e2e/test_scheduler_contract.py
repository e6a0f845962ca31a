"""What every Scheduler does, on a real Slurm: the one of Slurm's programs and, where pyslurm is installed, that one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.errors import SlurmError, SubmissionError
from beeflow.scheduler import (
    Dependency,
    JobOptions,
    JobRecord,
    JobRequest,
    Limits,
    Scheduler,
    SubmitLimitError,
)
from beeflow.scheduler.connect import CLI, PYSLURM, connect
from beeflow.states import JobState
from tests.e2e.conftest import PrivateSlurm, target_of

pytestmark = pytest.mark.e2e

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


# -- submit ------------------------------------------------------------------------------------------------------------

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


# -- dependencies ------------------------------------------------------------------------------------------------------

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


# -- query -------------------------------------------------------------------------------------------------------------


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


# -- hold, release, requeue, mail --------------------------------------------------------------------------------------


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


# -- cancel ------------------------------------------------------------------------------------------------------------


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


# -- refusals, limits, check -------------------------------------------------------------------------------------------

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
