"""What archiving does with a workflow: numbers, what counts, what is adopted; killed anywhere, two at a time."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import archived, archiving, cli, codec, epilog, listing, retry, store, workflow
from beeflow.archive import contents, hiding, packing, reading, unpacking, verifying
from beeflow.archive.description import EPILOG, Description
from beeflow.archive.lacking import Lacks
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.archiving import Archiver, Last
from beeflow.commands import archive, clean
from beeflow.comparing import records
from beeflow.errors import ArchiveError, SystemFileError, TransitionError
from beeflow.layout import DESCRIPTION, ENVIRONMENT, OMITTED, split_archive_name
from beeflow.locking import Lock
from beeflow.models import Retried, Sidecar, StateRecord, TasksRecord, now
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from beeflow.surroundings import Surroundings
from tests import fakes
from tests.archive.raw import description
from tests.commands.place import Place, job_line, make_place

Capture = pytest.CaptureFixture[str]
GRAPH = fakes.graph(fakes.flow(["x"], [fakes.step("a", {"in": "x"})], {"o": "a/out"}))
RUNNING, FAILED, COMPLETED = WorkflowState.RUNNING, WorkflowState.FAILED, WorkflowState.COMPLETED
# What a workflow's name and files may be called.
ODD = [b"line\nbreak", b"esc\x1b[31m", b"\xff\xfe", b"-n", b" ", "ä".encode(), b"n" * 255]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = make_place(tmp_path)
    for name, value in made.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return made


def make(place: Place, state: WorkflowState, **kwargs: Any) -> WorkflowDir:
    """Make a workflow that has all a pass leaves, and no archive yet."""
    found = place.make(state, archived=False, **kwargs)
    store.write_text(found.layout.graph, codec.dumps(GRAPH))
    store.write_json(found.layout.job, {"x": 1})
    for number, name in enumerate(ODD):
        (found.layout.outputs / os.fsdecode(name)).write_bytes(b"%d" % number)
    if state.final:
        store.write_record(found.layout.final_tasks, TasksRecord(()))
    return found


def run(*argv: str) -> int:
    return cli.guarded(archive.main, argv)


def archiver(found: WorkflowDir, made_by: str = EPILOG) -> Archiver:
    state = found.state()
    assert state is not None
    return Archiver(found.layout, found.record(), GRAPH, replace(state, state=state.state.outcome), (), made_by)


def described(path: Path) -> Description:
    verifying.verify(path)
    return reading.read_record(Description, path, DESCRIPTION)


def state_of(found: WorkflowDir) -> tuple[WorkflowState, str | None]:
    state = found.state()
    assert state is not None
    return state.state, state.archive


# -- by hand ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_archive", [True, False])
def test_what_ended_without_an_archive_is_archived_from_then_on(
    place: Place, capsys: Capture, use_archive: bool
) -> None:
    found = make(place, FAILED, use_archive=use_archive)
    made = place.archives / f"{found.id}.tgz"
    assert run(found.id[:12]) == 0
    assert capsys.readouterr().out == f"{made}\n"
    assert state_of(found) == (WorkflowState.ARCHIVED_FAILED, str(made))
    says = described(made)
    assert (says.state, says.made_by, says.number, says.generation) == (FAILED, "bee-archive", 1, 1)
    sidecar = store.read_record(Sidecar, made.with_suffix(".json"))
    assert sidecar is not None
    assert (sidecar.state, sidecar.sha256) == (
        WorkflowState.ARCHIVED_FAILED,
        hashlib.sha256(made.read_bytes()).hexdigest(),
    )
    assert workflow.archive_of(place.config(), found.id) == made
    assert place.calls == 0


def test_archiving_again_makes_the_next_and_that_one_counts(place: Place, capsys: Capture) -> None:
    found = make(place, WorkflowState.ARCHIVED)
    archiver(found).run()
    (found.layout.outputs / "more").write_text("put right")
    assert run(found.id, "ffff", found.id) == 3
    said = capsys.readouterr()
    assert said.out == "".join(f"{place.archives}/{found.id}.v{number}.tgz\n" for number in (2, 3))
    assert "no workflow has an id that begins with 'ffff'" in said.err
    assert state_of(found) == (WorkflowState.ARCHIVED, f"{place.archives}/{found.id}.v3.tgz")
    assert workflow.archive_of(place.config(), found.id).name == f"{found.id}.v3.tgz"
    assert described(place.archives / f"{found.id}.v3.tgz").number == 3
    # A retry numbers itself by what counts.
    assert retry.generation(found) == 3


@pytest.mark.parametrize(
    "argv",
    [
        *(["ID", "--zip"], ["--zip", "ID"], ["--zip", "there", "ID"], ["--zip", "new.zip", "ID"]),
        *(["--zip", "ID", "there"], ["--zip", "ID", "new.zip"], ["ID", "new.zip", "--zip"], ["ID", "--zip", "there/"]),
    ],
)
def test_what_follows_zip_is_a_place_or_an_id(
    place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    found = make(place, WorkflowState.ARCHIVED)
    for odd in found.layout.outputs.iterdir():
        odd.unlink()
    archiver(found).run()
    (place.top / "there").mkdir()
    monkeypatch.chdir(place.top)
    assert run(*(found.id if each == "ID" else each for each in argv)) == 0
    made = Path(capsys.readouterr().out.strip())
    assert made.is_file()
    named = next((each for each in argv if each.startswith(("there", "new"))), ".")
    assert made == Path(named if named == "new.zip" else f"{named}/{found.id}.zip")


@pytest.mark.parametrize(
    ("argv", "code", "complaint"),
    [
        (["--zip", "nodir/", "ID"], 74, "nodir/: no such folder; make it first"),
        (["--zip", "ID", "nodir/"], 74, "nodir/: no such folder; make it first"),
        (["--zip", "ID", "ffff"], 3, "no workflow has an id that begins with 'ffff'"),
        (["--zip", "ID", "x/new.tar"], 3, "x/new.tar: no such archive"),
        (["--zip", "new.zip", "ID", "there"], 2, "new.zip: several archives can only go to a folder"),
        (["ID", "ID", "--zip", "new.zip"], 2, "new.zip: several archives can only go to a folder"),
        (["--zip", "new.zip"], 2, "the following arguments are required: ID"),
    ],
)
def test_nothing_is_zipped_before_all_words_are_known(
    place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch, argv: list[str], code: int, complaint: str
) -> None:
    found = make(place, WorkflowState.ARCHIVED)
    for odd in found.layout.outputs.iterdir():
        odd.unlink()
    archiver(found).run()
    here = place.top / "here"
    (here / "there").mkdir(parents=True)
    monkeypatch.chdir(here)
    try:
        ended = cli.guarded(archive.main, [found.id if each == "ID" else each for each in argv])
    except SystemExit as usage:
        ended = int(usage.code or 0)
    said = capsys.readouterr()
    assert (ended, said.out) == (code, "")
    assert complaint in said.err
    assert [path.name for path in here.rglob("*")] == ["there"]


def test_folders_in_each_other_as_a_command_may_well_make_them(place: Place) -> None:
    found = make(place, FAILED)
    (found.layout.outputs / "/".join("d" * 150)).mkdir(parents=True)
    assert run(found.id) == 0


def test_a_running_workflow_is_archived_as_it_is_and_that_does_not_count(place: Place, capsys: Capture) -> None:
    found = make(place, RUNNING)
    place.slurm_has(job_line(found))
    before = found.layout.state.read_bytes()
    assert run(found.id) == 0
    made = Path(capsys.readouterr().out.strip())
    assert made == place.archives / f"{found.id}.tgz"
    says = described(made)
    assert (says.state, says.made_by) == (RUNNING, "bee-archive")
    assert found.layout.state.read_bytes() == before
    assert reading.read_record(StateRecord, made, "state.json").state is RUNNING
    assert [task.name for task in reading.read_record(TasksRecord, made, "tasks.json").tasks] == ["a"]
    with pytest.raises(TransitionError, match=rf"no archive of its end: it is Running.*\n  made by hand: {made}"):
        workflow.archive_of(place.config(), found.id)
    # Nor does it once the directory is gone.
    found.layout.root.rename(place.top / "gone")
    assert listing.list_all(place.config(), place.env()) == []


def test_a_stalled_workflow_is_archived_as_stalled(place: Place, capsys: Capture) -> None:
    found = make(place, RUNNING)
    assert run(found.id) == 0
    assert described(Path(capsys.readouterr().out.strip())).state is WorkflowState.STALLED


def test_the_newest_of_an_end_counts_whatever_was_made_by_hand_since(place: Place) -> None:
    found = make(place, WorkflowState.ARCHIVED_FAILED)
    first = archiver(found).run().path
    store.write_record(found.layout.retry, Retried(1, now(), done=True))
    store.write_record(found.layout.state, StateRecord(RUNNING, now()))
    place.slurm_has(job_line(found))
    assert run(found.id) == 0
    assert (place.archives / f"{found.id}.v2.tgz").exists()
    assert workflow.archive_of(place.config(), found.id) == first
    store.write_record(found.layout.state, StateRecord(COMPLETED, now()))
    last = archiver(found).run().path
    assert last.name == f"{found.id}.v3.tgz"
    assert described(last).generation == 2
    assert workflow.archive_of(place.config(), found.id) == last
    # The newest is cut off: what is whole counts.
    last.write_bytes(last.read_bytes()[:-1])
    assert workflow.archive_of(place.config(), found.id) == first
    found.layout.root.rename(place.top / "gone")
    (shown,) = listing.list_all(place.config(), place.env())
    assert (shown.state, shown.archive) == (WorkflowState.ARCHIVED, str(last))


def test_an_archive_without_anything_beside_it_says_itself_what_it_is(place: Place) -> None:
    found = make(place, COMPLETED)
    last = archiver(found).run().path
    snapshot = archiver(found, "bee-archive")
    running = replace(snapshot, state=replace(snapshot.state, state=RUNNING)).run().path
    for each in (last, running):
        each.with_suffix(".json").unlink()
    assert archived.last_word([running, last]) == last
    (place.archives / f"{found.id}.v3.tgz").write_bytes(b"no archive")
    assert workflow.archive_of(place.config(), found.id) == last


def test_while_something_else_works_on_it_nothing_is_done(
    place: Place, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beeflow.by_hand._LOCK_S", 0.0)
    found = make(place, COMPLETED)
    with Lock(found.layout.lock).held(0):
        assert run(found.id) == 4
    assert "held by process" in capsys.readouterr().err
    assert not place.archives.exists() or place.archived() == set()


# -- what an epilog finds ---------------------------------------------------------------------------------------------


def test_an_epilog_adopts_what_one_made_that_was_killed(place: Place) -> None:
    found = make(place, COMPLETED)
    first = archiver(found).run()
    first.path.with_suffix(".json").unlink()
    assert archiver(found).run() == first
    assert place.archived() == {first.path.name, f"{found.id}.json"}


@pytest.mark.parametrize(
    "what", ["by hand", "of another state", "of an earlier run", "damaged", "of before the format"]
)
def test_an_epilog_adopts_nothing_else(place: Place, what: str) -> None:
    found = make(place, COMPLETED)
    other = archiver(found, "bee-archive" if what == "by hand" else EPILOG)
    if what == "of another state":
        other = replace(other, state=replace(other.state, state=FAILED))
    there = other.run().path
    if what == "of an earlier run":
        store.write_record(found.layout.retry, Retried(1, now(), done=True))
    elif what == "damaged":
        there.write_bytes(there.read_bytes()[:-100])
    elif what == "of before the format":
        there.write_bytes(b"\x1f\x8b old")
    before = there.read_bytes()
    made = archiver(found).run().path
    assert made.name == f"{found.id}.v2.tgz"
    assert described(made).number == 2
    assert there.read_bytes() == before


# -- what is in it ----------------------------------------------------------------------------------------------------


def test_it_says_what_it_is_first_and_what_it_ran_with(place: Place, tmp_path: Path) -> None:
    found = make(place, COMPLETED)
    made = archiver(found).run().path
    unpacking.unpack(made, tmp_path / "back")
    assert {os.fsencode(path.name) for path in (tmp_path / "back/outputs").iterdir()} == set(ODD)
    seen = reading.read_record(Surroundings, made, ENVIRONMENT)
    assert (seen.slurm, seen.cluster) == ("22.05.8", "c")
    assert seen.python.startswith("CPython 3.")
    assert seen.kernel == f"Linux {os.uname().release}"
    assert seen.cpu
    assert seen.libraries["cwltool"].startswith("3.")
    assert json.loads((tmp_path / "back" / OMITTED).read_text()) == {}
    # Nothing was written into the directory for it.
    assert not {DESCRIPTION, ENVIRONMENT, OMITTED, "inputs.json"} & set(os.listdir(found.layout.root))


@pytest.mark.parametrize("state", [COMPLETED, RUNNING])
def test_a_credential_in_the_name_or_in_a_message_is_hidden(place: Place, state: WorkflowState) -> None:
    secret = "S3nt1nel"
    found = make(place, state, name=f"run --password {secret}")
    one = archiver(found)
    one = replace(one, state=replace(one.state, reason=f"sbatch: --comment=token={secret}: refused"))
    made = one.run().path
    assert described(made).name == "run --password ***"
    assert secret not in made.with_suffix(".json").read_text()
    with tarfile.open(made) as tar:
        members = {info.name: tar.extractfile(info) for info in tar if info.isfile()}
        leaked = [name for name, stream in members.items() if stream and secret.encode() in stream.read()]
    assert leaked == []


def test_a_large_record_is_hidden_on_disk_though_there_is_no_folder_yet(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hiding, "_MOST", 1)
    found = make(place, COMPLETED)
    found.layout.log.mkdir(exist_ok=True)
    (found.layout.log / "passes.log").write_text("GITHUB_TOKEN=S3nt1nel\n")
    place.archives.rmdir()
    made = archiver(found).run().path
    assert reading.read_files(made, {"log/passes.log"})["log/passes.log"] == b"GITHUB_TOKEN=***\n"
    assert not list(place.archives.glob(".*"))


def test_the_same_workflow_gives_the_same_bytes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    found = make(place, COMPLETED)
    monkeypatch.setattr(archiving, "now", lambda: "2026-11-23T00:00:00.000+00:00")
    first = archiver(found).run().path
    first.rename(place.top / "first.tgz")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert archiver(found).run().path.read_bytes() == (place.top / "first.tgz").read_bytes()


def test_what_a_killed_writer_left_is_no_part_of_it(place: Place) -> None:
    found = make(place, COMPLETED)
    folder = found.layout.root / "tasks/001-a/000/000000/7.0/0/out"
    folder.mkdir(parents=True)
    mine = [folder / ".conf.abcd1234", found.layout.outputs / ".conf.abcd1234"]
    left = [found.layout.root / ".state.json.qkaw07k2", found.layout.control / ".cancel.0_z1y2x3"]
    for path in (*mine, *left):
        path.touch()
    unpacking.unpack(archiver(found).run().path, place.top / "back")
    for path in mine:
        assert (place.top / "back" / path.relative_to(found.layout.root)).exists()
    for path in left:
        assert not (place.top / "back" / path.relative_to(found.layout.root)).exists()


def test_files_that_a_running_task_takes_away_are_listed(place: Place) -> None:
    root = make(place, RUNNING).layout.root
    sources, omitted = contents.tree(root)
    sources.append(contents.record_source(DESCRIPTION, description(root.name)))
    (root / "tasks/file").unlink()
    last = Last(omitted, is_running=True)
    made = packing.pack(root.name, sources, place.archives, finish=last.finish, changed=last.changed).path
    verifying.verify(made)
    unpacking.unpack(made, place.top / "back")
    assert json.loads((place.top / "back" / OMITTED).read_text()) == {"tasks/file": "vanished while it was archived"}
    assert not (place.top / "back/tasks/file").exists()
    ended = Last({}, is_running=False)
    with pytest.raises(SystemFileError, match="tasks/file: vanished"):
        packing.pack(root.name, sources, place.archives, "x", finish=ended.finish, changed=ended.changed)
    assert place.archived() == {f"{root.name}.tgz"}


def test_a_directory_that_is_being_removed_is_not_archived(place: Place) -> None:
    found = make(place, COMPLETED)
    wanted = archiver(found)
    found.layout.workflow.unlink()
    with pytest.raises(SystemFileError, match="removed while it was archived"):
        wanted.run()
    assert not place.archives.exists() or place.archived() == set()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("set_group", [False, True])
def test_only_the_user_reads_it_whatever_the_umask_and_the_folder(place: Place, umask: int, set_group: bool) -> None:
    found = make(place, COMPLETED)
    place.archives.mkdir(mode=0o700, exist_ok=True)
    if set_group:
        place.archives.chmod(0o2770)
    before = os.umask(umask)
    try:
        made = archiver(found).run().path
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o7777 for path in place.archives.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o7777 for path in (made,)} == {0o600}


# -- killed, and two at a time ----------------------------------------------------------------------------------------


def fill(found: WorkflowDir) -> None:
    """Give it enough to be killed in the midst of: 12 MiB, and 300 small files."""
    noise = random.Random(5).randbytes(1 << 20)
    for number in range(12):
        (found.layout.outputs / f"big{number}").write_bytes(noise)
    folder = found.layout.tasks / "many"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}").write_bytes(noise[number : 2 * number])


def seen(root: Path) -> dict[Path, bytes]:
    """Hash all files but state.json, and what a killed writer of that leaves, which no archive has."""
    return {
        path: hashlib.sha256(path.read_bytes()).digest()
        for path in root.rglob("*")
        if path.is_file() and path.parent.name != "control" and not path.name.startswith(("state.json", ".state.json."))
    }


def start(work: Callable[[], Any]) -> multiprocessing.process.BaseProcess:
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    return child


@pytest.mark.parametrize("by_hand", [False, True])
def test_killed_at_any_moment_there_is_a_whole_archive_or_none(place: Place, by_hand: bool) -> None:
    found = make(place, COMPLETED)
    fill(found)
    before, dice = seen(found.layout.root), random.Random(11)

    def work() -> None:
        if by_hand:
            os._exit(run(found.id))
        made = archiver(found)
        archiving.settle(found.layout, made.state, made.run())

    begun = time.monotonic()
    start(work).join()
    took = time.monotonic() - begun
    kills = parts = 0
    while kills < 30:
        store.write_record(found.layout.state, StateRecord(COMPLETED, now()))
        for path in place.archives.glob("*.tgz" if kills % 2 else "*.json"):
            path.unlink()
        child = start(work)
        child.join(dice.uniform(0, took))
        if child.exitcode is not None:
            took *= 0.95
            continue
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        kills += 1
        parts += bool(list(place.archives.glob(".*.part")))
        for path in place.archives.glob("*.tgz"):
            verifying.verify(path, found.id)
        state, made = state_of(found)
        assert (made is not None and Path(made).is_file()) if state is WorkflowState.ARCHIVED else made is None
    assert parts > 5
    assert seen(found.layout.root) == before
    store.write_record(found.layout.state, StateRecord(COMPLETED, now()))
    last = start(work)
    last.join()
    assert last.exitcode == 0
    assert state_of(found)[0] is WorkflowState.ARCHIVED
    assert not list(place.archives.glob(".*.part"))
    # What was to become the file beside the archive is bee-clean's, when it is old.
    for path in place.archives.glob(".*"):
        os.utime(path, (1, 1))
    assert cli.guarded(clean.main, []) == 0
    assert not list(place.archives.glob(".*"))


def test_two_archivers_at_once_make_two_archives(place: Place) -> None:
    found = make(place, RUNNING)
    place.slurm_has(job_line(found))
    fill(found)

    def work() -> None:
        os._exit(run(found.id))

    children = [start(work) for _ in range(4)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    there = sorted(place.archives.glob("*.tgz"))
    assert len(there) == 4
    assert sorted(described(path).number for path in there) == [1, 2, 3, 4]
    for path in there:
        assert described(path).number == split_archive_name(path.stem)[1]
    assert not list(place.archives.glob(".*"))


def test_two_epilogs_at_once_make_one_archive_each_says_the_truth(place: Place) -> None:
    found = make(place, COMPLETED)
    fill(found)

    def work() -> None:
        made = archiver(found)
        archiving.settle(found.layout, made.state, made.run())

    children = [start(work) for _ in range(3)]
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 3
    for path in place.archives.glob("*.tgz"):
        verifying.verify(path)
    state, made = state_of(found)
    assert state is WorkflowState.ARCHIVED
    assert made
    verifying.verify(Path(made))


# -- what no archive can hold -----------------------------------------------------------------------------------------


def dig(folder: Path, name: bytes, depth: int) -> None:
    """Make folders in each other, deeper than any path leads, with a file in every one."""
    here = os.open(folder, os.O_RDONLY)
    for number in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
        with open(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as stream:
            stream.write(b"%d" % number)
    os.close(here)


def left_out(path: Path) -> dict[str, str]:
    return {name: str(why) for name, why in json.loads(reading.read_files(path, {OMITTED})[OMITTED]).items()}


def test_deep_folders_are_archived(place: Place, deep: Path) -> None:
    found = make(place, COMPLETED)
    dig(found.layout.outputs, b"d", 400)
    packed = archiver(found).run()
    assert packed.lacks == Lacks()
    assert left_out(packed.path) == {}
    verifying.verify(packed.path)
    unpacking.unpack(packed.path, deep / "back")
    assert (deep / "back" / "outputs" / "/".join("d" * 400) / "f").read_text() == "399"


@pytest.mark.usefixtures("deep")
@pytest.mark.parametrize(("name", "depth"), [(b"d", 1500), (b"x" * 255, 400)])
def test_what_is_too_deep_is_told_of_and_the_rest_is_archived(
    place: Place, name: bytes, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = make(place, COMPLETED)
    dig(found.layout.outputs, name, depth)
    (found.layout.tasks / "g" / "out").mkdir(parents=True)
    dig(found.layout.tasks / "g" / "out", name, depth)
    packed = archiver(found).run()
    (said,) = packed.lacks.told(found.layout.root)
    assert said in caplog.text
    lacks = left_out(packed.path)
    assert len(lacks) == packed.lacks.unfit
    verifying.verify(packed.path)
    inner = os.fsdecode(name) + "/"
    for folder in ("outputs/", "tasks/g/out/"):
        why = lacks[folder + inner * depth + "f"]
        assert why.startswith(contents.UNFIT)
        number = b"%d" % (depth - 1)
        assert why.endswith(f"; {len(number)} bytes, sha256 {hashlib.sha256(number).hexdigest()}")
    # Every file is in it, or told of.
    with reading.opened(packed.path) as archive_:
        members = {member.name for member, _ in archive_ if member.name.endswith("/f")}
    assert len(members) + len(lacks) == 2 * depth
    assert not members & lacks.keys()
    # What is nowhere else stays.
    sidecar = store.read_record(Sidecar, packed.path.with_suffix(".json"))
    assert sidecar is not None
    assert sidecar.needs_directory
    state = found.state()
    assert state is not None
    for _ in range(2):
        state = archiving.settle(found.layout, replace(state, state=COMPLETED), packed)
        assert state.reason == said
    # An epilog that was killed before it could say so
    packed.path.with_suffix(".json").unlink()
    assert archiver(found).run().lacks == packed.lacks


def test_a_deep_input_is_referred_to(place: Place, deep: Path) -> None:
    found = make(place, COMPLETED)
    dig(deep, b"d", 600)
    store.write_json(found.layout.job, {"x": {"class": "Directory", "location": f"file://{deep}/d"}})
    packed = archiver(found).run()
    verifying.verify(packed.path)
    (deepest, *_) = sorted(described(packed.path).referenced, key=lambda each: -len(each.name))
    assert (deepest.size, deepest.sha256) == (3, hashlib.sha256(b"599").hexdigest())


def test_a_listing_is_no_deeper_than_everybody_can_read(deep: Path) -> None:
    dig(deep, b"d", 1200)
    listing, depth = epilog.list_folder(deep / "d"), 1
    while "listing" in listing[0]:
        assert [each["basename"] for each in listing] == ["d", "f"]
        listing, depth = listing[0]["listing"], depth + 1
    assert depth == 40
    records.parse_values(json.dumps({"o": [{"class": "Directory", "listing": epilog.list_folder(deep)}]}), "o")


def test_our_own_archive_may_have_any_number_of_members(place: Place) -> None:
    path = archiver(make(place, COMPLETED)).run().path
    verifying.verify(path, allowed=UNLIMITED)
    with pytest.raises(ArchiveError, match=r"more than 3 members.*--large"):
        verifying.verify(path, allowed=Limits(members=3))
