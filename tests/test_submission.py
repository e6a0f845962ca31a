from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from beeflow import models, store
from beeflow.errors import SubmissionError
from beeflow.layout import Layout, folders
from beeflow.models import Intent
from beeflow.scheduler import Dependency, JobOptions, JobRequest, SlurmUnreachableError, SubmissionDoubtError
from beeflow.states import JobState
from beeflow.submission import Submitter, pass_key, pass_number
from tests import fakes
from tests.fakes import RECORD, FakeScheduler, KilledError

KEY = "001-a.0"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    made.root.mkdir()
    for folder in folders(made):
        folder.mkdir()
    return made


def submit(layout: Layout, scheduler: FakeScheduler, key: str = KEY, submitter: Submitter | None = None) -> str:
    """Submit one job, as a new process would unless a submitter is given."""
    name = RECORD.job_name(key)
    request = JobRequest(name, Path("/s.sh"), layout.root, Path("/o"), JobOptions(timedelta(hours=1)))
    chosen = submitter or Submitter(layout, RECORD, scheduler)
    return chosen.submit(Intent(key, name, models.now(), (), "001-a"), request)


def test_a_job_is_submitted_once(layout: Layout) -> None:
    scheduler = FakeScheduler()
    first = submit(layout, scheduler)
    assert submit(layout, scheduler) == first
    assert list(scheduler.jobs) == [first]
    assert layout.job_id(KEY).read_text() == first + "\n"
    assert scheduler.queries == 0


def test_the_intent_is_on_disk_before_sbatch_and_says_what_will_run(layout: Layout) -> None:
    scheduler = FakeScheduler()
    seen: list[Intent | None] = []
    scheduler.on_accept = lambda *_: seen.append(store.read_record(Intent, layout.intent(KEY)))
    submit(layout, scheduler)
    (intent,) = seen
    assert intent is not None
    assert (intent.key, intent.group, intent.argv[0]) == (KEY, "001-a", "sbatch")
    assert f"--job-name={intent.job_name}" in intent.argv


def test_other_keys_are_other_jobs(layout: Layout) -> None:
    scheduler = FakeScheduler()
    ids = {submit(layout, scheduler, key) for key in ("001-a.0", "001-a.1", "002-b.0")}
    assert ids == set(scheduler.jobs)
    assert len(ids) == 3


@pytest.mark.parametrize("fault", [fakes.LOST_ANSWER, fakes.NO_ANSWER, fakes.KILLED, fakes.UNREACHABLE, fakes.REFUSED])
def test_whatever_went_wrong_the_next_pass_has_one_job(layout: Layout, fault: str) -> None:
    scheduler = FakeScheduler([fault])
    with pytest.raises((SubmissionDoubtError, KilledError, SubmissionError, SlurmUnreachableError)):
        submit(layout, scheduler)
    # A clear no leaves nothing in doubt.
    assert layout.intent(KEY).exists() == (fault != fakes.REFUSED)
    assert not layout.job_id(KEY).exists()
    job_id = submit(layout, scheduler)
    assert list(scheduler.jobs) == [job_id]
    assert layout.job_id(KEY).read_text().strip() == job_id
    assert scheduler.queries == (0 if fault == fakes.REFUSED else 1)
    assert submit(layout, scheduler) == job_id


def test_a_doubt_within_one_process_is_settled_by_what_the_queue_is_now(layout: Layout) -> None:
    # advance.submit_successor tries again with the same Submitter: what squeue said before the last sbatch is old.
    scheduler = FakeScheduler([fakes.NO_ANSWER, fakes.LOST_ANSWER])
    submitter = Submitter(layout, RECORD, scheduler)
    for _ in range(2):
        with pytest.raises(SubmissionDoubtError):
            submit(layout, scheduler, submitter=submitter)
    job_id = submit(layout, scheduler, submitter=submitter)
    assert list(scheduler.jobs) == [job_id]


def test_the_job_of_another_submission_is_not_taken_for_it(layout: Layout) -> None:
    # All passes have one name: those that are known are somebody else's.
    scheduler = FakeScheduler(["", fakes.NO_ANSWER])
    submitter = Submitter(layout, RECORD, scheduler, doubt_pauses_s=())
    first = submitter.submit_pass(1, Dependency(singleton=True))
    with pytest.raises(SubmissionDoubtError):
        submitter.submit_pass(2, Dependency(singleton=True))
    second = Submitter(layout, RECORD, scheduler).submit_pass(2, Dependency(singleton=True))
    assert second != first
    assert list(scheduler.jobs) == [first, second]


def test_a_job_that_ended_before_it_began_is_not_taken_for_it(layout: Layout) -> None:
    scheduler = FakeScheduler([fakes.LOST_ANSWER])
    with pytest.raises(SubmissionDoubtError):
        submit(layout, scheduler)
    (lost,) = scheduler.jobs
    scheduler.end(lost, JobState.CANCELLED)
    assert submit(layout, scheduler) != lost


def test_a_job_that_linked_itself_first_is_the_one(layout: Layout) -> None:
    scheduler = FakeScheduler()
    scheduler.on_accept = lambda job_id, _: store.write_text(layout.job_id(KEY), job_id + "\n")
    job_id = submit(layout, scheduler)
    assert (list(scheduler.jobs), scheduler.cancelled) == ([job_id], [])


def test_a_duplicate_is_cancelled_by_name_and_id(layout: Layout) -> None:
    # The job of an earlier sbatch, long believed lost, links itself while we submit again.
    scheduler = FakeScheduler()
    scheduler.on_accept = lambda *_: store.write_text(layout.job_id(KEY), "77\n")
    assert submit(layout, scheduler) == "77"
    (duplicate,) = scheduler.jobs
    assert scheduler.cancelled == [(RECORD.job_name(KEY), duplicate)]
    assert scheduler.jobs[duplicate].states == {None: (JobState.CANCELLED, "")}


def test_the_queue_is_asked_by_name_and_once(layout: Layout) -> None:
    scheduler = FakeScheduler()
    foreign = JobRequest("other", Path("/s"), Path("/"), Path("/o"), JobOptions(timedelta(hours=1)))
    scheduler.submit(foreign)
    submitter = Submitter(layout, RECORD, scheduler)
    assert submitter.queue() == []
    mine = submit(layout, scheduler)
    submitter = Submitter(layout, RECORD, scheduler)
    assert [job.job_id for job in submitter.queue()] == [job.job_id for job in submitter.queue()] == [mine]
    assert scheduler.queries == 1


# -- passes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 9, 10, 1234])
def test_pass_keys(number: int) -> None:
    assert pass_number(pass_key(number)) == number


def test_the_newest_pass_is_found_by_number_not_by_name(layout: Layout) -> None:
    submitter = Submitter(layout, RECORD, FakeScheduler())
    assert submitter.last_pass() == 0
    for number in (1, 2, 9, 10):
        submitter.submit_pass(number, Dependency(singleton=True))
    submit(layout, FakeScheduler(), "099-a.77")
    assert submitter.last_pass() == 10


def test_a_pass_runs_its_script_with_its_key(layout: Layout) -> None:
    scheduler = FakeScheduler()
    dependency = Dependency({"afterany": ("5",)}, singleton=True)
    job = scheduler.jobs[Submitter(layout, RECORD, scheduler).submit_pass(3, dependency, hold=True)]
    assert (job.held, job.dependency, job.request.script_args) == ({None}, dependency, ("pass.3",))
    assert job.request.script is not None
    assert str(layout.root) in job.request.script.read_text()


# -- a pass, which must not be the last one ----------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "jobs"), [(fakes.LOST_ANSWER, 1), (fakes.NO_ANSWER, 1)])
def test_a_pass_whose_answer_got_lost_is_looked_for_before_it_is_submitted_again(
    layout: Layout, fault: str, jobs: int
) -> None:
    scheduler = FakeScheduler([fault])
    submitter = Submitter(layout, RECORD, scheduler, doubt_pauses_s=(0.0, 0.0))
    found = submitter.submit_pass(1, Dependency(singleton=True))
    assert [job.id for job in scheduler.jobs.values()] == [found]
    assert scheduler.queries == jobs


def test_a_pass_in_doubt_is_not_looked_for_for_ever(layout: Layout) -> None:
    scheduler = FakeScheduler([fakes.NO_ANSWER] * 9)
    submitter = Submitter(layout, RECORD, scheduler, doubt_pauses_s=(0.0, 0.0))
    with pytest.raises(SubmissionDoubtError):
        submitter.submit_pass(1, Dependency(singleton=True))
    assert len(scheduler.faults) == 6


def test_a_refused_pass_is_not_submitted_again(layout: Layout) -> None:
    scheduler = FakeScheduler([fakes.REFUSED, ""])
    with pytest.raises(SubmissionError):
        Submitter(layout, RECORD, scheduler).submit_pass(1, Dependency(singleton=True))
    assert not scheduler.jobs
