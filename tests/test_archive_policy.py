"""What of a workflow's files an archive holds, and what it says of the rest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import archived, cli, config, inputs, locations, store
from beeflow.archive import reading, unpacking, verifying
from beeflow.archive.description import Description, Referenced
from beeflow.archiving import Archiver
from beeflow.commands import clean, diff
from beeflow.errors import ConfigError
from beeflow.layout import DESCRIPTION
from beeflow.models import ArchivePolicy
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.commands.place import Place
from tests.test_archiving import GRAPH, make, place

__all__ = ["place"]

MIB = 1 << 20
TASK = "tasks/001-a/000/000000/7.0/0"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def given(place: Place, found: WorkflowDir) -> Path:
    """Give a workflow a file of 2 MiB, a folder of two files, and one that is not there."""
    top = place.top / "data"
    (top / "folder/inner").mkdir(parents=True)
    (top / "big").write_bytes(b"b" * 2 * MIB)
    (top / "folder/inner/one").write_bytes(b"1")
    (top / "folder/two").write_bytes(b"22")
    job = {
        name: {"class": "Directory" if name == "folder" else "File", "location": locations.to_uri(top / name)}
        for name in ("big", "folder", "gone")
    }
    store.write_json(found.layout.job, job)
    return top


def archive(found: WorkflowDir, policy: ArchivePolicy, **record: Any) -> tuple[Path, dict[str, Referenced]]:
    state = found.state()
    assert state is not None
    ended = replace(state, state=state.state.outcome)
    made = (
        Archiver(found.layout, replace(found.record(), archive=policy, **record), GRAPH, ended, (), "bee-archive")
        .run()
        .path
    )
    verifying.verify(made, found.id)
    says = reading.read_record(Description, made, DESCRIPTION)
    return made, {each.name: each for each in says.referenced}


def unpacked(made: Path, into: Path) -> dict[str, bytes]:
    unpacking.unpack(made, into)
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


GONE = "inputs/0002/gone"
BIG, ONE, TWO = "inputs/0000/big", "inputs/0001/folder/inner/one", "inputs/0001/folder/two"


@pytest.mark.parametrize(
    ("policy", "limit_mib", "held"),
    [
        ("auto", 3, {BIG, ONE, TWO}),
        ("auto", 1, {ONE, TWO}),
        ("auto", 0, set()),
        ("embed", 0, {BIG, ONE, TWO}),
        ("reference", 1024, set()),
    ],
)
def test_inputs(place: Place, tmp_path: Path, policy: str, limit_mib: int, held: set[str]) -> None:
    found = make(place, WorkflowState.COMPLETED)
    top = given(place, found)
    made, referenced = archive(found, ArchivePolicy(inputs=policy), input_copy_limit_mib=limit_mib)
    files = unpacked(made, tmp_path / "back")
    assert {name for name in files if name.startswith("inputs/")} == held
    assert set(referenced) == {BIG, ONE, TWO, GONE} - held
    assert (referenced[GONE].sha256, referenced[GONE].reason) == (None, "No such file or directory")
    for name in set(referenced) - {GONE}:
        origin = top / name.split("/", 2)[2]
        each = referenced[name]
        assert (each.origin, each.kind, each.size) == (str(origin), "File", origin.stat().st_size)
        assert each.sha256 == sha256(origin.read_bytes())
    record = store.read_record(inputs.InputFiles, tmp_path / "back/inputs.json")
    assert record is not None
    folder = next(each for each in record.files if each.origin == str(top / "folder"))
    if TWO not in held:
        assert {(each.name, each.size, each.sha256) for each in folder.parts} == {
            ("inner/one", 1, sha256(b"1")),
            ("two", 2, sha256(b"22")),
        }
    assert (folder.embedded is None) == (TWO not in held)
    assert inputs.different_part(top / "folder", folder) is None
    (top / "folder/two").write_bytes(b"23")
    assert inputs.different_part(top / "folder", folder) == (None if TWO in held else "two")


@pytest.mark.parametrize("other", ["reference", "embed"])
def test_folders_that_are_only_referred_to_are_compared(
    place: Place, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    found = make(place, WorkflowState.COMPLETED)
    top = given(place, found)
    job = store.read_json(found.layout.job)
    job["inner"] = {"class": "Directory", "location": locations.to_uri(top / "folder/inner")}
    del job["gone"]
    store.write_json(found.layout.job, job)
    first, _ = archive(found, ArchivePolicy(inputs="reference"))
    second, _ = archive(found, ArchivePolicy(inputs=other))
    for a, b in ((first, first), (first, second), (second, first)):
        assert cli.guarded(diff.main, [str(a), str(b)]) == 0, capsys.readouterr().out
    (top / "folder/inner/one").write_bytes(b"3")
    (top / "folder/more").touch()
    third, _ = archive(found, ArchivePolicy(inputs=other))
    capsys.readouterr()
    assert cli.guarded(diff.main, [str(first), str(third)]) == 1
    said = capsys.readouterr().out
    assert [each for each in ("folder/inner/one", "folder/more", "inner/one") if each not in said] == []
    assert "folder/two" not in said


@pytest.mark.parametrize("size", [MIB, 17 * MIB])
def test_an_input_and_an_output_of_one_size(place: Place, tmp_path: Path, size: int) -> None:
    found = make(place, WorkflowState.COMPLETED)
    given, made = tmp_path / "in.bin", found.layout.outputs / "out.bin"
    for path in (given, made):
        path.write_bytes(os.urandom(size))
    store.write_json(found.layout.job, {"x": {"class": "File", "location": locations.to_uri(given)}})
    packed, _ = archive(found, ArchivePolicy())
    assert unpacked(packed, tmp_path / "back")["inputs/0000/in.bin"] == given.read_bytes()


def test_a_file_that_does_not_fit_says_which_limit_it_is(place: Place) -> None:
    found = make(place, WorkflowState.COMPLETED)
    given(place, found)
    _, referenced = archive(found, ArchivePolicy(), input_copy_limit_mib=1)
    assert referenced[BIG].reason == "does not fit input_copy_limit_mib = 1"
    _, referenced = archive(found, ArchivePolicy(inputs="reference"))
    assert referenced[BIG].reason == "inputs = reference"


OUTPUTS = {"outputs/a": MIB, "outputs/z": 3 * MIB, f"{TASK}/out/made": MIB, f"{TASK}/out/deep/made": MIB}


def with_outputs(place: Place) -> WorkflowDir:
    found = make(place, WorkflowState.COMPLETED)
    for name, size in {**OUTPUTS, f"{TASK}/stderr": MIB}.items():
        path = found.layout.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name[-1:].encode() * size)
    # One file by two names.
    os.link(found.layout.root / "outputs/a", found.layout.root / TASK / "out/a")
    return found


@pytest.mark.parametrize(
    ("policy", "limit_mib", "left_out"),
    [
        ("auto", 100, set()),
        ("auto", 5, {f"{TASK}/out/deep/made", f"{TASK}/out/made"}),
        ("auto", 3, {"outputs/z", f"{TASK}/out/made"}),
        ("embed", 0, set()),
        ("reference", 100, set(OUTPUTS)),
    ],
)
def test_outputs(place: Place, tmp_path: Path, policy: str, limit_mib: int, left_out: set[str]) -> None:
    found = with_outputs(place)
    made, referenced = archive(found, ArchivePolicy(outputs=policy, output_limit_mib=limit_mib))
    big = {name: each for name, each in referenced.items() if each.size >= MIB}
    if limit_mib == 5:
        # The small ones of the workflow take the last of it.
        left_out = {name for name in left_out if name in big} | left_out
    assert set(big) == left_out
    files = unpacked(made, tmp_path / "back")
    assert set(OUTPUTS) - left_out <= set(files)
    assert not left_out & set(files)
    assert f"{TASK}/stderr" in files
    for name in left_out:
        assert big[name].origin == str(found.layout.root / name)
        assert big[name].sha256 == sha256((found.layout.root / name).read_bytes())
    assert archived.needs_directory(made) == bool(left_out)


def test_a_directory_whose_outputs_are_nowhere_else_stays(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    found, other = with_outputs(place), with_outputs(place)
    for each, policy in ((found, "reference"), (other, "embed")):
        made, _ = archive(each, ArchivePolicy(outputs=policy))
        state = each.state()
        assert state is not None
        store.write_record(each.layout.state, replace(state, state=state.state.archived, archive=str(made)))
    assert clean.main(["--older-than", "1d"]) == 0
    assert place.ids() == {found.id}
    assert "problem" not in capsys.readouterr().err


def test_bee_conf(tmp_path: Path) -> None:
    path = tmp_path / "bee.conf"
    path.write_text("[archive]\ninputs = Reference\noutputs = embed\noutput_limit_mib = 7\n")
    assert config.read(path, {}).archive == ArchivePolicy("reference", "embed", 7)
    path.write_text("[archive]\noutputs = all\n")
    with pytest.raises(ConfigError, match=r"bee\.conf:2: outputs: 'all' is not one of auto, embed, reference"):
        config.read(path, {})
