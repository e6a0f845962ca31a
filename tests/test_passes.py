"""A pass as a whole, where nothing is left to drive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from beeflow import passes, store
from beeflow.errors import SlurmError
from beeflow.layout import Layout, folders
from beeflow.listing import state_record
from beeflow.passes import Pass
from beeflow.scheduler import Dependency
from beeflow.states import WorkflowState
from tests.fakes import RECORD, FakeScheduler


class Away(FakeScheduler):
    """Does not answer the first calls of scancel."""

    left = 2

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        if self.left:
            self.left -= 1
            raise SlurmError("scancel: Unable to contact slurm controller (connect failure)")
        super().cancel(name, job_ids, pending_only=pending_only)


def test_a_pass_that_is_left_is_cancelled_though_slurm_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "TRIES_S", (0.0, 0.0, 0.0))
    layout = Layout(tmp_path / RECORD.id)
    for folder in (layout.root, *folders(layout)):
        folder.mkdir()
    store.write_record(layout.state, state_record(RECORD, WorkflowState.ARCHIVED))
    scheduler = Away()
    last = Pass(layout, RECORD, scheduler)
    last.submitter.submit_pass(2, Dependency(singleton=True), hold=True)
    assert last.run("pass.1", "12") == 0
    assert [job.states[None][0].value for job in scheduler.jobs.values()] == ["CANCELLED"]
