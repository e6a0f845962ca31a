"""bee-remove and bee-clean on workflows that really ran: while others run, killed in the middle, under cron."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import users
from tests.e2e.conftest import REPOSITORY, PrivateSlurm, require_slurm
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

KILLS = 20
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
    found = sleeper(3)
    for _ in range(5):
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


def test_killed_in_the_middle_of_removing(house: House, tmp_path: Path) -> None:
    found, neighbour = diamond(house), diamond(house, "neighbour")
    wait_for_no_jobs(house, found)
    wait_for_no_jobs(house, neighbour)
    fill(directory(house, found))
    saved = tmp_path / "saved"
    shutil.copytree(directory(house, found), saved, symlinks=True)
    whole, kept = count(saved), count(directory(house, neighbour))
    seed = random.randrange(10**6)
    chance, halves = random.Random(seed), 0
    for turn in range(KILLS):
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
    assert halves >= KILLS // 4, f"seed {seed}: only {halves} were killed in the middle"
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
    for command in (("bee-clean", "--older-than", "0d"), ("bee-remove", "--yes", found)):
        done = house.bee(*command, check=False)
        assert (done.returncode, done.stdout) == (69, ""), done.stderr
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


# -- another user, and cron -------------------------------------------------------------------------------------------

CRON_S = 75.0
CRON = """
set -e
# Of this mount namespace only: no other crontab is read, no mail is sent, and cron's pid file is its own.
mount --make-rprivate /
for folder in /etc/cron.d /var/spool/cron/crontabs /run; do mount -t tmpfs none $folder; done
: > {top}/empty
mount --bind {top}/empty /etc/crontab
cp {top}/system /etc/cron.d/beeflow
cp {top}/user /var/spool/cron/crontabs/{user}
chown {user} /var/spool/cron/crontabs/{user}
chmod 600 /var/spool/cron/crontabs/{user}
touch {top}/ready
exec {cron} -f
"""


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    """Find or make the commands of beeflow for everybody."""
    require_slurm()
    users.require_users()
    with users.commands() as found:
        yield found


@pytest.fixture
def alice(commands: Path) -> Iterator[users.OtherUser]:
    """A user with a private Slurm."""
    with users.throwaway_user(f"bee-c{os.getpid()}", commands) as user:
        user.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2")
        shutil.copytree(EXAMPLES / "diamond", user.home / "diamond")
        yield user


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[Callable[[str, str, str], None]]:
    """Give a test a cron of its own, which reads a user's crontab and a file of the system's."""
    program = shutil.which("cron", path=users.SYSTEM_PATH)
    if program is None:
        users.skip("not installed: cron; run etc/setup test")
    tried = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no mount namespace here: {tried.stderr}")
    daemons: list[subprocess.Popen[bytes]] = []

    def start(user: str, crontab: str, system: str) -> None:
        (tmp_path / "user").write_text(crontab)
        (tmp_path / "system").write_text(system)
        script = CRON.format(top=tmp_path, user=user, cron=program)
        with (tmp_path / "cron.log").open("wb") as out:
            daemons.append(subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=out, stderr=out))
        deadline = time.monotonic() + 10
        while not (tmp_path / "ready").exists():
            said = (tmp_path / "cron.log").read_text()
            if daemons[0].poll() is not None:
                pytest.skip(f"no mounts here: {said}")
            assert time.monotonic() < deadline, said
            time.sleep(0.05)

    yield start
    for daemon in daemons:
        daemon.terminate()
        daemon.wait(15)


def test_cron_cleans_up_after_a_user_and_leaves_the_neighbours(
    alice: users.OtherUser, cron: Callable[[str, str, str], None], tmp_path: Path
) -> None:
    first, second, linked = (diamond(alice, name) for name in ("first", "second", "linked"))
    for found in (first, second, linked):
        wait_for_no_jobs(alice, found)
    # root is the hostile neighbour: a link in the place of a workflow, and a workflow that is not hers any more.
    precious = alice.write("precious/file", "x")
    subprocess.run(["ln", "-s", str(alice.home), directory(alice, first) / "tasks/home"], check=True)
    stolen = tmp_path / "stolen"
    shutil.move(directory(alice, linked), stolen)
    directory(alice, linked).symlink_to(stolen)
    tmp_path.chmod(0o755)
    os.chown(directory(alice, second), 0, 0)
    out = alice.home / "cron.out"
    line = f"* * * * * {alice.bin}/bee-clean --older-than 0d >> {out} 2>&1; echo $? >> {out}\n"
    sample = (REPOSITORY / "etc/cron.d/beeflow").read_text()
    marker = alice.home / "cron.d.out"
    entry = f"* * * * * {alice.name} {alice.bin}/bee-clean --dry-run --older-than 0d > {marker} 2>&1\n"
    cron(alice.name, line, sample + entry)
    deadline = time.monotonic() + CRON_S
    while not (out.exists() and out.read_text().endswith(("\n74\n", "\n0\n")) and marker.exists()):
        assert time.monotonic() < deadline, f"cron ran nothing: {out.read_text() if out.exists() else ''}"
        time.sleep(0.5)
    told = out.read_text()
    assert f"removed   {first}  first   Archived" in told
    assert "1 removed; " in told
    assert f"{directory(alice, second)} belongs to somebody else; it was left as it is" in told
    assert f"{directory(alice, linked)} is a link or file; it was left as it is" in told
    assert told.endswith("\n74\n")
    assert not directory(alice, first).exists()
    assert precious.exists()
    assert (stolen / "workflow.json").exists()
    assert (directory(alice, second) / "workflow.json").exists()
    assert archive(alice, first).exists()
    assert "belongs to somebody else; it was left as it is" in marker.read_text()


def test_a_neighbours_bee_workdir_is_refused(alice: users.OtherUser, tmp_path: Path) -> None:
    found = diamond(alice)
    wait_for_no_jobs(alice, found)
    bee_conf = tmp_path / "bee.conf"
    bee_conf.write_text(f"[DEFAULT]\nbee_workdir = {alice.bee_workdir}\n")
    # Even root, whom nothing stops.
    env = {**os.environ, "BEE_CONFIG": str(bee_conf), "PYTHONPATH": str(REPOSITORY)}
    argv = [sys.executable, "-m", "beeflow.commands.clean", "--older-than", "0d"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 78
    assert f"belongs to {alice.name}, not to you" in done.stderr
    argv = [sys.executable, "-m", "beeflow.commands.remove", "--yes", found]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode != 0
    assert directory(alice, found).exists()
