"""The user of a run: waits, and gives the commands that the workflow asks for."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from beeflow.models import Summary
from beeflow.states import TaskState, WorkflowState
from tests.chaos.faults.base import May
from tests.chaos.faults.commands import KillAction

if TYPE_CHECKING:
    from tests.chaos.run import Live, Run

POLL_S = 0.25
# An undisturbed run takes a tenth of it.
PATIENCE_S = 60.0
# What is said once may be out of date the next moment: it is believed when it is said again after this time.
SURE_S = 2.0
# A driver that is held is called Stalled only after a while.
STUCK_S = 45.0
# How long nothing may move before somebody looks whether a node is drained.
DRAINED_S = 10.0
# How often a command is given that Slurm does not answer for a moment.
SUBMITS = 4
# Slurm that lost its state begins its ids anew, and nodes have not forgotten as many of them as there were.
MOST_LAUNCHES = 6
WAITING = (WorkflowState.SUBMITTED, WorkflowState.STALLED, WorkflowState.PAUSED)
BAD = frozenset(state.value for state in TaskState if state.final and not state.good)


class User:
    """Whoever submitted the workflow of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def bring_to_an_end(self) -> None:
        """Wait, and give the commands that the workflow asks for."""
        given, launches = set[str](), 0
        if self.run.asked_for:
            given.add("go on")
            self.give(self.run.asked_for)
        while True:
            summary = self.await_word()
            if summary is None or summary.state is WorkflowState.ARCHIVED:
                return
            command = self.wanted(summary)
            kind = "retry" if command == "bee-retry" else "go on"
            if "launch failed" in summary.reason:
                # Slurm lost its state and gave a job the id of one that a node had not forgotten: one fault more.
                launches += 1
                kind = f"launch {launches}" if launches <= MOST_LAUNCHES else "launch"
                self.run.place.mend()
            is_second = not kind.startswith("launch") and bool(given & {"go on", "retry"}) and not self.may_take_more
            if command is None or kind in given or kind == "launch" or is_second:
                commands = " ".join(self.run.report.commands) or "no command"
                self.run.wrong(f"{summary.state.value} after {commands}: {summary.reason}")
                return
            given.add(kind)
            self.give(command)
            if self.run.report.problems:
                return

    @property
    def may_take_more(self) -> bool:
        """True where one command may not be enough: a fault may meet it, is a command itself, or met bee-submit."""
        meet = [fault for fault in self.run.faults if fault.plan() or isinstance(fault, KillAction)]
        return bool(self.run.asked_for or meet)

    def give(self, command: str) -> None:
        """Give a command; once more, or what it says instead, where Slurm does not answer it for a moment."""
        self.run.report.commands.append(command)
        done = self.run.bee(command)
        for _ in range(SUBMITS):
            if done.returncode == 0 or not self.run.may(May.REFUSE):
                break
            time.sleep(3.0)
            done = self.run.bee(next(reversed(named(done.stderr)), command))
        if done.returncode != 0:
            self.run.wrong(f"{command} ended with {done.returncode}: {done.stderr.strip()}")

    def wanted(self, summary: Summary) -> str | None:
        """Say which command goes on from a state, None where no fault explains the state."""
        state = summary.state
        if state is WorkflowState.STALLED and self.run.may(May.STALL):
            names = named(summary.reason)
            return "bee-retry" if "bee-retry" in names and self.has_failed() else next(iter(names), None)
        if state is WorkflowState.SUBMITTED and self.run.holds:
            return "bee-start"
        if state is WorkflowState.PAUSED and self.run.may(May.PAUSE):
            return "bee-resume"
        if state is WorkflowState.ARCHIVED_CANCELLED and self.run.may(May.CANCEL):
            return "bee-retry"
        if state is WorkflowState.ARCHIVED_FAILED and self.run.may(May.FAIL):
            for task in self.run.query()["tasks"]:
                if task["state"] not in ("COMPLETED", "SKIPPED") and not task["reason"]:
                    self.run.wrong(f"{task['name']} is {task['state']}, and nobody says why")
            return "bee-retry"
        return None

    def has_failed(self) -> bool:
        """True when a task that ran ended badly: to that only bee-retry helps."""
        tasks = self.run.query()["tasks"]
        return any(task["started"] and task["state"] in BAD for task in tasks)

    def await_word(self) -> Summary | None:
        """Wait until the workflow is archived, or waits for a command; None when neither comes."""
        deadline = time.monotonic() + PATIENCE_S + max((fault.patience_s for fault in self.run.faults), default=0.0)
        since: dict[str, float] = {}
        while True:
            summary = self.run.summary()
            now, word = time.monotonic(), summary.state.value
            since = {word: since.get(word, now), "stuck": since.get("stuck", now)}
            if is_archived(summary):
                return summary
            if summary.state in WAITING and now > since[word] + SURE_S:
                return summary
            jobs = self.run.jobs()
            if not any("held" in job.reason.lower() for job in jobs) or any(job.state != "PENDING" for job in jobs):
                since["stuck"] = now
            if now > since["stuck"] + DRAINED_S and self.is_drained(jobs):
                self.run.note("a node is drained: taken back")
                self.run.place.mend()
                deadline, since["stuck"] = now + PATIENCE_S, now
            if now > min(deadline, since["stuck"] + STUCK_S):
                shown = "; ".join(f"{job.shown} {job.name} {job.state} {job.reason}" for job in jobs)
                self.run.wrong(f"it is {word} and nothing moves: {shown or 'no jobs'}")
                return None
            time.sleep(POLL_S)

    def is_drained(self, jobs: Sequence[Live]) -> bool:
        """True when slurmctld gave an id to a job that a node knew one of, and drained the node: an administrator's."""
        return any(fault.forgets for fault in self.run.faults) and any("DRAINED" in job.reason for job in jobs)


def is_archived(summary: Summary) -> bool:
    """True when the workflow is over, archiving included."""
    return summary.state.final and summary.state is not summary.state.outcome


def named(text: str) -> list[str]:
    """List the commands that a message names."""
    return re.findall(r"(?:with|again): (bee-\w+) [0-9a-f]{8}-", text)
