"""Say what a node needs to know of a step, and make the templates of its commands before any task runs."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from beeflow.cwl import template
from beeflow.cwl.documents import short_name
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import BeeError
from beeflow.graph import Graph, Step, Tool
from beeflow.plan import Group, Plan
from beeflow.values import Items, Known, Output, Value

# With arrays of more elements, the driver leaves a command to the task's own node: each takes cwltool a millisecond.
WIDE = 2000
# Where a file that is not made yet might be; each of several somewhere else, as they will be.
_SOMEWHERE = "tasks/step-to-come"
_GUESSES: dict[str, Any] = {
    "File": {
        "class": "File",
        "location": "name.txt",
        "basename": "name.txt",
        "checksum": "sha1$0",
        "size": 1,
    },
    "Directory": {"class": "Directory", "location": "name", "basename": "name"},
    "string": "text",
    "int": 7,
    "long": 7,
    "float": 7.5,
    "double": 7.5,
}


class _UnknownError(Exception):
    """Nobody can say what this value will look like."""


class PassTools(CwlEvaluator):
    """What a pass needs of CWL (implements beeflow.driver.Tools)."""

    def run_facts(self, plan: Plan, group: Group) -> dict[str, Any]:
        """Describe a group's step for beeflow.runner, as JSON."""
        step = group.step
        tool = self.graph.tools[step.tool or ""]
        image = tool.container
        return {
            "inputs": _input_names(tool),
            "evaluate": bool(step.when) or step.has_expressions,
            "container": {"runtime": image.runtime, "sha256": image.sha256} if image else None,
            "literal": template.literal_inputs(tool),
            "may_have_template": template.may_have(tool),
            "templates": self.templates(plan, group, tool) if template.may_have(tool) else {},
            "ram_mib": _default_ram(tool),
            "python_path": _python_path(),
            "foreign": self.foreign,
        }

    def templates(self, plan: Plan, group: Group, tool: Tool) -> dict[str, Any]:
        """Make the templates of the shapes that some of the tasks have: shape -> template."""
        found: dict[str, Any] = {}
        for inputs in _examples(self.graph, plan, group, self):
            own = {name: inputs.get(name) for name in _input_names(tool)}
            if _items(own) > WIDE:
                continue
            made = template.make(tool, own, self.root)
            if made and (not _is_real(own) or template.agrees(made[1], tool, own, self.root)):
                found[made[0]] = made[1]
        return found


def _items(value: Any) -> int:
    """Count the elements of all arrays."""
    if isinstance(value, dict):
        return sum(map(_items, value.values()))
    return sum(1 + _items(each) for each in value) if isinstance(value, list) else 0


def _input_names(tool: Tool) -> list[str]:
    return [short_name(each["id"]) for each in tool.document["inputs"]]


def _python_path() -> list[str]:
    """List where this process finds its modules, but for the folder that it is in."""
    return [each for each in map(os.path.abspath, sys.path) if os.path.exists(each) and each != os.getcwd()]


def _default_ram(tool: Tool) -> int | None:
    """Return runtime.ram where nothing is granted (MiB); None where it depends on inputs."""
    if tool.resources is None:
        return None
    if tool.resources.mem_mib is not None:
        return tool.resources.mem_mib
    # CWL v1.2 and v1.0 CommandLineTool, ResourceRequirement.
    return 1024 if tool.metadata.get("http://commonwl.org/cwltool#original_cwlVersion") == "v1.0" else 256


def _is_real(inputs: Mapping[str, Any]) -> bool:
    return _SOMEWHERE not in repr(inputs)


def _examples(graph: Graph, plan: Plan, group: Group, evaluator: CwlEvaluator) -> Iterator[dict[str, Any]]:
    """Yield the inputs of some tasks of a group, with guesses for what is not made yet."""
    skipped = set(group.skipped)
    tasks = [task for task in (*group.tasks[:2], *group.tasks[-1:]) if task.label not in skipped and not task.broken]
    numbers = itertools.count()
    for task in tasks:
        try:
            inputs = {name: _example(graph, plan, value, numbers) for name, value in task.inputs.items()}
            yield _evaluated(group.step, inputs, evaluator)
        except (_UnknownError, BeeError):
            continue


def _evaluated(step: Step, inputs: dict[str, Any], evaluator: CwlEvaluator) -> dict[str, Any]:
    if not step.has_expressions:
        return inputs
    if not _is_real(inputs):
        raise _UnknownError
    return evaluator.step_inputs(step, inputs)


def _example(graph: Graph, plan: Plan, value: Value, numbers: Iterator[int]) -> Any:
    if isinstance(value, Known):
        return value.value
    if isinstance(value, Items):
        return [_example(graph, plan, each, numbers) for each in value.values]
    if isinstance(value, Output):
        made = _guess(graph, plan.groups[value.group].step, value.port)
        if isinstance(made, dict):
            return {**made, "location": f"{_SOMEWHERE}/{next(numbers):06}/out/{made['location']}"}
        return made
    raise _UnknownError


def _guess(graph: Graph, step: Step, port: str) -> Any:
    """Guess what an output will look like from its type."""
    if step.tool is None:
        raise _UnknownError
    (declared,) = [each for each in graph.tools[step.tool].document["outputs"] if short_name(each["id"]) == port]
    kinds = declared["type"] if isinstance(declared["type"], list) else [declared["type"]]
    kinds = ["File" if kind in ("stdout", "stderr") else kind for kind in kinds if kind != "null"]
    if len(kinds) != 1 or not isinstance(kinds[0], str) or kinds[0] not in _GUESSES or declared.get("secondaryFiles"):
        raise _UnknownError
    file_format = declared.get("format")
    if file_format is None:
        return _GUESSES[kinds[0]]
    if "$" in file_format:
        raise _UnknownError
    return {**_GUESSES[kinds[0]], "format": file_format}
