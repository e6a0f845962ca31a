"""Two users of two systems: list and copy over a real ssh, re-execute as somebody else, and keep apart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import users
from tests.e2e.users import OtherUser
from tests.e2e.workflows import EXAMPLES, archive, directory, query, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

BANNER = 'echo "Welcome to [the cluster]"; echo "[maintenance] on friday"; echo "{maintenance: friday}"\n'
ENDED = ("Archived", "Archived/Failed")


@pytest.fixture(scope="module")
def alice(commands: Path) -> Iterator[OtherUser]:
    """The user of the first system, whose shell greets her."""
    with users.throwaway_user(f"bee-a{os.getpid()}", commands) as user:
        user.write(".bashrc", BANNER)
        ready(user)
        yield user


@pytest.fixture(scope="module")
def bob(alice: OtherUser, commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherUser]:
    """The user of the second system, who may log in as alice on the first."""
    with (
        users.throwaway_user(f"bee-b{os.getpid()}", commands) as user,
        users.sshd(tmp_path_factory.mktemp("sshd"), commands) as server,
    ):
        users.let_in(user, alice, server)
        ready(user)
        yield user


def ready(user: OtherUser) -> None:
    """Bring up the user's Slurm and give them the examples."""
    user.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2")
    shutil.copytree(EXAMPLES / "diamond", user.home / "diamond")


@pytest.fixture(scope="module")
def archived(alice: OtherUser) -> str:
    """A workflow of alice's that is archived."""
    diamond = alice.home / "diamond"
    found = submit(alice, "--name", "hers", diamond / "diamond.cwl", diamond / "diamond.yml")
    wait_state(alice, found, "Archived")
    return found


def slurm_env(user: OtherUser) -> dict[str, str]:
    """Return what leads Slurm's own commands to the user's Slurm."""
    return {"SLURM_CONF": str(user.bee_workdir / "slurm/slurm.conf")}


def folder(user: OtherUser, name: str) -> Path:
    """Make an empty folder in a user's home."""
    user.run("mkdir", user.home / name)
    return user.home / name


def test_list_over_ssh(alice: OtherUser, bob: OtherUser, archived: str) -> None:
    hers = json.loads(alice.bee("bee-list", "--json").stdout)
    seen = json.loads(bob.bee("bee-list", "--host", "other", "--json").stdout)
    assert seen == [{**each, "host": "other"} for each in hers]
    assert [each["id"] for each in hers] == [archived]
    shown = bob.bee("bee-list", "--host", f"{alice.name}@other")
    assert archived in shown.stdout
    assert "Archived" in shown.stdout
    assert shown.stderr == ""
    assert json.loads(bob.bee("bee-list", "--json").stdout) == []


def test_copy_over_ssh(alice: OtherUser, bob: OtherUser, archived: str) -> None:
    here = folder(bob, "copied")
    copy = here / f"{archived}.tgz"
    assert bob.bee("bee-copy", "--host", "other", archived[:8], ".", cwd=here).stdout == f"{copy.name}\n"
    assert copy.read_bytes() == archive(alice, archived).read_bytes()
    assert copy.stat().st_uid == bob.uid
    stamp = copy.stat().st_mtime_ns
    again = bob.bee("bee-copy", "--host", "other", archived, ".", cwd=here)
    assert again.stdout == f"{copy.name} (there already)\n"
    assert copy.stat().st_mtime_ns == stamp
    assert list(here.iterdir()) == [copy]


@pytest.mark.parametrize(
    ("host", "code", "says"),
    [
        ("other", 76, "no workflow"),
        ("bare", 76, "not on the PATH"),
        ("gone", 76, "gone: ssh failed: ssh: connect to host 127.0.0.1"),
        ("-oProxyCommand=touch pwned", 2, "not a host name"),
    ],
    ids=["unknown-id", "no-beeflow-there", "unreachable", "option"],
)
def test_what_goes_wrong_over_ssh(bob: OtherUser, host: str, code: int, says: str) -> None:
    here = folder(bob, f"wrong-{host[:5]}")
    refused = bob.bee("bee-copy", f"--host={host}", "deadbeef", ".", cwd=here, check=False)
    assert refused.returncode == code
    assert says in refused.stderr
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert list(here.iterdir()) == []
    if host != "other":
        listed = bob.bee("bee-list", f"--host={host}", cwd=here, check=False)
        assert listed.returncode == code
        assert says.replace("bee-copy", "bee-list") in listed.stderr


def test_rerun_as_another_user(alice: OtherUser, bob: OtherUser, archived: str) -> None:
    # Bob's Slurm has had other jobs: it gives other ids than alice's.
    burn = "for n in $(seq 20); do sbatch --parsable --hold --output=/dev/null --wrap=true; done | xargs scancel"
    bob.run("sh", "-c", burn, env=slurm_env(bob))
    here = folder(bob, "again")
    copied = bob.bee("bee-copy", "--host", "other", archived, here).stdout.strip()
    again = bob.bee("bee-rerun", "--wait", copied).stdout.split("id is ")[1][:36]
    first, second = query(alice, archived), query(bob, again)
    assert (second["name"], second["state"], second["parent"]) == ("hers", "Archived", archived)
    assert again != archived
    jobs = [{task["job_id"] for task in each["tasks"]} for each in (first, second)]
    assert len(jobs[0]) == len(jobs[1]) == 4
    assert not jobs[0] & jobs[1]
    for job in jobs[1]:
        assert f"UserId={bob.name}(" in bob.slurm("scontrol", "show", "job", job, env=slurm_env(bob))
    made = directory(bob, again)
    assert {path.owner() for path in made.rglob("*")} == {bob.name}
    scripts = {path.name: path.read_text() for path in made.rglob("*.sh")}
    assert {"job.sh", "pass.sh"} <= set(scripts)
    for text in (*scripts.values(), (made / "job.json").read_text()):
        assert str(alice.home) not in text
        assert archived not in text
    # Identifiers there still tell where the document was; nothing is read from there.
    assert f'"location": "file://{alice.home}' not in (made / "cwl/graph.json").read_text()
    outputs = [
        {path.name: path.read_bytes() for path in directory(*each).rglob("out/*.txt")}
        for each in ((alice, archived), (bob, again))
    ]
    assert outputs[0] == outputs[1] != {}


def test_two_users_at_once(alice: OtherUser, bob: OtherUser) -> None:
    pair = (alice, bob)
    argv = ("bee-submit", "--wait", "--name", "at once", "diamond/diamond.cwl", "diamond/diamond.yml")
    running = [
        subprocess.Popen(
            user.argv(user.bin / argv[0], *argv[1:]), cwd=user.home, env=user.env, stdout=subprocess.PIPE, text=True
        )
        for user in pair
    ]
    said = [program.communicate(timeout=120)[0] for program in running]
    assert [program.returncode for program in running] == [0, 0]
    ids = [text.split("id is ")[1][:36] for text in said]
    for user, other, mine, theirs in zip(pair, pair[::-1], ids, ids[::-1], strict=True):
        assert {task["state"] for task in tasks(user, mine).values()} == {"COMPLETED"}
        listed = [each["id"] for each in json.loads(user.bee("bee-list", "--json").stdout)]
        assert mine in listed
        assert theirs not in listed
        queue = user.slurm("squeue", "--noheader", "--states=all", "--format=%u %Z", env=slurm_env(user)).splitlines()
        assert queue
        assert {line.split()[0] for line in queue} == {user.name}
        assert not any(str(other.home) in line for line in queue)
        # The other's files are nobody else's business.
        assert user.run("ls", archive(other, theirs).parent, check=False).returncode != 0
