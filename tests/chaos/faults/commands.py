"""Commands are killed."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING, ClassVar

from beeflow.states import WorkflowState
from tests.chaos.faults.base import POLL_S, WAIT_S, Fault, May, MissedError

if TYPE_CHECKING:
    from tests.chaos.run import Run

# How long it may take until a workflow whose jobs are cancelled by hand is Stalled.
STALL_S = 30.0


class KillSubmit(Fault):
    """bee-submit."""

    name = "kill-submit"
    # Nobody says that it did not end.
    may = May.REFUSE | May.STALL
    patience_s = 150.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.at = round(draw.uniform(0.2, 1.5), 2)

    def inject(self, run: Run) -> str:
        """Kill it."""
        child = run.submitting
        if child is None or child.poll() is not None:
            raise MissedError
        child.kill()
        return f"bee-submit({child.pid})"


class KillAction(Fault):
    """A command on a workflow that runs, killed at some moment."""

    before: ClassVar[tuple[str, ...]] = ()
    command: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()
    longest_s: ClassVar[float] = 0.7

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.after = round(draw.uniform(0.05, self.longest_s), 2)

    def inject(self, run: Run) -> str:
        """Give the commands before it, then it, and kill that."""
        run.await_id(WAIT_S)
        for command in self.before:
            if run.bee(command).returncode != 0:
                raise MissedError
        self.await_end_of(run)
        child = run.begin(self.command, *self.options)
        try:
            child.wait(self.after)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return f"{self.command}({child.pid})"
        raise MissedError

    def await_end_of(self, run: Run) -> None:
        """Wait for what the commands before it lead to."""


class KillPause(KillAction):
    """bee-pause."""

    name, command = "kill-pause", "bee-pause"
    may = May.PAUSE


class KillResume(KillAction):
    """bee-resume."""

    name, command, before = "kill-resume", "bee-resume", ("bee-pause",)
    may = May.PAUSE | May.STALL


class KillCancel(KillAction):
    """bee-cancel."""

    name, command = "kill-cancel", "bee-cancel"
    may = May.CANCEL | May.STALL


class KillRetry(KillAction):
    """bee-retry of what was cancelled."""

    name, command, before = "kill-retry", "bee-retry", ("bee-cancel",)
    may = May.CANCEL | May.STALL

    def await_end_of(self, run: Run) -> None:
        """Wait until the cancelled workflow is archived."""
        run.await_archived(30.0)


class KillStart(KillAction):
    """bee-start of what was submitted with --no-start, or of what lost all its jobs."""

    name, command = "kill-start", "bee-start"
    longest_s = 1.2

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.holds = draw.random() < 0.5
        self.may = May.STALL if self.holds else May.STALL | May.FAIL

    def await_end_of(self, run: Run) -> None:
        """Have it lose its jobs."""
        await_submitted(run)
        if not self.holds:
            stall(run)


class KillFinalise(KillAction):
    """bee-clean of what lost all its jobs, which is ended and archived."""

    name, command, options = "kill-finalise", "bee-clean", ("--older-than", "0d", "--state", "Stalled")
    may = May.STALL | May.CANCEL | May.FAIL
    longest_s = 1.2

    def await_end_of(self, run: Run) -> None:
        """Have it lose its jobs."""
        await_submitted(run)
        stall(run)


def await_submitted(run: Run) -> None:
    """Wait until bee-submit has ended."""
    deadline = time.monotonic() + WAIT_S
    while run.submitting is None or run.submitting.poll() is None:
        if time.monotonic() > deadline:
            raise MissedError
        time.sleep(POLL_S)


def stall(run: Run) -> None:
    """Cancel jobs by hand until the workflow is Stalled."""
    deadline = time.monotonic() + STALL_S
    while (state := run.summary().state) is not WorkflowState.STALLED:
        if time.monotonic() > deadline or state.final:
            raise MissedError
        run.cancel_jobs()
        time.sleep(POLL_S)
