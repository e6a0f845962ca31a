"""What takes a workflow away that is over is killed: bee-remove, bee-clean."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from beeflow import removal
from tests.chaos import verdict
from tests.chaos.faults.base import Comes, Fault, MissedError

if TYPE_CHECKING:
    from tests.chaos.run import Run

# A removal is over soon, also of a directory with so many files more.
TICK_S = 0.0005
FILES = 1000
NO_SUCH_WORKFLOW = 3


class KillRemove(Fault):
    """bee-remove. ``sees``: it is killed once it has begun to remove; else at some moment."""

    name = "kill-remove"
    comes = Comes.LAST
    command: ClassVar[str] = "bee-remove"

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.sees = draw.random() < 0.75
        self.after = round(draw.uniform(0, 0.04 if self.sees else 1.0), 3)
        self.takes_archive = draw.random() < 0.5

    @property
    def options(self) -> tuple[str, ...]:
        """Those of the command."""
        return ("--yes", "--archive") if self.takes_archive else ("--yes",)

    def inject(self, run: Run) -> str:
        """Kill it; the workflow is whole or gone, and gone once the same command is given again."""
        if run.found is None:
            # Another of these was here.
            raise MissedError
        is_killed = self.kill(run)
        found = self.see(run)
        if found == "whole":
            for problem in verdict.problems(run):
                run.wrong(f"after a killed {self.command}: {problem}")
        if is_killed or found != "gone":
            done = run.bee(self.command, *self.options)
            if done.returncode not in ((0, NO_SUCH_WORKFLOW) if found == "gone" else (0,)):
                run.wrong(f"{self.command} given again ended with {done.returncode}: {done.stderr.strip()}")
        if (left := self.see(run)) != "gone":
            run.wrong(f"{self.command} given again leaves it {left}")
        if not is_killed:
            raise MissedError
        return f"left it {found}"

    def kill(self, run: Run) -> bool:
        """Begin it and kill it; False when it ended first."""
        fill(run.store.root / run.id / "tasks")
        aside = run.store.root / f"{removal.PREFIX}{run.id}"
        child = run.begin(self.command, *self.options)
        while self.sees and not aside.exists() and child.poll() is None:
            time.sleep(TICK_S)
        try:
            code = child.wait(self.after)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        if code > 0:
            run.wrong(f"{self.command} ended with {code}")
        return code < 0

    def see(self, run: Run) -> str:
        """Say what is there of the workflow; what is there of the archive must be whole, unless it is to go."""
        archives = sorted((run.place.disk / "archives").glob(f"{run.id}*"))
        if not self.takes_archive:
            for problem in [each for path in archives for each in verdict.archived(run, path)]:
                run.wrong(f"{self.command}: {problem}")
            if not archives:
                run.wrong(f"{self.command}: the archive is gone")
        if (run.store.root / run.id).exists():
            return "whole"
        is_half = (run.store.root / f"{removal.PREFIX}{run.id}").exists() or (self.takes_archive and archives)
        return "half removed" if is_half else "gone"


def fill(tasks: Path) -> None:
    """Make more of a directory to remove."""
    for number in range(FILES):
        path = tasks / f"more/{number % 50}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


class KillClean(KillRemove):
    """bee-clean."""

    name = "kill-clean"
    command = "bee-clean"

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.takes_archive = False

    @property
    def options(self) -> tuple[str, ...]:
        """All that is over."""
        return ("--older-than", "0d")
