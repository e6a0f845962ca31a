"""bee-remove and bee-clean on workflows that really ran: while others run, killed in the middle."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import users
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import (
    EXAMPLES,
    SLEEP_THEN_CAT,
    archive,
    directory,
    job_id,
    query,
    submit,
    wait_state,
    wait_task,
)

pytestmark = pytest.mark.e2e

FILES = 2000


@dataclass(frozen=True)
class House(PrivateSlurm):
    """A bee_workdir of a test's own on the Slurm that all tests share."""

    own: Path

    @property
    def bee_workdir(self) -> Path:
        return self.own

    def workflows(self) -> set[str]:
        """Everything in workflows/."""
        return set(os.listdir(self.own / "workflows"))

    def start(self, command: str, *argv: str) -> subprocess.Popen[str]:
        """Start a command of ours."""
        module = f"beeflow.commands.{command.removeprefix('bee-')}"
        return subprocess.Popen(
            [sys.executable, "-m", module, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(self.env),
            cwd=self.home,
        )


@pytest.fixture
def house(slurm: PrivateSlurm, tmp_path: Path) -> House:
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {tmp_path}/bee\n")
    return House(slurm.top, {**slurm.env, "BEE_CONFIG": str(conf)}, tmp_path / "bee")


@pytest.fixture
def sleeper(house: House, tmp_path: Path) -> Callable[[int], str]:
    """Submit a workflow whose first step sleeps."""
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    return lambda seconds: submit(house, document, "--seconds", str(seconds))


def diamond(house: PrivateSlurm, name: str = "diamond") -> str:
    """Run a workflow to its end."""
    found = submit(house, "--name", name, EXAMPLES / "diamond/diamond.cwl")
    wait_state(house, found, "Archived")
    return found


def wait_for_no_jobs(house: PrivateSlurm, workflow_id: str, timeout_s: float = 30.0) -> None:
    """Wait until Slurm has no job of a workflow that has not ended."""
    nonce = f"bee-{workflow_id.replace('-', '')[:12]}"
    deadline = time.monotonic() + timeout_s
    env = {"SLURM_CONF": house.env.get("SLURM_CONF", str(house.bee_workdir / "slurm/slurm.conf"))}
    while nonce in (told := house.slurm("squeue", "--noheader", "--format=%j %T", env=env)):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)


def test_the_end_of_a_workflow_in_two_commands(house: House) -> None:
    found = diamond(house)
    # At once: it waits for the last job.
    done = house.bee("bee-remove", "--yes", found[:8])
    assert done.stdout.startswith(f"Removed workflow {found}: ")
    assert house.workflows() == set()
    assert query(house, found)["state"] == "Archived"
    wait_for_no_jobs(house, found)
    again = house.bee("bee-rerun", "--wait", found).stdout.split("id is ")[1][:36]
    assert query(house, again)["parent"] == found
    house.bee("bee-remove", "--yes", "--archive", "--all")
    assert house.workflows() == set()
    assert os.listdir(house.bee_workdir / "archives") == []
    assert house.bee("bee-query", found, check=False).returncode == 3


def test_what_runs_is_refused_until_it_was_cancelled(house: House, sleeper: Callable[[int], str]) -> None:
    found = sleeper(60)
    wait_task(house, found, "a", "RUNNING")
    refused = house.bee("bee-remove", "--yes", found, check=False)
    assert refused.returncode == 4
    assert f"workflow {found} is Running: bee-cancel it first" in refused.stderr
    house.bee("bee-cancel", found)
    wait_state(house, found, "Archived/Cancelled")
    house.bee("bee-remove", "--yes", found)
    assert house.workflows() == set()


def test_removing_again_and_again_while_it_runs(house: House) -> None:
    # From its first moment, while the driver submits, until it may go.
    found = submit(house, EXAMPLES / "diamond/diamond.cwl")
    deadline = time.monotonic() + 90
    while house.bee("bee-remove", "--yes", found, check=False).returncode == 4:
        assert time.monotonic() < deadline
    assert archive(house, found).exists()
    assert query(house, found)["state"] == "Archived"
    wait_for_no_jobs(house, found)
    assert house.workflows() == set()


def test_clean_while_a_workflow_runs(house: House, sleeper: Callable[[int], str]) -> None:
    ended = diamond(house, "ended")
    wait_for_no_jobs(house, ended)
    found = sleeper(8)
    for _ in range(3):
        house.bee("bee-clean", "--older-than", "0d")
        assert found in house.workflows()
    assert ended not in house.workflows()
    # Its own last pass may have been followed by one of these.
    while found in house.workflows():
        house.bee("bee-clean", "--older-than", "0d")
    assert query(house, found)["state"] == "Archived"
    wait_for_no_jobs(house, found)
    assert house.workflows() == set()


def fill(folder: Path) -> None:
    """Put files into a workflow's directory that take a while to remove."""
    for number in range(FILES):
        path = folder / f"tasks/more/{number % 100}/{number % 7}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)


def count(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("*"))


def kill_while_removing(house: House, found: str, chance: random.Random) -> None:
    """Start a removal, and kill it after its first, or some later, moment."""
    process = house.start("bee-remove", "--yes", found)
    aside = house.bee_workdir / "workflows" / f".removing-{found}"
    if chance.random() < 0.75:
        while not aside.exists() and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(chance.uniform(0, 0.06))
    else:
        time.sleep(chance.uniform(0, 0.6))
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_removing(house: House, tmp_path: Path, kills: int) -> None:
    found, neighbour = diamond(house), diamond(house, "neighbour")
    wait_for_no_jobs(house, found)
    wait_for_no_jobs(house, neighbour)
    fill(directory(house, found))
    saved = tmp_path / "saved"
    shutil.copytree(directory(house, found), saved, symlinks=True)
    whole, kept = count(saved), count(directory(house, neighbour))
    seed = random.randrange(10**6)
    chance, halves = random.Random(seed), 0
    for turn in range(kills):
        if not directory(house, found).exists():
            # Names only: quicker than copies, and as long to remove.
            subprocess.run(["cp", "--archive", "--link", saved, directory(house, found)], check=True)
        kill_while_removing(house, found, chance)
        left = house.workflows() - {neighbour}
        halves += left == {f".removing-{found}"}
        # Whole under its name, or not under its name.
        assert left in (set(), {found}, {f".removing-{found}"}), f"seed {seed}, turn {turn}"
        if left == {found}:
            assert count(directory(house, found)) >= whole
        cleaned = house.bee("bee-clean")
        assert ("1 leftover removed" in cleaned.stdout) == (left == {f".removing-{found}"})
        assert house.workflows() - {found} == {neighbour}, f"seed {seed}, turn {turn}"
    assert query(house, found)["state"] == "Archived"
    assert halves >= kills // 4, f"seed {seed}: only {halves} were killed in the middle"
    assert count(directory(house, neighbour)) == kept
    assert archive(house, found).exists()
    assert archive(house, neighbour).exists()


def test_two_at_once(house: House) -> None:
    found = diamond(house)
    wait_for_no_jobs(house, found)
    fill(directory(house, found))
    both = [house.start("bee-clean", "--older-than", "0d") for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [err for _, err in told] == ["", ""]
    assert sorted("1 removed" in out for out, _ in told) == [False, True]
    assert house.workflows() == set()


def test_two_removals_at_once(house: House) -> None:
    found = diamond(house)
    wait_for_no_jobs(house, found)
    fill(directory(house, found))
    both = [house.start("bee-remove", "--yes", found) for _ in range(3)]
    told = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], told
    assert house.workflows() == set()
    assert archive(house, found).exists()


def test_what_is_stalled_is_ended_and_archived(house: House, sleeper: Callable[[int], str]) -> None:
    found = sleeper(60)
    wait_task(house, found, "a", "RUNNING")
    for key in ("pass.2", "001-a.0", "002-b.0"):
        house.slurm("scancel", job_id(house, found, key))
    wait_state(house, found, "Stalled")
    assert house.bee("bee-clean").stdout == ""
    told = house.bee("bee-clean", "--older-than", "0d").stdout
    assert "1 finalised" in told
    assert found in told
    ended = wait_state(house, found, "Archived/Cancelled")
    assert "cancelled by bee-clean: Stalled, and nothing happened since" in ended["reason"]
    assert archive(house, found).exists()
    wait_for_no_jobs(house, found)
    house.bee("bee-clean", "--older-than", "0d")
    assert house.workflows() == set()


def test_slurm_out_of_reach(house: House, tmp_path: Path) -> None:
    found = diamond(house)
    record = directory(house, found) / "workflow.json"
    conf = house.env["SLURM_CONF"]
    assert conf in record.read_text()
    # The same Slurm at a port where nobody listens.
    text = Path(conf).read_text()
    port = next(line.partition("=")[2] for line in text.splitlines() if line.startswith("SlurmctldPort="))
    away = tmp_path / "slurm.conf"
    elsewhere = text.replace(f"SlurmctldPort={port}", f"SlurmctldPort={users.free_port()}")
    away.write_text(f"{elsewhere}\nMessageTimeout=2\n")
    record.write_text(record.read_text().replace(conf, str(away)))
    # Each asks again for half a minute.
    both = [house.start("bee-clean", "--older-than", "0d"), house.start("bee-remove", "--yes", found)]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [69, 69], told
    assert [out for out, _ in told] == ["", ""]
    assert house.workflows() == {found}


def test_a_bee_clean_that_is_killed_is_finished_by_the_next(house: House) -> None:
    found = diamond(house)
    wait_for_no_jobs(house, found)
    fill(directory(house, found))
    process = house.start("bee-clean", "--older-than", "0d")
    aside = house.bee_workdir / "workflows" / f".removing-{found}"
    while not aside.exists() and process.poll() is None:
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    house.bee("bee-clean")
    assert house.workflows() == set()
