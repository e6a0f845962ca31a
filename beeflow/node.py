"""What a task needs cwltool for, on its node: imported once an element, and while commands run (beeflow.runner)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beeflow import locations, staging
from beeflow.command import Folders
from beeflow.cwl import schema_cache, template
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.cwl.guard import Guard
from beeflow.cwl.prepare import Granted, Prepared, prepare
from beeflow.errors import BrokenError
from beeflow.layout import Layout, cache_dir
from beeflow.results import Results, read_graph, step_at
from beeflow.values import broken_of, from_json, known, outputs_of, simplify


class Node:
    """Works for one element. ``run``: what the passes say of its step (tasks/<group>/run.json)."""

    def __init__(self, root: str, run: Mapping[str, Any]) -> None:
        self.layout = Layout(Path(root))
        schema_cache.install(cache_dir(self.layout))
        graph = read_graph(self.layout)
        self.foreign = bool(run.get("foreign"))
        self.evaluator = CwlEvaluator(graph, self.layout.root, foreign=self.foreign)
        self.results = Results(self.layout, graph, self.evaluator, passes_said=True)
        self.step = step_at(graph.workflow, run["step"])
        self.tool = graph.tools[self.step.tool or ""]

    def resolve(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fill the holes of a task's inputs; None while a result is missing. Raises BrokenError."""
        self.results.look_again()
        values = {name: simplify(from_json(value), self.results.lookup) for name, value in inputs.items()}
        broken = next((found for value in values.values() if (found := broken_of(value))), None)
        if broken:
            raise BrokenError(broken.reason)
        if any(True for value in values.values() for _ in outputs_of(value)):
            return None
        return {name: known(value) for name, value in values.items()}

    def evaluate(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Apply the step's own expressions; None when its condition is false."""
        values = self.evaluator.step_inputs(self.step, inputs)
        if self.step.when and not self.evaluator.condition(self.step, values):
            return None
        return values

    def prepare(
        self, inputs: Mapping[str, Any], folder: str, cpus: int | None, mem_mib: int | None, gpus: int | None
    ) -> Collectable:
        """Have cwltool prepare a task's command."""
        root = self.layout.root
        given = locations.absolute(dict(inputs), root)
        guard = Guard(root, [given, self.tool.document], self.tool.document) if self.foreign else None
        return Collectable(prepare(self.tool, given, root, Folders(folder), Granted(cpus, mem_mib, gpus), guard))

    def template(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make the template for inputs of this shape."""
        made = template.make(self.tool, inputs, self.layout.root)
        if made is None or not template.agrees(made[1], self.tool, inputs, self.layout.root):
            return None
        return made[1]


class Collectable:
    """A command that cwltool prepared, and collects the outputs of."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def as_json(self) -> dict[str, Any]:
        """Return the command as the runner takes it."""
        return self.prepared.as_json()

    def collect(self, exit_code: int) -> dict[str, Any]:
        """Collect the outputs and make them read-only; raises TaskError when a declared one was not made."""
        outputs = self.prepared.collect(exit_code)
        staging.make_read_only(Path(self.prepared.folders.out))
        staging.replace_updated(self.prepared.command.stage, self.prepared.root)
        return outputs
