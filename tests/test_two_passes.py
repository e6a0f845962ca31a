"""Two passes of one workflow at once, and no lock between them: as on a file system whose locks do nothing.

A driver takes no lock itself (beeflow.passes does), so here one runs whole in the middle of another's sbatch.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from beeflow import locking, store
from beeflow.errors import BeeError
from beeflow.layout import Layout, folders
from beeflow.locking import Lock, LockedError
from beeflow.models import Holder, now
from beeflow.passes import MAX_FAILURES, Pass
from beeflow.scheduler import JobRequest
from beeflow.states import JobState
from beeflow.submission import pass_key
from tests.fakes import RECORD, FakeScheduler
from tests.test_driver import World, wide


@dataclass
class Interrupted(FakeScheduler):
    """Something happens in the middle of one submission: before the job is there, or before the submitter knows."""

    at: int = 0
    early: bool = False
    happens: Callable[[], object] = lambda: None
    count: int = field(default=0, init=False)

    def submit(self, request: JobRequest) -> str:
        self.count += 1
        now = self.count == self.at
        if now and self.early:
            self.happens()
        job_id = super().submit(request)
        if now and not self.early:
            self.happens()
        return job_id


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    for folder in folders(made):
        folder.mkdir(parents=True)
    return made


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_nothing_is_submitted_twice_to_run_twice(layout: Layout, at: int, early: bool) -> None:
    world = wide(layout)
    other = World(layout, world.graph, world.inputs, world.functions, passes=1)
    world.scheduler = other.scheduler = scheduler = Interrupted(at=at, early=early, happens=other.run)
    assert world.run() is None
    assert scheduler.count > 4
    owners = {path.read_text().strip(): path.stem for path in layout.jobs.glob("*.id")}
    live = {job.id for job in scheduler.jobs.values() if not all(state.ended for state, _ in job.states.values())}
    # Each has one job that may run; what was submitted besides is cancelled, by its number and its name.
    assert live == set(owners)
    assert {name for name in owners.values() if not name.startswith("pass.")} == {
        path.stem for path in layout.jobs.glob("[0-9]*.json")
    }
    assert [len([job for job in world.jobs(path) if job.id in live]) for path in "stg"] == [1, 1, 1]
    # What waits for a step waits for the job that runs.
    waited = {job_id for job_id in live for ids in scheduler.jobs[job_id].dependency.by_type.values() for job_id in ids}
    assert waited <= live


def test_both_see_that_the_workflow_has_ended(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    for path, outs in (("s", (1, 2, 3)), ("t", (1, 2, 3)), ("g", (6,))):
        world.finish(path, *outs)
    other = World(layout, world.graph, world.inputs, world.functions, scheduler=world.scheduler, passes=world.passes)
    first, second = world.run(), other.run()
    assert first is not None
    assert second is not None
    assert world.final_tasks(first) == other.final_tasks(second)
    assert {state for state, _ in world.final_tasks(first).values()} == {JobState.COMPLETED.value}


# -- the lock that passes do take --------------------------------------------------------------------------------------


def make_pass(layout: Layout, kind: str, scheduler: FakeScheduler) -> Pass:
    return Pass(layout, replace(RECORD, lock=kind), scheduler, lock_timeout_s=0.1)


def test_a_pass_goes_on_where_nobody_can_say_whether_the_holder_lives(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    holder = Holder("far", "b", "n", 7, 7, now(), "t")
    store.write_record(locking.holder_path(layout.lock), holder)
    with make_pass(layout, locking.SOFT, FakeScheduler()).locked():
        assert "this pass goes on without the lock" in caplog.text
    assert locking.read_holder(locking.holder_path(layout.lock)) == holder


def test_a_pass_goes_on_where_there_are_no_locks(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with make_pass(layout, locking.FCNTL, FakeScheduler()).locked():
        assert "set lock = soft" in caplog.text


def test_the_job_of_a_holder_elsewhere_is_looked_up_in_the_queue(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    job = world.job("s")
    holder = Holder("far", "b", "n", 7, 7, now(), "t", job.id, RECORD.slurm.cluster_name)
    store.write_record(locking.holder_path(layout.lock), holder)
    taken = make_pass(layout, locking.SOFT, world.scheduler)
    with pytest.raises(LockedError, match=f"process 7 on far, job {job.id}"), taken.locked():
        pass
    world.scheduler.end(job.id, JobState.NODE_FAIL)
    with taken.locked():
        pass


@pytest.mark.parametrize("kind", [locking.FCNTL, locking.SOFT])
def test_passes_that_never_get_the_lock_end_and_say_who_has_it(layout: Layout, kind: str) -> None:
    scheduler = FakeScheduler()
    who = "lock: held by process"
    with Lock(layout.lock, kind).held(0):
        for number in range(1, MAX_FAILURES + 1):
            with pytest.raises(LockedError, match=who):
                make_pass(layout, kind, scheduler).run(pass_key(number), str(number))
        with pytest.raises(BeeError, match=f"{MAX_FAILURES} passes failed in a row; the last: .*{who}"):
            make_pass(layout, kind, scheduler).run(pass_key(MAX_FAILURES + 1), "9")
    # No other comes after it.
    assert scheduler.cancelled == [(None, list(scheduler.jobs)[-1])]
