"""Archive a workflow by hand: one that has ended once more, or for the first time; any other as it is now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from beeflow import workflow
from beeflow.archiving import Archiver, settle
from beeflow.config import Config
from beeflow.errors import SystemFileError
from beeflow.listing import scheduler_of, state_record
from beeflow.models import StateRecord, WorkflowRecord
from beeflow.reduction import Reduction
from beeflow.results import read_graph
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter

MADE_BY = "bee-archive"
_LOCK_S = 10.0


def archive(config: Config, found: WorkflowDir, env: Mapping[str, str]) -> Path:
    """Archive a workflow under the next number that is free; of one that has ended this is its archive from then on."""
    record = found.record()
    while True:
        with _at_rest(found, record, env) as state:
            if state is not None:
                return _of_the_end(found, record, state)
        summary, tasks = workflow.describe(config, found.id, env)
        # Unless it has ended while we looked.
        if not summary.state.final:
            shown = state_record(record, summary.state, summary.reason)
            return Archiver(found.layout, record, read_graph(found.layout), shown, tasks, MADE_BY).run().path


@contextlib.contextmanager
def _at_rest(found: WorkflowDir, record: WorkflowRecord, env: Mapping[str, str]) -> Iterator[StateRecord | None]:
    """Keep others from removing or retrying what has ended; None for what has not: its passes must not wait for us."""
    state = found.state()
    if state is None or not state.state.final:
        yield None
        return
    submitter = Submitter(found.layout, record, scheduler_of(record, env))
    try:
        with submitter.lock(found.layout.lock).held(_LOCK_S):
            state = found.state()
            yield state if state is not None and state.state.final else None
    except FileNotFoundError as error:
        raise SystemFileError(f"workflow {found.id} was removed meanwhile; see: bee-list") from error


def _of_the_end(found: WorkflowDir, record: WorkflowRecord, state: StateRecord) -> Path:
    graph, ended = read_graph(found.layout), replace(state, state=state.state.outcome)
    tasks = found.final_tasks() or Reduction(found.layout, record, graph).tasks()
    packed = Archiver(found.layout, record, graph, ended, tasks, MADE_BY).run()
    settle(found.layout, ended, packed)
    return packed.path
