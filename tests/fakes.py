"""Stand-ins for Slurm and cwltool: a scheduler in memory, an evaluator of Python functions, small graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from beeflow import models
from beeflow.errors import SlurmError, SubmissionError
from beeflow.graph import COMMAND_LINE_TOOL, EXPRESSION_TOOL, Graph, Link, Resources, Step, Tool, Workflow
from beeflow.models import SlurmRecord, SubmitOptions, WorkflowRecord
from beeflow.plan import Group, Plan
from beeflow.scheduler import (
    Dependency,
    JobRecord,
    JobRequest,
    Limits,
    QueueFullError,
    SlurmUnreachableError,
    SubmissionDoubtError,
    SubmitLimitError,
)
from beeflow.scheduler.command_lines import parse_array
from beeflow.states import JobState

# A workflow that is only a name.
RECORD = WorkflowRecord(
    id="3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea",
    name="n",
    user="u",
    host="h",
    created=models.now(),
    document="/d.cwl",
    beeflow_version="0",
    python="/usr/bin/python3",
    slurm=SlurmRecord("", "", "c", "22.05.8", 1001, 10000),
    options=SubmitOptions(3600, 1800),
)

# What may happen to one sbatch instead of an answer.
LOST_ANSWER = "the job was accepted, and the answer lost"
NO_ANSWER = "no answer, and no job"
UNREACHABLE = "no controller"
REFUSED = "refused"
FULL = "the queue is full"
KILLED = "the submitter was killed before sbatch"


class KilledError(BaseException):
    """Stands for the death of the process: nothing of ours may catch it."""


@dataclass
class FakeJob:
    """One job in the fake's memory; ``states``: array index (None: not an array) -> state and Slurm's reason.

    ``held``: the indices that are held.
    """

    id: str
    request: JobRequest
    dependency: Dependency
    held: set[int | None]
    states: dict[int | None, tuple[JobState, str]]


@dataclass
class FakeScheduler:
    """A Scheduler in memory. ``faults``: what happens to the next submissions, "" for a normal answer.

    ``max_submitted``: how many jobs and array elements, passes included, it has at a time.
    """

    faults: list[str] = field(default_factory=list)
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    queries: int = 0
    relinked: list[tuple[str, Dependency]] = field(default_factory=list)
    cancelled: list[tuple[str | None, str]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    mails: list[tuple[str, str, str]] = field(default_factory=list)
    on_accept: Callable[[str, JobRequest], None] | None = None
    next_id: int = 100
    max_submitted: int = 10**6
    past: list[JobRecord] | SlurmError = field(default_factory=list)
    histories: int = 0

    def submit(self, request: JobRequest) -> str:
        """Accept a job, unless a fault is due."""
        fault = self.faults.pop(0) if self.faults else ""
        if fault == KILLED:
            raise KilledError
        if fault == REFUSED:
            raise SubmissionError("Slurm says: Invalid account or account/partition combination specified")
        if fault == UNREACHABLE:
            raise SlurmUnreachableError("Slurm says: Unable to contact slurm controller (connect failure)")
        if fault == FULL:
            raise QueueFullError("Slurm says: Resource temporarily unavailable")
        if self.count_live() + (1 if request.array is None else len(request.array)) > self.max_submitted:
            raise SubmitLimitError("Slurm says: AssocMaxSubmitJobLimit; Job violates accounting/QOS policy")
        if fault == NO_ANSWER:
            raise SubmissionDoubtError("sbatch: no answer within 150 s")
        self.next_id += 1
        job_id = str(self.next_id)
        indices: Sequence[int | None] = [None] if request.array is None else list(request.array)
        pending = (JobState.PENDING, "Dependency" if request.dependency.render() else "Priority")
        held = set(indices) if request.hold else set()
        self.jobs[job_id] = FakeJob(job_id, request, request.dependency, held, dict.fromkeys(indices, pending))
        if self.on_accept:
            self.on_accept(job_id, request)
        if fault == LOST_ANSWER:
            raise SubmissionDoubtError("Slurm says: Socket timed out on send/recv operation")
        return job_id

    def check(self, request: JobRequest) -> None:
        """Take everything."""

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Return one record a job or element."""
        self.queries += 1
        return [
            JobRecord(
                job.id,
                job.request.name,
                state,
                "JobHeldUser" if index in job.held and not state.ended else reason,
                index,
            )
            for job in self.jobs.values()
            if names is None or job.request.name in names
            for index, (state, reason) in job.states.items()
        ]

    def history(self, job_ids: Sequence[str], since: str) -> list[JobRecord]:
        """Return what a test says that accounting has."""
        self.histories += 1
        if isinstance(self.past, SlurmError):
            raise self.past
        return [job for job in self.past if job.job_id in job_ids]

    def release(self, *job_ids: str) -> None:
        """Let held jobs and elements go."""
        self.released += job_ids
        for job, indices in map(self.find, job_ids):
            job.held -= indices

    def hold(self, *job_ids: str) -> None:
        """Hold jobs and elements."""
        for job, indices in map(self.find, job_ids):
            job.held |= {index for index in indices if not job.states[index][0].ended}

    def find(self, shown: str) -> tuple[FakeJob, set[int | None]]:
        """Find a job and those elements of it that are meant: "12", "12_3", "12_[0-2,7]"."""
        job_id, _, indices = shown.partition("_")
        job = self.jobs[job_id]
        return job, set(parse_array(indices.strip("[]"))) if indices else set(job.states)

    def requeue(self, job_id: str) -> None:
        """Have a job run again."""
        shown, _, index = job_id.partition("_")
        self.jobs[shown].states[int(index) if index else None] = (JobState.PENDING, "BeginTime")

    def relink(self, job_id: str, dependency: Dependency) -> None:
        """Replace a dependency."""
        self.jobs[job_id].dependency = dependency
        self.relinked.append((job_id, dependency))

    def cancel(self, name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> None:
        """Cancel jobs or elements (12_3) that have this name."""
        for shown in job_ids:
            job_id, _, index = shown.partition("_")
            self.cancelled.append((name, shown))
            job = self.jobs.get(job_id)
            if job is not None and name in (None, job.request.name):
                chosen = [int(index)] if index else list(job.states)
                if pending_only:
                    chosen = [each for each in chosen if job.states[each][0] is JobState.PENDING]
                self.end(job_id, JobState.CANCELLED, "", chosen)

    def set_mail(self, job_id: str, mail_type: str, mail_user: str) -> None:
        """Remember the wish."""
        self.mails.append((job_id, mail_type, mail_user))

    def limits(self) -> Limits:
        """Return Slurm's defaults."""
        return Limits("fake", "22.05.8", 1001, 10000)

    def count_live(self, name: str = "") -> int:
        """Count the jobs and elements that have not ended, of those whose name begins so."""
        jobs = [job for job in self.jobs.values() if job.request.name.startswith(name)]
        return sum(not state.ended for job in jobs for state, _ in job.states.values())

    # -- what a test does to the jobs -----------------------------------------------------------------------------

    def end(self, job_id: str, state: JobState, reason: str = "", indices: Iterable[int | None] | None = None) -> None:
        """Give a job, or some of its elements, a state."""
        job = self.jobs[job_id]
        for index in job.states if indices is None else indices:
            if not job.states[index][0].ended:
                job.states[index] = (state, reason)

    def forget(self, job_id: str) -> None:
        """Lose a job, as Slurm does after MinJobAge."""
        del self.jobs[job_id]

    def named(self, ending: str) -> list[FakeJob]:
        """Return the jobs whose name ends so, in the order of their ids."""
        return [job for job in self.jobs.values() if job.request.name.endswith(ending)]


Function = Callable[[Mapping[str, Any]], Any]


@dataclass
class FakeEvaluator:
    """An Evaluator of Python functions: expression text or tool id -> function of the inputs."""

    functions: Mapping[str, Function] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def step_inputs(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """Apply valueFrom."""
        self.calls.append(f"inputs of {step.name}")
        return {
            name: self.functions[link.value_from](values) if link.value_from else values.get(name)
            for name, link in step.inputs.items()
        }

    def condition(self, step: Step, values: Mapping[str, Any]) -> bool:
        """Evaluate ``when``."""
        return bool(self.functions[step.when or ""](values))

    def expression_tool(self, tool_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run an ExpressionTool."""
        made = self.functions[tool_id](values)
        assert isinstance(made, dict)
        return made

    def resources(self, tool_id: str, inputs: Mapping[str, Any]) -> Resources:
        """Evaluate a tool's resources: as many CPUs as the function says."""
        return Resources(cpus_per_task=self.functions[tool_id](inputs))

    def run_facts(self, plan: Plan, group: Group) -> dict[str, Any]:
        """Describe a step for the runner; nothing runs here."""
        return {"inputs": sorted(plan.groups[group.key].step.inputs)}


def link(source: str | Link) -> Link:
    """Make a link to one source, unless it is a link already."""
    return source if isinstance(source, Link) else Link((source,))


def step(
    name: str,
    inputs: Mapping[str, str | Link] | None = None,
    *,
    outputs: Sequence[str] = ("out",),
    scatter: Sequence[str] = (),
    method: str | None = None,
    when: str | None = None,
    workflow: Workflow | None = None,
) -> Step:
    """Make a step that runs a tool of its own name, or a workflow."""
    return Step(
        name=name,
        inputs={port: link(source) for port, source in (inputs or {}).items()},
        outputs=tuple(outputs),
        scatter=tuple(scatter),
        scatter_method=method or ("dotproduct" if len(scatter) > 1 else None),
        when=when,
        tool=None if workflow else name,
        workflow=workflow,
    )


def flow(
    inputs: Sequence[str],
    steps: Sequence[Step],
    outputs: Mapping[str, str | Link] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Workflow:
    """Make a workflow."""
    made = {name: link(source) for name, source in (outputs or {}).items()}
    return Workflow(tuple(inputs), tuple(steps), made, dict(defaults or {}))


def graph(workflow: Workflow, *, expressions: Sequence[str] = (), dynamic: Sequence[str] = ()) -> Graph:
    """Make a graph with a tool for each step. ``expressions``: which are ExpressionTools; ``dynamic``: resources."""
    tools: dict[str, Tool] = {}

    def add(inner: Workflow) -> None:
        for each in inner.steps:
            if each.workflow:
                add(each.workflow)
            else:
                kind = EXPRESSION_TOOL if each.name in expressions else COMMAND_LINE_TOOL
                tool = Tool(kind, {}, {}, each.outputs, Resources())
                tools[each.name] = replace(tool, resources=None) if each.name in dynamic else tool

    add(workflow)
    return Graph(tools, workflow, "v1.2")
