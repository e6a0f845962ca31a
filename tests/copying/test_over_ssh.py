"""bee-copy both ways over an ssh that is a script: what goes well."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.copying.systems import Systems

BIG = 3_000_000


def listed(text: str) -> set[str]:
    return {each["id"] for each in json.loads(text)}


@pytest.mark.parametrize("option", ["--host", "--from"])
def test_one_is_fetched(systems: Systems, tmp_path: Path, option: str) -> None:
    made = systems.there.make()
    dest = tmp_path / "dest"
    dest.mkdir()
    done = systems.here.bee("bee-copy", option, "banner", made.name[:8], ".", cwd=dest)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{made.name}\n", "")
    assert (dest / made.name).read_bytes() == made.read_bytes()
    assert list(dest.iterdir()) == [dest / made.name]
    assert systems.calls == ["-T -- banner bee-copy --serve"]


def test_the_dest_may_be_left_out_or_be_a_new_file(systems: Systems, tmp_path: Path) -> None:
    made = systems.there.make()
    assert systems.here.bee("bee-copy", "--host", "other", made.name[:8], cwd=tmp_path).stdout == f"{made.name}\n"
    done = systems.here.bee("bee-copy", "--host", "other", made.name[:8], "new.tgz", cwd=tmp_path)
    assert done.stdout == "new.tgz\n"
    assert (tmp_path / "new.tgz").read_bytes() == (tmp_path / made.name).read_bytes() == made.read_bytes()


def test_many_are_fetched_by_one_ssh_and_a_bad_one_does_not_keep_the_others(systems: Systems, tmp_path: Path) -> None:
    made = [systems.there.make(BIG), systems.there.make()]
    dest = tmp_path / "dest"
    dest.mkdir()
    ids = (made[0].stem, "deadbeef-0", made[1].stem)
    done = systems.here.bee("bee-copy", "--host", "other", *ids, dest)
    assert done.stdout.splitlines() == [str(dest / each.name) for each in made]
    assert (done.returncode, len(systems.calls)) == (76, 1)
    assert done.stderr.startswith("error: other: no workflow has an id that begins with 'deadbeef-0'")
    for each in made:
        assert (dest / each.name).read_bytes() == each.read_bytes()
    # Again: an error of before is no reason for what is there to be one.
    again = systems.here.bee("bee-copy", "--host", "other", ids[0], ids[2], dest)
    assert (again.returncode, again.stdout.count("(there already)")) == (0, 2)


def test_archives_are_put_where_they_are_listed(systems: Systems) -> None:
    made = [systems.here.make(BIG), systems.here.make(), systems.here.make()]
    given = made[2].rename(systems.here.top / "a file.tgz")
    done = systems.here.bee("bee-copy", "--to", "banner", made[0].name[:8], made[1].stem, given)
    there = systems.there.archives
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"banner:{there / each.name}" for each in made]
    assert systems.there.archived() == {name for each in made for name in (each.name, each.stem + ".json")}
    assert (there / made[0].name).read_bytes() == made[0].read_bytes()
    assert (there / made[2].name).read_bytes() == given.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in there.iterdir()} == {0o600}
    shown = json.loads(systems.there.bee("bee-list", "--json").stdout)
    assert {(each["id"], each["name"], each["state"]) for each in shown} == {
        (each.stem, "theirs", "Archived") for each in made
    }
    assert len(systems.calls) == 1
    again = systems.here.bee("bee-copy", "--to", "other", made[0].stem)
    assert (again.returncode, again.stdout) == (0, f"other:{there / made[0].name} (there already)\n")


def test_archives_are_fetched_into_the_own_folder(systems: Systems) -> None:
    made = systems.there.make(number=2)
    made.with_suffix(".json").unlink()
    workflow_id = made.name[:36]
    done = systems.here.bee("bee-copy", "--host", "other", "--archive", workflow_id[:6])
    assert (done.returncode, done.stdout) == (0, f"{systems.here.archives / made.name}\n")
    assert listed(systems.here.bee("bee-list", "--json").stdout) == {workflow_id}
    # What shows it was lost: it comes back.
    (systems.here.archives / f"{workflow_id}.v2.json").unlink()
    again = systems.here.bee("bee-copy", "--host", "other", "--archive", workflow_id)
    assert (again.returncode, again.stdout) == (0, f"{systems.here.archives / made.name} (there already)\n")
    assert listed(systems.here.bee("bee-list", "--json").stdout) == {workflow_id}


def test_a_file_is_taken_into_the_own_folder(systems: Systems, tmp_path: Path) -> None:
    given = systems.there.make().rename(tmp_path / "given.tgz")
    done = systems.here.bee("bee-copy", "--archive", "given.tgz", cwd=tmp_path)
    (workflow_id,) = listed(systems.here.bee("bee-list", "--json").stdout)
    assert (done.returncode, done.stdout) == (0, f"{systems.here.archives / workflow_id}.tgz\n")
    assert (systems.here.archives / f"{workflow_id}.tgz").read_bytes() == given.read_bytes()


def test_copies_here(systems: Systems, tmp_path: Path) -> None:
    made = [systems.here.make(BIG), systems.here.make()]
    done = systems.here.bee("bee-copy", made[0].name[:8], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{made[0].name}\n")
    again = systems.here.bee("bee-copy", made[0].name[:8], ".", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, f"{made[0].name} (there already)\n", "")
    (tmp_path / "other.tgz").write_text("precious")
    other = systems.here.bee("bee-copy", made[0].name[:8], "other.tgz", cwd=tmp_path)
    assert (other.returncode, other.stdout) == (75, "")
    assert "other.tgz: there already, and another file; nothing is overwritten" in other.stderr
    several = systems.here.bee("bee-copy", *(each.stem for each in made), tmp_path)
    assert several.stdout.splitlines() == [f"{tmp_path / made[0].name} (there already)", str(tmp_path / made[1].name)]
    by_path = systems.here.bee("bee-copy", made[1], "copy.tgz", cwd=tmp_path)
    assert (by_path.returncode, by_path.stdout) == (0, "copy.tgz\n")
    assert (tmp_path / "copy.tgz").read_bytes() == made[1].read_bytes()
    assert not list(tmp_path.glob(".*.part"))
    assert systems.calls == []


@pytest.mark.parametrize("dest", ["new/", "new/.", "new//", "new/copy.tgz"])
def test_a_folder_that_is_not_there_is_no_file(systems: Systems, tmp_path: Path, dest: str) -> None:
    made, folder = systems.here.make(), tmp_path / "in"
    folder.mkdir()
    done = systems.here.bee("bee-copy", made.stem, dest, cwd=folder)
    assert (done.returncode, done.stdout) == (74, "")
    assert done.stderr == "error: new: no such folder; make it first\n"
    assert not os.listdir(folder)
    (folder / "new").mkdir()
    assert systems.here.bee("bee-copy", made.stem, dest, cwd=folder).returncode == 0
    assert len(os.listdir(folder / "new")) == 1


def test_a_path_keeps_its_bytes(systems: Systems, tmp_path: Path) -> None:
    made, folder = systems.here.make(), tmp_path / "in"
    folder.mkdir()
    env = {**systems.here.env, "PYTHONIOENCODING": "utf-8:strict"}
    argv = systems.here.argv("bee-copy", made.stem, os.fsdecode(b"\xff.tgz"))
    done = subprocess.run(argv, env=env, cwd=folder, stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout == b"\xff.tgz\n"
    assert os.listdir(os.fsencode(folder)) == [b"\xff.tgz"]


def test_an_archive_is_printed(systems: Systems) -> None:
    made = systems.here.make(BIG)
    with (systems.here.top / "out").open("wb") as out:
        subprocess.run(
            systems.here.argv("bee-copy", made.stem, "-"), stdout=out, env=systems.here.env, check=True, timeout=60
        )
    assert (systems.here.top / "out").read_bytes() == made.read_bytes()


# -- bee-list ---------------------------------------------------------------------------------------------------------


def test_lists_are_merged(systems: Systems) -> None:
    mine, theirs = systems.here.make(name="mine"), systems.there.make(name="[\n]\033[31m")
    systems.here.bee("bee-copy", "--to", "other", mine.stem)
    done = systems.here.bee("bee-list", "--host", "banner", "--host", "other", "--json")
    found = [(each["id"], each["host"]) for each in json.loads(done.stdout)]
    assert sorted(found, key=str) == sorted(
        [(mine.stem, None), *((each.stem, host) for each in (mine, theirs) for host in ("banner", "other"))], key=str
    )
    shown = systems.here.bee("bee-list", "--host", "other")
    assert (done.returncode, shown.returncode, shown.stderr) == (0, 0, "")
    lines = {line.split()[-4 if "here," in line else -3]: line for line in shown.stdout.splitlines()[2:]}
    assert lines[mine.stem].endswith("Archived  here, other")
    assert lines[theirs.stem].endswith("Archived  other")
    assert "\033" not in shown.stdout


def test_a_host_that_does_not_answer_is_said(systems: Systems) -> None:
    mine, theirs = systems.here.make(), systems.there.make()
    done = systems.here.bee("bee-list", "--host", "gone", "--host", "other", "--host", "bare")
    assert done.returncode == 76
    assert mine.stem in done.stdout
    assert theirs.stem in done.stdout
    assert done.stderr.splitlines()[0] == (
        "error: gone: ssh failed: ssh: connect to host gone port 22: Connection refused"
    )
    assert done.stderr.splitlines()[1].startswith("error: bare: bee-list is not on the PATH that ssh gives there")


@pytest.mark.parametrize("is_there", [True, False])
def test_no_ssh_to_ask_with(systems: Systems, tmp_path: Path, is_there: bool) -> None:
    mine = systems.here.make()
    (tmp_path / "ssh").write_text("not to be run")
    env = {**systems.here.env, "PATH": str(tmp_path) if is_there else "/nowhere"}
    here = replace(systems.here, env=env)
    said = (
        "ssh: may not be run: Permission denied" if is_there else "ssh: program not found; install it or put it on PATH"
    )
    done = here.bee("bee-list", "--host", "other", "--host", "another")
    assert done.returncode == 76
    assert mine.stem in done.stdout
    assert done.stderr.splitlines() == [f"error: {host}: {said}" for host in ("other", "another")]
    done = here.bee("bee-copy", "--host", "other", mine.stem, "abcd", tmp_path)
    assert done.returncode == 76
    assert done.stderr.splitlines() == [f"error: other: {said}", "error: abcd: not copied"]


GOOD = (
    '{"id": "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea", "name": "n", "state": "Archived", "created": "2026", "parent": null'
)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ("echo hello", 76, "printed something else than a JSON array: hello"),
        ("echo '{}'", 76, "something else"),
        ("yes '[' | head -c 200000", 76, "something else"),
        ("head -c 70000000 /dev/zero", 76, "more than 67108864 bytes of output"),
        (f"echo '['; echo ' {GOOD}, \"new\": 1}}'; echo ']'", 0, ""),
        (f"echo '['; echo ' {GOOD}}}, 7, {{\"id\": \"/etc\"}}'; echo ']'", 0, "left out: 2 workflows"),
    ],
    ids=["text", "object", "brackets", "flood", "newer", "partly"],
)
def test_what_is_no_list(systems: Systems, answer: str, code: int, says: str) -> None:
    done = systems.here.bee("bee-list", "--host", systems.script(answer))
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert ("3fc631bb-0d92" in done.stdout) == (code == 0)
