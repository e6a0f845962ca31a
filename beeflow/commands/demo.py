"""Show beeflow at work: run a workflow, archive it, copy the archive, run the copy again, compare both runs.

Everything happens in one folder, with its own bee.conf and its own private Slurm; your own configuration is not
touched. When the demo ends, however it ends, nothing of it runs any more. The archives stay, also for the next demo.

examples:
  bee-demo
  bee-demo --workdir /scratch/me/demo
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tabulate import tabulate

from beeflow import cli, config, listing, private_slurm, process, procs, resources, sharing, store, tables
from beeflow.config import Config
from beeflow.errors import BeeError, UsageError
from beeflow.layout import ARCHIVE_SUFFIX
from beeflow.locking import Lock, LockedError
from beeflow.models import Summary
from beeflow.private_slurm import cluster
from beeflow.private_slurm.paths import root_of
from beeflow.states import WorkflowState
from beeflow.store import Store

MARK = "# Written by bee-demo, for itself."
WORKFLOW = "etc/examples/movie/movie.cwl"
NEEDED = {"numpy": "numpy", "PIL": "pillow", "matplotlib": "matplotlib", "imageio_ffmpeg": "imageio-ffmpeg"}
SHORT_ID = 8
QUERY_S = 60.0
GONE_S = 10.0
BOLD, CYAN, GREEN, RED, PLAIN = "\033[1m", "\033[1;36m", "\033[32m", "\033[1;31m", "\033[0m"


class DemoError(BeeError):
    """A step of the demo did not do what it should."""


class StoppedError(BaseException):
    """SIGTERM or SIGHUP: end, but not before Slurm is down."""


def main(argv: Sequence[str]) -> int:
    """Run the demo."""
    parser = cli.parser("bee-demo", __doc__)
    default = Path.home() / ".beeflow-demo"
    parser.add_argument("--workdir", metavar="DIR", type=Path, default=default, help="the folder (~/.beeflow-demo)")
    parser.add_argument("--force", action="store_true", help="even on a host that has a Slurm already")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    began = time.monotonic()
    check_packages()
    check_site(force=arguments.force)
    demo = Demo.prepare(arguments.workdir.absolute(), os.environ, force=arguments.force)
    try:
        with demo.alone(), signals_raise():
            demo.play(began)
    except StoppedError as stopped:
        raise DemoError(f"ended by {stopped}") from stopped
    return 0


def check_packages() -> None:
    """Raise DemoError when the example workflow's Python packages are missing."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise DemoError(f"Python packages are missing: {', '.join(missing)}; install them with: etc/setup examples")


def check_site(*, force: bool) -> None:
    """Raise DemoError on a host with another Slurm, unless the user insists."""
    found = next((path for path in cluster.SITE_CONFS if Path(path).exists()), None)
    if found and not force:
        raise DemoError(
            f"this host has a Slurm already ({found}), and the demo would start a private one beside it for a minute; "
            "if that is all right: bee-demo --force"
        )


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn a kill or a lost terminal into an exception, so that Slurm is brought down."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError(signal.Signals(number).name)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Screen:
    """What the demo prints: short headed sections, coloured on a terminal unless NO_COLOR is set (no-color.org)."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.colour = sys.stdout.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        self.home = env.get("HOME", "")
        self.step = 0

    def paint(self, colour: str, text: str) -> str:
        """Colour a text where there is colour."""
        return f"{colour}{text}{PLAIN}" if self.colour else text

    def say(self, text: str = "") -> None:
        """Print, at once: the commands' own output comes between."""
        print(text, flush=True)

    def head(self, text: str) -> None:
        """Begin a section."""
        self.step += 1
        self.say(f"\n{self.paint(CYAN, f'{self.step}. {text}')}")

    def command(self, argv: Sequence[str]) -> None:
        """Show a command as one would type it."""
        self.say(self.paint(BOLD, f"$ {self.typed(argv)}"))

    def typed(self, argv: Sequence[str]) -> str:
        """Write a command as one would type it."""
        return " ".join(self.path(word) for word in argv)

    def path(self, path: Path | str) -> str:
        """Write a path as one would type it: ~ for the home folder."""
        text = str(path)
        if self.home and text.startswith(f"{self.home.rstrip('/')}/"):
            return f"~/{shlex.quote(text[len(self.home.rstrip('/')) + 1 :])}"
        return shlex.quote(text)


@dataclass
class Demo:
    """One demo, in its own folder. ``env`` is what its commands run in, ``top`` where."""

    settings: Config
    env: dict[str, str]
    top: Path
    screen: Screen
    force: bool
    runs: list[str] = field(default_factory=list)

    @classmethod
    def prepare(cls, workdir: Path, env: Mapping[str, str], *, force: bool) -> Demo:
        """Make the folder and its bee.conf; raises UsageError when the folder is somebody else's."""
        conf = workdir / "bee.conf"
        is_ours = (store.read_text(conf) or "").startswith(MARK)
        if workdir.exists() and not is_ours and (not workdir.is_dir() or any(workdir.iterdir())):
            raise UsageError(
                f"{workdir}: there already, and not of bee-demo; name a new folder: bee-demo --workdir DIR"
            )
        sharing.make_folder(workdir, None)
        store.write_text(conf, f"{MARK}\n[DEFAULT]\nbee_workdir = {workdir}\n")
        made = make_env(env, conf)
        return cls(config.load(made), made, resources.find("etc").parent, Screen(env), force)

    @property
    def workdir(self) -> Path:
        """The demo's folder."""
        return self.settings.bee_workdir

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other demos out of the folder."""
        try:
            with Lock(self.workdir / "demo.lock").held(0):
                yield
        except LockedError as error:
            raise DemoError(f"another bee-demo runs in {self.workdir}; wait for it, or name another folder") from error

    def play(self, began: float) -> None:
        """Run the demo; Slurm is down at the end, whatever happens."""
        self.introduce()
        try:
            self.act()
        except BaseException:
            self.abandon()
            raise
        finally:
            self.take_down()
        self.conclude(time.monotonic() - began)

    def introduce(self) -> None:
        """Say what this is, and where."""
        self.screen.say(self.screen.paint(BOLD, "beeflow: run a workflow, archive it, copy the archive, run the copy"))
        self.screen.say("All of it happens in one folder, with its own configuration and its own Slurm:\n")
        self.screen.command(["cd", str(self.top)])
        self.screen.command(["export", f"BEE_CONFIG={self.env['BEE_CONFIG']}"])
        # Python's folder too: the tasks of the example run the python3 that is first on PATH.
        folders = ":".join(self.screen.path(folder) for folder in own_folders())
        self.screen.say(self.screen.paint(BOLD, f"$ export PATH={folders}:$PATH"))

    def act(self) -> None:
        """Do the steps."""
        self.screen.head("Start a private Slurm: two virtual nodes on this host")
        self.bring_up()
        self.screen.head("Run a workflow: a dam break is simulated, then made a movie and a chart")
        first = self.execute("bee-submit", "--wait", "--name", "movie", WORKFLOW)
        self.screen.head("It has been archived")
        self.run("bee-list")
        self.screen.head("Copy the archive, as one would to another system")
        folder = self.workdir / "copies"
        folder.mkdir(exist_ok=True)
        self.run("bee-copy", first[:SHORT_ID], str(folder))
        self.screen.head("Run the copy again, under a new name")
        second = self.execute("bee-rerun", "--wait", "--name", "movie2", str(self.copy_of(first)))
        self.screen.head("Two workflows, two archives")
        self.run("bee-list")
        self.screen.head("The same tasks, in other Slurm jobs")
        self.compare(first, second)
        self.screen.head("Compare what they ran, with what, and what came of it")
        self.run("bee-diff", first[:SHORT_ID], second[:SHORT_ID], good=(0, 1))

    def bring_up(self) -> None:
        """Start Slurm. Beside another Slurm, it must be named for every command."""
        self.run("bee-slurm", "up", *(["--force"] if self.force else []))
        conf = private_slurm.running_conf(self.settings)
        if self.force and conf:
            self.screen.command(["export", f"SLURM_CONF={conf}"])
            self.env["SLURM_CONF"] = str(conf)

    def run(self, *argv: str, good: Sequence[int] = (0,)) -> None:
        """Show and run a command on our terminal; raises DemoError when it ends with another code than a good one."""
        self.screen.command(argv)
        code = process.run_attached(argv, env=self.env, cwd=self.top)
        if code not in good:
            raise DemoError(f"{argv[0]} ended with exit code {code}")

    def execute(self, *argv: str) -> str:
        """Run a command that makes a workflow; returns its id."""
        workflows = Store(self.settings.workflows_dir)
        before = set(workflows.ids())
        self.run(*argv)
        made = set(workflows.ids()) - before
        if len(made) != 1:
            raise DemoError(f"{argv[0]} made {len(made)} workflows, not one")
        self.runs += made
        return made.pop()

    def query(self, workflow_id: str) -> dict[str, Any]:
        """Ask bee-query; raises DemoError unless the workflow is Archived."""
        argv = ("bee-query", "--json", workflow_id[:SHORT_ID])
        self.screen.command(argv)
        done = process.run(argv, timeout_s=QUERY_S, env=self.env, cwd=self.top)
        if done.returncode != 0:
            raise DemoError(f"bee-query: {done.message}")
        told: dict[str, Any] = json.loads(done.stdout)
        if told["state"] != WorkflowState.ARCHIVED.value:
            raise DemoError(f"workflow {workflow_id} is {told['state']}, not {WorkflowState.ARCHIVED.value}")
        return told

    def compare(self, *ids: str) -> None:
        """Show the Slurm job ids of runs side by side; raises DemoError when two are the same."""
        told = [self.query(each) for each in ids]
        jobs = [{task["name"]: task["job_id"] for task in run["tasks"]} for run in told]
        rows = [(name, *(run.get(name) or "none" for run in jobs)) for name in jobs[0]]
        headers = ("Slurm job id of", *(f"{run['name']} ({run['id'][:SHORT_ID]})" for run in told))
        self.screen.say("\n" + tabulate(rows, headers=headers, disable_numparse=True))
        every = [job for run in jobs for job in run.values()]
        if None in every or len(set(every)) != len(every):
            raise DemoError("the runs do not have job ids of their own")

    def abandon(self) -> None:
        """After a failure: cancel what is not over, so that nothing goes on at the next demo, and say where to look."""
        with calm():
            self.screen.say(
                f"\n{self.screen.paint(RED, 'The demo did not get to its end.')} Logs and workflows stay in:"
            )
            self.screen.say(f"  {self.screen.path(self.workdir / 'slurm/log')}")
            self.screen.say(f"  {self.screen.path(self.settings.workflows_dir)}")
            for summary in self.unfinished():
                self.run("bee-cancel", summary.id[:SHORT_ID])

    def unfinished(self) -> list[Summary]:
        """List the workflows that would go on."""
        if private_slurm.running_conf(self.settings) is None:
            return []
        return [each for each in listing.list_all(self.settings, self.env) if not each.state.final]

    def take_down(self) -> None:
        """Stop Slurm, and make sure that nothing is left; raises DemoError when something is."""
        left: list[procs.Process] = []
        with calm():
            self.screen.head("Stop Slurm")
            self.run("bee-slurm", "down")
        with calm():
            left = procs.wait_gone(self.processes(), GONE_S)
            self.screen.say("Processes of the demo left running: " + (describe(left) or "none"))
        if left:
            raise DemoError(f"still running: {describe(left)}; try: BEE_CONFIG={self.env['BEE_CONFIG']} bee-slurm down")

    def processes(self) -> list[procs.Process]:
        """List the demo's Slurm daemons and all processes of their jobs."""
        root = f"{root_of(self.settings)}/"
        found = [each for each in procs.read_all() if procs.read_env(each.pid).get("SLURM_CONF", "").startswith(root)]
        return [each for each in found if is_slurms(each)]

    def copy_of(self, workflow_id: str) -> Path:
        """Name the copy of an archive."""
        return self.workdir / "copies" / f"{workflow_id}{ARCHIVE_SUFFIX}"

    def conclude(self, seconds: float) -> None:
        """Say what there is now."""
        places = [("Movies", self.movie_of(each)) for each in self.runs]
        places += [("Archives", self.settings.bee_archive_dir / f"{each}{ARCHIVE_SUFFIX}") for each in self.runs]
        places += [("Copy", self.copy_of(self.runs[0]))]
        rows, last = [], ""
        for label, path in places:
            rows.append(("" if label == last else label, self.screen.path(path)))
            last = label
        self.screen.say("\n" + tabulate(rows, tablefmt="plain"))
        done = self.screen.paint(GREEN, f"Done in {tables.duration(seconds)}.")
        self.screen.say(f"\n{done} To try it yourself, after the lines at the top: bee-slurm up, then bee-client")

    def movie_of(self, workflow_id: str) -> Path:
        """Find a run's movie."""
        root = self.settings.workflows_dir / workflow_id
        return root / str(store.read_json(root / "outputs.json")["movie"]["location"])


def make_env(env: Mapping[str, str], conf: Path) -> dict[str, str]:
    """Make the commands' environment: our bee.conf, our commands and our Python first, no other Slurm's variables."""
    made = {key: value for key, value in env.items() if not key.startswith(("SLURM", "SBATCH", "SQUEUE", "SCANCEL"))}
    made["BEE_CONFIG"] = str(conf)
    made["PATH"] = os.pathsep.join([*map(str, own_folders()), env.get("PATH", os.defpath)])
    return made


def own_folders() -> list[Path]:
    """Where our commands and our Python are."""
    folders = (resources.find("etc").parent / "bin", Path(sys.executable).parent)
    return [folder for folder in folders if folder.is_dir()]


def is_slurms(found: procs.Process) -> bool:
    """Tell a daemon or a job's process from a shell in which somebody looks at the demo's Slurm."""
    return found.name.startswith(("munge", "slurm")) or "SLURMD_NODENAME" in procs.read_env(found.pid)


def describe(found: Sequence[procs.Process]) -> str:
    """Name processes."""
    return ", ".join(f"{each.name} ({each.pid})" for each in found)


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Clean up undisturbed: no signal, no lost terminal and no failing command keeps the rest from being done."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    except (BeeError, OSError) as error:
        with contextlib.suppress(OSError):
            cli.error(str(error))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
