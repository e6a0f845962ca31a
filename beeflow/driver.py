"""One pass over a workflow: plan, submit what is ready, settle what ended; nothing outstanding -> the epilog.

Idempotent: killed anywhere and run again, it goes on. It reads and writes files and talks to Slurm; it never waits
for a job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from beeflow import interrupted, store
from beeflow.errors import BeeError, SlurmError, TransitionError
from beeflow.graph import Graph
from beeflow.group_jobs import GroupJobs
from beeflow.groups import Groups, Tools
from beeflow.holding import Holding, is_paused
from beeflow.layout import Layout
from beeflow.listing import state_record
from beeflow.look import Halt, Look
from beeflow.models import StateRecord, WorkflowRecord
from beeflow.outcome import Derived, derive
from beeflow.plan import Group, Plan, walk
from beeflow.results import Results
from beeflow.scheduler import Dependency
from beeflow.settling import Settler
from beeflow.states import WorkflowState
from beeflow.submission import Submitter
from beeflow.successor import dependency as awaited

log = logging.getLogger(__name__)

# How long a pass stays when Slurm does not answer, so that the next one does not ask at once again.
DOUBT_PAUSE_S = 15.0


@dataclass(frozen=True)
class Ended:
    """What a pass found when nothing is outstanding. ``derived``: results that no task wrote.

    ``stopped``: why the rest was not run (--on-error stop).
    """

    plan: Plan
    derived: Derived
    cancelled: bool
    stopped: str = ""


@dataclass
class Driver:
    """A pass over one workflow. ``looks_again_s``: pauses after which it looks again itself when Slurm does not answer.

    A pass leaves that to the next one, unless that may not submit.
    """

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    inputs: Mapping[str, Any]
    tools: Tools
    submitter: Submitter
    may_submit: bool = True
    pause_s: float = DOUBT_PAUSE_S
    looks_again_s: tuple[float, ...] = ()
    jobs: GroupJobs = field(init=False)
    groups: Groups = field(init=False)

    def __post_init__(self) -> None:
        """Know no jobs and no groups yet."""
        self.jobs = GroupJobs(self.layout, self.submitter)
        self.groups = Groups(self.layout, self.record, self.graph, self.tools, self.jobs, self.may_submit)

    @property
    def cancelled(self) -> bool:
        """True once the user cancelled, also while this pass runs."""
        return self.layout.cancel.exists()

    def run(self, successor: str | None) -> Ended | None:
        """Do one pass; returns what ended when nothing is outstanding, else None with the successor relinked."""
        if store.read_record(StateRecord, self.layout.state) is None:
            store.write_record(self.layout.state, state_record(self.record, WorkflowState.RUNNING))
        if successor and self.may_fail_early:
            self.follow(successor)
        again, pauses_s = False, list(self.looks_again_s)
        # This ends: an element is settled once a pass for each submission before it, and a refusal closes elements.
        while True:
            look = self.look()
            if look.doubt and pauses_s:
                time.sleep(pauses_s.pop(0))
                continue
            if look.doubt:
                time.sleep(self.pause_s)
                return None
            if look.changed and not again:
                again = True
                continue
            if look.outstanding:
                if successor:
                    self.relink(successor, look)
                return None
            if look.paused and look.waiting and self.halt(look) is Halt.NO:
                # Nothing ends that the next pass could wait for: bee-resume lets it go, or submits another.
                if successor is None or Holding(self.submitter).hold_pass(successor):
                    return None
                continue
            if look.waiting and not self.may_submit and self.halt(look) is Halt.NO:
                raise TransitionError("more jobs are to be submitted, and [slurm] drive = here allows none from a job")
            if not look.changed:
                halt = self.halt(look)
                return Ended(look.plan, derive(look, halt), halt is Halt.CANCEL, look.stopped)

    def halt(self, look: Look) -> Halt:
        """Say whether the workflow goes on."""
        if self.cancelled:
            return Halt.CANCEL
        return Halt.STOP if look.stopped else Halt.NO

    def look(self) -> Look:
        """Plan, submit what is ready, settle what ended."""
        look, known = self.plan()
        failed = look.first_failure() if self.record.stops_on_error else None
        look.stopped = f"not run: {failed} failed, and --on-error is stop" if failed else ""
        self.groups.room = self.groups.count_room(look, known)
        for group in known:
            if not group.virtual and self.halt(look) is Halt.NO:
                look.paused = look.paused or is_paused(self.layout)
                if not look.paused:
                    self.groups.submit_group(look, group)
                elif self.groups.to_submit(look, group):
                    look.waiting.append(group)
        look.paused = look.paused or is_paused(self.layout)
        if look.paused and self.halt(look) is Halt.NO:
            self.keep_pause(look)
        settler = Settler(self.layout, self.record, self.jobs, self.graph)
        for group in look.plan.groups.values():
            if not group.virtual and group.unknown is None:
                settler.settle(look, group, self.halt(look))
        if self.cancelled:
            self.cancel_in_doubt(look)
        # Somebody else's jobs fill the queue: there is nothing of ours to wait for.
        look.doubt = look.doubt or (look.full and not look.outstanding and not look.refused)
        if not look.outstanding and not look.doubt:
            # No job of ours lives that a refused one could have been waiting for.
            for key, reason in look.refused.items():
                group = look.plan.groups[key]
                settler.refuse(look, group, self.groups.to_submit(look, group), reason)
        return look

    def plan(self) -> tuple[Look, list[Group]]:
        """Walk the graph and write down what the tasks are; returns the groups whose tasks are known, too."""
        look, known = self.walk(Results(self.layout, self.graph, self.tools))
        again = set() if self.cancelled else interrupted.find(look, self.jobs)
        if again:
            return self.walk(Results(self.layout, self.graph, self.tools, interrupted=again))
        return look, known

    def walk(self, results: Results) -> tuple[Look, list[Group]]:
        """Plan, with these results."""
        while True:
            look = Look(walk(self.graph, self.inputs, results.lookup, self.tools), results)
            self.jobs.see(look.plan)
            known = []
            for group in look.plan.groups.values():
                if group.unknown or look.plan.is_open_ended(group):
                    look.waiting.append(group)
                elif group.tasks or results.group(group.key):
                    self.groups.keep(look, group)
                    known.append(group)
            # What was taken from an archive may say what the tasks of others are.
            if not look.changed:
                return look, known

    def keep_pause(self, look: Look) -> None:
        """Hold what was submitted while the user paused the workflow, and what a command that was killed did not."""
        self.submitter.asked = None
        try:
            Holding(self.submitter).agree(self.submitter.ours(self.submitter.queue()))
        except BeeError as error:
            log.warning("paused: %s", error)
            look.doubt = True

    def cancel_in_doubt(self, look: Look) -> None:
        """Cancel what an sbatch that we know no answer of made after all."""
        doubtful = {intent.job_name: key for key in look.plan.groups for intent in self.jobs.in_doubt(key)}
        for job in self.submitter.queue() if doubtful else ():
            if job.name in doubtful and not job.state.ended:
                self.submitter.scheduler.cancel(job.name, [job.job_id])
                look.wait_for(doubtful[job.name], job.job_id, job.shown)

    @property
    def may_fail_early(self) -> bool:
        """True where a failure wakes a pass.

        A pass that cannot submit its successor has only one chance: when all have ended.
        """
        return self.record.stops_on_error and self.record.drive != "here"

    def follow(self, successor: str) -> None:
        """Have a pass come when Slurm cancels the next one because of a failure.

        Submitted before any task: on a full cluster a younger job would wait until all of an array have begun.
        """
        after = Dependency({"afterany": (successor,)}, singleton=True)
        self.submitter.submit_pass(self.submitter.last_pass() + 1, after)

    def relink(self, successor: str, look: Look) -> None:
        """Have the next pass wait for what must end next; the last call to Slurm, for it may begin at once."""
        halted = self.halt(look) is not Halt.NO
        on_failure = self.may_fail_early and not halted
        dependency = awaited(look, halted=halted or look.paused, on_failure=on_failure)
        try:
            self.submitter.scheduler.relink(successor, dependency)
            if look.paused and not is_paused(self.layout):
                # bee-resume told the next pass to come at once, and that was overwritten.
                self.submitter.scheduler.relink(successor, Dependency(singleton=True))
        except SlurmError as error:
            # Somebody cancelled the pending pass: there must be another.
            log.warning("pass %s cannot be relinked: %s", successor, error)
            self.submitter.submit_pass(self.submitter.last_pass() + 1, dependency)
