"""A pass as a whole, where nothing is left to drive."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from beeflow import finished, passes, store
from beeflow.errors import EXIT_BUG, BeeError, SlurmError
from beeflow.layout import Layout, folders
from beeflow.listing import state_record
from beeflow.models import StateRecord, WorkflowRecord
from beeflow.passes import MAX_FAILURES, Pass
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


def archived(folder: Path, record: WorkflowRecord) -> Layout:
    """Make a workflow that is archived."""
    layout = Layout(folder / record.id)
    for each in (layout.root, *folders(layout)):
        each.mkdir(parents=True)
    store.write_record(layout.workflow, record)
    store.write_record(layout.state, state_record(record, WorkflowState.ARCHIVED))
    return layout


def test_a_pass_that_is_left_is_cancelled_though_slurm_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "TRIES_S", (0.0, 0.0, 0.0))
    layout = archived(tmp_path, RECORD)
    scheduler = Away()
    last = Pass(layout, RECORD, scheduler)
    last.submitter.submit_pass(2, Dependency(singleton=True), hold=True)
    assert last.run("pass.1", "12") == 0
    assert [job.states[None][0].value for job in scheduler.jobs.values()] == ["CANCELLED"]


def test_a_pass_that_a_killed_command_left_held_is_cancelled_though_its_id_is_not_known(tmp_path: Path) -> None:
    layout, scheduler = archived(tmp_path, RECORD), FakeScheduler()
    last = Pass(layout, RECORD, scheduler)
    job_id = last.submitter.submit_pass(2, Dependency(singleton=True), hold=True)
    layout.job_id("pass.2").unlink()
    assert last.run("pass.1", "12") == 0
    assert scheduler.jobs[job_id].states[None][0].value == "CANCELLED"


COMPLETED_GO = replace(RECORD, delete_completed=True)


def test_what_a_killed_pass_was_about_to_remove_goes(tmp_path: Path) -> None:
    layout, outside = archived(tmp_path / "workflows", COMPLETED_GO), tmp_path / "outside"
    outside.mkdir()
    (layout.tasks / "link").symlink_to(outside)
    (layout.tasks / "locked").mkdir()
    (layout.tasks / "locked/file").touch(0o400)
    (layout.tasks / "locked").chmod(0o500)
    # Half of it went before the pass was killed, if that was after it had its new name.
    (tmp_path / "workflows" / f".removing-{RECORD.id}/old").mkdir(parents=True)
    assert Pass(layout, COMPLETED_GO, FakeScheduler()).run("pass.2", "12") == 0
    assert list((tmp_path / "workflows").iterdir()) == []
    assert outside.exists()


def test_a_directory_that_another_command_works_on_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(finished, "LOCK_S", 0.0)
    layout = archived(tmp_path, COMPLETED_GO)
    with filelock.FileLock(layout.lock):
        assert Pass(layout, COMPLETED_GO, FakeScheduler()).run("pass.2", "12") == 0
    assert layout.workflow.exists()
    assert "another command works on it" in caplog.text


def test_only_what_completed_goes(tmp_path: Path) -> None:
    layout = archived(tmp_path, COMPLETED_GO)
    store.write_record(layout.state, state_record(COMPLETED_GO, WorkflowState.ARCHIVED_FAILED))
    assert Pass(layout, COMPLETED_GO, FakeScheduler()).run("pass.2", "12") == 0
    assert layout.workflow.exists()


class Buggy(Pass):
    """Meets what nobody thought of."""

    def advance(self, successor: str | None, job_id: str | None) -> StateRecord | None:
        raise TypeError(f"no {successor}\nin {job_id}")


def test_a_bug_is_not_told_as_a_pass_that_was_killed(tmp_path: Path) -> None:
    layout, scheduler = archived(tmp_path, RECORD), FakeScheduler()
    store.write_record(layout.state, state_record(RECORD, WorkflowState.RUNNING))
    for number in range(1, MAX_FAILURES + 1):
        with pytest.raises(TypeError):
            Buggy(layout, RECORD, scheduler).run(f"pass.{number}", "12")
    said = rf"the last: TypeError: no \d+ in 12; {layout.log}/passes.log tells where"
    with pytest.raises(BeeError, match=said):
        Buggy(layout, RECORD, scheduler).run(f"pass.{MAX_FAILURES + 1}", "12")


def test_a_pass_that_meets_a_bug_says_so_by_its_exit_code(tmp_path: Path) -> None:
    layout = archived(tmp_path, RECORD)
    env = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
    command = [sys.executable, "-m", "beeflow.advance", str(layout.root), "pass.1"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == EXIT_BUG
    assert "Traceback" in ended.stderr
    assert "KeyError" in ended.stderr
    assert "this is a bug in beeflow" in ended.stderr
