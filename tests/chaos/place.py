"""A private Slurm that serves many runs, a disk for their workflows, and a folder for what else a run has."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import procs
from beeflow.private_slurm import record
from beeflow.procs import Process

REPOSITORY = Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NODES = ("bee1", "bee2")
DISK_MIB = 96
COMMAND_TIMEOUT_S = 240.0
READY_S = 40.0
# What is tried out on a site, by the lines of slurm.conf that differ.
SETTINGS = {
    "plain": (),
    "forgetful": ("MinJobAge=5", "PreemptMode=CANCEL"),
    "no-requeue": ("JobRequeue=0", "PreemptMode=CANCEL"),
    "no-sbatch-on-nodes": (),
}
ELSE = ("MinJobAge=600", "JobRequeue=1", "PreemptMode=REQUEUE")


@dataclass(frozen=True)
class Job:
    """A job that slurmctld says has ended (jobcomp/filetxt), each element of an array for itself."""

    job_id: str
    name: str
    state: str
    seconds: int
    started: bool


@dataclass
class Place:
    """Everything below ``top``. ``daemons``: held while a daemon is killed or started."""

    top: Path
    up_as: tuple[str, ...] | None = None
    daemons: threading.RLock = field(default_factory=threading.RLock)

    @property
    def slurm(self) -> Path:
        """The private Slurm's folder."""
        return self.top / "s/slurm"

    @property
    def disk(self) -> Path:
        """The bee_workdir of the workflows: a small disk where one can be mounted."""
        return self.top / "disk"

    @property
    def can_fill(self) -> bool:
        """True where the disk is a small one."""
        return self.disk.is_mount()

    @property
    def jobcomp(self) -> Path:
        """Where slurmctld notes each job that ended."""
        return self.top / "jobcomp"

    def env(self, first: Path | None = None) -> dict[str, str]:
        """Return the environment of a command; ``first``: a folder to have first on PATH."""
        path = f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
        return {
            "PATH": f"{first}:{path}" if first else path,
            "HOME": str(self.top / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            "SLURM_CONF": str(self.slurm / "slurm.conf"),
        }

    def ask(self, *argv: str, timeout_s: float = 20.0) -> str:
        """Run one of Slurm's programs; "" when it fails or does not answer."""
        return self._ask(argv, timeout_s) or ""

    def does(self, *argv: str, timeout_s: float = 20.0) -> bool:
        """Run one of Slurm's programs; True when it did what it is there for."""
        return self._ask(argv, timeout_s) is not None

    def _ask(self, argv: Sequence[str], timeout_s: float) -> str | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                argv, env=self.env(), check=False, capture_output=True, text=True, timeout=timeout_s, cwd="/"
            )
            return done.stdout.strip() if done.returncode == 0 else None
        return None

    def bee_slurm(self, *argv: str) -> None:
        """Run bee-slurm; raises RuntimeError when it fails."""
        env = {**self.env(), "BEE_CONFIG": str(self.top / "slurm.conf")}
        command = [sys.executable, "-m", "beeflow.commands.slurm", *argv]
        done = subprocess.run(
            command, env=env, check=False, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, cwd="/"
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")

    def up(self, settings: Sequence[str]) -> None:
        """Have Slurm run, with these lines of slurm.conf."""
        with self.daemons:
            if self.up_as is not None and self.up_as != tuple(settings):
                self.down()
            if self.up_as is None:
                by_key = {line.partition("=")[0]: line for line in (*ELSE, *settings)}
                lines = ["JobCompType=jobcomp/filetxt", f"JobCompLoc={self.jobcomp}"]
                lines += ["KillWait=2", "SlurmdTimeout=30", "BatchStartTimeout=1", "PreemptType=preempt/partition_prio"]
                words = [word for line in (*lines, *by_key.values()) for word in ("--set", line)]
                self.bee_slurm("up", "--force", "--nodes", "2", "--cpus", "2", *words)
                self.up_as = tuple(settings)

    def mend(self) -> None:
        """Start what does not run; raises RuntimeError when that does not help."""
        with self.daemons:
            self.take_nodes_back()
            try:
                self.bee_slurm("up", "--force")
            except RuntimeError:
                # A slurmctld that was killed gives ids again; it drains the node that has a job of that id already.
                self.take_nodes_back()
                self.bee_slurm("up", "--force")

    def take_nodes_back(self) -> None:
        """Tell slurmctld, if it runs, that the nodes are good."""
        if self.daemon("slurmctld"):
            self.ask("scontrol", "update", f"nodename={','.join(NODES)}", "state=resume")

    def mend_after_a_run(self) -> None:
        """Have a Slurm that serves the next run as it would any."""
        try:
            self.mend()
        except (RuntimeError, subprocess.TimeoutExpired):
            self.down()

    def down(self) -> None:
        """Stop Slurm, and forget all it knew."""
        with self.daemons:
            self.bee_slurm("down", "--force")
            shutil.rmtree(self.slurm, ignore_errors=True)
            self.up_as = None

    def daemon(self, name: str) -> list[Process]:
        """Find a daemon ("slurmctld", "slurmd-bee1") and, of slurmctld, what it forked."""
        known = record.read(self.slurm)
        pids = [daemon.pid for daemon in known.alive if daemon.name == name] if known else []
        roots = [found for pid in pids if (found := procs.read(pid)) is not None]
        return procs.read_descendants(roots) if name == "slurmctld" else roots

    def is_whole(self) -> bool:
        """True when all daemons run and the nodes take jobs."""
        known = record.read(self.slurm)
        if known is None or not known.is_complete():
            return False
        states = self.ask("sinfo", "--noheader", "--Node", "--format=%T", timeout_s=5).split()
        return len(states) == len(NODES) and set(states) <= {"idle", "mixed", "allocated", "completing"}

    def lose_state(self) -> None:
        """Remove what slurmctld saved: the same as slurmctld -c, which bee-slurm has no option for."""
        shutil.rmtree(self.slurm / "state")
        (self.slurm / "state").mkdir(mode=0o700)

    def live_jobs(self, nonce: str) -> list[str]:
        """List the jobs of a workflow that have not ended."""
        lines = self.ask("squeue", "--noheader", "--array", "--format=%i %j %T %r").splitlines()
        return [line for line in lines if line.split()[1].startswith(f"{nonce}-")]

    def preempted_for(self, job_id: str) -> list[str]:
        """List the jobs whose place slurmctld gave to another."""
        text = (self.slurm / "log/slurmctld.log").read_text(errors="replace")
        return re.findall(rf"preempted JobId=(\S+).* to reclaim resources for JobId={job_id}\b", text)

    def ended_jobs(self, nonce: str) -> list[Job]:
        """List the jobs of a workflow that have ended."""
        if not self.jobcomp.exists():
            return []
        lines = [line for line in self.jobcomp.read_text().splitlines() if f" Name={nonce}-" in line]
        return [_parse(line) for line in lines]


def _parse(line: str) -> Job:
    words = dict(re.findall(r"(\w+)=(\S*)", line))
    array = words.get("ArrayJobId", "0")
    job_id = array if array not in ("", "0") else words["JobId"]
    begin, end = (_time(words[key]) for key in ("StartTime", "EndTime"))
    started = begin is not None and words.get("NodeList", "") not in ("", "(null)")
    return Job(job_id, words["Name"], words["JobState"], int((end or 0) - (begin or 0)) if started else 0, started)


def _time(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


@contextlib.contextmanager
def make() -> Iterator[Place]:
    """Make a place; at the end stop its Slurm, and leave only what was kept (``top``/kept)."""
    top = Path(tempfile.mkdtemp(prefix="bee-chaos-"))
    place = Place(top)
    for name in ("home", "disk", "runs", "kept"):
        (top / name).mkdir()
    (top / "slurm.conf").write_text(f"[DEFAULT]\nbee_workdir = {top / 's'}\n")
    mounted = os.geteuid() == 0 and _mount(place.disk)
    try:
        yield place
    finally:
        place.down()
        if mounted:
            subprocess.run(["umount", "--lazy", place.disk], check=True)
        for name in ("s", "home", "disk", "runs"):
            shutil.rmtree(top / name)
        if not any((top / "kept").iterdir()):
            shutil.rmtree(top)


def _mount(folder: Path) -> bool:
    argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0
