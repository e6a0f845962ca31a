"""Follow a workflow to its end by looking at its files; Slurm is asked only when they have not moved for a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from beeflow.errors import SystemFileError
from beeflow.listing import Queues, archived_summary, summarize
from beeflow.models import Summary, TaskRecord, WorkflowRecord
from beeflow.reduction import Reduction
from beeflow.results import read_graph
from beeflow.states import TaskState
from beeflow.store import WorkflowDir

POLL_S = 0.5
QUIET_S = 60.0


def follow(
    workflow: WorkflowDir, env: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Summary, list[TaskRecord]]]:
    """Yield the workflow and its tasks whenever something changed; ends with the final (or Stalled) state."""
    record = workflow.record()
    graph = read_graph(workflow.layout)
    last: object = None
    tasks: list[TaskRecord] = []
    quiet_since = time.monotonic()
    while True:
        asked = time.monotonic() - quiet_since > QUIET_S
        try:
            summary = summarize(workflow, Queues(env) if asked else NoQueues(env))
            tasks = list(workflow.final_tasks() or Reduction(workflow.layout, record, graph).tasks())
        except SystemFileError:
            # delete_completed_workflow_dirs: the archive is what is left.
            summary = archived_summary(record)
            tasks = [replace(task, state=TaskState.COMPLETED) for task in tasks]
        seen = (summary.state, [(task.name, task.state) for task in tasks])
        if seen != last:
            last, quiet_since = seen, time.monotonic()
            yield summary, tasks
        elif asked:
            quiet_since = time.monotonic()
        if is_settled(summary, record.use_archive):
            return
        sleep(POLL_S)


class NoQueues(Queues):
    """Asks no Slurm."""

    def of(self, record: WorkflowRecord) -> None:  # noqa: ARG002
        """Know nothing."""
        return


def is_settled(summary: Summary, use_archive: bool) -> bool:
    """True when there is nothing left to wait for."""
    state = summary.state
    if state.value == "Stalled":
        return True
    return state.final and (not use_archive or state is not state.outcome)
