"""The use cases on a workflow after it was written: start, cancel, describe, find its archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from beeflow import archive, store
from beeflow.config import Config
from beeflow.errors import NotFoundError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX
from beeflow.listing import Queues, archives_without, is_over, of_sidecar, summarize
from beeflow.models import Summary, TaskRecord, TasksRecord, now
from beeflow.reduction import Reduction
from beeflow.results import read_graph
from beeflow.scheduler import Dependency, Scheduler
from beeflow.store import Store, WorkflowDir
from beeflow.submission import Submitter, pass_key


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


def cancel(workflow: WorkflowDir, scheduler: Scheduler, why: str = "") -> None:
    """Cancel a workflow: the flag first, then its jobs; the pending pass settles and archives it.

    ``why``: what the workflow says then, unless its user did it. Raises TransitionError when it is over. A pass that is
    just submitting sees the flag, or the next one does.
    """
    record = workflow.record()
    state = workflow.state()
    if state is not None and is_over(record, state):
        raise TransitionError(f"workflow {record.id} is {state.state.value}: there is nothing left to cancel")
    store.publish(workflow.layout.cancel, f"{now()} {why}".rstrip() + "\n")
    submitter = Submitter(workflow.layout, record, scheduler)
    pass_name = record.job_name(pass_key(1))
    jobs = [job for job in submitter.queue() if not job.state.ended]
    by_name: dict[str, list[str]] = {}
    for job in jobs:
        if job.name != pass_name:
            by_name.setdefault(job.name, []).append(job.job_id)
    for name, job_ids in by_name.items():
        scheduler.cancel(name, sorted(set(job_ids)))
    passes = [job for job in jobs if job.name == pass_name]
    for job in passes:
        if job.reason == "JobHeldUser":
            # The command that submitted it was killed before it let it go.
            scheduler.release(job.job_id)
    if not passes:
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
    archived = archives_without(config, ids)
    found = store.resolve_id(text, [*ids, *archived])
    if found in archived:
        summary = of_sidecar(archived[found])
        if summary is None:
            raise NotFoundError(f"{archived[found]}: cannot be read")
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
