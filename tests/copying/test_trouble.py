"""bee-copy over an ssh that is a script: what goes wrong is survived or said, and nothing is mixed or overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beeflow import store
from beeflow.commands import copy
from beeflow.copying import parts
from beeflow.copying.messages import PROTOCOL
from beeflow.errors import UsageError
from beeflow.layout import Layout
from beeflow.remote import ssh
from tests.copying.systems import Systems

BIG = 3_000_000
ID = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"
SHA = "0" * 64
HELLO = f"echo beeflow-copy {PROTOCOL} 0; read request; "


def offer(name: str = f"{ID}.tgz", size: int = 1, sha256: str = SHA) -> str:
    """Write what a server offers."""
    return json.dumps({"Offer": {"name": name, "size": size, "sha256": sha256}})


def answers(text: str) -> str:
    """Write the script of a server that says this to its first request, and goes on reading."""
    return f"{HELLO} cat <<'END'\n{text}\nEND\ncat >/dev/null"


def part_in(folder: Path) -> Path:
    (found,) = folder.glob(f".*{parts.SUFFIX}")
    return found


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    made = tmp_path / "dest"
    made.mkdir()
    return made


# -- cut off, and continued -------------------------------------------------------------------------------------------


def test_a_fetch_goes_on_where_it_was_cut(systems: Systems, dest: Path) -> None:
    made = systems.there.make(BIG)
    # Twice so much is less than all: the second time only what was missing comes.
    host = f"getcut-{BIG * 6 // 10}"
    cut = systems.here.bee("bee-copy", "--host", host, made.stem, dest)
    assert (cut.returncode, cut.stdout) == (76, "")
    part = part_in(dest)
    assert f"the connection was cut; 1.5 MiB of 2.9 MiB are kept in {part}; give the command again" in cut.stderr
    assert BIG // 2 < part.stat().st_size < BIG * 6 // 10
    again = systems.here.bee("bee-copy", "--host", host, made.stem, dest)
    assert (again.returncode, again.stderr) == (0, "")
    assert (dest / made.name).read_bytes() == made.read_bytes()
    assert os.listdir(dest) == [made.name]


def test_a_put_goes_on_where_it_was_cut(systems: Systems) -> None:
    made = systems.here.make(BIG)
    host = f"putcut-{BIG * 6 // 10}"
    cut = systems.here.bee("bee-copy", "--to", host, made.stem)
    assert (cut.returncode, cut.stdout) == (76, "")
    assert f"error: {host}: {made}: the connection was cut; what has come there is kept; give the command" in cut.stderr
    assert BIG // 2 < part_in(systems.there.archives).stat().st_size < BIG * 6 // 10
    again = systems.here.bee("bee-copy", "--to", host, made.stem)
    assert (again.returncode, again.stderr) == (0, "")
    assert systems.there.archived() == {made.name, f"{made.stem}.json"}
    assert (systems.there.archives / made.name).read_bytes() == made.read_bytes()


@pytest.mark.parametrize("harm", ["flipped", "too long", "complete and wrong", "complete"])
def test_a_part_that_was_damaged_is_begun_anew(systems: Systems, dest: Path, harm: str) -> None:
    made = systems.there.make(BIG)
    systems.here.bee("bee-copy", "--host", f"getcut-{BIG // 2}", made.stem, dest)
    part, right = part_in(dest), made.read_bytes()
    part.write_bytes(
        {
            "flipped": right[:1000] + b"?" + right[1001:90000],
            "too long": right + b"?",
            "complete and wrong": right[:-1] + bytes([right[-1] ^ 1]),
            "complete": right,
        }[harm]
    )
    again = systems.here.bee("bee-copy", "--host", "other", made.stem, dest)
    assert (again.returncode, again.stderr) == (0, "")
    assert (dest / made.name).read_bytes() == right
    assert os.listdir(dest) == [made.name]


def test_what_changed_there_is_not_mixed(systems: Systems, dest: Path) -> None:
    made = systems.there.make(BIG)
    systems.here.bee("bee-copy", "--host", f"getcut-{BIG // 2}", made.stem, dest)
    other = systems.there.make(BIG)
    made.write_bytes(other.read_bytes())
    made.with_suffix(".json").unlink()
    again = systems.here.bee("bee-copy", "--host", "other", made.stem, dest)
    assert (again.returncode, again.stderr) == (0, "")
    assert (dest / made.name).read_bytes() == other.read_bytes()


def test_after_a_cut_the_others_are_copied(systems: Systems, dest: Path) -> None:
    made = [systems.there.make(BIG), systems.there.make()]
    done = systems.here.bee("bee-copy", "--host", f"getcut-{BIG // 2}", made[0].stem, made[1].stem, dest)
    assert (done.returncode, done.stdout) == (76, f"{dest / made[1].name}\n")
    assert len(systems.calls) == 2


@contextlib.contextmanager
def stalled(systems: Systems, *argv: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start a copy whose ssh stops in the middle."""
    program = subprocess.Popen(
        systems.here.argv("bee-copy", *argv),
        env=systems.here.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


def wait_for_part(folder: Path, size: int) -> Path:
    deadline = time.monotonic() + 30
    while not [path for path in folder.glob(f".*{parts.SUFFIX}") if path.stat().st_size >= size]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return part_in(folder)


def test_ctrl_c_leaves_what_came_and_no_process(systems: Systems, dest: Path) -> None:
    made = systems.there.make(BIG)
    with stalled(systems, "--host", "stall-2000000", made.stem, dest) as program:
        part = wait_for_part(dest, BIG // 3)
        # As a terminal does it.
        os.killpg(program.pid, signal.SIGINT)
        _, said = program.communicate(timeout=30)
        assert program.returncode == 130
        assert "interrupted; what has come is kept" in said
        deadline = time.monotonic() + 10
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(program.pid, 0)
                time.sleep(0.05)
            pytest.fail("a process is left")
    assert part.stat().st_size > 0
    assert systems.here.bee("bee-copy", "--host", "other", made.stem, dest).returncode == 0
    assert (dest / made.name).read_bytes() == made.read_bytes()


def test_a_copy_that_another_process_makes_is_left_to_it(systems: Systems, dest: Path) -> None:
    made = systems.there.make(BIG)
    systems.here.bee("bee-copy", "--host", f"getcut-{BIG // 2}", made.stem, dest)
    with part_in(dest).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = systems.here.bee("bee-copy", "--host", "other", made.stem, dest)
    assert done.returncode == 4
    assert "another bee-copy is writing it" in done.stderr
    assert systems.here.bee("bee-copy", "--host", "other", made.stem, dest).returncode == 0


def test_a_part_that_is_a_link_is_not_followed(systems: Systems, dest: Path, tmp_path: Path) -> None:
    made = systems.there.make(BIG)
    systems.here.bee("bee-copy", "--host", f"getcut-{BIG // 2}", made.stem, dest)
    part = part_in(dest)
    part.unlink()
    part.symlink_to(tmp_path / "precious")
    done = systems.here.bee("bee-copy", "--host", "other", made.stem, dest)
    assert done.returncode == 74
    assert not (tmp_path / "precious").exists()


# -- damaged, full, forbidden -----------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_an_archive_that_is_damaged_there(systems: Systems, dest: Path) -> None:
    made, short, good = systems.there.make(BIG), systems.there.make(), systems.there.make()
    flip(made)
    short.write_bytes(short.read_bytes()[:-1])
    done = systems.here.bee("bee-copy", "--host", "other", made.stem, short.stem, good.stem, dest)
    assert (done.returncode, done.stdout) == (75, f"{dest / good.name}\n")
    assert f"{made}: damaged: it does not have the sha256 that it was archived with; nothing was kept" in done.stderr
    assert f"workflow {short.stem} has no whole archive of its end" in done.stderr
    assert f"{short}: not whole: it had {short.stat().st_size + 1} bytes" in done.stderr
    assert os.listdir(dest) == [good.name]
    assert len(systems.calls) == 1


def test_an_archive_that_is_damaged_here(systems: Systems) -> None:
    made, good = systems.here.make(BIG), systems.here.make()
    flip(made)
    done = systems.here.bee("bee-copy", "--to", "other", made.stem, good.stem)
    assert (done.returncode, done.stdout) == (75, f"other:{systems.there.archives / good.name}\n")
    assert f"{made}: damaged" in done.stderr
    assert systems.there.archived() == {good.name, f"{good.stem}.json"}


@pytest.mark.parametrize("option", ["--archive", "."])
def test_a_file_that_is_damaged_is_not_taken(systems: Systems, tmp_path: Path, dest: Path, option: str) -> None:
    bad, short, good = (systems.there.make().rename(tmp_path / f"{name}.tgz") for name in ("bad", "short", "good"))
    flip(bad)
    short.write_bytes(short.read_bytes()[:-1])
    (tmp_path / "text.tgz").write_text("text")
    argv: list[str | Path] = [bad, short, tmp_path / "text.tgz", good, option]
    done = systems.here.bee("bee-copy", *argv, cwd=dest)
    assert (done.returncode, done.stdout.count("\n")) == (79, 1)
    assert f"{bad}: damaged: " in done.stderr
    assert f"{short}: incomplete: its end is missing; was it copied whole?" in done.stderr
    assert f"{tmp_path}/text.tgz: damaged, or no archive" in done.stderr
    taken = systems.here.archived() if option == "--archive" else set(os.listdir(dest))
    assert {Path(name).suffix for name in taken} == ({".json", ".tgz"} if option == "--archive" else {".tgz"})


def test_an_archive_of_which_nothing_is_known_but_its_seal(systems: Systems, dest: Path) -> None:
    made = systems.there.make()
    made.with_suffix(".json").unlink()
    flip(made)
    done = systems.here.bee("bee-copy", "--host", "other", made.stem, dest)
    assert (done.returncode, done.stdout) == (75, "")
    assert f"{made}: damaged: " in done.stderr
    assert os.listdir(dest) == []


def test_a_file_that_is_not_there(systems: Systems) -> None:
    done = systems.here.bee("bee-copy", "no.tgz", ".")
    assert (done.returncode, done.stderr) == (3, "error: no.tgz: no such archive\n")


def test_what_is_no_archive_is_not_put(systems: Systems, tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(b"something else")
    done = systems.here.bee("bee-copy", "--to", "other", "x.tgz", "no.tgz", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (75, "")
    assert "x.tgz" in done.stderr
    assert "no.tgz: no such archive" in done.stderr
    assert ".: a folder" in done.stderr
    assert systems.there.archived() == set()


def test_a_full_disk_there(systems: Systems) -> None:
    made = [systems.here.make(BIG), systems.here.make()]
    done = systems.here.bee("bee-copy", "--to", "small-2000", made[0].stem, made[1].stem)
    assert (done.returncode, done.stdout) == (76, f"small-2000:{systems.there.archives / made[1].name}\n")
    assert "small-2000: " in done.stderr
    assert "File too large; 1000.0 KiB of 2.9 MiB are kept in" in done.stderr
    assert len(systems.calls) == 1
    again = systems.here.bee("bee-copy", "--to", "other", made[0].stem)
    assert (again.returncode, again.stderr) == (0, "")


def test_a_full_disk_here(systems: Systems, dest: Path) -> None:
    made = [systems.there.make(BIG), systems.there.make()]
    argv = systems.here.argv("bee-copy", "--host", "other", made[0].stem, made[1].stem, dest)
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", *argv],
        env=systems.here.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (74, f"{dest / made[1].name}\n")
    assert "File too large; 1000.0 KiB of 2.9 MiB are kept in" in done.stderr
    assert systems.here.bee("bee-copy", "--host", "other", made[0].stem, dest).returncode == 0


def test_no_room_is_seen_before_anything_comes(systems: Systems, dest: Path) -> None:
    host = systems.script(f"{HELLO} echo '{offer(size=10**18)}'; read answer; exit 0")
    done = systems.here.bee("bee-copy", "--host", host, ID, dest)
    assert done.returncode == 74
    assert "no room: 909494.7 TiB are to come" in done.stderr
    assert os.listdir(dest) == []


def test_a_bee_workdir_there_that_others_can_write(systems: Systems) -> None:
    made = systems.here.make()
    (systems.there.top / "bee").chmod(0o777)
    done = systems.here.bee("bee-copy", "--to", "other", made.stem)
    assert (done.returncode, done.stdout) == (76, "")
    assert "can be written by everybody" in done.stderr
    assert systems.there.archived() == set()


def test_an_archive_folder_there_that_is_none(systems: Systems) -> None:
    made = systems.here.make()
    systems.there.archives.rmdir()
    systems.there.archives.write_text("a file")
    done = systems.here.bee("bee-copy", "--to", "other", made.stem)
    assert done.returncode == 76
    assert "not a folder" in done.stderr


def test_nothing_is_overwritten(systems: Systems, dest: Path) -> None:
    mine, theirs = systems.here.make(), systems.there.make()
    (systems.there.archives / mine.name).write_text("precious")
    (dest / theirs.name).write_text("precious")
    put = systems.here.bee("bee-copy", "--to", "other", mine.stem)
    got = systems.here.bee("bee-copy", "--host", "other", theirs.stem, dest)
    assert (put.returncode, got.returncode) == (75, 75)
    for each in (put, got):
        assert "there already, and another file; nothing is overwritten" in each.stderr
    for path in (systems.there.archives / mine.name, dest / theirs.name):
        assert path.read_text() == "precious"


def test_a_workflow_that_will_make_its_archive_itself_takes_nobody_elses(systems: Systems) -> None:
    mine = systems.here.make()
    Layout(systems.there.workflows / mine.stem).root.mkdir()
    done = systems.here.bee("bee-copy", "--to", "other", mine.stem)
    assert done.returncode == 76
    assert "is here itself" in done.stderr
    assert systems.there.archived() == set()


def test_an_archive_under_another_ones_name(systems: Systems) -> None:
    mine = systems.here.make()
    wrong = mine.rename(mine.with_name(f"{ID}.tgz"))
    (mine.with_suffix(".json")).rename(wrong.with_suffix(".json"))
    done = systems.here.bee("bee-copy", "--to", "other", ID)
    assert done.returncode == 75
    assert f"{wrong}: not the archive that it is named after, but {mine.name}" in done.stderr
    assert systems.there.archived() == set()


# -- who cannot be talked to ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--host", "--to"])
@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("gone", "gone: ssh failed: ssh: connect to host gone port 22: Connection refused"),
        ("key", "key: ssh failed: Host key verification \\x1b[31mfailed."),
        ("bare", "bare: bee-copy is not on the PATH that ssh gives there; install beeflow there"),
        ("old", "old: the beeflow there is older"),
    ],
)
def test_no_beeflow_to_talk_to(systems: Systems, dest: Path, option: str, host: str, says: str) -> None:
    made = [systems.here.make(), systems.here.make()]
    words = [each.stem for each in made] + ([str(dest)] if option == "--host" else [])
    done = systems.here.bee("bee-copy", option, host, *words)
    assert (done.returncode, done.stdout) == (76, "")
    lines = done.stderr.splitlines()
    assert says in lines[0]
    assert lines[1:] == [f"error: {made[1].stem}: not copied"]
    assert (len(systems.calls), os.listdir(dest)) == (1, [])


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 0", "the connection was cut"),
        ("echo 'beeflow-copy 99 7.0'; cat >/dev/null", "protocol 99, and this one by 2; install a newer beeflow here"),
        ("echo 'beeflow-copy 1 0.0'; cat >/dev/null", "protocol 1, and this one by 2; install a newer beeflow there"),
        ("exec yes noise", "no beeflow began to speak"),
        ("exec cat /dev/zero", "a line without an end"),
        (HELLO + "exec yes", "an answer that makes no sense: b'y"),
        (HELLO + "exec cat /dev/zero", "a line without an end"),
        (answers("[" * 60000), "an answer that makes no sense"),
        (answers('{"Offer": 7}'), "an answer that makes no sense"),
        (answers('{"Done": {"path": "x", "is_new": true}}'), "an answer that makes no sense here: Done"),
        (answers('{"Failed": {"message": "a\\u001b[31m\\nb"}}'), "a\\x1b[31m / b"),
        (answers(offer(name="../../x.tgz")), "makes no sense"),
        (answers(offer(name=".bashrc")), "makes no sense"),
        (answers(offer(sha256="/../../x")), "makes no sense"),
        (answers(offer(size=-1)), "makes no sense"),
        (answers(offer(size=1 << 63)), "makes no sense"),
        (answers(offer(size=10**400)), "makes no sense"),
        (answers(offer() + '\n{"Sent": {}}'), "at once"),
    ],
)
def test_answers_that_make_no_sense(systems: Systems, dest: Path, script: str, says: str) -> None:
    done = systems.here.bee("bee-copy", "--host", systems.script(script), ID, dest)
    assert (done.returncode, done.stdout) == (76, "")
    assert says in done.stderr
    assert "\033" not in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(dest) == []


def test_what_another_system_says_is_no_terminal_code(systems: Systems) -> None:
    made = systems.here.make()
    host = systems.script(answers('{"Done": {"path": "/a\\u001b[31m\\nb", "is_new": true}}'))
    done = systems.here.bee("bee-copy", "--to", host, made.stem)
    assert (done.returncode, done.stdout) == (0, f"{host}:/a\\x1b[31m / b\n")


def test_more_bytes_than_were_offered(systems: Systems, dest: Path) -> None:
    chunk = r"""printf '\000\000\000\002ab\000\000\000\000'; echo '{"Sent": {}}'; cat >/dev/null"""
    done = systems.here.bee("bee-copy", "--host", systems.script(f"{HELLO} echo '{offer()}'; {chunk}"), ID, dest)
    assert done.returncode == 75
    assert "more bytes came than it has; nothing was kept" in done.stderr
    assert os.listdir(dest) == []


# -- what is refused before ssh runs ----------------------------------------------------------------------------------


BAD_HOSTS = [
    "-oProxyCommand=touch pwned",
    "user@-oProxyCommand=x",
    "-user@host",
    "a;b",
    "$(id)",
    "a b",
    "`id`",
    "a\nb",
    "host\n",
    "a\033b",
    "a\0b",
    "a|b",
    "a'b",
    "*",
    "[a]",
    "",
    "@",
    "user@",
    "@host",
    "ä",
    "a/b",
    "ssh://a",
    "a" * 300,
]


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_host_names_that_are_none(host: str) -> None:
    with pytest.raises(UsageError, match="not a host name"):
        ssh.argv(host, ["bee-list"])


@pytest.mark.parametrize(
    "host", ["a", "a.b-c.d", "user@a", "u.s-er@domain@a", "_a", "::1", "u@fe80::1%eth0", "1.2.3.4"]
)
def test_host_names(host: str) -> None:
    assert ssh.argv(host, ["a b", "c"]) == ["ssh", "-T", "--", host, "'a b' c"]


@pytest.mark.parametrize("host", [BAD_HOSTS[0], BAD_HOSTS[1], "a\nb", ""])
def test_no_ssh_runs_for_a_name_that_is_none(systems: Systems, host: str) -> None:
    made = systems.here.make()
    for argv in (
        ["bee-copy", f"--host={host}", made.stem],
        ["bee-copy", f"--to={host}", made.stem],
        ["bee-list", f"--host={host}"],
    ):
        done = systems.here.bee(*argv)
        assert (done.returncode, done.stdout, systems.calls) == (2, "", [])
        assert "not a host name" in done.stderr


@pytest.mark.parametrize("word", ["$(id)", "a b", "../x", "x.tgz", "\n", "3fc6*", "-", "z", "3" * 37])
def test_ids_that_are_none(systems: Systems, dest: Path, word: str) -> None:
    done = systems.here.bee("bee-copy", "--host", "other", "--", word, str(dest))
    assert (done.returncode, done.stdout, systems.calls) == (2, "", [])


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "say which archives"),
        (["--archive"], "say which archives"),
        (["--to", "other"], "say which archives"),
        (["--to", "other", "--archive", ID], "leave out --archive"),
        (["--to", "other", "--host", "other", ID], "not allowed with"),
        (["--host", "other", ID, "-"], "only one archive of this system"),
        ([ID, ID, "-"], "only one archive of this system"),
        ([ID, ID, "nowhere"], "nowhere: several archives can only go to a folder"),
        ([ID, ID], "looks like an id"),
        (["3fc6", "9d0f6a2e"], "looks like an id"),
        (["far:3fc631bb", "."], "as in: bee-copy --host far 3fc631bb .\n"),
        (["u@far:3fc631bb"], "as in: bee-copy --host u@far 3fc631bb .\n"),
        (["far:bee/archives/x.tgz", "x y"], "as in: bee-copy --host far ID 'x y'\n"),
        (["--archive", "far:3fc631bb"], "as in: bee-copy --host far --archive 3fc631bb\n"),
        (["--host", "far", "far:3fc631bb", "."], "as in: bee-copy --host far 3fc631bb .\n"),
        (["3fc631bb", "far:"], "as in: bee-copy --to far 3fc631bb\n"),
        (["3fc6", "9d0f", "u@far:x/y"], "as in: bee-copy --to u@far 3fc6 9d0f\n"),
        (["x:1.tgz", "far:"], "or a file, as: ./x:1.tgz"),
    ],
)
def test_command_lines_that_make_no_sense(systems: Systems, argv: list[str], says: str) -> None:
    done = systems.here.bee("bee-copy", *argv)
    assert (done.returncode, done.stdout, systems.calls) == (2, "", [])
    assert says in done.stderr


# -- leftovers --------------------------------------------------------------------------------------------------------


def test_old_parts_are_tidied_up(systems: Systems) -> None:
    made = systems.here.make(BIG)
    systems.here.bee("bee-copy", "--to", f"putcut-{BIG // 2}", made.stem)
    part = part_in(systems.there.archives)
    for days, stays in ((6, True), (8, False)):
        then = time.time() - days * 86400
        os.utime(part, (then, then))
        done = systems.there.bee("bee-clean")
        assert (done.returncode, part.exists()) == (0, stays), done.stderr
    assert store.is_id(made.stem)


@pytest.mark.parametrize(
    ("named", "says"),
    [(ID, "not the archive that it is named after, but "), ("", "damaged, or no archive")],
    ids=["another", "none"],
)
def test_what_is_offered_and_is_something_else(systems: Systems, named: str, says: str) -> None:
    # The taker looks for itself.
    theirs = systems.there.make()
    data = theirs.read_bytes() if named else b"?" * 100
    name = f"{named or theirs.stem}.tgz"
    said = offer(name, len(data), hashlib.sha256(data).hexdigest())
    (systems.here.top / "data").write_bytes(len(data).to_bytes(4, "big") + data + bytes(4))
    rest = f"""read answer; cat {systems.here.top}/data; echo '{{"Sent": {{}}}}'; cat >/dev/null"""
    host = systems.script(f"{HELLO} echo '{said}'; {rest}")
    done = systems.here.bee("bee-copy", "--host", host, "--archive", named or theirs.stem)
    assert done.returncode == 75
    assert f"{systems.here.archives / name}: {says}" in done.stderr
    assert done.stderr.endswith("nothing was kept\n")
    assert systems.here.archived() == set()


def test_another_archive_than_was_asked_for_is_not_taken(systems: Systems) -> None:
    theirs = systems.there.make()
    data = theirs.read_bytes()
    said = offer(theirs.name, len(data), hashlib.sha256(data).hexdigest())
    host = systems.script(f"{HELLO} echo '{said}'; cat >/dev/null")
    done = systems.here.bee("bee-copy", "--host", host, "--archive", "f" if theirs.name[0] != "f" else "0")
    assert done.returncode == 76
    assert "which is not what was asked for" in done.stderr
    assert not list(systems.here.archives.glob("*.tgz"))


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ("3fc6 host:", "--to host 3fc6"),
        ("3fc6 host:archives", "--to host 3fc6"),
        ("3fc6 9d0f host:archives/", "--to host 3fc6 9d0f"),
        ("host:9d0f6a2e", "--host host 9d0f6a2e ."),
        ("host:9d0f6a2e x", "--host host 9d0f6a2e x"),
        ("host:a/b.tgz x", "--host host ID x"),
        ("3fc6 host:9d0f6a2e", "--host host 9d0f6a2e ."),
        ("--archive host:9d0f", "--host host --archive 9d0f"),
        ("--archive 3fc6 host:9d0f", "--host host --archive 9d0f"),
        ("--archive 3fc6 host:a.tgz", "--host host --archive ID"),
    ],
)
def test_what_is_meant_by_words_as_scp_has_them(argv: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"as in: bee-copy {re.escape(meant)}\n"):
        copy.split(copy.parse(argv.split()))
