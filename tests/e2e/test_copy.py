"""bee-copy over a real ssh between two users: both ways, cut in the middle, and by what an ssh configuration says."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import store
from beeflow.copying import parts
from beeflow.models import Sidecar
from tests.copying.systems import make_archive
from tests.e2e import users
from tests.e2e.conftest import require_slurm
from tests.e2e.users import OtherUser
from tests.e2e.workflows import EXAMPLES, archive, query, submit, wait_state

pytestmark = pytest.mark.e2e

SIZE = 8_000_000
# Through this nothing is faster than some megabytes a second: time to cut a connection in the middle.
SLOW = """\
import os, socket, sys, threading, time
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 16384):
        there.sendall(data)
        time.sleep(0.004)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := there.recv(16384):
    os.write(1, data)
    time.sleep(0.004)
"""
HOSTS = """\
Host slow
  ProxyCommand /usr/bin/python3 {home}/slow.py {port} 2>/dev/null
Host jumped
  Port {port}
  ProxyJump other
Host wrong-key
  Port {port}
  HostKeyAlias wrong
Host nobody
  Port {port}
  User nobody
"""


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    """Find or make the commands of beeflow for everybody."""
    require_slurm()
    users.require_users()
    with users.commands() as found:
        yield found


@pytest.fixture(scope="module")
def carol(commands: Path) -> Iterator[OtherUser]:
    """The user of the other system."""
    with users.throwaway_user(f"bee-c{os.getpid()}", commands) as user:
        user.write(".bashrc", "echo Welcome\n")
        yield user


@pytest.fixture(scope="module")
def dave(carol: OtherUser, commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherUser]:
    """The user here, who may log in as carol there."""
    with (
        users.throwaway_user(f"bee-d{os.getpid()}", commands) as user,
        users.sshd(tmp_path_factory.mktemp("sshd"), commands) as server,
    ):
        users.let_in(user, carol, server)
        config = user.home / ".ssh/config"
        user.write("slow.py", SLOW)
        # ssh takes the first value that it finds.
        user.write(".ssh/config", HOSTS.format(home=user.home, port=server.port) + config.read_text())
        known = user.home / ".ssh/known_hosts"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", user.home / "other_key"], check=True)
        user.write(".ssh/known_hosts", known.read_text() + "wrong " + (user.home / "other_key.pub").read_text())
        yield user


def big(user: OtherUser, tmp_path: Path) -> Path:
    """Give a user an archive that takes a while."""
    folder = user.bee_workdir / "archives"
    for made in (user.bee_workdir, folder):
        made.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(made, user.name, user.name)
    made = make_archive(tmp_path, folder, random.randbytes(SIZE))
    for path in (made, made.with_suffix(".json")):
        shutil.chown(path, user.name, user.name)
    return made


def servers(user: OtherUser) -> list[int]:
    """List the sshd processes that speak for a user."""
    found = []
    for pid in user.processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sshd"):
                found.append(pid)
    return found


def cut(program: subprocess.Popen[str], folder: Path, server: OtherUser) -> Path:
    """Kill the sshd of a connection once a quarter of an archive is there; returns the part."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > SIZE // 4 for path in folder.glob(f".*{parts.SUFFIX}")):
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for pid in servers(server):
        os.kill(pid, signal.SIGKILL)
    (part,) = folder.glob(f".*{parts.SUFFIX}")
    return part


def start(user: OtherUser, *argv: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        user.argv(user.bin / "bee-copy", *argv),
        cwd=user.home,
        env=user.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_connection_that_is_cut(carol: OtherUser, dave: OtherUser, tmp_path: Path, direction: str) -> None:
    giver, taker = (carol, dave) if direction == "from" else (dave, carol)
    made = big(giver, tmp_path)
    folder = taker.bee_workdir / "archives"
    argv = (f"--{direction}", "slow", *(["--archive"] if direction == "from" else []), made.stem)
    program = start(dave, *argv)
    part = cut(program, folder, carol)
    out, said = program.communicate(timeout=60)
    assert (program.returncode, out) == (76, "")
    assert "slow: " in said
    assert "Traceback" not in said
    assert not (folder / made.name).exists()
    arrived = part.stat().st_size
    assert SIZE // 4 < arrived < SIZE
    # The other end went with the connection.
    deadline = time.monotonic() + 30
    while any(b"--serve" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in carol.processes()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # Over another host: it is the same system.
    again = dave.bee("bee-copy", argv[0], "jumped", *argv[2:])
    assert again.stdout.endswith(f"{folder / made.name}\n")
    assert (folder / made.name).read_bytes() == made.read_bytes()
    assert (folder / made.name).stat().st_uid == taker.uid
    assert not part.exists()
    assert made.stem in taker.bee("bee-list").stdout


def test_many_both_ways(carol: OtherUser, dave: OtherUser, tmp_path: Path) -> None:
    hers = [big(carol, tmp_path), big(carol, tmp_path)]
    mine = [big(dave, tmp_path), big(dave, tmp_path)]
    dave.run("mkdir", "many")
    got = dave.bee("bee-copy", "--host", "other", *(path.stem for path in hers), "many")
    assert got.stdout.splitlines() == [f"many/{path.name}" for path in hers]
    put = dave.bee("bee-copy", "--to", f"{carol.name}@other", *(path.stem for path in mine))
    assert len(put.stdout.splitlines()) == 2
    for path in (*hers, *mine):
        copy = dave.home / "many" / path.name if path in hers else carol.bee_workdir / "archives" / path.name
        assert copy.read_bytes() == path.read_bytes()
    listed = json.loads(dave.bee("bee-list", "--host", "other", "--json").stdout)
    places = {(each["id"], each["host"]) for each in listed}
    assert {(path.stem, host) for path in mine for host in (None, "other")} <= places
    assert {(path.stem, "other") for path in hers} <= places


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("wrong-key", "Host key verification failed"),
        ("nobody", "Permission denied (publickey"),
        ("gone", "Connection refused"),
        ("bare", "not on the PATH"),
    ],
)
def test_who_cannot_be_reached(carol: OtherUser, dave: OtherUser, tmp_path: Path, host: str, says: str) -> None:
    made = big(dave, tmp_path)
    for argv in (["bee-copy", "--to", host, made.stem], ["bee-copy", "--from", host, made.stem, "."]):
        done = dave.bee(*argv, check=False)
        assert (done.returncode, done.stdout) == (76, "")
        assert says in done.stderr
    listed = dave.bee("bee-list", "--host", host, "--host", "other", check=False)
    assert listed.returncode == 76
    assert says in listed.stderr
    assert made.stem in listed.stdout


def test_a_workflow_is_copied_to_another_system_and_run_there(carol: OtherUser, dave: OtherUser) -> None:
    for user in (carol, dave):
        user.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2")
    shutil.copytree(EXAMPLES / "diamond", dave.home / "diamond")
    found = submit(dave, "--name", "his", dave.home / "diamond/diamond.cwl")
    wait_state(dave, found, "Archived")
    dave.bee("bee-copy", "--to", "other", found[:8])
    assert query(carol, found)["state"] == "Archived"
    again = carol.bee("bee-rerun", "--wait", found[:8]).stdout.split("id is ")[1][:36]
    assert (query(carol, again)["state"], query(carol, again)["parent"]) == ("Archived", found)
    assert archive(carol, found).read_bytes() == archive(dave, found).read_bytes()
    sidecars = [store.read_record(Sidecar, archive(user, found).with_suffix(".json")) for user in (carol, dave)]
    assert sidecars[0] is not None
    assert sidecars[1] is not None
    assert (sidecars[0].imported, sidecars[1].imported) == (True, False)
    assert replace(sidecars[0], archived="", imported=False) == replace(sidecars[1], archived="")
