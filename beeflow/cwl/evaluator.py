"""Evaluate the expressions of steps, and ExpressionTools (implements beeflow.plan.Evaluator)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cwl_utils.expression import do_eval
from cwltool.builder import content_limit_respected_read
from cwltool.context import RuntimeContext
from cwltool.stdfsaccess import StdFsAccess
from cwltool.utils import adjustDirObjs, get_listing, normalizeFilesDirs

from beeflow import locations
from beeflow.cwl import forms, prepare
from beeflow.cwl.compiler import plain
from beeflow.cwl.documents import quiet, translated
from beeflow.cwl.guard import Guard
from beeflow.cwl.tools import construct, own_inputs
from beeflow.errors import TaskError
from beeflow.graph import Expressions, Graph, Resources, Step


class CwlEvaluator:
    """Evaluates for one workflow. ``root``: its directory, which relative locations are in.

    ``foreign``: it is somebody else's, and its expressions are kept to what is theirs (beeflow.cwl.guard);
    ``refused``: what they made that is not.
    """

    def __init__(self, graph: Graph, root: Path, *, foreign: bool = False) -> None:
        self.graph = graph
        self.root = root
        self.foreign = foreign
        self.refused: list[str] = []
        self.files = StdFsAccess("")
        quiet()

    def step_inputs(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """Apply loadContents and valueFrom (CWL v1.2 Workflow, WorkflowStepInput)."""
        if not step.has_expressions:
            return dict(values)
        given = locations.absolute(dict(values), self.root)
        with self._watched(f"step {step.name}: ", given, {"in": _links(step)}):
            for name, link in step.inputs.items():
                self._load(given[name], contents=link.load_contents, listing=link.load_listing)
            found = {name: self._value_from(step, name, given) for name in step.inputs}
        return self._relative(found, f"step {step.name}: ")

    def condition(self, step: Step, values: Mapping[str, Any]) -> bool:
        """Evaluate ``when``; it must give a boolean (CWL v1.2 Workflow, WorkflowStep)."""
        given = locations.absolute(dict(values), self.root)
        with self._watched(f"step {step.name}: when: ", given, None):
            decided = _evaluate(step.when, given, step.expressions, None)
        if not isinstance(decided, bool):
            raise TaskError(f"step {step.name}: when: must be true or false, got {decided!r}")
        return decided

    def expression_tool(self, tool_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run an ExpressionTool here: it never costs a Slurm job."""
        tool = self.graph.tools[tool_id]
        order = locations.absolute(own_inputs(tool, values), self.root)
        with self._watched(f"step {tool_id}: ", order, tool.document) as guard:
            process = construct(tool, self.root)
            runtime = RuntimeContext({"basedir": str(self.root), "use_container": False})
            if guard:
                runtime.make_fs_access = guard.files
            (job,) = process.job(order, lambda *_: None, runtime)
            # What ExpressionJob.run does, but for keeping what is wrong to itself.
            normalizeFilesDirs(job.builder.job)
            found = forms.check(job.builder.do_eval(job.script), f"step {tool_id}: ")
            # It makes names of locations, which are looked at again.
            normalizeFilesDirs(found)
        return self._relative(found, f"step {tool_id}: ")

    def _relative(self, value: Any, what: str) -> dict[str, Any]:
        relative: dict[str, Any] = locations.relative(plain(forms.check(value, what)), self.root)
        return relative

    def resources(self, tool_id: str, inputs: Mapping[str, Any]) -> Resources:
        """Evaluate a tool's ResourceRequirement and ToolTimeLimit for given inputs."""
        tool = self.graph.tools[tool_id]
        given = locations.absolute(dict(inputs), self.root)
        with self._watched("", given, tool.document) as guard:
            return prepare.resources(tool, given, self.root, guard)

    @contextlib.contextmanager
    def _watched(self, what: str, given: Any, document: Any) -> Iterator[Guard | None]:
        """Turn cwltool's errors into ours; keep a stranger's expressions to what they were given."""
        with translated(TaskError, what):
            if not self.foreign:
                yield None
                return
            guard = Guard(self.root, [given, document], document)
            try:
                with guard.watching(TaskError, what):
                    yield guard
            finally:
                self.refused += [f"{what}{guard.refused}"] if guard.refused else []

    def _load(self, value: Any, *, contents: bool, listing: str | None) -> None:
        for entry in value if isinstance(value, list) else [value]:
            if not isinstance(entry, dict):
                continue
            if contents and entry.get("class") == "File" and entry.get("contents") is None:
                with self.files.open(entry["location"], "rb") as stream:
                    entry["contents"] = content_limit_respected_read(stream)
            if listing in ("shallow_listing", "deep_listing"):
                get_listing(self.files, entry, recursive=listing == "deep_listing")

    def _value_from(self, step: Step, name: str, values: dict[str, Any]) -> Any:
        link = step.inputs[name]
        if link.value_from is None:
            return values[name]
        adjustDirObjs(values[name], functools.partial(get_listing, self.files, recursive=True))
        return _evaluate(link.value_from, values, step.expressions, values[name])


def _links(step: Step) -> dict[str, Any]:
    """Say where the expressions of a step's inputs are in its document."""
    return {name: {"valueFrom": link.value_from} for name, link in step.inputs.items()}


def _evaluate(expression: Any, inputs: dict[str, Any], context: Expressions, value: Any) -> Any:
    requirements: list[Any] = []
    if context.javascript:
        requirements = [{"class": "InlineJavascriptRequirement", "expressionLib": list(context.library)}]
    return do_eval(expression, inputs, requirements, None, None, {}, context=value)
