from __future__ import annotations

import hashlib
import os
import random
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from beeflow import models, store
from beeflow.archive import contents, manifest, packing, reading, unpacking, verifying
from beeflow.archive.contents import Source
from beeflow.errors import ArchiveError
from beeflow.layout import DESCRIPTION, MANIFEST
from beeflow.models import StateRecord
from beeflow.states import WorkflowState
from tests.archive import raw

TOP = raw.ID
NAMES = [
    b"plain.txt",
    b"a b",
    b"line\nbreak",
    b"carriage\rreturn",
    b"back\\slash",
    b"back\\nslash",
    b"ends with \\",
    b"\\begins",
    b"\xff\xfe not utf-8 \\\n",
    "ä 日本".encode(),
    b"-n",
    b"*",
    b" ",
    b"n" * 255,
    b"deep/" * 60 + b"file",
]


def write(path: Path, data: bytes = b"x", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with odd names, modes and contents."""
    root = tmp_path / "tree"
    for number, name in enumerate(NAMES):
        write(root / "outputs" / os.fsdecode(name), name * number)
    write(root / "program", b"#!/bin/sh\n", 0o755)
    write(root / "big", random.Random(1).randbytes(1 << 19))
    write(root / DESCRIPTION, raw.DESCRIBED)
    (root / "empty").mkdir()
    (root / "log").mkdir(mode=0o700)
    return root


def described(root: Path) -> dict[bytes, tuple[bytes, bool] | None]:
    """Describe a tree: name -> contents and whether it is executable; None for a folder."""
    found: dict[bytes, tuple[bytes, bool] | None] = {}
    for path in root.rglob("*"):
        name = os.fsencode(path.relative_to(root))
        found[name] = None if path.is_dir() else (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


def described_by(folder: Path) -> Source:
    """Write what an archive must have."""
    return Source(DESCRIPTION, str(write(folder / DESCRIPTION, raw.DESCRIBED)))


def packed(root: Path, into: Path) -> Path:
    sources, omitted = contents.tree(root)
    assert omitted == {}
    return packing.pack(TOP, sources, into).path


# -- there and back ---------------------------------------------------------------------------------------------------


def test_a_tree_comes_back(root: Path, tmp_path: Path) -> None:
    made = packed(root, tmp_path / "archives")
    assert os.listdir(made.parent) == [f"{TOP}.tgz"]
    unpacking.unpack(made, tmp_path / "back")
    back = described(tmp_path / "back")
    assert back.pop(MANIFEST.encode()) is not None
    assert back == described(root)


def test_what_pack_says_is_true(root: Path, tmp_path: Path) -> None:
    sources, _ = contents.tree(root)
    made = packing.pack(TOP, sources, tmp_path / "archives")
    data = made.path.read_bytes()
    assert (made.size, made.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert verifying.verify(made.path) == verifying.verify(made.path, TOP) == made
    assert reading.top_of(made.path) == TOP


def test_sha256sum_reads_the_manifest(root: Path, tmp_path: Path) -> None:
    unpacking.unpack(packed(root, tmp_path / "archives"), tmp_path / "back")
    argv = ["sha256sum", "--check", "--strict", "--quiet", MANIFEST]
    done = subprocess.run(argv, cwd=tmp_path / "back", capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (tmp_path / "back" / "outputs" / "line\nbreak").write_bytes(b"changed")
    assert subprocess.run(argv, cwd=tmp_path / "back", capture_output=True, check=False).returncode == 1


def test_gnu_tar_reads_it(root: Path, tmp_path: Path) -> None:
    made = packed(root, tmp_path / "archives")
    subprocess.run(["tar", "-xzf", made, "-C", tmp_path], check=True)
    (tmp_path / TOP / MANIFEST).unlink()
    assert described(tmp_path / TOP) == described(root)


@pytest.mark.parametrize("name", [os.fsdecode(name) for name in NAMES])
def test_a_manifest_line_comes_back(name: str) -> None:
    digest = "0" * 64
    line = manifest.format_line(digest, name)
    assert line.count("\n") == 1
    assert manifest.parse(line) == {name: digest}


@pytest.mark.parametrize("line", ["x", "0" * 64 + " name", "0" * 63 + "  name", "0" * 64 + "  ", "A" * 64 + "  name"])
def test_a_bad_manifest_line_is_refused(line: str) -> None:
    for text in (f"{line}\n", line):
        with pytest.raises(ArchiveError, match=r"cannot read the line|is cut off"):
            manifest.parse(text)


def test_the_same_tree_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    first = packed(root, tmp_path / "one").read_bytes()
    again = tmp_path / "again"
    subprocess.run(["cp", "-a", root, again], check=True)
    os.utime(again, (1, 1))
    assert packed(again, tmp_path / "two").read_bytes() == first


def test_the_order_of_the_sources_does_not_matter(root: Path, tmp_path: Path) -> None:
    sources, _ = contents.tree(root)
    first = packing.pack(TOP, sources, tmp_path / "one")
    second = packing.pack(TOP, sources[::-1], tmp_path / "two")
    assert first.sha256 == second.sha256


def test_nobody_is_named_and_only_files_and_folders_are_in_it(root: Path, tmp_path: Path) -> None:
    with tarfile.open(packed(root, tmp_path / "archives")) as tar:
        for info in tar:
            assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "", "")
            assert info.mode in (0o644, 0o755)
            assert info.isreg() or info.isdir()
            last = info.name
    assert last == f"{TOP}/{MANIFEST}"


def test_an_empty_tree(tmp_path: Path) -> None:
    made = packing.pack(TOP, [described_by(tmp_path)], tmp_path).path
    unpacking.unpack(made, tmp_path / "back")
    assert sorted(os.listdir(tmp_path / "back")) == [DESCRIPTION, MANIFEST]


def test_a_record_is_read_without_unpacking(tmp_path: Path) -> None:
    state = StateRecord(WorkflowState.ARCHIVED, models.now())
    store.write_record(tmp_path / "state.json", state)
    made = packing.pack(
        TOP, [described_by(tmp_path), Source("state.json", str(tmp_path / "state.json"))], tmp_path / "archives"
    ).path
    assert reading.read_record(StateRecord, made, "state.json") == state
    with pytest.raises(ArchiveError, match=r"no workflow\.json in it"):
        reading.read_record(StateRecord, made, "workflow.json")


# -- never overwriting, nothing left behind ---------------------------------------------------------------------------


def test_an_archive_that_is_there_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    made = write(tmp_path / "archives" / f"{TOP}.tgz", b"precious")
    with pytest.raises(packing.TakenError, match=TOP):
        packed(root, made.parent)
    assert made.read_bytes() == b"precious"
    assert os.listdir(made.parent) == [made.name]


def test_what_a_killed_pack_left_is_reaped(root: Path, tmp_path: Path) -> None:
    write(tmp_path / f".{TOP}.tgz.4711.part", b"half")
    write(tmp_path / f".{TOP}.v2.tgz.4711.part", b"half")
    other = write(tmp_path / ".ffffffff-0d92-4d07-94cb-3a3d86f5f6ea.tgz.4711.part", b"somebody else's")
    made = packed(root, tmp_path)
    verifying.verify(made, TOP)
    assert list(tmp_path.glob(".*.part")) == [other]


def test_our_own_archive_may_inflate_to_whatever_is_in_it(root: Path, tmp_path: Path) -> None:
    # More than a stranger's may: a GiB of zeros in a MiB.
    with (root / "zeros").open("wb") as stream:
        stream.truncate(1100 << 20)
    made = packed(root, tmp_path / "archives")
    with pytest.raises(ArchiveError, match="--large"):
        verifying.verify(made)


def test_unpack_needs_a_new_folder(root: Path, tmp_path: Path) -> None:
    made = packed(root, tmp_path / "archives")
    kept = write(tmp_path / "back" / "mine")
    with pytest.raises(FileExistsError):
        unpacking.unpack(made, tmp_path / "back")
    assert kept.read_bytes() == b"x"


# -- what of a tree is packed -----------------------------------------------------------------------------------------


def names(sources: Sequence[Source]) -> list[str]:
    return sorted(source.name for source in sources)


def test_links_out_of_the_tree_and_special_files_are_listed_not_packed(tmp_path: Path) -> None:
    write(tmp_path / "outside")
    root = tmp_path / "root"
    write(root / "real")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "gone").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    sources, omitted = contents.tree(root)
    assert names(sources) == ["real"]
    assert omitted == {
        "out": f"a symbolic link to {tmp_path}/outside",
        "gone": "a symbolic link to nowhere",
        "loop": "a symbolic link to loop",
        "folder": f"a symbolic link to {tmp_path}",
        "pipe": "not a regular file",
    }


def test_a_link_to_a_file_inside_becomes_that_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root / "outputs" / "real", b"data")
    (root / "tasks").mkdir()
    (root / "tasks" / "link").symlink_to("../outputs/real")
    sources, omitted = contents.tree(root)
    unpacking.unpack(packing.pack(TOP, [described_by(tmp_path), *sources], tmp_path).path, tmp_path / "back")
    assert (tmp_path / "back" / "outputs" / "real").read_bytes() == b"data"
    assert list(omitted) == ["tasks/link"]


def test_a_file_with_two_names_is_packed_once_as_the_output(tmp_path: Path) -> None:
    root = tmp_path / "root"
    made = write(root / "tasks" / "001-a" / "000" / "out" / "x")
    (root / "outputs").mkdir()
    os.link(made, root / "outputs" / "x")
    sources, omitted = contents.tree(root)
    assert "outputs/x" in names(sources)
    assert omitted == {"tasks/001-a/000/out/x": "the same file as outputs/x"}


@pytest.mark.parametrize("needed", ["cwl/files/0000/reference.fa", "inputs/0000/reference.fa"])
def test_what_a_rerun_starts_from_is_packed_although_an_output_is_the_same_file(tmp_path: Path, needed: str) -> None:
    # A document's default file is read-only and ours, so passing it on as an output makes a hard link; a re-run keeps
    # cwl/ and inputs/ only.
    root = tmp_path / "root"
    given = write(root / needed, mode=0o444)
    (root / "outputs").mkdir()
    os.link(given, root / "outputs" / "reference.fa")
    sources, _ = contents.tree(root)
    assert {needed, "outputs/reference.fa"} <= set(names(sources))


def test_folders_to_skip_are_a_tasks_own_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    task = "tasks/001-a/000/000000/7.0/0"
    for name in ("tmp/x", "stage/y", "out/tmpx", "out/tmp/z"):
        write(root / task / name)
    write(root / "outputs/tmp/z")
    sources, omitted = contents.tree(root, frozenset({"tmp", "stage"}))
    assert [name for name in names(sources) if name[-1] in "xyz"] == [
        "outputs/tmp/z",
        f"{task}/out/tmp/z",
        f"{task}/out/tmpx",
    ]
    assert omitted == {}
