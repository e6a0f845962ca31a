"""The use cases on a workflow after it was written: start, cancel, and what its state is."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from beeflow import archive, store
from beeflow.config import Config
from beeflow.errors import BeeError, NotFoundError, SystemFileError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX
from beeflow.models import Sidecar, StateRecord, Summary, TaskRecord, TasksRecord, WorkflowRecord, now, seconds_between
from beeflow.reduction import Reduction, is_over, tail, workflow_state
from beeflow.results import read_graph
from beeflow.scheduler import Dependency, JobRecord, Scheduler
from beeflow.scheduler.cli import CliScheduler
from beeflow.scheduler.target import Target, environment
from beeflow.states import WorkflowState
from beeflow.store import Store, WorkflowDir
from beeflow.submission import Submitter, pass_key

log = logging.getLogger(__name__)

NEW_S = 120.0


def scheduler_of(record: WorkflowRecord, env: Mapping[str, str]) -> Scheduler:
    """Return the Slurm a workflow lives on."""
    target = Target(record.slurm.conf, record.slurm.clusters, f"the workflow's Slurm ({record.slurm.cluster_name})")
    return CliScheduler(environment(target, env))


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
                self._jobs[key] = scheduler_of(record, self.env).query()
            except BeeError as error:
                log.warning("%s; states are shown as the files have them", error)
                self._jobs[key] = None
        jobs = self._jobs[key]
        return None if jobs is None else [job for job in jobs if job.name.startswith(record.nonce + "-")]


def summarize(workflow: WorkflowDir, queues: Queues) -> Summary:
    """Say what a workflow is and where it is."""
    state = workflow.state()
    if state is not None and state.state is not state.state.outcome:
        # Archived: what a list shows is in this one file.
        return Summary(workflow.id, state.name, state.state, state.created, state.parent, state.reason, state.archive)
    record = workflow.record()
    if state is None or not is_over(record, state):
        jobs = queues.of(record)
        live = None if jobs is None else any(not job.state.ended for job in jobs)
        # What ended while we asked is not stalled.
        state = workflow.state()
        shown = WorkflowState.STALLED if live is False and not over_or_held(workflow, record, state) else None
        summary = _summary(record, state, shown or workflow_state(workflow.layout, state, None))
        if shown:
            return replace(summary, reason=stalled_reason(record.id, tail(workflow.layout.log / "passes.log", 1)))
        return summary
    return _summary(record, state, state.state)


def stalled_reason(workflow_id: str, said: Sequence[str]) -> str:
    """Say why nothing goes on, and how it would. ``said``: the end of the passes' log."""
    last = f" ({said[-1].removeprefix('error: ')})" if said and said[-1].startswith("error: ") else ""
    return f"no job of it is left in Slurm{last}; continue it with: bee-start {workflow_id}"


def over_or_held(workflow: WorkflowDir, record: WorkflowRecord, state: StateRecord | None) -> bool:
    """True when it is right that Slurm has no job of a workflow."""
    if workflow.layout.held.exists() or (state is not None and is_over(record, state)):
        return True
    # bee-submit is between writing the workflow and its first sbatch.
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
    found += [_of_archive(path, each) for each, path in _archives_without(config, set(ids))]
    return sorted(found, key=lambda each: (each.created, each.id))


def _archives_without(config: Config, ids: set[str]) -> list[tuple[Sidecar, Path]]:
    found = []
    for path in config.bee_archive_dir.glob(f"*{SIDECAR_SUFFIX}"):
        if path.stem not in ids:
            sidecar = store.read_record(Sidecar, path)
            if sidecar:
                found.append((sidecar, path))
    return found


def archived_summary(record: WorkflowRecord) -> Summary:
    """Describe a workflow whose directory is gone by its archive; raises NotFoundError when that is gone too."""
    path = Path(record.archive_dir) / f"{record.id}{SIDECAR_SUFFIX}"
    sidecar = store.read_record(Sidecar, path)
    if sidecar is None:
        raise NotFoundError(f"workflow {record.id} is gone, and {path} is not there")
    return _of_archive(path, sidecar)


def _of_archive(path: Path, sidecar: Sidecar) -> Summary:
    made = str(path.with_suffix(ARCHIVE_SUFFIX))
    return Summary(sidecar.id, sidecar.name, sidecar.state, sidecar.created, sidecar.parent, "", made)


def start(workflow: WorkflowDir, scheduler: Scheduler) -> None:
    """Let a held workflow go, or continue one that has no job left; raises TransitionError for any other."""
    record = workflow.record()
    state = workflow.state()
    if state is not None and is_over(record, state):
        raise TransitionError(f"workflow {record.id} is {state.state.value}; run it again with: bee-rerun {record.id}")
    submitter = Submitter(workflow.layout, record, scheduler)
    names = [record.job_name(pass_key(1))]
    passes = [job for job in scheduler.query(names) if not job.state.ended]
    left_held = [job for job in passes if job.reason == "JobHeldUser"]
    if left_held:
        # The command that submitted them was killed before it let the first one go.
        for job in left_held:
            scheduler.release(job.job_id)
    elif passes:
        raise TransitionError(f"workflow {record.id} is already under way; see: bee-query {record.id}")
    else:
        go(submitter)
    workflow.layout.held.unlink(missing_ok=True)


def go(submitter: Submitter) -> None:
    """Drive a workflow from where bee.conf said passes run."""
    if submitter.record.drive == "here":
        # A pass needs cwltool, which no other command of this module does.
        from beeflow.passes import drive_here

        drive_here(submitter)
    else:
        drive(submitter)


def drive(submitter: Submitter) -> None:
    """Submit the next pass and its successor: the driver held until there is somebody to follow it."""
    number = submitter.last_pass()
    if number == 0 or submitter.known_id(pass_key(number)):
        number += 1
    submitter.layout.failures.unlink(missing_ok=True)
    job_id = submitter.submit_pass(number, Dependency(singleton=True), hold=True)
    submitter.submit_pass(number + 1, Dependency({"afterany": (job_id,)}, singleton=True))
    submitter.scheduler.release(job_id)


def cancel(workflow: WorkflowDir, scheduler: Scheduler) -> None:
    """Cancel a workflow: the flag first, then its jobs; the pending pass settles and archives it.

    Raises TransitionError when it is over. A pass that is just submitting sees the flag, or the next one does.
    """
    record = workflow.record()
    state = workflow.state()
    if state is not None and is_over(record, state):
        raise TransitionError(f"workflow {record.id} is {state.state.value}: there is nothing left to cancel")
    store.publish(workflow.layout.cancel, now() + "\n")
    submitter = Submitter(workflow.layout, record, scheduler)
    pass_name = record.job_name(pass_key(1))
    jobs = [job for job in submitter.queue() if not job.state.ended]
    by_name: dict[str, list[str]] = {}
    for job in jobs:
        if job.name != pass_name:
            by_name.setdefault(job.name, []).append(job.job_id)
    for name, job_ids in by_name.items():
        scheduler.cancel(name, sorted(set(job_ids)))
    if not any(job.name == pass_name for job in jobs):
        go(submitter)
    workflow.layout.held.unlink(missing_ok=True)


def resolve(config: Config, text: str) -> WorkflowDir:
    """Find a workflow by a prefix of its id."""
    workflows = Store(config.workflows_dir)
    return workflows.get(store.resolve_id(text, workflows.ids()))


def resolve_many(config: Config, texts: Sequence[str]) -> list[WorkflowDir]:
    """Find several workflows; all must be there before anything is done to one."""
    return [resolve(config, text) for text in texts]


def describe(config: Config, text: str, env: Mapping[str, str]) -> tuple[Summary, list[TaskRecord]]:
    """Describe one workflow and its tasks; of an archive without a workflow directory, as its state.json has them."""
    workflows = Store(config.workflows_dir)
    ids = set(workflows.ids())
    archived = {sidecar.id: (sidecar, path) for sidecar, path in _archives_without(config, ids)}
    found = store.resolve_id(text, [*ids, *archived])
    if found in archived:
        sidecar, path = archived[found]
        summary = _of_archive(path, sidecar)
        return summary, list(archive.read_record(TasksRecord, Path(summary.archive or ""), "tasks.json").tasks)
    return _describe(workflows.get(found), Queues(env))


def _describe(workflow: WorkflowDir, queues: Queues) -> tuple[Summary, list[TaskRecord]]:
    record = workflow.record()
    summary = summarize(workflow, queues)
    tasks = workflow.final_tasks()
    if tasks is not None and summary.state.final:
        return summary, list(tasks)
    jobs = queues.of(record) if not summary.state.final else None
    return summary, Reduction(workflow.layout, record, read_graph(workflow.layout), jobs).tasks()


def archive_of(config: Config, text: str) -> Path:
    """Find the archive of a workflow by the beginning of its id; raises NotFoundError or TransitionError."""
    found = {path.stem: path for path in config.bee_archive_dir.glob(f"*{ARCHIVE_SUFFIX}")}
    workflows = Store(config.workflows_dir)
    chosen = store.resolve_id(text, sorted({*found, *workflows.ids()}))
    if chosen in found:
        return found[chosen]
    state = workflows.get(chosen).state()
    if state is not None and state.archive and Path(state.archive).is_file():
        return Path(state.archive)
    shown = state.state.value if state else "not finished"
    raise TransitionError(f"workflow {chosen} has no archive: it is {shown}; see: bee-query {chosen}")
