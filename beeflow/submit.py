"""Submit a workflow: validate everything, ask Slurm about every shape of job, then write and start it.

Nothing is left behind by anything that goes wrong before the id is printed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beeflow import __version__, codec, locations, site, store, workflow
from beeflow.config import Config
from beeflow.cwl import compiler, documents, job_order
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import BeeError, InputError, SubmissionError, SystemFileError
from beeflow.graph import Graph
from beeflow.layout import Layout
from beeflow.models import ON_ERROR_CONTINUE, SlurmRecord, SubmitOptions, WorkflowRecord, now
from beeflow.plan import Plan, walk
from beeflow.scheduler import JobOptions, JobRequest, Limits, Scheduler
from beeflow.scheduler.connect import connect
from beeflow.scheduler.options import pass_options, task_options
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.scheduler.target import Target, find
from beeflow.store import Store, WorkflowDir
from beeflow.submission import Submitter

# A file that a document names as a default is copied up to this size; a data set is not.
MAX_DOCUMENT_FILE = 64 << 20


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside bee.conf. ``arguments``: what stands after the document."""

    document: str
    arguments: Sequence[str] = ()
    name: str | None = None
    start: bool = True
    outdir: Path | None = None
    mail_type: str = ""
    mail_user: str = ""
    on_error: str = ON_ERROR_CONTINUE


@dataclass(frozen=True)
class Prepared:
    """A validated workflow that is not written yet."""

    graph: Graph
    job: dict[str, Any]
    packed: Any
    sources: tuple[Path, ...]
    document: str


def cache_dir(config: Config) -> Path:
    """Where parsed schemas are kept."""
    return config.bee_workdir / "cache"


def prepare(request: Request, config: Config) -> Prepared:
    """Load and validate document and inputs; raises DocumentError, InputError or UnsupportedError."""
    overrides: list[Any] = []
    document = documents.load(request.document, cache_dir(config), overrides)
    job = job_order.load(document, request.arguments, overrides)
    if overrides:
        document = documents.load(request.document, cache_dir(config), overrides)
    graph = site.resolve(compiler.compile_graph(document), config)
    return Prepared(graph, job, documents.pack(document), documents.sources(document), str(document.path))


def needs_inputs(document: str, config: Config) -> bool:
    """Tell whether a document has an input that must be given: no default, and not optional."""
    return job_order.has_required(documents.load(document, cache_dir(config)))


def submit(request: Request, config: Config, env: Mapping[str, str]) -> WorkflowDir:
    """Submit a workflow; returns its directory."""
    prepared = prepare(request, config)
    name = request.name if request.name is not None else Path(request.document.partition("#")[0]).stem
    target = find(config, env)
    scheduler = connect(config.slurm.api, target, env, Patience(COMMAND_S))
    record = new_record(config, target, scheduler.limits(), prepared.document, name)
    record = replace(
        record,
        options=replace(record.options, mail_type=request.mail_type, mail_user=request.mail_user),
        outdir=str(request.outdir.absolute()) if request.outdir else None,
        on_error=request.on_error,
    )
    plan = walk(prepared.graph, prepared.job, lambda output: output, CwlEvaluator(prepared.graph, Path("/")))
    refuse_broken(plan)
    ask(scheduler, record, prepared.graph, plan)
    workflows = Store(config.workflows_dir)
    staged = workflows.create(record)
    try:
        write(staged.layout, prepared, hold=not request.start)
    except BaseException:
        workflows.discard(staged)
        raise
    return launch(workflows, workflows.commit(staged, record.id), record, scheduler, start=request.start)


def launch(
    workflows: Store, made: WorkflowDir, record: WorkflowRecord, scheduler: Scheduler, *, start: bool
) -> WorkflowDir:
    """Submit the first jobs of a workflow that is on disk; take it away again when Slurm refuses them."""
    if start:
        try:
            workflow.go(Submitter(made.layout, record, scheduler))
        except SubmissionError:
            take_back(made, scheduler)
            workflows.discard(made)
            raise
        except BeeError as error:
            raise type(error)(
                f"{error}\nworkflow {record.id} is written; when Slurm answers again: bee-start {record.id}"
            ) from error
    return made


def take_back(made: WorkflowDir, scheduler: Scheduler) -> None:
    """Cancel what Slurm took of a workflow before it refused the rest: a driver that is held would stay for ever."""
    job_ids = [path.read_text().strip() for path in sorted(made.layout.jobs.glob("*.id"))]
    if job_ids:
        scheduler.cancel(None, job_ids)


def new_record(config: Config, target: Target, limits: Limits, document: str, name: str) -> WorkflowRecord:
    """Describe a new workflow: a fresh id, and all that later commands need to know of here and now."""
    slurm = config.slurm
    return WorkflowRecord(
        id=str(uuid.uuid4()),
        name=name,
        user=getpass.getuser(),
        host=socket.gethostname(),
        created=now(),
        document=document,
        beeflow_version=__version__,
        python=sys.executable,
        slurm=SlurmRecord(
            conf=target.conf,
            clusters=target.clusters,
            cluster_name=limits.cluster_name,
            version=limits.slurm_version,
            max_array_size=limits.max_array_size,
            max_job_count=limits.max_job_count,
            api=slurm.api,
            accounting=limits.accounting,
        ),
        options=SubmitOptions(
            time_limit_s=int(slurm.time_limit.total_seconds()),
            driver_time_limit_s=int(slurm.driver_time_limit.total_seconds()),
            account=slurm.account,
            partition=slurm.partition,
            qos=slurm.qos,
            reservation=slurm.reservation,
            pass_mem=slurm.pass_mem,
            pass_tmp=slurm.pass_tmp,
            driver_options=slurm.driver_options,
            task_options=slurm.task_options,
            preserve_environment=config.task.preserve_environment,
        ),
        drive=slurm.drive,
        use_archive=config.use_archive,
        archive_dir=str(config.bee_archive_dir),
        delete_completed=config.delete_completed_workflow_dirs,
        input_copy_limit_mib=config.input_copy_limit_mib,
        tasks_per_element=slurm.tasks_per_element or 0,
        max_jobs=slurm.max_jobs,
        lock=config.lock,
        group=config.share_with_group,
        archive=config.archive,
        loaded_modules=tuple(filter(None, os.environ.get("LOADEDMODULES", "").split(":"))),
    )


def refuse_broken(plan: Plan) -> None:
    """Raise InputError for what can be seen to fail before anything is submitted."""
    for group in plan.groups.values():
        why = [group.broken, *group.failed.values(), *(task.broken.reason for task in group.tasks if task.broken)]
        reasons = [each for each in why if each]
        if reasons:
            raise InputError(f"step {group.path}: {reasons[0].removeprefix(f'step {group.path}: ')}")


def ask(scheduler: Scheduler, record: WorkflowRecord, graph: Graph, plan: Plan) -> None:
    """Ask Slurm whether it would take the jobs, once a shape; raises SubmissionError naming the step."""
    shapes: dict[JobOptions, str] = {pass_options(record.options, first=True): "the driver"}
    for group in plan.groups.values():
        resources = None if group.virtual else graph.tools[group.step.tool or ""].resources
        if resources is not None:
            gpus = f", which asks for {resources.gpus} GPUs (CUDARequirement)" if resources.gpus else ""
            shapes.setdefault(task_options(record.options, resources), f"step {group.path}{gpus}")
    for options, what in shapes.items():
        try:
            scheduler.check(JobRequest(record.nonce, None, Path("/"), Path(os.devnull), options))
        except SubmissionError as error:
            raise SubmissionError(f"Slurm would not take {what}: {error}") from error


def write(layout: Layout, prepared: Prepared, *, hold: bool) -> None:
    """Fill the staged workflow directory."""
    place = _DocumentFiles(layout)
    graph = locations.rewritten(codec.to_json(prepared.graph), place)
    store.write_text(layout.graph, codec.dumps(graph))
    store.write_json(layout.job, locations.rewritten(prepared.job, place.known))
    store.write_json(layout.packed, locations.rewritten(prepared.packed, place.beside_packed))
    try:
        copy_documents(layout.cwl / "documents", prepared.sources)
    except OSError as error:
        raise SystemFileError(f"{error.filename or layout.cwl}: {error.strerror or error}") from error
    if hold:
        store.write_text(layout.held, now() + "\n")


class _DocumentFiles:
    """Copies the files that documents name as defaults, and says where they are now."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.places: dict[str, str] = {}

    def __call__(self, location: str) -> str:
        """Copy a document's file; returns its location relative to the workflow directory."""
        path = locations.to_path(location)
        if path is None or location in self.places:
            return self.known(location)
        if path.is_file() and path.stat().st_size <= MAX_DOCUMENT_FILE:
            target = self.layout.document_files / f"{len(self.places):04}" / path.name
            try:
                target.parent.mkdir(parents=True)
                shutil.copyfile(path, target)
                target.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
            except OSError as error:
                raise SystemFileError(f"{path}: cannot be copied to {target}: {error.strerror}") from error
            relative = locations.to_uri(Path("/") / target.relative_to(self.layout.root))
            self.places[location] = relative[len("file:///") :]
        return self.known(location)

    def known(self, location: str) -> str:
        """Return where a file is now: copied, or where it was."""
        return self.places.get(location, location)

    def beside_packed(self, location: str) -> str:
        """The same, relative to cwl/packed.json."""
        return self.known(location).removeprefix("cwl/")


def copy_documents(folder: Path, sources: Sequence[Path]) -> None:
    """Copy the documents as they were given, in the folders they were in."""
    if not sources:
        return
    common = Path(os.path.commonpath([path.parent for path in sources]))
    for path in sources:
        target = folder / path.relative_to(common)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
