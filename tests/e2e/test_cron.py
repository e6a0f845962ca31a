"""bee-clean under a real cron, and neighbours on the same host who mean no good."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import users
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_clean import diamond, wait_for_no_jobs
from tests.e2e.workflows import EXAMPLES, archive, directory

pytestmark = pytest.mark.e2e

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
