"""bee-remove: what may go, what must stay, and that it can be said again."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import sys
import threading
from dataclasses import replace

import filelock
import pytest

from beeflow import cli, finished, listing, removal
from beeflow.commands import remove
from beeflow.errors import TransitionError
from beeflow.layout import Layout
from beeflow.models import StateRecord, now
from beeflow.states import WorkflowState
from beeflow.store import publish, write_json, write_record
from tests.commands.place import Place, job_line

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(finished, "LAST_JOB_S", 0.0)
    return place


def run(*argv: str) -> int:
    return cli.guarded(remove.main, argv)


def test_the_directory_goes_and_the_archive_stays(place: Place, capsys: Capture) -> None:
    one, other = place.make(name="one"), place.make()
    assert run("--yes", one.id[:10]) == 0
    assert f"Removed workflow {one.id}: " in capsys.readouterr().out
    assert place.ids() == {other.id}
    assert f"{one.id}.tgz" in place.archived()
    listed = {each.id: each.state for each in listing.list_all(place.config(), os.environ)}
    assert listed == {one.id: WorkflowState.ARCHIVED, other.id: WorkflowState.ARCHIVED}
    assert place.calls == 1


def test_removing_again_says_that_the_archive_stays(place: Place, capsys: Capture) -> None:
    one = place.make()
    assert run("--yes", one.id) == 0
    assert run("--yes", one.id) == 0
    assert "no directory any more" in capsys.readouterr().out
    assert place.archived() == {f"{one.id}.tgz", f"{one.id}.json"}


@pytest.mark.parametrize("gone_before", [True, False])
def test_the_archive_goes_too(place: Place, gone_before: bool) -> None:
    one, other = place.make(), place.make()
    if gone_before:
        assert run("--yes", one.id) == 0
    assert run("--yes", "--archive", one.id) == 0
    assert place.ids() == {other.id}
    assert place.archived() == {f"{other.id}.tgz", f"{other.id}.json"}
    assert run("--yes", "--archive", one.id) == 3


def test_an_archive_that_was_made_elsewhere_goes_too(place: Place) -> None:
    one = place.make()
    place.conf.write_text(place.conf.read_text() + f"bee_archive_dir = {place.top}/new\n")
    assert run("--yes", "--archive", one.id) == 0
    assert (place.ids(), place.archived()) == (set(), set())


def test_a_state_that_names_another_file_as_archive_removes_no_such_file(place: Place) -> None:
    one = place.make()
    precious = place.top / "precious.tgz"
    precious.touch()
    write_record(
        one.layout.state, replace(one.state() or StateRecord(WorkflowState.FAILED, now()), archive=str(precious))
    )
    assert run("--yes", "--archive", one.id) == 0
    assert precious.exists()
    assert place.archived() == set()


def test_an_archive_without_its_sidecar_is_found(place: Place) -> None:
    one = place.make()
    shutil.rmtree(one.layout.root)
    (place.archives / f"{one.id}.json").unlink()
    assert run("--yes", "--archive", one.id[:8]) == 0
    assert place.archived() == set()


@pytest.mark.parametrize("answer", ["y", "yes", "Y"])
def test_it_asks(place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    one = place.make(name="my run")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{answer}\n"))
    assert run(one.id) == 0
    assert "my run" in capsys.readouterr().out
    assert place.ids() == set()


@pytest.mark.parametrize(("answer", "code"), [("", 2), ("\n", 1), ("n\n", 1), ("yeah\n", 1)])
def test_no_answer_removes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    one = place.make()
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    assert run(one.id) == code
    assert place.ids() == {one.id}


def test_an_interrupted_question_ends_its_line_and_removes_nothing(
    place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def readline(self) -> str:
            raise KeyboardInterrupt

    one = place.make()
    monkeypatch.setattr(sys, "stdin", Interrupted())
    assert run(one.id) == 130
    told = capsys.readouterr()
    assert (told.out.endswith("[y/N] \n"), told.err) == (True, "error: interrupted\n")
    assert place.ids() == {one.id}


@pytest.mark.parametrize(
    ("state", "hint"),
    [(WorkflowState.RUNNING, "bee-cancel it first"), (WorkflowState.COMPLETED, "its archive is still to be made")],
)
def test_what_is_not_over_stays_and_all_that_was_named_with_it(
    place: Place, capsys: Capture, state: WorkflowState, hint: str
) -> None:
    one, live = place.make(), place.make(state)
    place.slurm_has(job_line(live))
    assert run("--yes", one.id, live.id) == 4
    assert f"workflow {live.id} is {state.value}: {hint}" in capsys.readouterr().err
    assert place.ids() == {one.id, live.id}


def test_what_is_stalled_or_held_stays(place: Place, capsys: Capture) -> None:
    stalled, held = place.make(WorkflowState.RUNNING), place.make(WorkflowState.PENDING)
    publish(held.layout.held, now())
    held.layout.state.unlink()
    assert run("--yes", stalled.id, held.id) == 4
    said = capsys.readouterr().err
    assert f"{stalled.id} is Stalled: bee-start it or bee-cancel it first" in said
    assert f"{held.id} is Submitted: bee-start it or bee-cancel it first" in said


def test_what_has_no_archive_by_choice_goes(place: Place) -> None:
    one = place.make(WorkflowState.FAILED, use_archive=False)
    assert run("--yes", one.id) == 0
    assert place.ids() == set()


def test_the_last_job_has_to_end(place: Place, capsys: Capture) -> None:
    one = place.make()
    place.slurm_has(job_line(one, "COMPLETING"))
    assert run("--yes", one.id) == 4
    assert "its job 12 has not ended" in capsys.readouterr().err
    assert place.ids() == {one.id}


def test_it_waits_for_the_last_job(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    one = place.make()
    place.slurm_has(job_line(one, "COMPLETING"))
    monkeypatch.setattr(finished, "LAST_JOB_S", 10.0)
    targets = finished.find(place.config(), [one.id])
    assert (
        finished.check_all(
            place.config(), targets, os.environ, sleep=lambda _: place.slurm_has(job_line(one, "COMPLETED"))
        )
        == {}
    )
    assert place.calls == 2


@pytest.mark.parametrize("record", ["job", "graph"])
def test_what_a_workflow_that_is_not_over_takes_its_inputs_from_stays(
    place: Place, capsys: Capture, record: str
) -> None:
    one, live, other = place.make(), place.make(WorkflowState.RUNNING), place.make()
    path = getattr(live.layout, record)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"f": {"class": "File", "location": f"file://{one.layout.outputs}/table%20one"}})
    place.slurm_has(job_line(live))
    assert run("--yes", one.id) == 4
    assert f"{one.id} has files that are inputs of {live.id}, which is not over" in capsys.readouterr().err
    assert run("--yes", "--all") == 0
    assert place.ids() == {one.id, live.id}
    assert other.id not in place.ids()


def test_slurm_out_of_reach(place: Place, capsys: Capture) -> None:
    one = place.make()
    place.slurm_is_down()
    assert run("--yes", one.id) == 69
    assert "Unable to contact slurm controller" in capsys.readouterr().err
    assert place.ids() == {one.id}


def test_squeue_is_asked_for_the_one_who_asks(place: Place) -> None:
    run("--yes", place.make().id)
    assert f"--user={pwd.getpwuid(os.geteuid()).pw_name}" in (place.top / "squeue.calls").read_text()


def test_all(place: Place, capsys: Capture) -> None:
    one, live, other = place.make(), place.make(WorkflowState.RUNNING), place.make(WorkflowState.ARCHIVED_FAILED)
    place.slurm_has(job_line(live))
    assert run("--all", "--yes") == 0
    assert "They stay" in capsys.readouterr().out
    assert place.ids() == {live.id}
    assert {name[:36] for name in place.archived()} == {one.id, other.id}
    assert run("--all", "--yes", "--archive") == 0
    assert place.archived() == set()
    capsys.readouterr()
    assert run("--all", "--yes") == 0
    assert "There is nothing to remove." in capsys.readouterr().out


def test_usage(place: Place) -> None:
    one = place.make()
    assert run("--yes") == 2
    assert run("--all", "--yes", one.id) == 2
    assert run("--yes", "ffff") == 3
    assert run("--yes", one.id, "ffff") == 3
    assert place.ids() == {one.id}


def test_a_removal_that_was_killed_is_finished(place: Place) -> None:
    one = place.make()
    with removal.opened(place.workflows) as parent:
        removal.set_aside(parent, one.id)
    assert run("--yes", one.id) == 0
    assert place.ids() == set()


def test_what_a_killed_pass_left_goes(place: Place) -> None:
    one = place.make()
    one.layout.workflow.unlink()
    one.layout.state.unlink()
    assert run("--yes", one.id) == 0
    assert place.ids() == set()


def test_what_nobody_knows_stays(place: Place, capsys: Capture) -> None:
    one, other = place.make(WorkflowState.RUNNING), place.make()
    one.layout.workflow.unlink()
    assert run("--yes", one.id) == 74
    assert "is" in capsys.readouterr().err
    assert run("--yes", "--all") == 0
    assert place.ids() == {one.id}
    assert other.id not in place.ids()


def test_a_link_in_its_place_is_not_followed(place: Place, capsys: Capture) -> None:
    one = place.make()
    moved = place.top / "moved"
    shutil.move(one.layout.root, moved)
    one.layout.root.symlink_to(moved)
    assert run("--yes", one.id) == 74
    assert "a link" in capsys.readouterr().err
    assert (moved / "tasks/file").exists()
    assert one.layout.root.is_symlink()


def test_another_command_at_work(place: Place) -> None:
    one = place.make()
    with (
        filelock.FileLock(one.layout.lock),
        removal.opened(place.workflows) as parent,
        pytest.raises(TransitionError, match="another command works on it"),
    ):
        finished.set_aside(parent, one.id, finished.over, lock_s=0.1)
    assert place.ids() == {one.id}


def test_what_another_command_set_aside_while_we_waited_for_it_is_gone(place: Place) -> None:
    one = place.make()
    lock = filelock.FileLock(one.layout.lock, thread_local=False)
    lock.acquire()

    def other() -> None:
        one.layout.root.rename(place.workflows / f".removing-{one.id}")
        lock.release()

    with removal.opened(place.workflows) as parent:
        threading.Timer(0.3, other).start()
        assert finished.set_aside(parent, one.id, finished.over) is None
    assert place.ids() == {f".removing-{one.id}"}


def test_what_came_back_to_life_meanwhile_stays(place: Place) -> None:
    one = place.make()
    target = finished.find(place.config(), [one.id])[0]
    write_record(one.layout.state, StateRecord(WorkflowState.RUNNING, now()))
    with pytest.raises(TransitionError, match="changed meanwhile"):
        finished.remove(place.config(), target, archive=True)
    assert place.ids() == {one.id}
    assert place.archived() == {f"{one.id}.tgz", f"{one.id}.json"}


def test_what_is_gone_meanwhile_is_no_error(place: Place) -> None:
    one = place.make()
    target = finished.find(place.config(), [one.id])[0]
    shutil.rmtree(one.layout.root)
    assert finished.remove(place.config(), target, archive=True).left == []
    assert finished.remove(place.config(), target, archive=True).left == []


@pytest.mark.skipif(os.geteuid() != 0, reason="making another user's files needs root")
def test_what_belongs_to_others_is_named_and_stays(place: Place, capsys: Capture) -> None:
    one, other = place.make(), place.make()
    os.chown(one.layout.tasks / "file", 65534, 65534)
    os.chown(other.layout.root, 65534, 65534)
    assert run("--yes", one.id) == 74
    assert f".removing-{one.id}/tasks/file: belongs to nobody" in capsys.readouterr().err
    assert place.ids() == {f".removing-{one.id}", other.id}
    assert run("--yes", other.id) == 74
    assert "belongs to nobody, not to you" in capsys.readouterr().err
    assert Layout(other.layout.root).workflow.exists()
