"""bee-demo from one end to the other, and when it is interrupted: nothing of it runs afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from beeflow.commands import demo

if TYPE_CHECKING:
    from tests.e2e.conftest import PrivateSlurm

pytestmark = pytest.mark.e2e

DEMO_S = 400.0


class DemoRun:
    """A home folder, a folder for the demo, and the environment that it runs in."""

    def __init__(self, top: Path, env: Mapping[str, str]) -> None:
        self.workdir = top / "demo"
        # Of a user who has beeflow and a Slurm already: neither may be touched.
        own = {"HOME": str(top / "home"), "BEE_CONFIG": str(top / "own.conf"), "SLURM_CONF": "/nonexistent/slurm.conf"}
        self.env = {**env, **own}
        self.argv = [sys.executable, "-m", "beeflow.commands.demo", "--force", "--workdir", str(self.workdir)]

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the demo to its end."""
        return subprocess.run(
            self.argv,
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=DEMO_S,
            cwd=self.workdir.parent,
        )

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the demo in a process group of its own, as a terminal does, and return at once."""
        with log.open("wb") as out:
            return subprocess.Popen(
                self.argv, env=self.env, stdout=out, stderr=out, start_new_session=True, cwd=self.workdir.parent
            )

    def bee(self, command: str, *argv: str) -> str:
        """Run a command of ours on what the demo left."""
        module = f"beeflow.commands.{command}"
        env = {**self.env, "BEE_CONFIG": str(self.workdir / "bee.conf")}
        done = subprocess.run(
            [sys.executable, "-m", module, *argv], env=env, check=False, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def processes(self) -> list[str]:
        """List the command lines of all processes that belong to the demo's folder."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                cmdline, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(self.workdir).encode() in cmdline + environ:
                found.append(cmdline.replace(b"\0", b" ").decode(errors="replace"))
        return found


@pytest.fixture
def run(empty_slurm: PrivateSlurm) -> Iterator[DemoRun]:
    """Lay out a home folder and a folder for the demo; Slurm is down and both are gone at the end."""
    missing = [package for module, package in demo.NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing and not os.environ.get("BEE_E2E_REQUIRED"):
        pytest.skip(f"not installed: {', '.join(missing)}; run etc/setup examples")
    made = DemoRun(empty_slurm.top, empty_slurm.env)
    yield made
    made.bee("slurm", "down", "--force")


def test_demo(run: DemoRun) -> None:
    done = run.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ bee-submit --wait" in done.stdout
    assert "$ bee-rerun --wait" in done.stdout
    assert "$ bee-diff" in done.stdout
    assert "B is a re-execution of A." in done.stdout
    assert "\033" not in done.stdout
    first, second = json.loads(run.bee("list", "--json"))
    assert [(each["name"], each["state"]) for each in (first, second)] == [
        ("movie", "Archived"),
        ("movie2", "Archived"),
    ]
    assert second["parent"] == first["id"]
    for each in (first, second):
        assert tarfile.is_tarfile(each["archive"])
        assert (run.workdir / "workflows" / each["id"] / "outputs/movie.mp4").stat().st_size > 0
    jobs = [
        [task["job_id"] for task in json.loads(run.bee("query", "--json", each["id"]))["tasks"]]
        for each in (first, second)
    ]
    assert len(jobs[0]) == len(jobs[1]) == 3
    assert len({*jobs[0], *jobs[1]}) == 6
    for one, other in zip(*jobs, strict=True):
        assert any(line.split()[1:] == [one, other] for line in done.stdout.splitlines())
    assert run.processes() == []
    assert list(Path(run.env["HOME"]).iterdir()) == []


def test_interrupted_demo_leaves_nothing_running(run: DemoRun) -> None:
    log = run.workdir.parent / "log"
    program = run.start(log)
    deadline = time.monotonic() + 60
    while "solve RUNNING" not in log.read_text():
        assert program.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    os.killpg(program.pid, signal.SIGINT)
    assert program.wait(60) == 130
    told = log.read_text()
    assert "The demo did not get to its end" in told
    assert "bee-cancel" in told
    assert run.processes() == []


def test_demo_keeps_out_of_a_folder_that_is_not_its_own(run: DemoRun) -> None:
    run.workdir.mkdir()
    (run.workdir / "thesis.txt").write_text("mine\n")
    done = run.run()
    assert done.returncode == 2
    assert "not of bee-demo" in done.stderr
    assert [path.name for path in run.workdir.iterdir()] == ["thesis.txt"]
