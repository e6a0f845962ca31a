"""bee-clean: what goes, what stays, and where it does nothing at all."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import filelock
import pytest

from beeflow import cleaning, cli, listing, store, workdir
from beeflow.commands import clean
from beeflow.commands import list as bee_list
from beeflow.models import StateRecord
from beeflow.private_slurm import record
from beeflow.private_slurm.config import Asked, Shape
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.commands.place import Place, ago, job_line

Capture = pytest.CaptureFixture[str]
REPOSITORY = Path(__file__).resolve().parents[2]
ID = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"
NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="making another user's files needs root")


@pytest.fixture
def place(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return place


def run(*argv: str) -> int:
    return cli.guarded(clean.main, argv)


def age(path: Path, days: float) -> None:
    """Make a file or folder, and what is in it, look old."""
    then = time.time() - days * 86400
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then), follow_symlinks=False)


# -- what goes --------------------------------------------------------------------------------------------------------


def test_nothing_to_do_is_silent_and_asks_no_slurm(place: Place, capsys: Capture) -> None:
    place.make(days=29)
    place.slurm_is_down()
    assert run() == 0
    assert capsys.readouterr() == ("", "")
    assert place.calls == 0


def test_old_directories_go_and_their_archives_stay(place: Place, capsys: Capture) -> None:
    old, failed, young = place.make(name="the old one"), place.make(WorkflowState.ARCHIVED_FAILED), place.make(days=2)
    assert run() == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"removed   {old.id}  the old one  Archived         40 days" in out
    assert f"{failed.id}  n            Archived/Failed" in out
    assert out.splitlines()[-1].startswith("2 removed; ")
    assert place.ids() == {young.id}
    assert len(place.archived()) == 6
    assert {each.id for each in listing.list_all(place.config(), os.environ)} == {old.id, failed.id, young.id}
    assert place.calls == 1
    assert run() == 0
    assert capsys.readouterr() == ("", "")


def test_a_dry_run_says_the_same_and_does_nothing(place: Place, capsys: Capture) -> None:
    old = place.make()
    before = sorted(place.workdir.rglob("*"))
    assert run("--dry-run") == 0
    out = capsys.readouterr().out
    assert old.id in out
    assert out.splitlines()[0].startswith("Would be")
    assert out.splitlines()[-1] == "would be done: 1 removed; nothing was (--dry-run)"
    assert sorted(place.workdir.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta()),
    ],
)
def test_ages(text: str, age: timedelta) -> None:
    assert clean.parse_age(text) == age


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "9999999d", "1y", "٣d"])
def test_ages_that_are_none(place: Place, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        clean.main([f"--older-than={text}"])


def test_younger_by_choice(place: Place) -> None:
    hours, minutes = place.make(days=3 / 24), place.make(days=0.01)
    assert run("--older-than", "2h") == 0
    assert place.ids() == {minutes.id}
    assert run("--older-than", "0d") == 0
    assert place.ids() == set()
    assert hours.id != minutes.id


def test_states(place: Place) -> None:
    by_state = {state: place.make(state).id for state in cleaning.STATES if state.final}
    assert run("--state", "archived/failed") == 0
    assert place.ids() == {by_state[WorkflowState.ARCHIVED], by_state[WorkflowState.ARCHIVED_CANCELLED]}
    assert run("--state", "Archived,ARCHIVED/FAILED", "--state", "Archived/Cancelled") == 0
    assert place.ids() == set()


@pytest.mark.parametrize("text", ["Running", "", "Archived,", "Completed"])
def test_states_that_never_go(place: Place, text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        clean.main(["--state", text])


def test_the_last_ones_stay(place: Place) -> None:
    made = [place.make(days=days).id for days in (60, 50, 40)]
    assert run("--keep-last", "2") == 0
    assert place.ids() == set(made[1:])
    assert run("--keep-last", "5") == 0
    assert place.ids() == set(made[1:])
    # A young one is one of the last, too.
    made.append(place.make(days=1).id)
    assert run("--keep-last", "2") == 0
    assert place.ids() == set(made[2:])


# -- what stays -------------------------------------------------------------------------------------------------------


def test_what_slurm_has_a_job_of_stays(place: Place, capsys: Capture) -> None:
    one, other = place.make(), place.make()
    place.slurm_has(job_line(one, "COMPLETING"), job_line(other, "COMPLETED"))
    assert run() == 0
    assert place.ids() == {one.id}


@pytest.mark.parametrize(
    "state", [WorkflowState.PENDING, WorkflowState.RUNNING, WorkflowState.PAUSED, WorkflowState.COMPLETED]
)
def test_what_is_not_over_stays(place: Place, capsys: Capture, state: WorkflowState) -> None:
    one = place.make(state)
    age(one.layout.root, 90)
    place.slurm_has(job_line(one))
    assert run("--older-than", "0d") == 0
    assert capsys.readouterr() == ("", "")
    assert place.ids() == {one.id}


def test_what_a_live_workflow_takes_its_inputs_from_stays(place: Place, capsys: Capture) -> None:
    one, live = place.make(), place.make(WorkflowState.RUNNING)
    store.write_json(live.layout.job, {"d": {"class": "Directory", "location": f"file://{one.layout.outputs}"}})
    place.slurm_has(job_line(live))
    assert run() == 0
    assert place.ids() == {one.id, live.id}
    assert capsys.readouterr() == ("", "")


def test_what_has_no_archive_by_choice_stays(place: Place, capsys: Capture) -> None:
    one = place.make(WorkflowState.COMPLETED, use_archive=False)
    age(one.layout.root, 90)
    assert run() == 0
    assert capsys.readouterr() == ("", "")
    assert place.ids() == {one.id}


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [damage, cut, link, Path.unlink])
@pytest.mark.parametrize("has_sidecar", [True, False])
def test_an_archive_that_does_not_verify_keeps_the_directory(
    place: Place, capsys: Capture, harm: Callable[[Path], None], has_sidecar: bool
) -> None:
    one, good = place.make(), place.make()
    path = place.archives / f"{one.id}.tgz"
    harm(path)
    if not has_sidecar:
        path.with_suffix(".json").unlink()
    assert run() in (75, 79)
    out, err = capsys.readouterr()
    assert str(path) in err
    assert good.id in out
    assert place.ids() == {one.id}


def test_an_archive_without_its_sidecar_is_verified_by_its_manifest(place: Place) -> None:
    one = place.make()
    (place.archives / f"{one.id}.json").unlink()
    assert run() == 0
    assert place.ids() == set()


def test_archives_that_were_moved_are_found(place: Place) -> None:
    place.make()
    shutil.move(place.archives, place.top / "moved")
    place.conf.write_text(place.conf.read_text() + f"bee_archive_dir = {place.top}/moved\n")
    assert run() == 0
    assert place.ids() == set()


def test_another_workflows_archive_is_not_its_own(place: Place, capsys: Capture) -> None:
    one, other = place.make(), place.make(days=1)
    for suffix in (".tgz", ".json"):
        shutil.copy(place.archives / f"{other.id}{suffix}", place.archives / f"{one.id}{suffix}")
    assert run() == 75
    assert "not what was archived" in capsys.readouterr().err
    (place.archives / f"{one.id}.json").unlink()
    assert run() == 75
    assert "it is the archive of" in capsys.readouterr().err
    assert place.ids() == {one.id, other.id}


def test_slurm_out_of_reach(place: Place, capsys: Capture) -> None:
    made = {place.make().id, place.make().id}
    place.slurm_is_down()
    for options in ((), ("--dry-run",)):
        assert run(*options) == 69
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert "Unable to contact slurm controller; no workflow of this Slurm was touched" in err
    assert place.ids() == made


def test_no_squeue(place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {place.make().id, place.make().id}
    monkeypatch.setenv("PATH", "/nowhere")
    assert run() == 69
    assert "squeue: program not found" in capsys.readouterr().err
    assert place.ids() == made


def test_somebody_works_on_it(place: Place, capsys: Capture) -> None:
    one, other = place.make(), place.make()
    with filelock.FileLock(one.layout.lock):
        assert run() == 0
    assert place.ids() == {one.id}
    assert other.id in capsys.readouterr().out


def test_a_damaged_record(place: Place, capsys: Capture) -> None:
    one, other, third = place.make(), place.make(), place.make()
    one.layout.state.write_text("{")
    store.write_record(other.layout.state, StateRecord(WorkflowState.ARCHIVED, "yesterday"))
    assert run() == 74
    err = capsys.readouterr().err
    assert "damaged" in err
    assert "'yesterday' is not a time" in err
    assert place.ids() == {one.id, other.id}
    assert third.id not in place.ids()


# -- links and others -------------------------------------------------------------------------------------------------


def test_links_are_not_followed(place: Place, capsys: Capture) -> None:
    home = Path(os.environ["HOME"])
    (home / "precious").touch()
    one, other = place.make(), place.make()
    (other.layout.tasks / "home").symlink_to(home)
    moved = place.top / "moved"
    shutil.move(one.layout.root, moved)
    one.layout.root.symlink_to(moved)
    (place.workflows / f".removing-{ID}").symlink_to(home)
    assert run() == 74
    assert f"{one.layout.root} is a link" in capsys.readouterr().err
    assert (moved / "workflow.json").exists()
    assert (home / "precious").exists()
    assert place.ids() == {one.id}


@root_only
def test_another_users_directory_is_never_touched(place: Place, capsys: Capture) -> None:
    one = place.make()
    aside = place.workflows / f".removing-{ID}"
    aside.mkdir()
    (aside / "file").touch()
    for path in (one.layout.root, aside):
        os.chown(path, NOBODY, NOBODY)
    assert run() == 74
    assert "belongs to somebody else; it was left as it is" in capsys.readouterr().err
    assert place.ids() == {one.id, aside.name}
    assert (aside / "file").exists()


@root_only
def test_another_users_file_inside_stays_and_is_named_each_time(place: Place, capsys: Capture) -> None:
    one = place.make()
    os.chown(one.layout.tasks / "file", NOBODY, NOBODY)
    for _ in range(2):
        assert run() == 74
        assert f".removing-{one.id}/tasks/file: belongs to nobody" in capsys.readouterr().err
    assert os.listdir(place.workflows / f".removing-{one.id}/tasks") == ["file"]


# -- leftovers --------------------------------------------------------------------------------------------------------


def test_leftovers_go_when_nobody_can_be_writing_them(place: Place, capsys: Capture) -> None:
    place.make(days=1)
    images = place.workdir / "images"
    images.mkdir(mode=0o700)
    ended = subprocess.Popen(["true"])
    ended.wait()
    old = [
        place.workflows / f".new-{ID}/tasks",
        place.archives / f".{ID}.tgz.part",
        place.archives / f".{ID}.tgz.{ended.pid}.part",
        place.archives / f".{ID}.json.abc12_xy",
        place.archives / f".{ID}.v2.tgz.part",
        place.archives / f".{ID}.v12.tgz.{ended.pid}.part",
        place.archives / f".{ID}.v2.json.abc12_xy",
        images / f".0123456789abcdef.{ended.pid}/usr",
        place.workflows / ".beeflow-abc12_xy",
        place.workflows / ".beeflow-abc12_xy.new",
        place.workdir / ".beeflow-abc12_xy",
        place.workdir / "..bee_workdir.abc12_xy",
    ]
    kept = [
        place.workflows / ".new-something",
        place.archives / "notes.part",
        place.archives / f".{ID}.tgz.{os.getpid()}.part",
        images / "0123456789abcdef",
        place.workdir / ".removing-x",
        place.workdir / ".beeflow-demo",
    ]
    for path in (*old, *kept):
        path.mkdir(parents=True)
        age(path, 2)
        if path.name in ("tasks", "usr"):
            age(path.parent, 2)
    young = [place.workflows / f".new-{ID[:-1]}b/tasks", place.archives / f".{ID[:-1]}b.tgz.part"]
    for path in young:
        path.mkdir(parents=True)
    assert run() == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("12 leftover removed; ")
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*kept, *young))


def test_what_a_killed_bee_submit_tried_the_file_system_with_is_no_workflow(place: Place, capsys: Capture) -> None:
    tried = place.workflows / ".beeflow-abc12_xy"
    tried.touch()
    assert run() == 0
    assert cli.guarded(bee_list.main, []) == 0
    assert capsys.readouterr().err == ""
    age(tried, 2)
    assert run() == 0
    assert place.ids() == set()


def test_a_staging_directory_that_is_still_filled_stays(place: Place) -> None:
    path = place.workflows / f".new-{ID}"
    (path / "cwl").mkdir(parents=True)
    age(path, 2)
    (path / "cwl" / "file").touch()
    assert run() == 0
    assert path.exists()


def test_a_removal_that_was_killed_is_finished_at_once(place: Place, capsys: Capture) -> None:
    one = place.make(days=1)
    one.layout.root.rename(place.workflows / f".removing-{one.id}")
    place.slurm_is_down()
    assert run() == 0
    assert place.ids() == set()
    assert "1 leftover removed" in capsys.readouterr().out


def test_what_a_killed_pass_left_of_a_directory_goes(place: Place, capsys: Capture) -> None:
    one, young, unknown = place.make(), place.make(days=2), place.make()
    for found in (one, young, unknown):
        found.layout.workflow.unlink()
    (place.archives / f"{unknown.id}.json").unlink()
    assert run() == 74
    assert f"{unknown.layout.root}: no workflow.json in it" in capsys.readouterr().err
    assert place.ids() == {young.id, unknown.id}


def test_what_a_killed_pass_left_goes_by_the_newest_archive(place: Place, capsys: Capture) -> None:
    first_gone, second_damaged = place.make(), place.make()
    for found in (first_gone, second_damaged):
        found.layout.workflow.unlink()
        for suffix in (".tgz", ".json"):
            first = place.archives / f"{found.id}{suffix}"
            shutil.copy(first, place.archives / f"{found.id}.v2{suffix}")
            if found is first_gone:
                first.unlink()
    damaged = place.archives / f"{second_damaged.id}.v2.tgz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert run() == 75
    assert f"{damaged}: not what was archived" in capsys.readouterr().err
    assert place.ids() == {second_damaged.id}


def test_archives_elsewhere_are_out_of_bounds(place: Place) -> None:
    elsewhere = place.top / "elsewhere"
    part = elsewhere / f".{ID}.tgz.part"
    part.mkdir(parents=True)
    age(part, 5)
    place.make(days=1)
    place.conf.write_text(place.conf.read_text() + f"bee_archive_dir = {elsewhere}\n")
    assert run() == 0
    shutil.rmtree(place.archives)
    place.archives.symlink_to(elsewhere)
    place.conf.write_text(f"[DEFAULT]\nbee_workdir = {place.workdir}\n")
    assert run() == 0
    assert part.exists()


# -- one at a time ----------------------------------------------------------------------------------------------------


def test_one_at_a_time(place: Place, capsys: Capture) -> None:
    one = place.make()
    with (place.workdir / ".clean.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run() == 0
        assert capsys.readouterr() == ("", "")
        assert place.ids() == {one.id}
    assert run() == 0
    assert place.ids() == set()


def test_a_link_for_the_lock_is_refused(place: Place) -> None:
    place.make()
    target = place.top / "target"
    (place.workdir / ".clean.lock").symlink_to(target)
    assert run() == 74
    assert not target.exists()


def test_a_lock_that_nobody_can_judge_is_named_by_its_own_path(place: Place, capsys: Capture) -> None:
    place.make()
    place.conf.write_text(f"{place.conf.read_text()}\nlock = soft\n")
    holder = place.workdir / ".clean.lock.holder"
    holder.write_text("{")
    assert run() == 74
    assert f"error: {holder}: a soft lock, held by what it says cannot be read" in capsys.readouterr().err


# -- Stalled ----------------------------------------------------------------------------------------------------------


def stalled(place: Place, days: float) -> WorkflowDir:
    """Make a workflow of which Slurm has no job, and nothing happened for so long."""
    made = place.make(WorkflowState.RUNNING, days=days)
    age(made.layout.root, days)
    return made


def test_what_is_stalled_for_long_would_be_ended(place: Place, capsys: Capture) -> None:
    old, young = stalled(place, 40), stalled(place, 20)
    assert run("--dry-run") == 0
    out = capsys.readouterr().out
    assert f"finalised   {old.id}  n       Stalled   40 days" in out
    assert young.id not in out
    assert run("--dry-run", "--state", "Archived") == 0
    assert capsys.readouterr().out == ""
    assert not old.layout.cancel.exists()


def test_what_bee_start_has_continued_meanwhile_is_not_cancelled(place: Place, capsys: Capture) -> None:
    old = stalled(place, 40)
    (place.top / "squeue.jobs").unlink()
    (place.top / "bin/squeue").write_text(
        f"#!/bin/sh\n[ -e {place.top}/asked ] && echo '{job_line(old)}'\ntouch {place.top}/asked\n"
    )
    assert run() == 0
    assert capsys.readouterr() == ("", "")
    assert not old.layout.cancel.exists()


def test_what_is_held_is_not_stalled(place: Place, capsys: Capture) -> None:
    old = stalled(place, 40)
    store.write_text(old.layout.held, ago(40))
    age(old.layout.root, 40)
    assert run("--dry-run") == 0
    assert capsys.readouterr() == ("", "")


def test_a_sign_of_life_in_any_file_counts(place: Place, capsys: Capture) -> None:
    old = stalled(place, 40)
    (old.layout.log / "passes.log").write_text("a word\n")
    assert run("--dry-run") == 0
    assert capsys.readouterr() == ("", "")


# -- where it does nothing at all -------------------------------------------------------------------------------------


def refused(place: Place, capsys: Capture, workdir: Path | str, why: str) -> None:
    """Check that nothing is done for this bee_workdir, and that the message says where it is set."""
    place.conf.write_text(f"[DEFAULT]\nbee_workdir = {workdir}\n")
    before = sorted(place.top.rglob("*"))
    assert run() == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert why in err
    assert f"{place.conf}:2" in err
    assert sorted(place.top.rglob("*")) == before


def test_the_root_folder_is_refused(place: Place, capsys: Capture) -> None:
    refused(place, capsys, "/", "which is not only ours")


@pytest.mark.parametrize("text", ["{home}", "{home}/.", "{home}/../home", "{top}/link"])
def test_the_home_folder_is_refused(place: Place, capsys: Capture, text: str) -> None:
    home = Path(os.environ["HOME"])
    (home / "workflows" / ID).mkdir(parents=True)
    (place.top / "link").symlink_to(home)
    refused(place, capsys, text.format(home=home, top=place.top), "is your home folder")


def test_what_the_home_folder_is_in_is_refused(place: Place, capsys: Capture) -> None:
    refused(place, capsys, place.top, "which is not only ours")


def test_the_home_folder_of_the_system_counts_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    place.make()
    assert run() == 0


def test_an_empty_bee_workdir_is_refused(place: Place, capsys: Capture) -> None:
    place.conf.write_text("[DEFAULT]\nbee_workdir =\n")
    assert run() == 78
    empty = place.top / "empty"
    empty.mkdir(mode=0o700)
    refused(place, capsys, empty, "is empty, or not a folder of beeflow's")
    refused(place, capsys, place.top / "never", "is not there; is its file system mounted?")


def test_a_foreign_folder_is_refused(place: Place, capsys: Capture) -> None:
    foreign = place.top / "project"
    (foreign / "workflows/analysis").mkdir(parents=True)
    foreign.chmod(0o700)
    refused(place, capsys, foreign, "its workflows/analysis is no workflow")
    file = place.top / "file"
    file.touch()
    refused(place, capsys, file, "cannot be opened: Not a directory")


@pytest.mark.parametrize(
    "names",
    [
        ["workflows", "archives", "slurm", "images", "cache"],
        # /etc, where Slurm is installed.
        ["slurm/slurm.conf", "slurm/state.json"],
        ["images/.0123456789abcdef.1/usr"],
        [f"workflows/{ID}/workflow.json", f"archives/{ID}.json", f"archives/{ID}.tgz", ".bee_workdir"],
    ],
)
def test_what_only_has_names_of_ours_is_refused(place: Place, capsys: Capture, names: list[str]) -> None:
    foreign = place.top / "project"
    for path in (foreign / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.suffix or path.name == ".bee_workdir":
            path.write_text('{"id": "x", "version": 1}')
        else:
            path.mkdir(mode=0o700)
    foreign.chmod(0o700)
    age(foreign, 90)
    refused(place, capsys, foreign, "is empty, or not a folder of beeflow's")


def no_mark(place: Place) -> None:
    (place.workdir / workdir.MARK).unlink()


def only_archives(place: Place) -> None:
    """As copied there with scp: without what is beside them."""
    made = place.make()
    no_mark(place)
    shutil.rmtree(place.workflows)
    (place.archives / f"{made.id}.json").unlink()


def only_sidecars(place: Place) -> None:
    made = place.make()
    no_mark(place)
    shutil.rmtree(place.workflows)
    (place.archives / f"{made.id}.tgz").unlink()


def only_slurm(place: Place) -> None:
    no_mark(place)
    for folder in (place.workflows, place.archives):
        folder.rmdir()
    (place.workdir / "slurm").mkdir()
    record.write(place.workdir / "slurm", record.Record(place.top, Asked(), Shape(1, 1, 1000), (1, 2)))


def only_the_mark(place: Place) -> None:
    for folder in (place.workflows, place.archives):
        folder.rmdir()


def only_workflows(place: Place) -> None:
    place.make()
    no_mark(place)


def only_a_submit_that_was_killed(place: Place) -> None:
    made = place.make(WorkflowState.PENDING)
    made.layout.root.rename(place.workflows / f".new-{made.id}")
    no_mark(place)


@pytest.mark.parametrize(
    "only",
    [only_archives, only_sidecars, only_slurm, only_the_mark, only_workflows, only_a_submit_that_was_killed],
)
def test_a_bee_workdir_is_known_however_little_is_in_it(
    place: Place, capsys: Capture, only: Callable[[Place], None]
) -> None:
    only(place)
    assert run("--dry-run") == 0
    # What it was known by may go.
    for _ in range(2):
        assert run() == 0
        assert capsys.readouterr().err == ""


def test_a_bee_workdir_without_a_workflow_is_silent(place: Place, capsys: Capture) -> None:
    assert run() == 0
    place.workflows.rmdir()
    assert run() == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["bee", "bee/workflows"])
def test_what_others_can_write_is_refused(place: Place, capsys: Capture, name: str) -> None:
    one = place.make()
    for mode in (0o777, 0o702):
        (place.top / name).chmod(mode)
        refused(place, capsys, place.workdir, "write")
    (place.top / name).chmod(0o1777)
    assert run() == 0
    assert one.id not in place.ids()


def test_a_group_of_several_is_others(place: Place, capsys: Capture) -> None:
    place.make()
    os.chown(place.workdir, -1, os.getgid())
    place.workdir.chmod(0o770)
    group, user = grp.getgrgid(os.getgid()), pwd.getpwuid(os.geteuid())
    is_private = group.gr_gid == user.pw_gid and group.gr_name == user.pw_name and not group.gr_mem
    assert (run() == 0) is is_private
    capsys.readouterr()
    if os.geteuid() == 0:
        os.chown(place.workdir, -1, NOBODY)
        refused(place, capsys, place.workdir, "can be written by others (run: chmod go-w")


@root_only
def test_somebody_elses_folder_is_refused(place: Place, capsys: Capture) -> None:
    place.make()
    os.chown(place.workflows, NOBODY, NOBODY)
    refused(place, capsys, place.workdir, "somebody else can write")
    os.chown(place.workdir, NOBODY, NOBODY)
    refused(place, capsys, place.workdir, "belongs to nobody, not to you")


def test_a_link_for_the_workflows_is_refused(place: Place, capsys: Capture) -> None:
    place.make()
    place.workflows.rename(place.top / "moved")
    place.workflows.symlink_to(place.top / "moved")
    refused(place, capsys, place.workdir, "that is a link")


def test_links_to_the_bee_workdir(place: Place, capsys: Capture) -> None:
    one = place.make()
    shared = place.top / "shared"
    shared.mkdir(mode=0o700)
    (shared / "link").symlink_to("../via")
    (place.top / "via").symlink_to(place.workdir)
    place.conf.write_text(f"[DEFAULT]\nbee_workdir = {shared}/link\n")
    assert run("--dry-run") == 0
    assert one.id in capsys.readouterr().out
    shared.chmod(0o777)
    refused(
        place, capsys, shared / "link", f"is reached through {shared}/link, a link that somebody else could replace"
    )
    shared.chmod(0o1777)
    if os.geteuid() == 0:
        os.lchown(shared / "link", NOBODY, NOBODY)
        refused(place, capsys, shared / "link", "a link that somebody else could replace")
    (place.top / "round").symlink_to("round")
    refused(place, capsys, place.top / "round", "go round in a circle")


def test_the_program_runs_with_next_to_no_environment(place: Place) -> None:
    place.make()
    home = place.top / "home"
    (home / ".config/beeflow").mkdir(parents=True)
    shutil.copy(place.conf, home / ".config/beeflow/bee.conf")
    # As a checkout is set up: bin/, and a Python in .venv.
    (place.top / "bin/bee-clean").write_bytes((REPOSITORY / "bin/bee-clean").read_bytes())
    (place.top / "bin/bee-clean").chmod(0o755)
    (place.top / "beeflow").symlink_to(REPOSITORY / "beeflow")
    (place.top / ".venv").symlink_to(sys.prefix)
    argv = ["env", "-i", f"HOME={home}", f"PATH={place.top}/bin:/usr/bin:/bin", f"{place.top}/bin/bee-clean"]
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 removed; " in done.stdout
    assert place.ids() == set()


@pytest.mark.parametrize("name", ["etc/cron.d/beeflow", "README.rst", "beeflow/commands/clean.py"])
def test_the_lines_for_cron_are_commands_there_are(name: str) -> None:
    lines = re.findall(
        r"^ *#?\d+ +4 +\* +\* +\* +(?:\w+ +)?\S*/bin/(bee-clean .*)$", (REPOSITORY / name).read_text(), re.M
    )
    assert lines
    for line in lines:
        with pytest.raises(SystemExit, match="0"):
            clean.main([*line.split()[1:], "--help"])


def test_the_sample_for_the_system_does_nothing_until_it_is_edited() -> None:
    text = (REPOSITORY / "etc/cron.d/beeflow").read_text()
    assert text.endswith("\n")  # cron(8) wants it
    active = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert active == ["SHELL=/bin/sh", "PATH=/usr/local/bin:/usr/bin:/bin"]
