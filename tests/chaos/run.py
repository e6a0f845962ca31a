"""One seed: a workflow, its faults, at most the commands that it asks for, and what came of it."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from beeflow.errors import BeeError
from beeflow.listing import Queues, summarize
from beeflow.models import Summary
from beeflow.states import WorkflowState
from beeflow.store import Store, WorkflowDir
from tests.chaos import faults, programs, verdict
from tests.chaos.faults import base
from tests.chaos.faults.base import CannotError, Comes, Fault, May, MissedError
from tests.chaos.place import COMMAND_TIMEOUT_S, SETTINGS, Place
from tests.chaos.report import Came, Report
from tests.chaos.targets import Targets, kill
from tests.chaos.user import POLL_S, SUBMITS, User, is_archived, named
from tests.chaos.workload import Workload

LEFT_S = 30.0
SITES = tuple(SETTINGS)
# So many seeds after another are for one site: Slurm is started anew for the next.
SEEDS_A_SITE = 5


@dataclass(frozen=True)
class Live:
    """A job that has not ended."""

    shown: str
    name: str
    state: str
    reason: str


class Run:
    """A run under way. ``asked_for``: the command that bee-submit named when it failed halfway."""

    def __init__(self, place: Place, seed: int, kinds: Sequence[str]) -> None:
        draw = random.Random(seed)
        self.place = place
        self.folder = place.top / "runs" / str(seed)
        self.report = Report(seed, SITES[seed // SEEDS_A_SITE % len(SITES)])
        self.refuses_sbatch = self.report.site == "no-sbatch-on-nodes"
        self.faults = faults.choose(draw, list(kinds)) if kinds else []
        self.chunks = draw.choice((None, None, 2, 3))
        self.workload = Workload(self.folder)
        self.submitting: subprocess.Popen[str] | None = None
        self.asked_for: str | None = None
        self.last_id: str | None = None
        self.began = time.monotonic()
        self.timeline: list[str] = []
        self.folder.mkdir()
        self.workload.write(draw, known_width=self.refuses_sbatch)
        plan = {call: what for fault in self.faults for call, what in fault.plan().items()}
        path = programs.write(self.folder, place.env()["PATH"], plan, none_from_nodes=self.refuses_sbatch)
        self.env = {**place.env(path), "BEE_CONFIG": str(self.folder / "bee.conf")}
        lines = ["[DEFAULT]", f"bee_workdir = {place.disk}", "[slurm]", "time_limit = 5"]
        lines += [f"tasks_per_element = {self.chunks}"] if self.chunks else []
        lines += ["drive = here"] if self.refuses_sbatch else []
        (self.folder / "bee.conf").write_text("\n".join(lines) + "\n")

    # What faults use.

    @cached_property
    def store(self) -> Store:
        """The workflows: this run's is the only one."""
        return Store(self.place.disk / "workflows")

    @property
    def found(self) -> WorkflowDir | None:
        """The workflow, once it is on disk."""
        return next((self.store.get(each) for each in self.store.ids()), None)

    @property
    def workflow(self) -> WorkflowDir:
        """The workflow; raises MissedError when there is none yet."""
        found = self.found
        if found is None:
            raise MissedError
        return found

    @property
    def targets(self) -> Targets:
        """The workflow's processes."""
        return Targets(self.workflow.layout.root, self.workload.script)

    @property
    def ended_well(self) -> bool:
        """True once the workflow is archived as good: nothing of it begins any more."""
        with contextlib.suppress(BeeError, MissedError):
            state = self.workflow.state()
            return state is not None and state.state is WorkflowState.ARCHIVED
        return False

    def await_id(self, wait_s: float) -> None:
        """Wait until the workflow is on disk; raises MissedError."""
        deadline = time.monotonic() + wait_s
        while self.found is None:
            if time.monotonic() > deadline:
                raise MissedError
            time.sleep(base.POLL_S)

    def await_archived(self, wait_s: float) -> None:
        """Wait until the workflow is archived; raises MissedError."""
        deadline = time.monotonic() + wait_s
        while not is_archived(self.summary()):
            if time.monotonic() > deadline:
                raise MissedError
            time.sleep(POLL_S)

    def jobs(self) -> list[Live]:
        """List the jobs of the workflow that have not ended."""
        lines = self.place.live_jobs(self.workflow.record().nonce)
        return [Live(*line.split(" ", 3)) for line in lines]

    def cancel_jobs(self) -> int:
        """Cancel all jobs of the workflow by hand; returns how many there were."""
        jobs = self.jobs()
        if jobs:
            self.place.ask("scancel", *{job.shown.partition("_")[0] for job in jobs})
        return len(jobs)

    @property
    def id(self) -> str:
        """The workflow's id, also once its directory is gone; raises MissedError when there is none yet."""
        found = self.found
        if found is not None:
            self.last_id = found.id
        if self.last_id is None:
            raise MissedError
        return self.last_id

    def words(self, command: str, *argv: str) -> list[str]:
        """Return the command line of a command on the workflow; bee-clean finds it by itself."""
        module = f"beeflow.commands.{command.removeprefix('bee-')}"
        return [sys.executable, "-m", module, *([] if command == "bee-clean" else [self.id]), *argv]

    def begin(self, command: str, *argv: str) -> subprocess.Popen[str]:
        """Begin a command on the workflow."""
        self.note(f"{command} begins")
        null = subprocess.DEVNULL
        words = self.words(command, *argv)
        return subprocess.Popen(words, env=self.env, stdin=null, stdout=null, stderr=null, text=True, cwd="/")

    def bee(self, command: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Give a command to the workflow."""
        words = self.words(command, *argv)
        done = subprocess.run(
            words, env=self.env, check=False, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, cwd="/"
        )
        self.note(f"{command} ended with {done.returncode}: {(done.stdout + done.stderr).strip()[:300]}")
        return done

    def note(self, text: str) -> None:
        """Write what happens, and when."""
        self.timeline.append(f"{time.monotonic() - self.began:7.2f} {text}")

    @property
    def disk_was_full(self) -> bool:
        """True when what a job said may not be on disk."""
        return any(came.name == "disk-full" and came.said is not None for came in self.report.faults)

    # The run.

    @property
    def holds(self) -> bool:
        """True when the workflow is submitted with --no-start."""
        return any(fault.holds for fault in self.faults)

    def wrong(self, problem: str) -> None:
        """Keep what is not as it must be."""
        self.note(f"WRONG: {problem}")
        self.report.problems.append(problem)

    def may(self, what: May) -> bool:
        """True when a fault of this run excuses something.

        Where only commands submit, nobody else submits again what a job that died has left, or tries again what an
        sbatch did not say.
        """
        excused = self.refuses_sbatch and any(fault.plan() or fault.may & May.FAIL for fault in self.faults)
        return any(what & fault.may for fault in self.faults) or (excused and what is May.STALL)

    def execute(self) -> Report:
        """Do all of it."""
        with self.disturbed():
            self.submit()
        if not self.report.problems:
            User(self).bring_to_an_end()
        self.report.seconds = time.monotonic() - self.began
        self.inject_all(Comes.AS_PLANNED)
        if not self.report.problems:
            for problem in verdict.problems(self):
                self.wrong(problem)
        for problem in self.left():
            self.wrong(problem)
        if not self.report.problems:
            self.inject_all(Comes.LAST)
        return self.report

    def inject_all(self, comes: Comes) -> None:
        """Have the faults come that do so at this time."""
        for fault in self.faults:
            if fault.comes is comes:
                self.inject(fault)

    @contextlib.contextmanager
    def disturbed(self) -> Iterator[None]:
        """Begin the faults; at the end wait until all have come."""
        in_time = [each for each in self.faults if each.comes is Comes.IN_TIME]
        threads = [threading.Thread(target=self.inject_in_time, args=(each,)) for each in in_time]
        self.began = time.monotonic()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()

    def inject_in_time(self, fault: Fault) -> None:
        """Wait for a fault's time, and have it come."""
        time.sleep(max(0.0, self.began + fault.at - time.monotonic()))
        self.inject(fault)

    def inject(self, fault: Fault) -> None:
        """Have a fault come."""
        said, why = None, ""
        try:
            said = fault.inject(self)
        except CannotError as error:
            why = str(error)
        except MissedError:
            pass
        except Exception as error:  # a fault that fails is the suite's own
            self.wrong(f"{fault.name}: {type(error).__name__}: {error}")
        self.note(f"{fault.name}: {'missed' if said is None else said} {why}")
        at = time.monotonic() - self.began if fault.comes is Comes.IN_TIME else 0.0
        self.report.faults.append(Came(fault.name, at, said, why))

    def submit(self) -> None:
        """Submit, again where that was refused or killed before there was anything."""
        files = (str(self.workload.document), str(self.workload.job))
        options = ["--no-start"] if self.holds else []
        argv = [sys.executable, "-m", "beeflow.commands.submit", *options, *files]
        for _ in range(SUBMITS):
            pipe = subprocess.PIPE
            self.submitting = subprocess.Popen(
                argv, env=self.env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, cwd="/"
            )
            out, err = self.submitting.communicate(timeout=COMMAND_TIMEOUT_S)
            self.note(f"bee-submit ended with {self.submitting.returncode}: {(out + err).strip()[:300]}")
            if self.submitting.returncode and not self.may(May.REFUSE):
                self.wrong(f"bee-submit ended with {self.submitting.returncode}: {err.strip()}")
            if self.found is not None:
                self.asked_for = next(reversed(named(err)), None)
                return
            if self.submitting.returncode == 0:
                self.wrong("bee-submit ended with 0, and there is no workflow")
                return
            time.sleep(2.0)
        self.wrong("bee-submit was refused again and again")

    def summary(self) -> Summary:
        """Describe the workflow as bee-list does."""
        summary = summarize(self.workflow, Queues(self.place.env()))
        if summary.state.value != self.report.state:
            self.report.state = summary.state.value
            self.note(f"{summary.state.value} {summary.reason}")
        return summary

    def query(self) -> Any:
        """Return bee-query --json."""
        done = self.bee("bee-query", "--json")
        return json.loads(done.stdout)

    def left(self) -> Iterator[str]:
        """Yield what is left of the workflow though it is over, and end it."""
        if self.found is None:
            return
        deadline = time.monotonic() + LEFT_S + max((fault.left_s for fault in self.faults), default=0.0)
        while (jobs := self.jobs()) or self.targets.everything():
            if time.monotonic() > deadline or self.report.problems:
                break
            time.sleep(POLL_S)
        else:
            return
        processes = self.targets.everything()
        if not self.report.problems:
            for job in jobs:
                yield f"job {job.shown} ({job.name}) is left: {job.state} {job.reason}"
            for process in processes:
                yield f"process {process.pid} ({process.name}) is left"
        self.place.ask("scancel", "--full", *{job.shown.partition("_")[0] for job in jobs})
        time.sleep(3.0)
        kill(*self.targets.everything())

    def keep(self, into: Path) -> None:
        """Keep what helps to find out what went wrong."""
        into.mkdir()
        self.report.kept = into
        (into / "timeline").write_text("\n".join(self.timeline) + "\n")
        shutil.copytree(self.folder, into / "run")
        shutil.copytree(self.place.slurm / "log", into / "slurm-log")
        for path in (self.store.root, self.place.jobcomp):
            if path.is_dir():
                shutil.copytree(path, into / path.name, symlinks=True)
            elif path.exists():
                shutil.copy(path, into)
        with contextlib.suppress(BeeError, MissedError, ValueError):
            (into / "query.json").write_text(json.dumps(self.query(), indent=1))

    def clear(self) -> None:
        """Make room for the next run."""
        shutil.rmtree(self.folder)
        for name in ("workflows", "archives"):
            shutil.rmtree(self.place.disk / name, ignore_errors=True)
