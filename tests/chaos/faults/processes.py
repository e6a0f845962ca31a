"""Processes of a workflow are killed."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from beeflow import procs
from beeflow.procs import Process
from beeflow.submission import pass_key, pass_number
from tests.chaos.faults.base import Fault, May, MissedError, await_any
from tests.chaos.faults.slurm import register_nodes
from tests.chaos.targets import kill

if TYPE_CHECKING:
    from tests.chaos.run import Run


class Kill(Fault):
    """Kill -9 a process of the workflow, a moment after it was seen."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.after = round(draw.uniform(0, 0.9), 2)
        self.which = draw.random()

    def find(self, run: Run) -> list[Process]:
        """Find what to kill one of."""
        raise NotImplementedError

    def family(self, run: Run, found: Process) -> list[Process]:
        """Return all that is killed at once."""
        return [found]

    def inject(self, run: Run) -> str:
        """Wait for one, and a moment more."""
        await_any(run, self.find)
        time.sleep(self.after)
        found = sorted(await_any(run, self.find), key=lambda each: each.pid)
        return self.end(run, found[int(self.which * len(found))])

    def end(self, run: Run, found: Process) -> str:
        """Kill it."""
        return kill(*self.family(run, found))


class KillPass(Kill):
    """The Python of a driver or epilog."""

    name = "kill-pass"

    def find(self, run: Run) -> list[Process]:
        """Find passes."""
        return run.targets.passes()


class KillPassJob(KillPass):
    """A driver or epilog with its batch script, which would try it again."""

    name = "kill-pass-job"

    def family(self, run: Run, found: Process) -> list[Process]:
        """The script first."""
        return [*run.targets.scripts([found]), found]

    def end(self, run: Run, found: Process) -> str:
        """Kill it; a pass is followed by another once it has done its first act, which is to submit that."""
        argv = procs.read_argv(found.pid)
        if not argv:
            raise MissedError
        said = super().end(run, found)
        if not run.workflow.layout.job_id(pass_key(pass_number(argv[-1]) + 1)).exists():
            self.may = May.STALL
        return said


class KillRunner(Kill):
    """What runs a task."""

    name = "kill-runner"
    may = May.FAIL

    def find(self, run: Run) -> list[Process]:
        """Find runners."""
        return run.targets.runners()


class KillTaskJob(KillRunner):
    """What runs a task, with its batch script."""

    name = "kill-task-job"

    def family(self, run: Run, found: Process) -> list[Process]:
        """The script first."""
        return [*run.targets.scripts([found]), found]


class KillCommand(KillRunner):
    """A task's own command."""

    name = "kill-command"

    def find(self, run: Run) -> list[Process]:
        """Find commands."""
        return run.targets.commands()


class KillStepd(Kill):
    """A slurmstepd."""

    name = "kill-stepd"
    may = May.FAIL
    hurts = True
    patience_s = 60.0

    def find(self, run: Run) -> list[Process]:
        """Find slurmstepds."""
        return run.targets.stepds()

    def inject(self, run: Run) -> str:
        """Also have slurmctld ask the nodes what they run."""
        said = super().inject(run)
        register_nodes(run)
        return said
