"""Two passes of one workflow at once, and no lock between them: as on a file system whose locks do nothing.

A driver takes no lock itself (beeflow.passes does), so here one runs whole in the middle of another's sbatch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from beeflow.layout import Layout, folders
from beeflow.scheduler import JobRequest
from beeflow.states import JobState
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
