"""Workflows of which only the archive is left, or an archive of before a retry: what commands say of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from beeflow import cli, store
from beeflow.commands import archive, cancel, pause, query, rerun, resume, retry, start
from beeflow.commands import copy as copy_command
from beeflow.layout import folders
from beeflow.listing import state_record
from beeflow.models import Retried, Sidecar, now
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.archive import raw
from tests.archive.raw import write
from tests.commands.place import Place

Capture = pytest.CaptureFixture[str]
FAILED = WorkflowState.ARCHIVED_FAILED


@pytest.fixture
def place(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return place


def without_directory(place: Place) -> WorkflowDir:
    """Make a failed workflow of which the archive is left."""
    found = place.make(FAILED)
    shutil.rmtree(found.layout.root)
    return found


@pytest.mark.parametrize("main", [retry.main, start.main, pause.main, resume.main, cancel.main])
def test_what_needs_the_directory_names_what_does_not(place: Place, capsys: Capture, main: cli.Main) -> None:
    found = without_directory(place)
    assert cli.guarded(main, [found.id[:8]]) == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert f"workflow {found.id} is Archived/Failed, and only its archive is left" in told.err
    assert f"{place.archives}/{found.id}.tgz: bee-" in told.err
    assert "what is: bee-copy, bee-rerun, bee-remove --archive" in told.err


@pytest.mark.parametrize("main", [retry.main, cancel.main, query.main, archive.main, rerun.main, copy_command.main])
def test_what_was_archived_as_it_ran_is_no_archive_to_go_by(place: Place, capsys: Capture, main: cli.Main) -> None:
    path = write(place.archives / f"{raw.ID}.tgz", raw.small())
    beside = Sidecar(raw.ID, "n", WorkflowState.RUNNING, "", "", "0" * 64, path.stat().st_size)
    store.write_record(path.with_suffix(".json"), beside)
    assert cli.guarded(main, [raw.ID[:8]]) == 75
    assert capsys.readouterr().err == (
        f"error: workflow {raw.ID} has no whole archive of its end, and no directory any more; see:\n"
        f"  bee-verify {path}\n"
    )


def retried(found: WorkflowDir, generation: int, *, done: bool = True) -> None:
    """Have a workflow be retried: what said that it is over is gone."""
    for folder in folders(found.layout):
        folder.mkdir(exist_ok=True)
    store.write_record(found.layout.retry, Retried(generation, now(), done=done))
    if done:
        found.layout.state.unlink()


@pytest.mark.parametrize("dest", ["copy.tgz", "-"])
def test_an_archive_of_before_a_retry_is_copied_and_named(
    place: Place, capfdbinary: pytest.CaptureFixture[bytes], dest: str
) -> None:
    found = place.make(FAILED)
    archive = place.archives / f"{found.id}.tgz"
    retried(found, 1)
    target = dest if dest == "-" else str(place.top / dest)
    assert cli.guarded(copy_command.main, [found.id[:8], target]) == 0
    out, err = capfdbinary.readouterr()
    assert (out if dest == "-" else Path(target).read_bytes()) == archive.read_bytes()
    said = f"version 1 of the archive is what there is: workflow {found.id} is running again (bee-retry)"
    assert said in err.decode()
    assert f"version 2 is made when it ends; see: bee-query {found.id}" in err.decode()


def test_the_newest_archive_is_copied_without_a_word(place: Place, capsys: Capture) -> None:
    found = place.make(FAILED)
    # Put off before anything was cleared, ended, and ended with an archive of its own.
    retried(found, 1, done=False)
    assert cli.guarded(copy_command.main, [found.id, str(place.top / "1.tgz")]) == 0
    retried(found, 1)
    store.write_record(found.layout.state, state_record(found.record(), FAILED))
    assert cli.guarded(copy_command.main, [found.id, str(place.top / "2.tgz")]) == 0
    found.layout.state.unlink()
    for suffix in (".tgz", ".json"):
        shutil.copy(place.archives / f"{found.id}{suffix}", place.archives / f"{found.id}.v2{suffix}")
    assert cli.guarded(copy_command.main, [found.id, str(place.top / "3.tgz")]) == 0
    assert capsys.readouterr().err == ""
