"""What the tasks of a workflow have made so far: fills the holes of values from the result files."""

from __future__ import annotations

from collections.abc import Collection

from beeflow import codec, elements, store
from beeflow.errors import TaskError
from beeflow.graph import Graph, Step, Workflow
from beeflow.layout import Layout
from beeflow.models import ElementResult, GroupRecord, TaskResult
from beeflow.plan import UNKNOWN, Evaluator
from beeflow.states import TaskState
from beeflow.values import Broken, Inputs, Known, Output, Value, broken_of, from_json, known, simplify


class Results:
    """Reads group records and results, each file once, also where there is none yet.

    ``passes_said``: what the group records say of skipped tasks holds, as it does in a job that a pass submitted; the
    pass itself is about to find out. ``interrupted``: elements (group key, number) whose cancelled tasks run again.
    """

    def __init__(
        self,
        layout: Layout,
        graph: Graph,
        evaluator: Evaluator,
        *,
        passes_said: bool = False,
        interrupted: Collection[tuple[str, int]] = (),
    ) -> None:
        self.layout = layout
        self.graph = graph
        self.evaluator = evaluator
        self.passes_said = passes_said
        self.interrupted = interrupted
        self._groups: dict[str, GroupRecord] = {}
        self._positions: dict[str, dict[str, int]] = {}
        self._elements: dict[tuple[str, int], ElementResult | None] = {}
        self._virtual: dict[tuple[str, str], Inputs | Broken] = {}

    def group(self, key: str) -> GroupRecord | None:
        """Read a group's record, or None when it is not planned yet."""
        if key not in self._groups:
            found = store.read_record(GroupRecord, self.layout.group_record(key))
            if found is None:
                return None
            self._groups[key] = found
            self._positions[key] = {label: position for position, label in enumerate(found.labels)}
        return self._groups[key]

    def element_of(self, key: str, label: str) -> int | None:
        """Return the number of the element that runs a task."""
        group = self.group(key)
        if group is None or label not in self._positions[key]:
            return None
        return self._positions[key][label] // group.tasks_per_element

    def element(self, key: str, number: int) -> ElementResult | None:
        """Read what came of an element, or None."""
        if (key, number) not in self._elements:
            self._elements[key, number] = store.read_record(ElementResult, self.layout.element_result(key, number))
        return self._elements[key, number]

    def forget(self, key: str) -> None:
        """Forget a group, whose tasks are not those of before."""
        self._groups.pop(key, None)
        self._elements = {place: found for place, found in self._elements.items() if place[0] != key}

    def look_again(self) -> None:
        """Forget what was not there yet."""
        self._elements = {place: found for place, found in self._elements.items() if found}

    def task(self, key: str, label: str) -> TaskResult | None:
        """Read what came of a task, or None."""
        number = self.element_of(key, label)
        element = None if number is None else self.element(key, number)
        found = None if element is None else element.tasks.get(label)
        if found and found.state is TaskState.CANCELLED and (key, number) in self.interrupted:
            return None
        return found

    def lookup(self, output: Output) -> Value:
        """Fill one hole: Known, Broken when it will never be made, the hole itself when it is not made yet."""
        group = self.group(output.group)
        if group is None or output.label == UNKNOWN:
            return output
        if group.virtual:
            return self._lookup_virtual(group, output)
        result = self.task(output.group, output.label)
        if result is None:
            # Its job may have been lost, and a pass since found that it need not run.
            return Known(None) if self.passes_said and output.label in group.skipped else output
        if not result.state.good:
            return Broken(f"{task_name(group, output.label)} {result.state.value}")
        return Known(result.outputs.get(output.port) if result.state is TaskState.COMPLETED else None)

    def _lookup_virtual(self, group: GroupRecord, output: Output) -> Value:
        key = (group.key, output.label)
        if key not in self._virtual:
            made = self._evaluate(group, output.label)
            if made is None:
                return output
            self._virtual[key] = made
        made = self._virtual[key]
        return made if isinstance(made, Broken) else made.get(output.port, Known(None))

    def _evaluate(self, group: GroupRecord, label: str) -> Inputs | Broken | None:
        """Evaluate an ExpressionTool or a step's inputs, once what they take is made."""
        number = self.element_of(group.key, label)
        if number is None:
            return None
        (task,) = [each for each in elements.read(self.layout, group.key, number).tasks if each.label == label]
        inputs = {name: simplify(from_json(value), self.lookup) for name, value in task.inputs.items()}
        broken = next((found for value in inputs.values() if (found := broken_of(value))), None)
        if broken:
            return broken
        if not all(isinstance(value, Known) for value in inputs.values()):
            return None
        step = step_at(self.graph.workflow, group.path)
        try:
            values = self.evaluator.step_inputs(step, {name: known(value) for name, value in inputs.items()})
            if step.workflow is None:
                if step.when and not self.evaluator.condition(step, values):
                    values = {}
                else:
                    values = self.evaluator.expression_tool(step.tool or "", values)
        except TaskError as error:
            return Broken(f"{group.path}: {error}")
        return {name: Known(value) for name, value in values.items()}


def task_name(group: GroupRecord, label: str) -> str:
    """Name a task as users see it: the step, and which of its tasks when it has several."""
    return f"{group.path}[{label}]" if group.scattered else group.path


def step_at(workflow: Workflow, path: str) -> Step:
    """Find a step by its path, "outer/inner"."""
    head, _, rest = path.partition("/")
    (step,) = [each for each in workflow.steps if each.name == head]
    return step_at(step.workflow, rest) if rest and step.workflow else step


def read_graph(layout: Layout) -> Graph:
    """Read the graph that runs."""
    found = store.read_record(Graph, layout.graph)
    if found is None:
        raise TaskError(f"{layout.graph}: not there")
    return found


def dumps_graph(graph: Graph) -> str:
    """Write the graph that runs."""
    return codec.dumps(graph)
