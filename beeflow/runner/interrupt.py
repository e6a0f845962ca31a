"""SIGTERM, by which Slurm says that the job must end: a scancel, or its time limit."""

from __future__ import annotations

import time
from _signal import SIGTERM, signal

from beeflow.runner.launch import Launcher

_GRACE_S = 3.0


class TerminatedError(BaseException):
    """The job must end. No Exception: what handles errors, in cwltool too, must not take it for one."""


class Interrupt:
    """What SIGTERM does: it ends the commands, and it stops what is done before a command runs.

    ``came``: it came; ``came_at``: when first, of time.monotonic. ``open``: it may stop what is being done, once, by a
    TerminatedError. All else goes on to its end: what has been started is known. As a context: not open meanwhile.
    """

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self.came = False
        self.came_at = float("inf")
        self.open = False
        self._before: list[bool] = []

    def listen(self) -> None:
        """Handle SIGTERM from now on."""
        signal(SIGTERM, self.on_term)

    def on_term(self, *_: object) -> None:
        """Handle SIGTERM, which may come more than once."""
        is_first, self.came = not self.came, True
        self.came_at = min(self.came_at, time.monotonic())
        self.launcher.terminate(_GRACE_S)
        if is_first and self.open:
            raise TerminatedError

    def pass_on(self) -> None:
        """Tell a command that was started meanwhile."""
        if self.came:
            self.launcher.terminate(_GRACE_S)

    def allow(self) -> None:
        """Let SIGTERM stop what follows; raises TerminatedError when it came already."""
        self.open = True
        if self.came:
            raise TerminatedError

    def hold(self) -> None:
        """Let what follows go on to its end."""
        self.open = False

    def __enter__(self) -> None:
        """Hold."""
        self._before.append(self.open)
        self.open = False

    def __exit__(self, *_: object) -> None:
        """Allow again what was allowed before."""
        if self._before.pop():
            self.allow()
