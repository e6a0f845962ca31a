"""What a fault is.

A fault draws its numbers when it is made, so that a seed always makes the same ones. What it finds when its time comes
is the machine's doing; a fault that finds nothing to disturb has missed.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from tests.chaos.run import Run

# When a fault may come, after bee-submit began: an undisturbed run takes about so long.
SPAN_S = 4.5
# How long a fault waits for what it is to disturb.
WAIT_S = 16.0
POLL_S = 0.03

Found = TypeVar("Found")


class May(enum.Flag):
    """What a user may see because of a fault, besides a workflow that ends well by itself."""

    NOTHING = 0
    REFUSE = enum.auto()  # a command says that it did not do it
    STALL = enum.auto()  # no job is left: one command continues it
    FAIL = enum.auto()  # tasks ended badly: bee-retry
    CANCEL = enum.auto()  # it was cancelled: bee-retry
    PAUSE = enum.auto()  # it is paused: bee-resume


class MissedError(Exception):
    """There was nothing to disturb."""


class CannotError(MissedError):
    """Here there never is: the message says why."""


class Comes(enum.Enum):
    """When a fault comes."""

    IN_TIME = enum.auto()  # when its time has come
    AS_PLANNED = enum.auto()  # by what it has planned; whether it came is seen at the end
    LAST = enum.auto()  # once the workflow is over, and found good


class Fault:
    """One fault. ``hurts``: Slurm may have to be mended after it. ``patience_s``: how much longer a run may take.

    ``left_s``: how much longer jobs may be left at its end. ``forgets``: slurmctld gives ids again that were given.
    ``holds``: the workflow is submitted, and not started.
    """

    name: ClassVar[str]
    may: May = May.NOTHING
    hurts: ClassVar[bool] = False
    forgets: ClassVar[bool] = False
    comes: ClassVar[Comes] = Comes.IN_TIME
    holds: bool = False
    patience_s: ClassVar[float] = 0.0
    left_s: ClassVar[float] = 0.0

    def __init__(self, draw: random.Random) -> None:
        self.at = round(draw.uniform(0, SPAN_S), 2)

    def plan(self) -> Mapping[str, str]:
        """Return what Slurm's programs are to do (tests.chaos.programs), known before anything runs."""
        return {}

    def inject(self, run: Run) -> str:
        """Do it, now; says what was done. Raises MissedError, CannotError."""
        raise NotImplementedError


def await_any(run: Run, find: Callable[[Run], list[Found]]) -> list[Found]:
    """Wait until there is any; raises MissedError when there is none in time."""
    run.await_id(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while not (found := find(run)):
        if time.monotonic() > deadline or run.ended_well:
            raise MissedError
        time.sleep(POLL_S)
    return found
