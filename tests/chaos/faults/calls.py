"""Calls of Slurm's programs do something else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from tests.chaos import programs
from tests.chaos.faults.base import WAIT_S, Comes, Fault, May, MissedError

if TYPE_CHECKING:
    from tests.chaos.run import Run


class Program(Fault):
    """Calls of one of Slurm's programs do something else."""

    program: ClassVar[str] = "sbatch"
    what: ClassVar[str]
    last: ClassVar[int] = 12
    most: ClassVar[int] = 2
    may = May.REFUSE
    comes = Comes.AS_PLANNED
    patience_s = 90.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        first = draw.randint(1, self.last)
        self.calls = [f"{self.program}.{number}" for number in range(first, first + draw.randint(1, self.most))]

    def plan(self) -> Mapping[str, str]:
        """Those calls."""
        return dict.fromkeys(self.calls, self.what)

    def inject(self, run: Run) -> str:
        """See which of them came."""
        came = [call for call in self.calls if programs.done(run.folder, call)]
        if not came:
            raise MissedError
        return " ".join(came)


class SbatchRefuses(Program):
    """Slurm cannot be reached."""

    name, what, most = "sbatch-refuses", "refuse", 3


class SbatchLost(Program):
    """sbatch gets no answer, and nothing was accepted."""

    name, what = "sbatch-lost", "lost"


class SbatchAccepted(Program):
    """sbatch gets no answer, and the job was accepted."""

    name, what = "sbatch-accepted", "accepted"


class SbatchTwice(Program):
    """The job is submitted twice, and both ids are printed."""

    name, what = "sbatch-twice", "twice"


class SbatchSlow(Program):
    """sbatch takes three seconds."""

    name, what = "sbatch-slow", "slow"


class SbatchHangs(Program):
    """sbatch never ends, and nothing was accepted."""

    name, what, most = "sbatch-hangs", "hang", 1
    patience_s = 260.0


class SbatchHangsAccepted(Program):
    """sbatch never ends, and the job was accepted."""

    name, what, most = "sbatch-hangs-accepted", "accepted-hang", 1
    patience_s = 260.0


class SqueueRefuses(Program):
    """squeue does not answer. A workflow that nothing disturbs does not ask it: a command does that changes nothing."""

    name, program, what, last, most = "squeue-refuses", "squeue", "refuse", 1, 2
    comes = Comes.IN_TIME

    def inject(self, run: Run) -> str:
        """Give that command."""
        run.await_id(WAIT_S)
        run.bee("bee-start")
        return super().inject(run)


class ScontrolRefuses(Program):
    """A scontrol (release, relink) is not answered."""

    name, program, what, last = "scontrol-refuses", "scontrol", "refuse", 4


class ScancelRefuses(Program):
    """A scancel is not answered."""

    name, program, what, last, most = "scancel-refuses", "scancel", "refuse", 1, 2
