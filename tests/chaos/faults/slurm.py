"""Something happens to Slurm: its daemons, its nodes, its jobs."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from tests.chaos.faults.base import POLL_S, WAIT_S, Fault, May, MissedError, await_any
from tests.chaos.place import NODES
from tests.chaos.targets import end, kill

if TYPE_CHECKING:
    from tests.chaos.run import Live, Run

# So long slurmctld thinks that a job which a node does not tell of has only begun (BatchStartTimeout, and 10 s more).
REGISTERED_S = 12.0


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
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.node = draw.choice(NODES)
        self.away = round(draw.uniform(0.2, 5), 2)


class RestartNode(OnNode):
    """A slurmd is killed, and comes back; its jobs run on."""

    name = "restart-slurmd"

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

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.which = draw.random()

    def inject(self, run: Run) -> str:
        """Requeue one."""
        jobs = await_any(run, running)
        job = jobs[int(self.which * len(jobs))]
        if not run.place.does("scontrol", "requeue", job.shown):
            raise MissedError
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
        await_any(run, lambda each: each.jobs())
        return f"{run.cancel_jobs()} jobs"


class Preempt(Fault):
    """A job of a partition that goes first takes all nodes for a second."""

    name = "preempt"
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.of_task = draw.random() < 0.7

    def inject(self, run: Run) -> str:
        """Submit it while a job of the workflow runs, and see that Slurm takes that one's place for it."""
        await_any(run, lambda each: [job for job in running(each) if not self.of_task or "-pass" not in job.name])
        urgent = submit_urgent(run)
        try:
            gone = await_any(run, lambda each: each.place.preempted_for(urgent))
        finally:
            run.place.ask("scancel", "--state=PENDING", urgent)
        return f"{' '.join(gone)} for {urgent}"


def submit_urgent(run: Run) -> str:
    """Submit a job that others make room for; returns its id."""
    argv = ["sbatch", "--parsable", "--partition=urgent", f"--nodes={len(NODES)}", "--exclusive", "--time=1"]
    argv += ["--job-name=urgent", "--output=/dev/null", "--wrap=sleep 1"]
    deadline = time.monotonic() + WAIT_S
    # A slurmctld that was started anew, or read its configuration again, does not know the partition.
    while not (urgent := run.place.ask(*argv)):
        if time.monotonic() > deadline:
            raise MissedError
        run.place.ask("scontrol", "create", "partitionname=urgent", "nodes=ALL", "priorityTier=100")
        time.sleep(POLL_S)
    return urgent


def running(run: Run) -> list[Live]:
    """List the workflow's jobs that run."""
    return [job for job in run.jobs() if job.state == "RUNNING"]


def register_nodes(run: Run) -> None:
    """Have slurmctld ask the nodes what they run: else it finds out after minutes."""
    time.sleep(REGISTERED_S)
    run.place.ask("scontrol", "reconfigure")


def set_node(run: Run, node: str, state: str) -> None:
    """Have slurmctld take a node for down, or take it back."""
    run.place.ask("scontrol", "update", f"nodename={node}", f"state={state}", "reason=chaos")
