"""bee-verify: a line and an exit code for what is whole, damaged, incomplete, unsafe, or none of ours."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from beeflow import cli, store
from beeflow.commands import verify
from beeflow.models import Sidecar
from beeflow.states import WorkflowState
from tests.archive import raw
from tests.archive.raw import archive, file, header, write
from tests.commands.place import Place

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return place


def run(*argv: str | Path) -> int:
    return cli.guarded(verify.main, [str(each) for each in argv])


def test_by_the_beginning_of_an_id(place: Place, capsys: Capture) -> None:
    one = place.make(name="first\x1b[31m")
    for argv, said in ([one.id[:8]], "ok: "), ([one.id[:8], "--quick"], "ok as packed: "):
        assert run(*argv) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"{place.archives}/{one.id}.tgz: {said}")
        assert out.endswith("as it was archived\n")
        assert out.count("\n") == 1
        assert "\x1b" not in out
        assert err == ""


def test_what_is_written_beside_it_counts(place: Place, capsys: Capture) -> None:
    path = write(place.top / f"{raw.ID}.tgz", raw.small())
    assert run(path) == 0
    assert "nothing beside it to compare with" in capsys.readouterr().out
    beside = Sidecar(raw.ID, "n", WorkflowState.ARCHIVED, "", "", "0" * 64, path.stat().st_size)
    store.write_record(path.with_suffix(".json"), beside)
    for quick in ([], ["--quick"]):
        assert run(path, *quick) == 75
        assert f"{path}: not what was archived" in capsys.readouterr().out


@pytest.mark.parametrize("text", ['{"name": "x"}', '{"version": "2.1", "name": "x"}', "[]", "no JSON"])
def test_what_is_beside_it_by_chance_does_not_count(place: Place, capsys: Capture, text: str) -> None:
    path = write(place.top / f"{raw.ID}.tgz", raw.small())
    beside = path.with_suffix(".json")
    beside.write_text(text)
    assert run(path) == 0
    out, err = capsys.readouterr()
    assert "nothing beside it to compare with" in out
    assert f"{beside}: not what this beeflow writes beside an archive: not compared with it\n" in err


def test_every_kind_of_trouble_has_its_code(place: Place, capsys: Capture) -> None:
    whole = raw.small()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    cases = {
        "whole": (whole, 0, 0),
        "damaged": (bytes(damaged), 75, 75),
        "cut": (whole[:-70], 79, 79),
        "empty": (b"", 79, 79),
        "text": (b"text", 75, 75),
        "other": (gzip.compress(bytes(10240)), 80, 80),
        "zip": (b"PK\x03\x04" + bytes(99), 80, 80),
        "unsafe": (archive(header(f"{raw.ID}/l".encode(), b"2", link=b"/etc/passwd")), 75, 0),
        "extra": (archive(file("x")), 75, 0),
        "missing": (archive(vouched={"x": b""}), 79, 0),
        "old": (raw.sealed(raw.compressed(raw.folder() + file("cwl/x") + raw.END)), 80, 80),
    }
    for name, (data, full, quick) in cases.items():
        path = write(place.top / f"{name}.tgz", data)
        assert run(path) == full, name
        assert run(path, "--quick") == quick, name
    out, err = capsys.readouterr()
    assert out.count("\n") == 2 * len(cases)
    assert "unsafe.tgz: unsafe: '3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea/l' is neither a file nor a folder" in out
    assert err == ""
    assert run(*(place.top / f"{name}.tgz" for name in cases)) == 80


def test_json(place: Place, capsys: Capture) -> None:
    good, bad = write(place.top / "good.tgz", raw.small()), write(place.top / "bad.tgz", raw.small()[:99])
    assert run("--json", good, bad) == 79
    one, two = json.loads(capsys.readouterr().out)
    assert (one["ok"], one["exit_code"], one["id"], one["files"]) == (True, 0, raw.ID, 4)
    assert (two["ok"], two["exit_code"], two["archive"]) == (False, 79, str(bad))
    assert "incomplete" in two["error"]


def test_what_is_not_there(place: Place, capsys: Capture) -> None:
    assert run("ffff") == 3
    assert run("./none.tgz") == 3
    assert run(place.top) == 75
    out, err = capsys.readouterr()
    assert "a folder, not an archive" in out
    assert err.count("error: ") == 2


def test_what_was_archived_as_it_ran_is_listed_line_by_line(place: Place, capsys: Capture) -> None:
    running = place.make(WorkflowState.RUNNING, archived=False)
    path = write(place.archives / f"{running.id}.tgz", raw.small())
    beside = Sidecar(running.id, "n", WorkflowState.RUNNING, "", "", "0" * 64, path.stat().st_size)
    store.write_record(path.with_suffix(".json"), beside)
    assert run(running.id) == 4
    assert capsys.readouterr().err.splitlines()[-1] == f"  made by hand: {path}"


def test_what_ended_without_an_archive_says_how_to_make_one(place: Place, capsys: Capture) -> None:
    ended = place.make(WorkflowState.CANCELLED, archived=False)
    assert run(ended.id[:8]) == 4
    assert f"of its end: it is Cancelled; make one with: bee-archive {ended.id}\n" in capsys.readouterr().err


def test_what_takes_two_lines_elsewhere_is_one_here(place: Place, capsys: Capture) -> None:
    path = write(place.archives / f"{raw.ID}.tgz", raw.small())
    store.write_record(
        path.with_suffix(".json"), Sidecar(raw.ID, "n", WorkflowState.RUNNING, "", "", "0" * 64, path.stat().st_size)
    )
    assert run(raw.ID) == 75
    assert capsys.readouterr().out.endswith(f"and no directory any more; see: bee-verify {path}\n")


def test_the_archive_of_another_workflow_under_its_name(place: Place, capsys: Capture) -> None:
    found = place.make()
    write(place.archives / f"{found.id}.tgz", raw.small())
    for quick in ([], ["--quick"]):
        assert run(found.id, *quick) == 75
        assert f"it is the archive of {raw.ID}" in capsys.readouterr().out


def test_names_in_an_archive_cannot_write_to_the_terminal(place: Place, capsys: Capture) -> None:
    evil = f"{raw.ID}/\x1b]0;evil\x07\n\x9b".encode()
    path = write(place.top / "evil\x1b.tgz", archive(raw.pax(b"path=" + evil) + header(b"x")))
    assert run(path) == 75
    out, _ = capsys.readouterr()
    assert out.removesuffix("\n").isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(place: Place, capsys: Capture) -> None:
    path = write(place.top / "x.tgz", raw.small())
    path.chmod(0)
    assert run(path) == 74
    assert "Permission denied" in capsys.readouterr().err


def test_nothing_is_written(place: Place) -> None:
    path = write(place.top / "x.tgz", raw.small())
    before = sorted(place.top.rglob("*"))
    assert run(path) == 0
    assert sorted(place.top.rglob("*")) == before


def test_what_inflates_to_too_much_needs_a_word(place: Place, capsys: Capture) -> None:
    member = header(f"{raw.ID}/x".encode(), size=1056 << 20)
    tar = raw.folder() + file("bee-archive.json", raw.DESCRIBED) + member
    path = write(place.top / "x.tgz", raw.sealed(raw.compressed(tar, 9, 1056)))
    assert run(path) == 75
    assert "--large" in capsys.readouterr().out
    assert run(path, "--large") == 79
