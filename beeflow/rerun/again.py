"""The use case: verify an archive, unpack it into a new workflow directory, clear all state, new id, submit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from beeflow import noting, store, submit
from beeflow.config import Config
from beeflow.errors import BeeError
from beeflow.models import WorkflowRecord
from beeflow.rerun import previewing
from beeflow.rerun.filling import Filling
from beeflow.rerun.previewing import Preview
from beeflow.rerun.request import Request
from beeflow.rerun.sources import Source, open_archive
from beeflow.scheduler import Scheduler
from beeflow.scheduler.connect import connect
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.scheduler.target import find
from beeflow.store import Store, WorkflowDir


def rerun(request: Request, config: Config, env: Mapping[str, str]) -> WorkflowDir:
    """Re-execute an archive; returns the new workflow's directory."""
    source = open_archive(request.archive, config, trusted=request.trust)
    record, scheduler = on_site(request, source, config, env)
    return start(request, source, config, record, scheduler)


def preview(request: Request, config: Config, env: Mapping[str, str]) -> Preview:
    """Say what a re-execution would do; nothing is written but below a temporary folder, and no job submitted."""
    source = open_archive(request.archive, config, trusted=request.trust)
    record, scheduler = on_site(request, source, config, env)
    return look(request, source, config, record, scheduler)


def look(request: Request, source: Source, config: Config, record: WorkflowRecord, scheduler: Scheduler) -> Preview:
    """Fill a temporary folder as the new workflow's would be, and describe what that would do."""
    with tempfile.TemporaryDirectory(prefix="bee-rerun-") as folder:
        staged = Store(Path(folder) / "workflows").create(replace(record, group=""))
        filling = Filling(staged.layout, source, request, config, record, unpack_images=False)
        error: BeeError | None = None
        try:
            filling.run()
            filling.given.check()
            filling.ask(scheduler)
        except BeeError as failure:
            error = failure
        return previewing.describe(filling, error)


def on_site(
    request: Request, source: Source, config: Config, env: Mapping[str, str]
) -> tuple[WorkflowRecord, Scheduler]:
    """Describe the new workflow for the Slurm that is here."""
    submit.check_name(request.name)
    target = find(config, env)
    scheduler = connect(config.slurm.api, target, env, Patience(COMMAND_S))
    return new_record(request, source, submit.new_record(config, target, scheduler.limits(), "", "")), scheduler


def start(
    request: Request, source: Source, config: Config, record: WorkflowRecord, scheduler: Scheduler
) -> WorkflowDir:
    """Write the new workflow whole, or nothing, and submit its first jobs."""
    workflows = Store(config.workflows_dir)
    staged = workflows.create(record)
    try:
        filling = Filling(staged.layout, source, request, config, record)
        filling.run()
        filling.given.check()
        filling.ask(scheduler)
        filling.clear()
        noting.note(staged.layout)
        if not request.start:
            store.write_text(staged.layout.held, record.created + "\n")
    except BaseException:
        workflows.discard(staged)
        raise
    made = workflows.commit(staged, record.id)
    # Not the record of before: filling found out whose archive it is.
    return submit.launch(workflows, made, filling.record, scheduler, start=request.start)


def new_record(request: Request, source: Source, of_site: WorkflowRecord) -> WorkflowRecord:
    """Describe the new workflow: what it is, is the old one's; how it runs, this site's and the user's."""
    old = source.description
    return replace(
        of_site,
        name=request.name if request.name is not None else old.name,
        # Where it was on the old host says nothing here.
        document=Path(old.document).name,
        parent=old.id,
        options=replace(of_site.options, mail_type=request.mail_type, mail_user=request.mail_user),
        outdir=str(request.outdir.absolute()) if request.outdir else None,
        on_error=request.on_error,
    )
