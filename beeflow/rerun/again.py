"""The use case: verify an archive, unpack it into a new workflow directory, clear all state, new id, submit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beeflow import locations, site, staging, store, submit
from beeflow.archive import unpacking
from beeflow.config import Config
from beeflow.cwl import schema_cache
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import ArchiveError, IncompleteArchiveError, InputError, SystemFileError
from beeflow.graph import Graph
from beeflow.layout import Layout, cache_dir, folders
from beeflow.models import WorkflowRecord
from beeflow.plan import walk
from beeflow.rerun import given, provenance
from beeflow.rerun.given import Given, Origins
from beeflow.rerun.relocating import moved_graph
from beeflow.rerun.request import Request
from beeflow.rerun.sources import Source, open_archive
from beeflow.results import dumps_graph, read_graph
from beeflow.scheduler import Scheduler
from beeflow.scheduler.connect import connect
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.scheduler.target import find
from beeflow.store import Store, WorkflowDir

# What of an archive a new run starts from; everything else is the old run's.
_STARTS_FROM = ("cwl", "inputs")


def rerun(request: Request, config: Config, env: Mapping[str, str]) -> WorkflowDir:
    """Re-execute an archive; returns the new workflow's directory."""
    source = open_archive(request.archive, config)
    target = find(config, env)
    scheduler = connect(config.slurm.api, target, env, Patience(COMMAND_S))
    record = new_record(request, source, submit.new_record(config, target, scheduler.limits(), "", ""))
    return start(request, source, config, record, scheduler)


def start(
    request: Request, source: Source, config: Config, record: WorkflowRecord, scheduler: Scheduler
) -> WorkflowDir:
    """Write the new workflow whole, or nothing, and submit its first jobs."""
    workflows = Store(config.workflows_dir)
    staged = workflows.create(record)
    try:
        filling = Filling(staged.layout, source, request, config)
        filling.run()
        filling.given.check()
        ask(filling, record, scheduler)
        filling.clear()
        if not request.start:
            store.write_text(staged.layout.held, record.created + "\n")
    except BaseException:
        workflows.discard(staged)
        raise
    made = workflows.commit(staged, record.id)
    return submit.launch(workflows, made, record, scheduler, start=request.start)


def new_record(request: Request, source: Source, of_site: WorkflowRecord) -> WorkflowRecord:
    """Describe the new workflow: what it is, is the old one's; how it runs, this site's and the user's."""
    old = source.record
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


@dataclass
class Filling:
    """A staged workflow directory that is filled from an archive."""

    layout: Layout
    source: Source
    request: Request
    config: Config

    @property
    def unpacked(self) -> Path:
        """Where the archive is while the directory is filled."""
        return self.layout.root / ".unpacked"

    def run(self) -> None:
        """Fill the directory, but for what is asked of Slurm; what is missing here is in ``given``."""
        path = self.source.path
        schema_cache.install(cache_dir(self.layout))
        try:
            unpacking.unpack(path, self.unpacked)
            self.begin()
            self.given = self.inputs()
            self.graph = self.resolved()
        except OSError as error:
            raise SystemFileError(f"{error.filename or path}: {error.strerror or error}") from error
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise ArchiveError(f"{path}: what it would run makes no sense: {error!r}") from error

    def begin(self) -> None:
        """Take documents and inputs from the archive."""
        for name in _STARTS_FROM:
            target = self.layout.root / name
            if (self.unpacked / name).exists():
                if target.exists():
                    target.rmdir()
                os.rename(self.unpacked / name, target)
        for folder in folders(self.layout):
            folder.mkdir(exist_ok=True)

    def inputs(self) -> Given:
        """Write the new input object."""
        old = store.read_json(self.needed(self.unpacked / "job.json"))
        origins = Origins(self.unpacked, self.request.moves)
        made = given.inputs_of(self.layout, old, origins, self.request.settings, self.request.job_file)
        store.write_json(self.layout.job, made.job)
        self.remove_unused(made.job)
        return made

    def remove_unused(self, job: Any) -> None:
        """Remove the embedded inputs that others took the place of."""
        used = {str(entry.get("location", "")).split("/")[1] for entry in locations.entries(job) if _is_embedded(entry)}
        for folder in self.layout.inputs.iterdir() if self.layout.inputs.is_dir() else ():
            if folder.name not in used:
                staging.remove_tree(folder)

    def resolved(self) -> Graph:
        """Write the graph as this site runs it."""
        self.needed(self.layout.graph)
        try:
            graph = site.resolve(moved_graph(read_graph(self.layout), self.request.moves), self.config)
        except InputError as error:
            raise InputError(f"{error}\nsay where images are here with --map OLD=NEW") from error
        store.write_text(self.layout.graph, dumps_graph(graph))
        return graph

    def needed(self, path: Path) -> Path:
        """Return a path of the archive's; raises IncompleteArchiveError when it is not there."""
        if not path.is_file():
            raise IncompleteArchiveError(f"{self.source.path}: has no {path.name}: it cannot be re-executed")
        return path

    def clear(self) -> None:
        """Keep what tells about the old run, and remove the rest of it."""
        provenance.keep(self.unpacked, self.layout, self.source, self.request)
        staging.remove_tree(self.unpacked)


def _is_embedded(entry: locations.Entry) -> bool:
    return str(entry.get("location", "")).startswith("inputs/")


def ask(filling: Filling, record: WorkflowRecord, scheduler: Scheduler) -> None:
    """Plan what was unpacked, and ask Slurm whether it would take the jobs."""
    root = filling.layout.root
    try:
        job = locations.absolute(filling.given.job, root)
        plan = walk(filling.graph, job, lambda output: output, CwlEvaluator(filling.graph, root))
        submit.refuse_broken(plan)
        submit.ask(scheduler, record, filling.graph, plan)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        path = filling.source.path
        raise ArchiveError(f"{path}: what it would run makes no sense: {error!r}") from error
