"""The states of workflows, as bee-list shows them. Imports little: it is what people type most.

An archived workflow is one small file to read; Slurm is asked once, and only when a workflow is not over.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from beeflow import archived, codec, store
from beeflow.config import Config
from beeflow.errors import BeeError, NotFoundError, SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX, Layout, versions
from beeflow.models import Sidecar, StateRecord, Summary, WorkflowRecord, now, seconds_between
from beeflow.states import Command, WorkflowState
from beeflow.store import Store, WorkflowDir

if TYPE_CHECKING:
    from beeflow.scheduler import JobRecord, Scheduler
    from beeflow.scheduler.patient import Patience

log = logging.getLogger(__name__)

# How long a workflow may be on disk before Slurm has its first job.
NEW_S = 120.0
# How long a command may hold a driver until that has a successor.
HELD_S = 30.0


def scheduler_of(record: WorkflowRecord, env: Mapping[str, str], patience: Patience | None = None) -> Scheduler:
    """Return the Slurm a workflow lives on; it is asked with this patience, or once."""
    # A list of what is all archived needs none of this.
    from beeflow.scheduler.connect import connect
    from beeflow.scheduler.target import Target

    origin = f"the workflow's Slurm ({record.slurm.cluster_name})"
    target = Target(record.slurm.conf, record.slurm.clusters, origin, record.options.preserve_environment)
    return connect(record.slurm.api, target, env, patience)


class Queues:
    """The user's jobs, one squeue a Slurm, and only when a workflow that is not final is looked at."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self._jobs: dict[tuple[str, str], list[JobRecord] | None] = {}

    def of(self, record: WorkflowRecord) -> list[JobRecord] | None:
        """Return a workflow's jobs, or None when its Slurm does not answer."""
        key = (record.slurm.conf, record.slurm.clusters)
        if key not in self._jobs:
            try:
                self._jobs[key] = scheduler_of(record, self.env, self.patience()).query()
            except BeeError as error:
                self._jobs[key] = None
                self.unanswered(record, error)
        jobs = self._jobs[key]
        return None if jobs is None else [job for job in jobs if job.name.startswith(record.nonce + "-")]

    def patience(self) -> Patience:
        """Say how long to ask: files tell most of what somebody who looks wants to know."""
        from beeflow.scheduler.patient import LOOK_S, Patience

        return Patience(LOOK_S)

    def unanswered(self, record: WorkflowRecord, error: BeeError) -> None:  # noqa: ARG002
        """Say that a Slurm did not answer; once for each."""
        log.warning("%s; states are shown as the files have them", error)


def summarize(workflow: WorkflowDir, queues: Queues) -> Summary:
    """Say what a workflow is and where it is."""
    known = _archived(workflow)
    if known is not None:
        return known
    state = workflow.state()
    record = workflow.record()
    if state is None or not is_over(record, state):
        jobs = queues.of(record)
        stuck = None if jobs is None else stuck_on(workflow, record, jobs)
        live = None if jobs is None else stuck is None and any(not job.state.ended for job in jobs)
        # What ended while we asked is not stalled.
        state = workflow.state()
        shown = WorkflowState.STALLED if live is False and not over_or_held(workflow, record, state) else None
        summary = _summary(record, state, shown or workflow_state(workflow.layout, state, None))
        if shown:
            return replace(summary, reason=stalled_reason(workflow, stuck))
        return summary
    return _summary(record, state, state.state)


def _archived(workflow: WorkflowDir) -> Summary | None:
    """Describe an archived workflow from the one file that says it; None for any other, and for a damaged one.

    Plain, and not by the codec, which would take twice the time of all the rest of a list of a thousand.
    """
    try:
        with open(workflow.layout.state, "rb") as stream:
            data = json.load(stream)
        state = WorkflowState(data["state"])
        if state is state.outcome or data["version"] != codec.VERSION:
            return None
        name, created, reason, made = (data[key] + "" for key in ("name", "created", "reason", "archive"))
        return Summary(workflow.id, name, state, created, data["parent"], reason, made)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stuck_on(workflow: WorkflowDir, record: WorkflowRecord, jobs: Sequence[JobRecord]) -> JobRecord | None:
    """Return the job that all which is left waits for, where nobody lets that begin.

    It is a driver that is held, as the command which was to release it was killed, or one that Slurm could not launch.
    """
    live = [job for job in jobs if not job.state.ended]
    driver = record.job_name("pass.1")
    stuck = [job for job in live if job.put_aside or (job.held and job.name == driver)]
    if not stuck or any(not job.pending or job.reason != "Dependency" for job in live if job not in stuck):
        return None
    return stuck[0] if time.time() - workflow.layout.jobs.stat().st_mtime > HELD_S else None


def stalled_reason(workflow: WorkflowDir, stuck: JobRecord | None = None) -> str:
    """Say why nothing goes on, as the passes' log ends, and how it would."""
    said = store.tail(workflow.layout.passes_log, 1)
    last = f" ({said[-1].removeprefix('error: ')})" if said and said[-1].startswith("error: ") else ""
    cancelled = workflow.layout.cancel.exists()
    command = Command.CANCEL if cancelled else Command.START
    why = f"its job {stuck.shown} is held ({stuck.reason})" if stuck else "no job of it is left in Slurm"
    # What failed does not run again by bee-start: who wants that, too, need not wait for the end first.
    also = (
        "" if cancelled or stuck else f"; to have what failed run again, too, with: {Command.RETRY.value} {workflow.id}"
    )
    return f"{why}{last}; continue it with: {command.value} {workflow.id}{also}"


def over_or_held(workflow: WorkflowDir, record: WorkflowRecord, state: StateRecord | None) -> bool:
    """True when it is right that Slurm has no job of a workflow."""
    if workflow.layout.held.exists() or shows_paused(workflow.layout) or (state is not None and is_over(record, state)):
        return True
    return is_just_written(workflow, record)


def is_just_written(workflow: WorkflowDir, record: WorkflowRecord) -> bool:
    """True while bee-submit may be between writing the workflow and its first sbatch."""
    is_new = (seconds_between(record.created, None) or 0) < NEW_S
    return is_new and not list(workflow.layout.jobs.glob("*.id"))


def _summary(record: WorkflowRecord, state: StateRecord | None, shown: WorkflowState) -> Summary:
    reason = state.reason if state else ""
    made = state.archive if state else None
    return Summary(record.id, record.name, shown, record.created, record.parent, reason, made)


def list_all(config: Config, env: Mapping[str, str]) -> list[Summary]:
    """Describe every workflow here, and every archive whose workflow directory is gone, oldest first."""
    workflows = Store(config.workflows_dir)
    queues = Queues(env)
    ids = workflows.ids()
    found = []
    for each in ids:
        try:
            found.append(summarize(workflows.get(each), queues))
        except SystemFileError as error:
            if workflows.get(each).layout.root.exists():
                log.warning("left out: %s", error)
    found += [made for paths in archives_without(config, set(ids)).values() if (made := of_sidecars(paths))]
    return sorted(found, key=lambda each: (each.created, each.id))


def archives_without(config: Config, ids: set[str]) -> dict[str, list[Path]]:
    """Find the archives whose workflow directory is gone: id -> what is written beside each, the newest first."""
    found = versions(config.bee_archive_dir.glob(f"*{SIDECAR_SUFFIX}"))
    return {each: paths for each, paths in found.items() if store.is_id(each) and each not in ids}


def of_sidecars(paths: Sequence[Path]) -> Summary | None:
    """Describe a workflow by what is written beside its archives; None when none is of its end, or can be read."""
    found = archived.last_sidecar(paths)
    return of_archive(*found) if found else None


def archived_summary(record: WorkflowRecord) -> Summary:
    """Describe a workflow whose directory is gone by its archive; raises NotFoundError when that is gone too."""
    found = versions(Path(record.archive_dir).glob(f"{record.id}*{SIDECAR_SUFFIX}"))
    summary = of_sidecars(found.get(record.id, ()))
    if summary is None:
        raise NotFoundError(f"workflow {record.id} is gone, and there is no archive of it in {record.archive_dir}")
    return summary


def of_archive(path: Path, sidecar: Sidecar) -> Summary:
    made = str(path.with_suffix(ARCHIVE_SUFFIX))
    return Summary(sidecar.id, sidecar.name, sidecar.state, sidecar.created, sidecar.parent, "", made)


def workflow_state(layout: Layout, state: StateRecord | None, live: bool | None) -> WorkflowState:
    """Say where a workflow is. ``live``: whether Slurm has a job of it; None when nobody asked."""
    if state is not None and state.state.final:
        return state.state
    if layout.held.exists():
        return WorkflowState.SUBMITTED
    if shows_paused(layout):
        return WorkflowState.PAUSED
    if live is False:
        return WorkflowState.STALLED
    return state.state if state is not None else WorkflowState.PENDING


def shows_paused(layout: Layout) -> bool:
    """True while nothing more begins, or jobs are still held because nothing was to."""
    return not layout.cancel.exists() and (layout.paused.exists() or layout.holds.exists())


def state_record(record: WorkflowRecord, state: WorkflowState, reason: str = "") -> StateRecord:
    """Describe a workflow's state now."""
    return StateRecord(state, now(), reason, name=record.name, created=record.created, parent=record.parent)


def is_over(record: WorkflowRecord, state: StateRecord) -> bool:
    """True when nothing of a workflow is left to do, archiving included."""
    return state.state.final and (state.state is not state.state.outcome or not record.use_archive)
