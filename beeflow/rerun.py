"""Re-execute an archive: verify, unpack into a new workflow directory, clear all state, new id, submit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import inputs, locations, site, staging, store, submit, workflow
from beeflow.archive import reading, unpacking
from beeflow.archive.limits import UNLIMITED
from beeflow.config import Config
from beeflow.cwl import schema_cache
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import ArchiveError
from beeflow.layout import MANIFEST, Layout, folders
from beeflow.models import ON_ERROR_CONTINUE, WorkflowRecord
from beeflow.plan import walk
from beeflow.results import read_graph
from beeflow.scheduler import Scheduler
from beeflow.scheduler.connect import connect
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.scheduler.target import find
from beeflow.store import Store, WorkflowDir
from beeflow.trust import checking

# What of an archive a new run starts from; everything else is the old run's.
_KEPT = ("cwl", "inputs", inputs.RECORD, "job.json")
PROVENANCE = "provenance"


@dataclass(frozen=True)
class Request:
    """What the user asked for. ``archive``: a path, or the id of a workflow that has an archive."""

    archive: str
    name: str | None = None
    start: bool = True
    outdir: Path | None = None
    mail_type: str = ""
    mail_user: str = ""
    on_error: str = ON_ERROR_CONTINUE
    trust: bool = False


def rerun(request: Request, config: Config, env: Mapping[str, str]) -> WorkflowDir:
    """Re-execute an archive; returns the new workflow's directory."""
    path = locate(request.archive, config)
    target = find(config, env)
    scheduler = connect(config.slurm.api, target, env, Patience(COMMAND_S))
    old = reading.read_record(WorkflowRecord, path, "workflow.json")
    if not store.is_id(old.id):
        raise ArchiveError(f"{path}: its workflow.json has no id of a workflow")
    name = request.name if request.name is not None else old.name
    record = submit.new_record(config, target, scheduler.limits(), old.document, name)
    record = replace(
        record,
        parent=old.id,
        options=replace(record.options, mail_type=request.mail_type, mail_user=request.mail_user),
        outdir=str(request.outdir.absolute()) if request.outdir else None,
        on_error=request.on_error,
    )
    workflows = Store(config.workflows_dir)
    staged = workflows.create(record)
    try:
        fill(staged.layout, path, config, record, scheduler, trusted=request.trust)
        if not request.start:
            store.write_text(staged.layout.held, record.created + "\n")
    except BaseException:
        workflows.discard(staged)
        raise
    made = workflows.commit(staged, record.id)
    return submit.launch(workflows, made, record, scheduler, start=request.start)


def locate(text: str, config: Config) -> Path:
    """Find the archive a user means: a path if it is one, else the beginning of an id."""
    path = Path(text)
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        raise ArchiveError(f"{path}: a folder, not an archive")
    if "/" in text or text.endswith(".tgz"):
        raise ArchiveError(f"{path}: no such archive")
    return workflow.archive_of(config, text)


def fill(
    layout: Layout, path: Path, config: Config, record: WorkflowRecord, scheduler: Scheduler, *, trusted: bool
) -> None:
    """Fill a staged workflow directory from an archive, and ask Slurm whether it would take the jobs."""
    unpacked = layout.root / ".unpacked"
    packed = unpacking.unpack(path, unpacked, None, UNLIMITED if trusted else None)
    checking.check(packed, unpacked, config, trusted=trusted)
    for folder in folders(layout):
        if not any(folder.iterdir()):
            folder.rmdir()
    for name in _KEPT:
        if (unpacked / name).exists():
            os.rename(unpacked / name, layout.root / name)
    keep_provenance(unpacked, layout)
    staging.remove_tree(unpacked)
    for folder in folders(layout):
        folder.mkdir(exist_ok=True)
    store.write_json(layout.job, inputs.restore(layout))
    schema_cache.install(submit.cache_dir(config))
    try:
        check(layout, config, record, scheduler)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: what it would run makes no sense: {error!r}") from error


def check(layout: Layout, config: Config, record: WorkflowRecord, scheduler: Scheduler) -> None:
    """Plan what was unpacked, and ask Slurm whether it would take the jobs."""
    graph = site.resolve(read_graph(layout), config)
    store.write_record(layout.graph, graph)
    job = locations.absolute(store.read_json(layout.job), layout.root)
    plan = walk(graph, job, lambda output: output, CwlEvaluator(graph, layout.root))
    submit.refuse_broken(plan)
    submit.ask(scheduler, record, graph, plan)


def keep_provenance(unpacked: Path, layout: Layout) -> None:
    """Keep what tells about the old run, and only that."""
    folder = layout.root / PROVENANCE
    folder.mkdir()
    for name in ("workflow.json", "state.json", "tasks.json", "outputs.json", MANIFEST, "metadata", PROVENANCE):
        if (unpacked / name).exists():
            os.rename(unpacked / name, folder / name)
