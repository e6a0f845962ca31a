"""bee-slurm with real daemons."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from beeflow import procs
from beeflow.private_slurm import address

if TYPE_CHECKING:
    from tests.e2e.conftest import PrivateSlurm

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).resolve().parents[2]

USER = f"bee-u{os.getpid()}"
LONG = """#!/bin/sh
echo "$SLURM_RESTART_COUNT" >> "$1"
sleep 100 &
wait
"""


def status(slurm: PrivateSlurm) -> dict[str, object]:
    done = slurm.bee("bee-slurm", "status", "--json", check=False)
    told: dict[str, object] = json.loads(done.stdout)
    assert done.returncode == (0 if told["running"] else 3)
    return told


def pids(slurm: PrivateSlurm) -> dict[str, int]:
    record = json.loads((slurm.bee_workdir / "slurm/state.json").read_text())
    return {daemon["name"]: daemon["pid"] for daemon in record["daemons"]}


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)


def listening(pid: int) -> set[str]:
    """The addresses, in the hexadecimal of /proc/net/tcp, that a process listens on."""
    links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                found.add(fields[1].split(":")[0])
    return found


# The Slurm that all tests share


def test_up_again_says_so(slurm: PrivateSlurm) -> None:
    before = pids(slurm)
    assert "already up" in slurm.bee("bee-slurm", "up").stdout
    assert pids(slurm) == before
    refused = slurm.bee("bee-slurm", "up", "--nodes", "3", check=False)
    assert refused.returncode == 4
    assert "2 nodes of 4 CPUs" in refused.stderr


def test_status_and_env(slurm: PrivateSlurm) -> None:
    told = status(slurm)
    assert told["slurm_conf"] == str(slurm.bee_workdir / "slurm/slurm.conf")
    assert [node["name"] for node in told["nodes"]] == ["bee1", "bee2"]  # type: ignore[attr-defined]
    assert slurm.bee("bee-slurm", "env").stdout == f"export SLURM_CONF={told['slurm_conf']}\n"
    text = slurm.bee("bee-slurm", "status").stdout
    assert all(name in text for name in ("bee1", "munged", "slurmctld", "slurmd-bee2"))


def test_daemons_listen_on_loopback_only_and_know_nothing_of_us(slurm: PrivateSlurm) -> None:
    where = address.choose()
    if where.everywhere or where.ip != address.LOOPBACK:
        pytest.skip("this host's name is not loopback's, and its system lets nobody give it another")
    for name, pid in pids(slurm).items():
        assert listening(pid) == (set() if name == "munged" else {"0100007F"})
        assert procs.read_env(pid).keys() == {"PATH", "HOME", "USER", "LOGNAME", "LANG", "SLURM_CONF"}
        assert os.getsid(pid) != os.getsid(0)


def test_dependencies(slurm: PrivateSlurm) -> None:
    fails = slurm.sbatch("--hold", "--wrap=exit 3")
    after = {
        word: slurm.sbatch(f"--dependency={word}:{fails}", "--kill-on-invalid-dep=yes", "--wrap=true")
        for word in ("afterok", "afterany", "afternotok")
    }
    first = slurm.sbatch("--hold", "--array=0-2", "--wrap=test $SLURM_ARRAY_TASK_ID != 1")
    second = slurm.sbatch("--array=0-2", f"--dependency=aftercorr:{first}", "--kill-on-invalid-dep=yes", "--wrap=true")
    slurm.slurm("scontrol", "release", fails, first)
    slurm.wait_for(after["afterany"])
    slurm.wait_for(after["afternotok"])
    slurm.wait_for(after["afterok"], "CANCELLED")
    slurm.wait_for(f"{second}_0")
    slurm.wait_for(f"{second}_1", "CANCELLED")
    slurm.wait_for(f"{second}_2")


def test_singletons_don_t_overlap(slurm: PrivateSlurm, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [
        slurm.sbatch(
            "--job-name=one", "--dependency=singleton", f"--wrap=echo in >> {log}; sleep 0.3; echo out >> {log}"
        )
        for _ in range(3)
    ]
    for job in jobs:
        slurm.wait_for(job)
    assert log.read_text().split() == ["in", "out"] * 3


def test_impossible_jobs_are_refused(slurm: PrivateSlurm) -> None:
    for wish in ("--cpus-per-task=5", "--mem=1T", "--nodes=3", "--array=0-10001"):
        assert slurm.run("sbatch", wish, "--wrap=true", check=False).returncode == 1


def test_short_jobs_start_at_once(slurm: PrivateSlurm) -> None:
    """Ten in a chain: without an Epilog in slurm.conf this takes a second each."""
    first = last = slurm.sbatch("--hold", "--wrap=true")
    for _ in range(9):
        last = slurm.sbatch(f"--dependency=afterok:{last}", "--wrap=true")
    start = time.monotonic()
    slurm.slurm("scontrol", "release", first)
    slurm.wait_for(last)
    assert time.monotonic() - start < 6


def test_steps_run_on_both_nodes(slurm: PrivateSlurm, tmp_path: Path) -> None:
    script = "--wrap=srun -n2 -N2 -c1 printenv SLURMD_NODENAME"
    slurm.slurm("sbatch", "--wait", "--nodes=2", "--ntasks=2", f"--output={tmp_path}/out", script)
    assert sorted((tmp_path / "out").read_text().split()) == ["bee1", "bee2"]


# A Slurm of one's own


def test_jobs_over_down_and_up(empty_slurm: PrivateSlurm) -> None:
    slurm = empty_slurm
    log = slurm.top / "log"
    script = slurm.top / "long.sh"
    script.write_text(LONG)
    slurm.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "3")
    requeued = slurm.sbatch(script, str(log))
    failed = slurm.sbatch("--no-requeue", script, "/dev/null")
    waiting = slurm.sbatch("--cpus-per-task=3", "--wrap=true")
    slurm.wait_for(requeued, "RUNNING")
    slurm.wait_for(failed, "RUNNING")
    wait_until(log.exists)
    conf = slurm.bee_workdir / "slurm/slurm.conf"

    told = slurm.bee("bee-slurm", "down").stdout
    assert "killed: 2 jobs" in told
    assert "kept in the queue: 1 job" in told
    assert not [
        one
        for one in procs.read_all()
        if procs.read_env(one.pid).get("SLURM_CONF") == str(conf)
        and one.name in ("sleep", "slurmstepd", "slurmd", "slurmctld", "munged")
    ]
    assert slurm.bee("bee-slurm", "down").stdout == "Slurm is down already\n"
    assert status(slurm)["daemons"] == []

    slurm.bee("bee-slurm", "up", "--force")
    assert [node["cpus"] for node in status(slurm)["nodes"]] == [3]  # type: ignore[attr-defined]
    slurm.wait_for(failed, "NODE_FAIL")
    slurm.wait_for(requeued, "RUNNING")
    wait_until(lambda: log.read_text() == "\n1\n")
    slurm.slurm("scancel", requeued)
    slurm.wait_for(waiting)
    assert int(slurm.sbatch("--wrap=true")) > int(waiting)


def test_dead_daemons_are_started_again(empty_slurm: PrivateSlurm) -> None:
    slurm = empty_slurm
    slurm.bee("bee-slurm", "up", "--force")
    before = pids(slurm)
    job = slurm.sbatch("--wrap=sleep 100")
    slurm.wait_for(job, "RUNNING")
    for name in ("slurmctld", "slurmd-bee2"):
        os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: procs.read(before["slurmctld"]) is None)
    assert not status(slurm)["running"]
    told = slurm.bee("bee-slurm", "up", "--force").stderr
    assert "slurmctld does not run; starting it again" in told
    after = pids(slurm)
    assert after["munged"] == before["munged"]
    assert after["slurmd-bee1"] == before["slurmd-bee1"]
    assert after["slurmctld"] != before["slurmctld"]
    assert list(after) == list(before)


def test_after_a_crash_of_everything(empty_slurm: PrivateSlurm) -> None:
    slurm = empty_slurm
    log = slurm.top / "log"
    script = slurm.top / "long.sh"
    script.write_text(LONG)
    slurm.bee("bee-slurm", "up", "--force")
    job = slurm.sbatch(script, str(log))
    slurm.wait_for(job, "RUNNING")
    wait_until(log.exists)
    # slurmctld has saved that it runs; a moment earlier the job would begin as if for the first time.
    time.sleep(6)
    for pid in pids(slurm).values():
        os.kill(pid, signal.SIGKILL)
    told = slurm.bee("bee-slurm", "up", "--force").stderr
    assert "not brought down" in told
    wait_until(lambda: log.read_text() == "\n1\n")


def test_two_ups_and_a_killed_one(empty_slurm: PrivateSlurm) -> None:
    slurm = empty_slurm
    argv = [sys.executable, "-m", "beeflow.commands.slurm", "up", "--force"]
    with subprocess.Popen(argv, env=dict(slurm.env), stdout=subprocess.DEVNULL) as killed:
        wait_until((slurm.bee_workdir / "slurm/run/slurmctld.pid").exists)
        killed.kill()
    both = [subprocess.Popen(argv, env=dict(slurm.env), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    words = sorted(child.communicate(timeout=60)[0] for child in both)
    assert [child.returncode for child in both] == [0, 0]
    assert words[0].startswith("Slurm is already up")
    assert words[1].startswith("Slurm is up")
    mine = [one for one in procs.read_all() if f"{slurm.bee_workdir}/slurm/slurm.conf" in procs.read_argv(one.pid)]
    assert len(mine) == 3


def test_it_refuses_beside_another(empty_slurm: PrivateSlurm) -> None:
    refused = empty_slurm.bee("bee-slurm", "up", check=False, env={"SLURM_CONF": "/site/slurm.conf"})
    assert refused.returncode == 69
    assert "--force" in refused.stderr
    assert not empty_slurm.bee_workdir.exists()


@pytest.fixture
def user() -> Iterator[str]:
    """A user of the system, for as long as the test."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a user")
    if shutil.which("useradd") is None or shutil.which("runuser") is None:
        pytest.skip("no useradd or no runuser here")
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", USER], check=True, capture_output=True)
    yield USER
    subprocess.run(["userdel", USER], check=True, capture_output=True)


def test_a_user_beside_root(slurm: PrivateSlurm, make_slurm: Callable[[Path], PrivateSlurm], user: str) -> None:
    top = Path(f"/tmp/bee-e2e-{user}")
    top.mkdir(mode=0o755)
    theirs = make_slurm(top)
    try:
        subprocess.run(["chown", "-R", user, top], check=True)
        # Our Python may lie in a folder of root's; Debian's will do, with our libraries.
        env = {**theirs.env, "PYTHONPATH": ":".join([str(REPOSITORY), *(path for path in sys.path if path)])}
        as_user = ("runuser", "-u", user, "--", "/usr/bin/python3", "-m", "beeflow.commands.slurm")
        if theirs.run(*as_user, "--help", env=env, cwd=top, check=False).returncode != 0:
            pytest.skip("the user cannot run beeflow from here")
        try:
            theirs.run(*as_user, "up", "--force", env=env, cwd=top)
            out = theirs.run("runuser", "-u", user, "--", "srun", "-n1", "id", "-un", cwd=top).stdout
            assert out == f"{user}\n"
            assert status(slurm)["running"]
        finally:
            theirs.run(*as_user, "down", env=env, cwd=top)
        assert not [one for one in procs.read_all() if f"{top}/bee/slurm/slurm.conf" in procs.read_argv(one.pid)]
        assert status(slurm)["running"]
    finally:
        shutil.rmtree(top)
