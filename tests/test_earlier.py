"""Inputs that are gone when a workflow is archived: told, or taken from an archive that was made before."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import cli, codec, enclosing, locations, noting, store
from beeflow.archive import contents, reading, unpacking
from beeflow.archive.description import Description
from beeflow.commands import archive, clean, inspect, query, verify
from beeflow.inputs import InputFile, InputFiles
from beeflow.layout import DESCRIPTION, OMITTED
from beeflow.models import ArchivePolicy, Retried, now
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.commands.place import Place
from tests.rerun.local import repacked
from tests.test_archiving import make, place

__all__ = ["place"]

Capture = pytest.CaptureFixture[str]
LOST = "not in the archive"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    top = tmp_path / "data"
    (top / "folder/inner").mkdir(parents=True)
    (top / "one").write_text("1")
    (top / "folder/inner/two").write_text("2")
    (top / "folder/link").symlink_to("/nowhere")
    for path in (top / "one", top / "folder/inner/two", top / "folder/inner", top / "folder"):
        os.utime(path, (1, 1))
    return top


@pytest.fixture
def found(place: Place, data: Path) -> WorkflowDir:
    made = make(place, WorkflowState.COMPLETED)
    job = {
        "x": {"class": "File", "location": locations.to_uri(data / "one")},
        "y": {"class": "Directory", "location": locations.to_uri(data / "folder")},
    }
    store.write_json(made.layout.job, job)
    graph = store.read_json(made.layout.graph)
    for tool in graph["tools"].values():
        tool["document"] = {"class": "CommandLineTool"}
    store.write_json(made.layout.graph, graph)
    noting.note(made.layout)
    return made


def archived(found: WorkflowDir, capsys: Capture, policy: ArchivePolicy | None = None) -> Path:
    if policy:
        store.write_record(found.layout.workflow, replace(found.record(), archive=policy))
    assert cli.guarded(archive.main, [found.id]) == 0
    return Path(capsys.readouterr().out.strip())


def records(made: Path) -> dict[str, InputFile]:
    return {Path(each.origin).name: each for each in reading.read_record(InputFiles, made, "inputs.json").files}


def omitted(made: Path) -> dict[str, str]:
    found = json.loads(reading.read_files(made, {OMITTED})[OMITTED])
    return {name: why for name, why in found.items() if name.startswith("inputs/")}


def reason(found: WorkflowDir) -> str:
    state = found.state()
    assert state is not None
    return state.reason


def test_what_is_gone_is_told_everywhere(found: WorkflowDir, data: Path, capsys: Capture) -> None:
    (data / "one").unlink()
    assert cli.guarded(archive.main, [found.id]) == 0
    said = capsys.readouterr()
    made = said.out.strip()
    assert f"{data}/one: No such file or directory: the archive does not have this input" in said.err
    assert f"{made}: 1 input is {LOST}" in said.err
    assert omitted(Path(made))["inputs/0000/one"] == f"{contents.LOST}{data}/one: No such file or directory"
    assert reason(found).startswith(f"1 input is {LOST}")
    for command, argv in ((query.main, [found.id]), (verify.main, [made]), (verify.main, ["--quick", made])):
        assert cli.guarded(command, argv) == 0
        assert f"1 input is {LOST}" in " ".join(capsys.readouterr().out.split())
    assert cli.guarded(verify.main, ["--json", made]) == 0
    assert json.loads(capsys.readouterr().out)[0]["lost"] == [f"{data}/one"]
    assert cli.guarded(inspect.main, [made]) == 0
    shown = capsys.readouterr().out
    assert f"1 input is {LOST}" in " ".join(shown.split())
    assert "missing" in next(line for line in shown.splitlines() if line.startswith("x "))
    # It is back.
    (data / "one").write_text("1")
    assert omitted(archived(found, capsys)).keys() == {"inputs/0001/folder/link"}
    assert reason(found) == ""


def test_what_is_gone_is_taken_from_an_earlier_archive(
    found: WorkflowDir, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = archived(found, capsys)
    before = records(first)
    shutil.move(data, tmp_path / "data2")
    assert cli.guarded(archive.main, [found.id]) == 0
    said = capsys.readouterr()
    second = Path(said.out.strip())
    assert second.name == f"{found.id}.v2.tgz"
    assert f"{data}/one: cannot be read any more: the archive has of it what {first} has" in said.err
    assert (records(second), omitted(second), reason(found)) == (before, omitted(first), "")
    unpacking.unpack(second, tmp_path / "back")
    assert (tmp_path / "back/inputs/0000/one").read_text() == "1"
    assert (tmp_path / "back/inputs/0001/folder/inner/two").read_text() == "2"
    assert not list(second.parent.glob(".*"))
    # A retry in between may have taken something else.
    store.write_record(found.layout.retry, Retried(1, now(), done=True))
    assert all(each.changed for each in records(archived(found, capsys)).values())


def test_what_was_changed_is_taken_from_an_archive_of_before(
    found: WorkflowDir, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = archived(found, capsys)
    before = records(first)
    (data / "one").write_text("something else")
    assert cli.guarded(archive.main, [found.id]) == 0
    said = capsys.readouterr()
    second = Path(said.out.strip())
    assert f"{data}/one: was changed since the tasks took it: the archive has of it what {first} has" in said.err
    assert "may have something else" not in said.err
    assert records(second) == before
    unpacking.unpack(second, tmp_path / "back")
    assert (tmp_path / "back/inputs/0000/one").read_text() == "1"


def test_of_what_is_gone_what_was_not_changed_is_taken(
    found: WorkflowDir, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = archived(found, capsys)
    before = records(first)
    aside = first.rename(tmp_path / "aside")
    (data / "one").write_text("something else")
    changed = archived(found, capsys)
    assert records(changed)["one"].changed
    changed.rename(changed.with_name(f"{found.id}.v2.tgz"))
    aside.rename(first)
    (data / "one").unlink()
    assert records(archived(found, capsys)) == before


def test_of_what_was_changed_and_only_referred_to_its_sha256_is_known(
    found: WorkflowDir, data: Path, capsys: Capture
) -> None:
    before = records(archived(found, capsys, ArchivePolicy(inputs="reference")))
    (data / "one").write_text("something else")
    assert records(archived(found, capsys)) == before


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_archive_of_a_moment_does_not_vouch_for_what_ran_later(
    found: WorkflowDir, data: Path, tmp_path: Path, capsys: Capture, is_gone: bool
) -> None:
    def running(top: Path) -> None:
        says = store.read_json(top / DESCRIPTION)
        store.write_json(top / DESCRIPTION, {**says, "state": "Running"})

    first = archived(found, capsys)
    repacked(first, tmp_path / "work", running).replace(first)
    (data / "one").write_text("changed while it ran")
    if is_gone:
        (data / "one").unlink()
    made = archived(found, capsys)
    assert records(made)["one"].changed
    taken = reading.read_files(made, {"inputs/0000/one"})["inputs/0000/one"]
    assert taken == (b"1" if is_gone else b"changed while it ran")


@pytest.mark.parametrize("policy", ["reference", "auto"])
def test_what_was_only_referred_to_is_known_as_before(
    found: WorkflowDir, data: Path, capsys: Capture, policy: str
) -> None:
    kept = ArchivePolicy(inputs=policy)
    store.write_record(found.layout.workflow, replace(found.record(), input_copy_limit_mib=0))
    first = archived(found, capsys, kept)
    shutil.rmtree(data)
    second = archived(found, capsys)
    assert records(second) == records(first)
    assert records(second)["one"].sha256 == hashlib.sha256(b"1").hexdigest()
    says = [reading.read_record(Description, each, DESCRIPTION).referenced for each in (first, second)]
    assert says[0] == says[1]
    assert len(says[0]) == 2


def test_thousands_that_are_gone_are_found_among_thousands(found: WorkflowDir, data: Path, capsys: Capture) -> None:
    """Each was looked for among all: 30 s for 2,000, and a day for as many as an archive may refer to."""
    for number in range(2000):
        (data / f"{number:04}").touch()
    files = [{"class": "File", "location": locations.to_uri(data / f"{number:04}")} for number in range(2000)]
    store.write_json(found.layout.job, {"many": files, **store.read_json(found.layout.job)})
    first = archived(found, capsys, ArchivePolicy(inputs="reference"))
    shutil.rmtree(data)
    began = time.process_time()
    second = archived(found, capsys)
    assert time.process_time() - began < 8
    says = [reading.read_record(Description, each, DESCRIPTION).referenced for each in (first, second)]
    assert len(says[0]) > 2000
    assert says[1] == says[0]


def test_a_damaged_archive_and_one_that_lacks_it_too_give_nothing(
    found: WorkflowDir, data: Path, capsys: Capture
) -> None:
    first = archived(found, capsys)
    shutil.rmtree(data)
    whole = first.read_bytes()
    first.write_bytes(whole[:-100])
    second = archived(found, capsys)
    assert reason(found).startswith(f"2 inputs are {LOST}")
    first.write_bytes(whole)
    third = archived(found, capsys)
    assert not records(second)["one"].is_known
    assert records(third)["one"].embedded
    assert reason(found) == ""


def test_an_archive_without_what_it_says_to_have_gives_the_rest(
    found: WorkflowDir, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = archived(found, capsys)

    def drop(top: Path) -> None:
        (top / "inputs/0000/one").unlink()

    lacking = repacked(first, tmp_path / "work", drop)
    lacking.replace(first)
    shutil.rmtree(data)
    second = archived(found, capsys)
    assert not records(second)["one"].is_known
    assert records(second)["folder"].embedded
    assert reason(found).startswith(f"1 input is {LOST}")


def test_an_earlier_archive_that_there_is_no_room_to_unpack_gives_nothing(
    found: WorkflowDir, data: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(found, capsys)
    shutil.rmtree(data)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    archived(found, capsys)
    assert reason(found).startswith(f"2 inputs are {LOST}")


def test_what_a_killed_archiver_took_goes_when_it_is_old(found: WorkflowDir, place: Place, capsys: Capture) -> None:
    archived(found, capsys)
    left = place.archives / f".{found.id}.inputs.abcd_123"
    (left / "unpacked").mkdir(parents=True)
    for path in (left / "unpacked", left):
        os.utime(path, (1, 1))
    assert cli.guarded(clean.main, []) == 0
    assert not left.exists()


@pytest.mark.parametrize("policy", ["embed", "reference"])
def test_what_is_changed_while_it_is_packed_is_told(
    found: WorkflowDir, data: Path, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = enclosing.enclose(found.layout, policy, 1024, found.record().created, lambda *_, **__: {})
    assert not any(each.changed for each in given.records)
    (data / "one").write_text("2")
    shutil.rmtree(data / "folder")
    (says,) = [
        each for each in codec.loads(InputFiles, (given.packed().data or b"").decode(), data).files if each.changed
    ]
    assert says.origin == str(data / "one")
    (said,) = caplog.messages
    assert said.startswith(f"{data}/one: changed at ")
