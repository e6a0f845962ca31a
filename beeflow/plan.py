"""Walk a graph: which tasks there are, what each takes, and from whom.

Pure: the graph, what is known, an evaluator for expressions. A walk is vectorised: all instances of a
step (also in a scattered subworkflow) are one group, so the Slurm jobs grow with steps, not with tasks.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from beeflow.errors import DocumentError, InputError, TaskError
from beeflow.graph import EXPRESSION_TOOL, Graph, Link, Step, Workflow
from beeflow.values import (
    Broken,
    Inputs,
    Items,
    Known,
    Linked,
    Lookup,
    Output,
    Value,
    broken_of,
    elements,
    fold_items,
    fold_linked,
    outputs_of,
)

ONLY = "0"  # the label of the task of a step that is not scattered
UNKNOWN = "*"  # stands for all tasks of a step while their number is not known


class Evaluator(Protocol):
    """Evaluates CWL expressions; raises TaskError when one fails."""

    def step_inputs(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """Apply loadContents and valueFrom to a step's inputs."""
        ...

    def condition(self, step: Step, values: Mapping[str, Any]) -> bool:
        """Evaluate ``when``."""
        ...

    def expression_tool(self, tool_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run an ExpressionTool."""
        ...


@dataclass(frozen=True)
class Task:
    """One run of a step's process. ``inputs``: before the step's valueFrom, which the task itself applies."""

    label: str
    inputs: Inputs

    def holes(self) -> Iterator[Output]:
        """Yield what must be made before this task can run."""
        for value in self.inputs.values():
            yield from outputs_of(value)

    @property
    def broken(self) -> Broken | None:
        """Why this task can never run, or None."""
        return next((found for value in self.inputs.values() if (found := broken_of(value))), None)


@dataclass
class Group:
    """All tasks of one step. ``virtual``: evaluated by whoever needs it, never a Slurm job.

    ``unknown``: what must be made before the number of tasks is known; None when it is known.
    ``skipped``: labels of tasks whose condition is known to be false. ``failed``: label -> why its expression failed.
    ``broken``: why some instances can never be known. ``scattered``: the step, or a workflow around it, is.
    ``tasks_per_element``: how many tasks share an array element.
    ``after``: groups that it must follow though it takes nothing from them.
    """

    key: str
    path: str
    step: Step
    virtual: bool
    tasks: list[Task] = field(default_factory=list)
    unknown: list[Output] | None = None
    broken: str | None = None
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    scattered: bool = False
    after: frozenset[str] = frozenset()
    tasks_per_element: int = 1

    @property
    def elements(self) -> int:
        """How many array elements the group has."""
        return -(-len(self.tasks) // self.tasks_per_element)

    def tasks_of(self, number: int) -> list[Task]:
        """List the tasks of an element."""
        return self.tasks[number * self.tasks_per_element : (number + 1) * self.tasks_per_element]

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Map each label to the task's place in the group."""
        return {task.label: position for position, task in enumerate(self.tasks)}

    def element_of(self, label: str) -> int:
        """Return the number of the element that runs a task."""
        return self.positions[label] // self.tasks_per_element


CROSSPRODUCTS = ("nested_crossproduct", "flat_crossproduct")
# Of a workflow: each takes a kilobyte of memory while it is planned, and a crossproduct of two lists is soon too many.
MAX_TASKS = 1_000_000
# A step of more tasks than this has several tasks an element, if nobody says otherwise.
MAX_ELEMENTS = 1000


def choose_tasks_per_element(tasks: int, asked: int, max_array_size: int) -> int:
    """Choose how many tasks of a step share an array element. ``asked``: 0 for automatically.

    Automatically, one array holds the step (its greatest index is one less than MaxArraySize).
    """
    return asked or max(1, -(-tasks // max(1, min(MAX_ELEMENTS, max_array_size - 1))))


@dataclass(frozen=True)
class Plan:
    """What a walk found. ``outputs``: the workflow's outputs."""

    groups: dict[str, Group]
    outputs: Inputs
    _producers: dict[str, set[str]] = field(default_factory=dict, compare=False, repr=False)
    _open_ended: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def producers(self, group: Group) -> set[str]:
        """Return the keys of the groups whose jobs must end before this group's can start."""
        if group.key not in self._producers:
            holes = itertools.chain(group.unknown or (), *(task.holes() for task in group.tasks))
            self._producers[group.key] = self._made_by(holes) | group.after
        return self._producers[group.key]

    def deciders(self, group: Group) -> set[str]:
        """Return the keys of the groups whose jobs must end before more is known of this one."""
        return self.producers(group) if group.unknown is None else self._made_by(group.unknown)

    def _made_by(self, holes: Iterable[Output]) -> set[str]:
        found: set[str] = set()
        for key in {hole.group for hole in holes}:
            producer = self.groups[key]
            found |= self.producers(producer) if producer.virtual else {key}
        return found

    def element_of(self, output: Output) -> int | None:
        """Return the number of the element that makes an output; None where no job does."""
        group = self.groups[output.group]
        return None if group.virtual else group.element_of(output.label)

    def is_open_ended(self, group: Group) -> bool:
        """True while a task of the group takes from a step whose own tasks are not known yet."""
        if group.key not in self._open_ended:
            holes = {(hole.group, hole.label == UNKNOWN) for task in group.tasks for hole in task.holes()}
            self._open_ended[group.key] = any(
                unknown or (self.groups[key].virtual and self.is_open_ended(self.groups[key])) for key, unknown in holes
            )
        return self._open_ended[group.key]

    def is_element_wise(self, group: Group, producer: str) -> bool:
        """True when task i of the group takes from task i of the producer and from no other of it (aftercorr)."""
        other = self.groups[producer]
        if producer in group.after or group.tasks_per_element != other.tasks_per_element or len(group.tasks) < 2:
            return False
        if [task.label for task in group.tasks] != [task.label for task in other.tasks]:
            return False
        for task in group.tasks:
            for hole in task.holes():
                if self.groups[hole.group].virtual or (hole.group == producer and hole.label != task.label):
                    return False
        return True


@dataclass(frozen=True)
class _Scope:
    """One instance of a workflow: its label so far and its named values."""

    label: tuple[int, ...]
    values: Inputs


@dataclass(frozen=True)
class _Expansion:
    """The instances of a step in one scope, and the lengths to fold their outputs back by."""

    instances: list[_Scope]
    lengths: tuple[int, ...] | None
    pending: list[Output] | None = None
    broken: str | None = None


def label_text(label: Sequence[int]) -> str:
    """Write a task's label: "0" when not scattered, "3" or "3.0" when scattered."""
    return ".".join(str(index) for index in label) or ONLY


def group_keys(workflow: Workflow, path: str = "", counter: Iterator[int] | None = None) -> dict[str, str]:
    """Name every step's group: step path -> key. The key is a file name; it stays the same for one graph."""
    numbers = counter or itertools.count(1)
    keys: dict[str, str] = {}
    for step in workflow.steps:
        full = f"{path}{step.name}"
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", full.replace("/", "."))[-60:]
        keys[full] = f"{next(numbers):03}-{slug}"
        if step.workflow:
            keys.update(group_keys(step.workflow, f"{full}/", numbers))
    return keys


def walk(graph: Graph, inputs: Mapping[str, Any], lookup: Lookup, evaluator: Evaluator) -> Plan:
    """Plan a graph. ``lookup`` says what a task has made: Known, Broken, or the Output itself when it has not yet."""
    walker = _Walker(graph, lookup, evaluator)
    scope = _Scope((), {name: Known(inputs.get(name)) for name in graph.workflow.inputs})
    (outputs,) = walker.workflow(graph.workflow, [scope], "")
    return Plan(walker.groups, outputs)


class _Walker:
    def __init__(self, graph: Graph, lookup: Lookup, evaluator: Evaluator) -> None:
        self.graph = graph
        self.lookup = lookup
        self.evaluator = evaluator
        self.keys = group_keys(graph.workflow)
        self.groups: dict[str, Group] = {}
        # What must be made before all instances of the workflow that is walked are known: its steps wait for them.
        self.unknown: list[Output] | None = None
        self.scattered = 0

    def workflow(self, workflow: Workflow, scopes: list[_Scope], path: str) -> list[Inputs]:
        """Walk all instances of a workflow at once; returns the outputs of each."""
        for step in workflow.steps:
            for scope, outputs in zip(scopes, self.step(step, scopes, f"{path}{step.name}"), strict=True):
                scope.values.update({f"{step.name}/{port}": value for port, value in outputs.items()})
        return [{name: self.link(link, scope) for name, link in workflow.outputs.items()} for scope in scopes]

    def step(self, step: Step, scopes: list[_Scope], path: str) -> list[Inputs]:
        """Walk one step in all scopes; returns its outputs in each, folded by its scatter."""
        virtual = step.workflow is not None or self.graph.tools[step.tool or ""].kind == EXPRESSION_TOOL
        after = frozenset(self.keys[each] for each in step.after)
        group = self.groups[self.keys[path]] = Group(self.keys[path], path, step, virtual, after=after)
        group.unknown = self.unknown
        expansions = [self.expand(step, scope, path) for scope in scopes]
        for expansion in expansions:
            if expansion.pending is not None:
                group.unknown = [*(group.unknown or []), *expansion.pending]
            group.broken = group.broken or expansion.broken
        instances = [instance for expansion in expansions for instance in expansion.instances]
        group.scattered = any(instance.label for instance in instances)
        made = iter(self.sub_workflow(step, group, instances, path) if step.workflow else self.leaf(group, instances))
        return [self.fold(step, group, expansion, made) for expansion in expansions]

    def fold(self, step: Step, group: Group, expansion: _Expansion, made: Iterator[Inputs]) -> Inputs:
        if expansion.broken is not None:
            return {port: Broken(expansion.broken) for port in step.outputs}
        if expansion.pending is not None:
            return _unknown(group)
        mine = list(itertools.islice(made, len(expansion.instances)))
        if expansion.lengths is None:
            return mine[0]
        return {port: _nest([outputs[port] for outputs in mine], expansion.lengths) for port in step.outputs}

    def leaf(self, group: Group, instances: list[_Scope]) -> list[Inputs]:
        """Plan the tasks of a step that runs a tool."""
        return [self.task(group, label_text(instance.label), instance.values) for instance in instances]

    def task(self, group: Group, label: str, inputs: Inputs) -> Inputs:
        task = Task(label, inputs)
        group.tasks.append(task)
        broken = task.broken
        if broken:
            return {port: Broken(broken.reason) for port in group.step.outputs}
        if all(isinstance(value, Known) for value in inputs.values()):
            decided = self.evaluate(group, task)
            if decided is not None:
                return decided
        return {port: self.lookup(Output(group.key, label, port)) for port in group.step.outputs}

    def evaluate(self, group: Group, task: Task) -> Inputs | None:
        """Work out what needs no job: a condition that is false, an ExpressionTool. None: it takes a job."""
        step = group.step
        if not step.when and not group.virtual:
            return None
        try:
            values = self.evaluator.step_inputs(step, {name: _value(each) for name, each in task.inputs.items()})
            if step.when and not self.evaluator.condition(step, values):
                group.skipped.append(task.label)
                return {port: Known(None) for port in step.outputs}
            if not group.virtual:
                return None
            made = self.evaluator.expression_tool(step.tool or "", values)
        except TaskError as error:
            group.failed[task.label] = str(error)
            return {port: Broken(f"{group.path}: {error}") for port in step.outputs}
        return {port: Known(made.get(port)) for port in step.outputs}

    def sub_workflow(self, step: Step, group: Group, instances: list[_Scope], path: str) -> list[Inputs]:
        """Walk the instances of a step that runs a workflow: the group itself only passes its inputs on."""
        assert step.workflow is not None  # noqa: S101 - the caller looked
        settled = [self.undecided(step, group, each) for each in instances]
        inner = [
            _Scope(each.label, self.sub_inputs(step, group, each, step.workflow))
            for each, outputs in zip(instances, settled, strict=True)
            if outputs is None
        ]
        around, self.unknown = self.unknown, group.unknown
        walked = iter(self.workflow(step.workflow, inner, f"{path}/"))
        self.unknown = around
        return [next(walked) if outputs is None else outputs for outputs in settled]

    def undecided(self, step: Step, group: Group, instance: _Scope) -> Inputs | None:
        """Decide whether an instance of a subworkflow runs. None: it does; else its outputs without running."""
        if not step.when:
            return None
        broken = next((found for value in instance.values.values() if (found := broken_of(value))), None)
        if broken:
            return dict.fromkeys(step.outputs, broken)
        if not all(isinstance(value, Known) for value in instance.values.values()):
            holes = [hole for value in instance.values.values() for hole in outputs_of(value)]
            group.unknown = [*(group.unknown or []), *holes]
            return _unknown(group)
        try:
            values = self.evaluator.step_inputs(step, {name: _value(each) for name, each in instance.values.items()})
            runs = self.evaluator.condition(step, values)
        except TaskError as error:
            group.failed[label_text(instance.label)] = str(error)
            return {port: Broken(f"{group.path}: {error}") for port in step.outputs}
        return None if runs else {port: Known(None) for port in step.outputs}

    def sub_inputs(self, step: Step, group: Group, instance: _Scope, workflow: Workflow) -> Inputs:
        task = Task(label_text(instance.label), instance.values)
        group.tasks.append(task)
        values = instance.values
        if step.has_expressions:
            values = self.computed(step, group, task)
        return {
            name: fold_linked(Linked((values.get(name, Known(None)),), None, None, workflow.defaults.get(name)))
            for name in workflow.inputs
        }

    def computed(self, step: Step, group: Group, task: Task) -> Inputs:
        broken = task.broken
        if broken:
            return dict.fromkeys(step.inputs, broken)
        if not all(isinstance(value, Known) for value in task.inputs.values()):
            return {name: self.lookup(Output(group.key, task.label, name)) for name in step.inputs}
        try:
            made = self.evaluator.step_inputs(step, {name: _value(each) for name, each in task.inputs.items()})
        except TaskError as error:
            return {name: Broken(f"{group.path}: {error}") for name in step.inputs}
        return {name: Known(value) for name, value in made.items()}

    def link(self, link: Link, scope: _Scope) -> Value:
        """Evaluate one link in a scope."""
        return fold_linked(
            Linked(
                tuple(scope.values[source] for source in link.sources) or (Known(None),),
                link.link_merge,
                link.pick_value,
                link.default,
            )
        )

    def expand(self, step: Step, scope: _Scope, path: str) -> _Expansion:
        """Find the instances of a step in one scope."""
        inputs = {name: self.link(link, scope) for name, link in step.inputs.items()}
        if not step.scatter:
            return _Expansion([_Scope(scope.label, inputs)], None)
        columns: list[tuple[Value, ...]] = []
        pending: list[Output] = []
        for name in step.scatter:
            broken = broken_of(inputs[name]) if not isinstance(inputs[name], Items) else None
            if broken:
                return _Expansion([], None, broken=broken.reason)
            try:
                column = elements(inputs[name], f"step {path}, input {name}")
            except DocumentError as error:
                return _Expansion([], None, broken=str(error))
            if column is None:
                pending += outputs_of(inputs[name])
            else:
                columns.append(column)
        if pending:
            return _Expansion([], None, pending=pending)
        try:
            self.count(step, path, columns)
            rows, lengths = _rows(step, path, columns)
        except InputError as error:
            return _Expansion([], None, broken=str(error))
        instances = [
            _Scope((*scope.label, index), {**inputs, **dict(zip(step.scatter, row, strict=True))})
            for index, row in enumerate(rows)
        ]
        return _Expansion(instances, lengths)

    def count(self, step: Step, path: str, columns: list[tuple[Value, ...]]) -> None:
        """Raise InputError for a scatter that makes too many tasks."""
        lengths = [len(column) for column in columns]
        self.scattered += math.prod(lengths) if step.scatter_method in CROSSPRODUCTS else max(lengths)
        if self.scattered > MAX_TASKS:
            raise InputError(f"step {path}: its scatter makes more than {MAX_TASKS} tasks")


def _unknown(group: Group) -> Inputs:
    """Stand for outputs until the group's tasks are known; nobody can take them apart meanwhile."""
    return {port: Output(group.key, UNKNOWN, port) for port in group.step.outputs}


def _rows(step: Step, path: str, columns: list[tuple[Value, ...]]) -> tuple[list[tuple[Value, ...]], tuple[int, ...]]:
    """Combine the scattered inputs (CWL: scatterMethod): one row a task, and the lengths to fold by."""
    lengths = tuple(len(column) for column in columns)
    if step.scatter_method in CROSSPRODUCTS:
        rows = list(itertools.product(*columns))
        return rows, lengths if step.scatter_method == "nested_crossproduct" else (len(rows),)
    if len(set(lengths)) > 1:
        named = ", ".join(f"{name}: {length}" for name, length in zip(step.scatter, lengths, strict=True))
        raise InputError(f"step {path}: dotproduct needs arrays of one length, got {named}")
    return list(zip(*columns, strict=True)), lengths[:1]


def _nest(values: list[Value], lengths: tuple[int, ...]) -> Value:
    """Fold the outputs of the tasks of a scatter into an array (of arrays, for nested_crossproduct)."""
    if len(lengths) == 1:
        return fold_items(values)
    size = len(values) // lengths[0] if lengths[0] else 0
    return fold_items([_nest(values[i * size : (i + 1) * size], lengths[1:]) for i in range(lengths[0])])


def _value(value: Value) -> Any:
    assert isinstance(value, Known)  # noqa: S101 - the caller looked
    return value.value
