"""Commands are killed."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING, ClassVar

from tests.chaos.faults.base import WAIT_S, Fault, May, MissedError

if TYPE_CHECKING:
    from tests.chaos.run import Run


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

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.after = round(draw.uniform(0.05, 0.7), 2)

    def inject(self, run: Run) -> str:
        """Give the commands before it, then it, and kill that."""
        run.await_id(WAIT_S)
        for command in self.before:
            if run.bee(command).returncode != 0:
                raise MissedError
        self.await_end_of(run)
        child = run.begin(self.command)
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
