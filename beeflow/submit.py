"""Submit a workflow: validate everything, ask Slurm about every shape of job, then write and start it.

Nothing is left behind by anything that goes wrong before the id is printed.
"""

from __future__ import annotations

import getpass
import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beeflow import __version__, credentials, embedding, site, store, workflow
from beeflow.config import Config
from beeflow.cwl import compiler, documents, job_order, packing
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import BeeError, InputError, SubmissionError, UsageError
from beeflow.graph import Graph
from beeflow.models import ON_ERROR_CONTINUE, SlurmRecord, SubmitOptions, WorkflowRecord, now
from beeflow.plan import Plan, walk
from beeflow.scheduler import JobOptions, JobRequest, Limits, Scheduler
from beeflow.scheduler.connect import connect
from beeflow.scheduler.options import pass_options, task_options
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.scheduler.target import Target, find
from beeflow.store import Store, WorkflowDir
from beeflow.submission import Submitter


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
    credentials.warn(graph, job)
    return Prepared(graph, job, packing.pack(document), documents.sources(document), str(document.path))


def needs_inputs(document: str, config: Config) -> bool:
    """Tell whether a document has an input that must be given: no default, and not optional."""
    return job_order.has_required(documents.load(document, cache_dir(config)))


def submit(request: Request, config: Config, env: Mapping[str, str]) -> WorkflowDir:
    """Submit a workflow; returns its directory."""
    check_name(request.name)
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
        embedding.write(staged.layout, prepared.graph, prepared.job, prepared.packed, prepared.sources)
        if not request.start:
            store.write_text(staged.layout.held, record.created + "\n")
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


def check_name(name: str | None) -> None:
    """Raise UsageError for a name that nobody could call the workflow by."""
    if name is not None and not name.strip():
        raise UsageError("--name: is empty; give a name, or leave it out")


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
        loaded_modules=_words("LOADEDMODULES"),
        path=_words("PATH"),
    )


def _words(variable: str) -> tuple[str, ...]:
    return tuple(filter(None, os.environ.get(variable, "").split(os.pathsep)))


def refuse_broken(plan: Plan) -> None:
    """Raise InputError for what can be seen to fail before anything is submitted."""
    for group in plan.groups.values():
        why = [group.broken, *group.failed.values(), *(task.broken.reason for task in group.tasks if task.broken)]
        reasons = [each for each in why if each]
        if reasons:
            raise InputError(f"step {group.path}: {reasons[0].removeprefix(f'step {group.path}: ')}")


def shapes(record: WorkflowRecord, graph: Graph, plan: Plan) -> dict[JobOptions, str]:
    """List what sbatch will be asked for, once a shape: options -> the first job that has them."""
    found: dict[JobOptions, str] = {pass_options(record.options, first=True): "the driver"}
    for group in plan.groups.values():
        tool = None if group.virtual else graph.tools[group.step.tool or ""]
        resources = tool.resources if tool else None
        if tool and resources is not None:
            gpus = f", which asks for {resources.gpus} GPUs (CUDARequirement)" if resources.gpus else ""
            found.setdefault(task_options(record.options, resources, tool.step_options), f"step {group.path}{gpus}")
    return found


def ask(scheduler: Scheduler, record: WorkflowRecord, graph: Graph, plan: Plan) -> None:
    """Ask Slurm whether it would take the jobs, once a shape; raises SubmissionError naming the step."""
    for options, what in shapes(record, graph, plan).items():
        try:
            scheduler.check(JobRequest(record.nonce, None, Path("/"), Path(os.devnull), options))
        except SubmissionError as error:
            raise SubmissionError(f"Slurm would not take {what}: {error}") from error
