"""The commands that start, pause, resume and cancel workflows: one or many, with one squeue a look for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from beeflow.actions import Action, Cancelling, Pausing, Resuming, Starting, unless_removed
from beeflow.errors import BeeError, SlurmError
from beeflow.models import WorkflowRecord
from beeflow.scheduler import JobRecord, Scheduler
from beeflow.states import Command
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter

# How often a command looks whether a pass has submitted still more, and how long it waits for that.
LOOKS = 20
LOOK_PAUSE_S = 0.25

_ACTIONS: dict[Command, type[Action]] = {
    Command.START: Starting,
    Command.PAUSE: Pausing,
    Command.RESUME: Resuming,
    Command.CANCEL: Cancelling,
}


@dataclass(frozen=True)
class Outcome:
    """What a command did to one workflow, as the user is told."""

    workflow_id: str
    said: str = ""
    error: BeeError | None = None


@dataclass
class Slurms:
    """The user's jobs on each Slurm there is a workflow on: one squeue for all of them, until they are forgotten."""

    _jobs: dict[tuple[str, str], list[JobRecord] | BeeError] = field(default_factory=dict)

    def jobs(self, submitter: Submitter) -> list[JobRecord]:
        """Return the jobs of a workflow."""
        slurm = submitter.record.slurm
        key = (slurm.conf, slurm.clusters)
        if key not in self._jobs:
            try:
                self._jobs[key] = submitter.scheduler.query()
            except BeeError as error:
                self._jobs[key] = error
        found = self._jobs[key]
        if isinstance(found, BeeError):
            raise found
        return submitter.ours(found)

    def forget(self) -> None:
        """Ask anew when somebody wants to know."""
        self._jobs.clear()


def perform(
    command: Command,
    workflows: Sequence[WorkflowDir],
    scheduler_of: Callable[[WorkflowRecord], Scheduler],
    why: str = "",
) -> list[Outcome]:
    """Do a command to workflows; what goes wrong with one does not keep it from the others.

    ``why``: what a workflow that it ends says then, unless its user did it.
    """
    slurms = Slurms()
    outcomes: dict[str, Outcome] = {}
    actions: list[Action] = []
    for each in workflows:
        try:
            with unless_removed(each):
                record = each.record()
                action = _ACTIONS[command](each, Submitter(each.layout, record, scheduler_of(record)), why)
                if action.begin():
                    actions.append(action)
            outcomes[each.id] = Outcome(each.id, action.said)
        except BeeError as error:
            outcomes[each.id] = Outcome(each.id, error=error)
    for _ in range(LOOKS):
        ended = [outcome for action in actions if (outcome := step(action, slurms))]
        outcomes.update((outcome.workflow_id, outcome) for outcome in ended)
        actions = [action for action in actions if action.workflow.id not in {outcome.workflow_id for outcome in ended}]
        if not actions:
            break
        slurms.forget()
        time.sleep(LOOK_PAUSE_S)
    for action in actions:
        said = f"workflow {action.workflow.id}: a pass keeps submitting jobs; give the command again: {command.value}"
        outcomes[action.workflow.id] = Outcome(action.workflow.id, error=SlurmError(said))
    return [outcomes[each.id] for each in workflows]


def step(action: Action, slurms: Slurms) -> Outcome | None:
    """Take one step of an action; returns what came of it when it was the last."""
    try:
        with unless_removed(action.workflow):
            done = action.act(slurms.jobs(action.submitter))
    except SlurmError as error:
        noted = "; that it is to be so is noted, and passes keep to it" if action.is_wish else ""
        return Outcome(action.workflow.id, error=type(error)(f"workflow {action.workflow.id}: {error}{noted}"))
    except BeeError as error:
        return Outcome(action.workflow.id, error=error)
    return Outcome(action.workflow.id, action.said) if done else None


def perform_one(
    command: Command, found: WorkflowDir, scheduler_of: Callable[[WorkflowRecord], Scheduler], why: str = ""
) -> str:
    """Do a command to one workflow; returns what to tell the user."""
    (outcome,) = perform(command, [found], scheduler_of, why)
    if outcome.error:
        raise outcome.error
    return outcome.said
