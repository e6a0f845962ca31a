"""A real Slurm for the end-to-end tests: one private Slurm for the session."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from beeflow.errors import ConfigError
from beeflow.scheduler import Scheduler, libslurm
from beeflow.scheduler.connect import PYSLURM, connect
from beeflow.scheduler.target import Target, environment

REPOSITORY = Path(__file__).resolve().parents[2]
# Waits for the end of the tests, however that comes, then ends their Slurm: TOP COMMAND...
GUARD = """
import shutil, subprocess, sys
sys.stdin.read()
code = subprocess.call(sys.argv[2:])
if code:
    sys.exit(code)
shutil.rmtree(sys.argv[1])
"""
BEE_TIMEOUT_S = 120.0
# Programs that `bee-slurm up` needs; without them these tests are skipped, unless BEE_E2E_REQUIRED is set (CI).
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch")


# Files whose tests share what takes long to make: one process runs them (pytest -n N --dist loadgroup).
TOGETHER = {
    "test_cron.py": "users",
    "test_many.py": "users",
    "test_remote.py": "users",
    "test_same_as_cwltool.py": "cwltool",
}


def scope_of(nodeid: str) -> str:
    """Say which tests one process runs. By file: a mark is not in the names that processes tell each other."""
    return TOGETHER.get(nodeid.partition("::")[0].rpartition("/")[2], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out the tests one by one, but for those that belong together."""
    if config.getvalue("dist") != "loadgroup":
        return None
    made = LoadScopeScheduling(config, log)
    made._split_scope = scope_of
    return made


@dataclass(frozen=True)
class PrivateSlurm:
    """A folder with a home, a bee_workdir and a bee.conf, and the environment that commands run in.

    ``home`` is the user's home folder, ``bee_workdir`` where workflows go, ``env`` what `bee` and `run` pass on.
    """

    top: Path
    env: Mapping[str, str]

    @property
    def home(self) -> Path:
        """The user's home folder."""
        return self.top / "home"

    @property
    def bee_workdir(self) -> Path:
        """Where the workflow directories and the private Slurm are."""
        return self.top / "bee"

    @property
    def bee_conf(self) -> Path:
        """What $BEE_CONFIG names."""
        return self.top / "bee.conf"

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        timeout_s: float = BEE_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in this environment (``env`` adds to it); with check, fail the test when it fails."""
        done = subprocess.run(
            [str(word) for word in argv],
            check=False,
            capture_output=True,
            cwd=cwd or self.home,
            env={**self.env, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            text=True,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            words = " ".join(str(word) for word in argv)
            pytest.fail(f"{words}: exit code {done.returncode}\n{done.stdout}{done.stderr}", pytrace=True)
        return done

    def bee(self, command: str, *argv: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Run a command of ours, such as bee("bee-slurm", "status"), with the Python that runs the tests."""
        module = "beeflow.commands." + command.removeprefix("bee-").replace("-", "_")
        return self.run(sys.executable, "-m", module, *argv, **kwargs)  # type: ignore[arg-type]

    def slurm(self, *argv: str | Path, **kwargs: object) -> str:
        """Run one of Slurm's own commands and return what it prints."""
        return self.run(*argv, **kwargs).stdout.strip()  # type: ignore[arg-type]

    def sbatch(self, *argv: str | Path, **kwargs: object) -> str:
        """Submit a job and return its id."""
        return self.slurm("sbatch", "--parsable", "--output=/dev/null", *argv, **kwargs)

    def job_state(self, job_id: str) -> str:
        """Return a job's state in Slurm's word, "" when Slurm has forgotten it."""
        return self.slurm("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job_id}", check=False)

    def wait_for(self, job_id: str, *states: str, timeout_s: float = 30.0) -> str:
        """Wait until a job is in one of these states (COMPLETED if none is given) and return that."""
        wanted = states or ("COMPLETED",)
        deadline = time.monotonic() + timeout_s
        while (state := self.job_state(job_id)) not in wanted:
            if time.monotonic() > deadline:
                told = self.slurm("scontrol", "show", "job", job_id, check=False)
                pytest.fail(f"job {job_id} is {state or 'unknown'}, not {' or '.join(wanted)}\n{told}")
            time.sleep(0.05)
        return state


def make_private(top: Path) -> PrivateSlurm:
    """Lay out a home, a bee_workdir and a bee.conf below ``top``; start nothing."""
    slurm = PrivateSlurm(
        top,
        {
            "PATH": os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "HOME": str(top / "home"),
            "BEE_CONFIG": str(top / "bee.conf"),
            "PYTHONPATH": str(REPOSITORY),
            "SLURM_CONF": str(top / "bee/slurm/slurm.conf"),
        },
    )
    slurm.home.mkdir()
    slurm.bee_conf.write_text(f"[DEFAULT]\nbee_workdir = {slurm.bee_workdir}\n")
    return slurm


def require_slurm() -> None:
    """Skip when Slurm is not installed."""
    path = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"
    missing = [program for program in NEEDED if shutil.which(program, path=path) is None]
    if missing and not os.environ.get("BEE_E2E_REQUIRED"):
        pytest.skip(f"not installed: {', '.join(missing)}; run etc/setup")


@contextlib.contextmanager
def temporary() -> Iterator[PrivateSlurm]:
    """Make the folders of a private Slurm; bring it down, if it is up, and remove them at the end, whatever happens."""
    # Not pytest's tmp_path: that is long, and differs from what a user has.
    top = Path(tempfile.mkdtemp(prefix="bee-e2e-"))
    private = make_private(top)
    argv = [sys.executable, "-c", GUARD, str(top), sys.executable, "-m", "beeflow.commands.slurm", "down", "--force"]
    # Nothing of the user's, whose processes tests look for.
    env = {name: value for name, value in private.env.items() if name != "SLURM_CONF"}
    # In a session of its own: pytest-xdist kills its workers when a run is interrupted, and they do not clean up.
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, cwd="/", start_new_session=True) as guard:
        yield private
    if guard.returncode:
        pytest.fail(f"bee-slurm down ended with {guard.returncode}; see {top}")


@pytest.fixture
def make_slurm() -> Callable[[Path], PrivateSlurm]:
    """Give a test what lays out a private Slurm in a folder of its choice; it cleans up itself."""
    require_slurm()
    return make_private


@pytest.fixture
def empty_slurm() -> Iterator[PrivateSlurm]:
    """Give one test a private Slurm of its own that is not up."""
    require_slurm()
    with temporary() as private:
        yield private


@pytest.fixture(scope="session")
def slurm() -> Iterator[PrivateSlurm]:
    """Give all tests that one process runs (pytest -n) one private Slurm that is up: two nodes of four CPUs.

    Tests share its queue: cancel what you leave pending or running.
    """
    require_slurm()
    with temporary() as private:
        private.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "4")
        yield private


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """Find or make the commands of beeflow for every user of this host. Tests that need it are in TOGETHER."""
    # That module needs this one.
    from tests.e2e import users

    require_slurm()
    users.require_users()
    with users.commands() as found:
        yield found


def target_of(slurm: PrivateSlurm) -> Target:
    """Name the private Slurm."""
    return Target(slurm.env["SLURM_CONF"], "", "the test's Slurm")


@pytest.fixture(scope="session")
def need_pyslurm(slurm: PrivateSlurm) -> None:
    """Skip where there is no pyslurm for this Slurm."""
    try:
        libslurm.probe({**environment(target_of(slurm), slurm.env), "PATH": slurm.env["PATH"]})
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture
def by_pyslurm(slurm: PrivateSlurm, need_pyslurm: None) -> Scheduler:
    """Give the scheduler of pyslurm."""
    return connect(PYSLURM, target_of(slurm), slurm.env)
