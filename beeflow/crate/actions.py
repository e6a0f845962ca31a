"""What ran: an action for each task, each step and each subworkflow (retrospective provenance)."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from beeflow.crate.images import image
from beeflow.crate.parameters import INPUT, OUTPUT, parameter_id
from beeflow.crate.prospective import inputs_of, owner, step_id, tool_id
from beeflow.crate.records import Made, Records
from beeflow.crate.terms import ACTIVE, COMPLETED, FAILED, OURS, Entity, fragment, ref, refs, without_nothing
from beeflow.crate.values import Values
from beeflow.graph import Graph, Step, Workflow
from beeflow.models import TaskRecord
from beeflow.reduction import Leaf, leaves
from beeflow.secret_values import SecretValues
from beeflow.states import TaskState

_STATUS = {TaskState.COMPLETED: COMPLETED, TaskState.RUNNING: ACTIVE}
# These did not run at all, or have nothing to tell yet.
_IDLE = (TaskState.SKIPPED, TaskState.WAITING, TaskState.PENDING, TaskState.DEP_FAIL)
_JOB_ID = "https://slurm.schedmd.com/squeue.html#OPT_JobID"
_SECONDS, _KIBIBYTES = "https://qudt.org/vocab/unit/SEC", "https://qudt.org/vocab/unit/KibiBYTE"


def has_run(task: TaskRecord) -> bool:
    """True for what gets an action: a skipped task has none, nor one that was cancelled before it began."""
    return task.state not in _IDLE and (task.state is not TaskState.CANCELLED or task.started is not None)


def steps_that_ran(tasks: Iterable[TaskRecord]) -> set[str]:
    """List the paths of the steps that a task ran of, and of the steps around them."""
    paths = {task.step for task in tasks if has_run(task)}
    return {each for path in paths for each in itertools.accumulate(path.split("/"), "{}/{}".format)}


@dataclass
class _Span:
    """A run of a subworkflow: from its first task's beginning to its last one's end."""

    started: str | None = None
    ended: str | None = None
    failed: bool = False
    took: list[str] = field(default_factory=list)
    gave: list[str] = field(default_factory=list)

    def add(self, task: TaskRecord) -> None:
        """Count a task in."""
        self.started = min(filter(None, (self.started, task.started)), default=None)
        self.ended = max(filter(None, (self.ended, task.ended)), default=None)
        self.failed = self.failed or task.state not in _STATUS


@dataclass
class Actions:
    """Describes a run. ``mentioned``: the actions that the root is to mention; ``controls``: one a step."""

    graph: Graph
    records: Records
    values: Values
    agent: str
    mentioned: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    _instances: dict[str, dict[str, _Span]] = field(default_factory=dict)
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    def entities(self, tasks: Sequence[TaskRecord]) -> Iterator[Entity]:
        """Describe all. ``tasks``: in the order in which a Reduction has them, those of a step one after the other."""
        known = {leaf.path: leaf for leaf in leaves(self.graph)}
        for path, group in itertools.groupby(tasks, key=lambda task: task.step):
            yield from self._leaf(known[path], list(group))
        yield from self._subworkflows(self.graph.workflow, "")

    def _leaf(self, leaf: Leaf, tasks: Sequence[TaskRecord]) -> Iterator[Entity]:
        group = self.records.group(leaf.key)
        labels = group.labels if group and len(group.labels) == len(tasks) else ("",) * len(tasks)
        made, failed = [], 0
        for task, label in zip(tasks, labels, strict=True):
            if has_run(task):
                made.append(f"#{task.task_id}")
                failed += task.state not in _STATUS
                yield from self._task(leaf, task, label)
        self.mentioned += made
        if made:
            yield self._control(leaf.path, made, failed)

    def _task(self, leaf: Leaf, task: TaskRecord, label: str) -> Iterator[Entity]:
        tool = self.graph.tools[leaf.step.tool or ""]
        result = self.records.made(leaf.key, label) or Made(task.state, {}, (), None)
        took, gave = self._took(leaf, label), self._gave(leaf, result)
        self._count_in(leaf, task, label, took, gave)
        container = tool.container if task.container_runtime else None
        action = without_nothing(
            {
                "@id": f"#{task.task_id}",
                "@type": "CreateAction",
                "name": f"Run of {task.name}",
                "description": _words(task, result, self.values.secrets),
                "instrument": ref(tool_id(leaf.step, leaf.path)),
                "agent": ref(self.agent),
                "startTime": task.started,
                "endTime": task.ended,
                "object": refs(itertools.chain(*took.values())),
                "result": refs(itertools.chain(*gave.values())),
                "actionStatus": status_of(task),
                "error": error_of(task, self.values.secrets),
                "containerImage": ref(self.values.once(image(container))) if container else None,
                "identifier": ref(self._job(task.job_id)) if task.job_id else None,
                "resourceUsage": refs(self._usage(task)),
            }
        )
        yield from self.values.fresh()
        if "error" in action and result.stderr:
            self.values.record(result.stderr, action["@id"], f"What {task.name} wrote to stderr")
        yield action

    def _took(self, leaf: Leaf, label: str) -> dict[str, list[str]]:
        """Refer to what a task was given: input -> identifiers."""
        path, known = owner(leaf.step, leaf.path), self._parameters(leaf.step.tool or "")
        given = self.records.inputs(leaf.key, label, leaf.step)
        return {name: self.values.refer(value, known.get(name), name, path) for name, value in given.items()}

    def _parameters(self, tool: str) -> dict[str, str]:
        """Return the identifiers of a tool's inputs, by name."""
        if tool not in self._known:
            self._known[tool] = {name: parameter_id(INPUT, tool, name) for name in inputs_of(self.graph.tools[tool])}
        return self._known[tool]

    def _gave(self, leaf: Leaf, result: Made) -> dict[str, list[str]]:
        """Refer to what a task made: output -> identifiers."""
        path = owner(leaf.step, leaf.path)
        return {
            name: self.values.refer(value, parameter_id(OUTPUT, path, name), name, f"{path}/output")
            for name, value in result.outputs.items()
        }

    def _job(self, job_id: str) -> str:
        """Describe a Slurm job; the tasks of an array element share it."""
        return self.values.property_value(f"#job/{job_id}", "Slurm job id", job_id, _JOB_ID)

    def _usage(self, task: TaskRecord) -> Iterator[str]:
        """Describe what a task used. Equal figures are one entity."""
        for name, value, unit in (
            ("maxRss", task.max_rss_kib, _KIBIBYTES),
            ("cpuTime", task.cpu_s, _SECONDS),
            ("exitCode", task.exit_code, None),
        ):
            if value is not None:
                yield self.values.property_value(f"#{name}/{value}", name, str(value), f"{OURS}#{name}", unit)

    def _control(self, path: str, actions: list[str], failed: int) -> Entity:
        """Describe what ran of a step."""
        self.controls.append(fragment("control", path))
        return without_nothing(
            {
                "@id": fragment("control", path),
                "@type": "ControlAction",
                "name": f"Run of step {path}",
                "instrument": ref(step_id(path)),
                "object": [ref(each) for each in actions],
                "actionStatus": FAILED if failed else COMPLETED,
                "error": f"{failed} of {len(actions)} tasks did not complete" if failed else None,
            }
        )

    def _count_in(
        self, leaf: Leaf, task: TaskRecord, label: str, took: Mapping[str, list[str]], gave: Mapping[str, list[str]]
    ) -> None:
        """Count a task to the runs of the subworkflows it is in; a label begins with that of the workflow around it."""
        workflow, span = self.graph.workflow, _Span()
        indices, depth, path = label.split("."), 0, ""
        for name in leaf.path.split("/")[:-1]:
            (step,) = [each for each in workflow.steps if each.name == name]
            path = f"{path}/{name}" if path else name
            depth += bool(step.scatter)
            span = self._instances.setdefault(path, {}).setdefault(".".join(indices[:depth]), _Span())
            span.add(task)
            workflow = step.workflow or workflow
        # What the innermost one passes on to the task as it is, and takes from it.
        for name, identifiers in took.items():
            link = leaf.step.inputs.get(name)
            if path and link and not any("/" in source for source in link.sources):
                span.took += identifiers
        for name, identifiers in gave.items():
            if path and any(f"{leaf.step.name}/{name}" in link.sources for link in workflow.outputs.values()):
                span.gave += identifiers

    def _subworkflows(self, workflow: Workflow, prefix: str) -> Iterator[Entity]:
        for step in workflow.steps:
            path = prefix + step.name
            if step.workflow and path in self._instances:
                yield from self._subworkflow(step, path, self._instances[path])
                yield from self._subworkflows(step.workflow, f"{path}/")

    def _subworkflow(self, step: Step, path: str, instances: dict[str, _Span]) -> Iterator[Entity]:
        made = []
        for label, span in instances.items():
            made.append(fragment("run", path, label))
            yield without_nothing(
                {
                    "@id": made[-1],
                    "@type": "CreateAction",
                    "name": f"Run of {path}" + (f"[{label}]" if label else ""),
                    "description": "A subworkflow: its tasks have actions of their own",
                    "instrument": ref(tool_id(step, path)),
                    "agent": ref(self.agent),
                    "startTime": span.started,
                    "endTime": span.ended,
                    "object": refs(span.took),
                    "result": refs(span.gave),
                    "actionStatus": FAILED if span.failed else COMPLETED,
                }
            )
        self.mentioned += made
        yield self._control(path, made, sum(span.failed for span in instances.values()))


def _words(task: TaskRecord, result: Made, secrets: SecretValues) -> str:
    words = shlex.join(secrets.words(result.command)) if result.command else task.command or "no command: an expression"
    where = f" (on node {task.node})" if task.node else ""
    return f"{words}{where}" + (f" (try {task.tries})" if task.tries > 1 else "")


def status_of(task: TaskRecord) -> str:
    """Return schema.org's word for how a task ended."""
    return _STATUS.get(task.state, FAILED)


def error_of(task: TaskRecord, secrets: SecretValues) -> str | None:
    """Say why a task failed, in its own last words too."""
    if status_of(task) != FAILED:
        return None
    return secrets.mask("\n".join([f"{task.state.value}: {task.reason}".rstrip(": "), *task.stderr_tail]))
