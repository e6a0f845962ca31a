"""What is done to a workflow, and when.

A fault draws its numbers when it is made, so that a seed always makes the same ones. What it finds when its time comes
is the machine's doing; a fault that finds nothing to disturb has missed.
"""

from __future__ import annotations

import contextlib
import enum
import random
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

from beeflow import procs
from beeflow.procs import Process
from beeflow.submission import pass_key, pass_number
from tests.chaos import programs
from tests.chaos.place import NODES
from tests.chaos.targets import end, kill

if TYPE_CHECKING:
    from tests.chaos.run import Run

# When a fault may come, after bee-submit began: an undisturbed run takes about so long.
SPAN_S = 4.5
# How long a fault waits for what it is to disturb.
WAIT_S = 8.0
POLL_S = 0.03
# So long slurmctld thinks that a job which a node does not tell of has only begun (BatchStartTimeout, and 10 s more).
REGISTERED_S = 12.0

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


class Fault:
    """One fault. ``hurts``: Slurm may have to be mended after it. ``patience_s``: how much longer a run may take.

    ``left_s``: how much longer jobs may be left at its end. ``forgets``: slurmctld gives ids again that were given.
    ``timed``: it comes when its time has; else what it does is planned, and whether it came is seen at the end.
    """

    name: ClassVar[str]
    may: May = May.NOTHING
    hurts: ClassVar[bool] = False
    forgets: ClassVar[bool] = False
    timed: ClassVar[bool] = True
    patience_s: ClassVar[float] = 0.0
    left_s: ClassVar[float] = 0.0

    def __init__(self, draw: random.Random) -> None:
        self.at = round(draw.uniform(0, SPAN_S), 2)

    def plan(self) -> Mapping[str, str]:
        """Return what Slurm's programs are to do (tests.chaos.programs), known before anything runs."""
        return {}

    def inject(self, run: Run) -> str:
        """Do it, now; says what was done. Raises MissedError."""
        raise NotImplementedError


# Processes.


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


# Commands.


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


# Slurm.


class RestartController(Fault):
    """slurmctld is ended in good order, and comes back after a while."""

    name = "restart-slurmctld"
    hurts = True
    may = May.REFUSE
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.away = round(draw.uniform(0, 4), 2)

    def end(self, run: Run) -> str:
        """End it with what it forked."""
        return end(*run.place.daemon("slurmctld"))

    def inject(self, run: Run) -> str:
        """End it, and start it."""
        with run.place.daemons:
            said = self.end(run)
            if not said:
                raise MissedError
            time.sleep(self.away)
            run.place.mend()
        return f"{said}, away {self.away:g} s"


class KillController(RestartController):
    """slurmctld is killed: it forgets what it did not save in the last seconds, jobs and all.

    Jobs that had ended by then come back: those that ran go when the nodes have said that they do not, the others
    begin, and find that there is nothing to do.
    """

    name = "kill-slurmctld"
    forgets = True
    left_s = 20.0
    may = May.STALL | May.REFUSE | May.FAIL

    def end(self, run: Run) -> str:
        """Kill it with what it forked."""
        return kill(*run.place.daemon("slurmctld"))

    def inject(self, run: Run) -> str:
        """Also have it ask the nodes what they run, once it believes that what they do not tell of is gone."""
        said = super().inject(run)
        register_nodes(run)
        return said


class LoseController(KillController):
    """slurmctld is killed, and comes back without a queue; job ids start over."""

    name = "slurmctld -c"

    def end(self, run: Run) -> str:
        """Kill it, and have it forget."""
        said = super().end(run)
        if said:
            run.place.lose_state()
        return said


class OnNode(Fault):
    """Something happens to a node, and is over after a while."""

    hurts = True
    may = May.FAIL
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.node = draw.choice(NODES)
        self.away = round(draw.uniform(0.2, 5), 2)


class RestartNode(OnNode):
    """A slurmd is killed, and comes back; its jobs run on."""

    name = "restart-slurmd"
    may = May.NOTHING

    def inject(self, run: Run) -> str:
        """Kill it and start it."""
        with run.place.daemons:
            said = kill(*run.place.daemon(f"slurmd-{self.node}"))
            if not said:
                raise MissedError
            time.sleep(self.away)
            run.place.mend()
        return f"{said} of {self.node}, away {self.away:g} s"


class NodeDown(OnNode):
    """A node is marked down, and taken back."""

    name = "node-down"

    def inject(self, run: Run) -> str:
        """Tell slurmctld."""
        set_node(run, self.node, "down")
        time.sleep(self.away)
        set_node(run, self.node, "resume")
        return f"{self.node}, for {self.away:g} s"


class NodeLost(OnNode):
    """A node is marked down while its slurmd is away: what ran there runs on, and goes again elsewhere."""

    name = "node-lost"

    def inject(self, run: Run) -> str:
        """Kill slurmd, tell slurmctld, and start slurmd."""
        with run.place.daemons:
            said = kill(*run.place.daemon(f"slurmd-{self.node}"))
            if not said:
                raise MissedError
            set_node(run, self.node, "down")
            time.sleep(self.away)
            run.place.mend()
        return f"{said} of {self.node}, for {self.away:g} s"


class Requeue(Fault):
    """A running job is requeued by hand."""

    name = "requeue"
    patience_s = 40.0
    # Its runner gets the same signals as from a scancel.
    may = May.FAIL

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.which = draw.random()

    def inject(self, run: Run) -> str:
        """Requeue one."""
        jobs = await_any(run, lambda each: [job for job in each.jobs() if job.state == "RUNNING"])
        job = jobs[int(self.which * len(jobs))]
        run.place.ask("scontrol", "requeue", job.shown)
        return f"{job.shown} {job.name}"


class Cancel(Requeue):
    """One job, element or pass is cancelled by hand."""

    name = "scancel"
    may = May.FAIL | May.STALL

    def inject(self, run: Run) -> str:
        """Cancel one."""
        jobs = await_any(run, lambda each: each.jobs())
        job = jobs[int(self.which * len(jobs))]
        run.place.ask("scancel", job.shown)
        return f"{job.shown} {job.name} {job.state}"


class CancelAll(Requeue):
    """All jobs of the workflow are cancelled by hand."""

    name = "scancel-all"
    may = May.FAIL | May.STALL

    def inject(self, run: Run) -> str:
        """Cancel them."""
        jobs = await_any(run, lambda each: each.jobs())
        run.place.ask("scancel", *{job.shown.partition("_")[0] for job in jobs})
        return f"{len(jobs)} jobs"


# Slurm's programs.


class Program(Fault):
    """Calls of one of Slurm's programs do something else."""

    program: ClassVar[str] = "sbatch"
    what: ClassVar[str]
    last: ClassVar[int] = 12
    most: ClassVar[int] = 2
    may = May.REFUSE
    timed = False
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
    """squeue does not answer."""

    name, program, what, last, most = "squeue-refuses", "squeue", "refuse", 2, 2


class ScontrolRefuses(Program):
    """A scontrol (release, relink) is not answered."""

    name, program, what, last = "scontrol-refuses", "scontrol", "refuse", 4


class ScancelRefuses(Program):
    """A scancel is not answered."""

    name, program, what, last, most = "scancel-refuses", "scancel", "refuse", 1, 2


# The disk.


class DiskFull(Fault):
    """The disk of the workflows is full for a while."""

    name = "disk-full"
    may = May.FAIL | May.STALL | May.REFUSE
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.length = round(draw.uniform(0.3, 4), 2)

    def inject(self, run: Run) -> str:
        """Fill it, and make room."""
        if not run.place.can_fill:
            raise MissedError
        ballast = run.place.disk / "ballast"
        try:
            deadline = time.monotonic() + self.length
            with ballast.open("wb", buffering=0) as stream:
                while time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        while stream.write(b"x" * 65536):
                            pass
                    with contextlib.suppress(OSError):
                        while stream.write(b"x" * 512):
                            pass
                    time.sleep(POLL_S)
        finally:
            ballast.unlink()
        return f"for {self.length:g} s"


def register_nodes(run: Run) -> None:
    """Have slurmctld ask the nodes what they run: else it finds out after minutes."""
    time.sleep(REGISTERED_S)
    run.place.ask("scontrol", "reconfigure")


def set_node(run: Run, node: str, state: str) -> None:
    """Have slurmctld take a node for down, or take it back."""
    run.place.ask("scontrol", "update", f"nodename={node}", f"state={state}", "reason=chaos")


def await_any(run: Run, find: Callable[[Run], list[Found]]) -> list[Found]:
    """Wait until there is any; raises MissedError when there is none in time."""
    run.await_id(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while not (found := find(run)):
        if time.monotonic() > deadline or run.over.is_set():
            raise MissedError
        time.sleep(POLL_S)
    return found


def _leaves(kind: type[Fault]) -> list[type[Fault]]:
    own = [kind] if "name" in vars(kind) else []
    return own + [leaf for each in kind.__subclasses__() for leaf in _leaves(each)]


KINDS = {kind.name: kind for kind in _leaves(Fault)}
# What takes minutes comes seldom.
WEIGHTS = {"sbatch-hangs": 0.15, "sbatch-hangs-accepted": 0.15}


def choose(draw: random.Random, among: list[str]) -> list[Fault]:
    """Make one to three faults."""
    weights = [WEIGHTS.get(name, 1.0) for name in among]
    count = draw.choice((1, 1, 2, 3))
    names = dict.fromkeys(draw.choices(among, weights, k=count))
    return [KINDS[name](draw) for name in names]
