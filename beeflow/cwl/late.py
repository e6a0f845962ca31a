"""What a pass needs of CWL, without cwltool until something really asks for it.

Importing cwltool takes longer than all else that a pass does; one that finds only plain links, as most last ones do,
never needs it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beeflow.graph import Graph, Resources, Step
from beeflow.plan import Group, Plan

if TYPE_CHECKING:
    from beeflow.cwl.foresee import PassTools


class LateTools:
    """Implements beeflow.groups.Tools. ``root``: the workflow directory; ``cache``: the folder of parsed schemas.

    ``foreign``: the workflow is somebody else's (beeflow.cwl.guard).
    """

    def __init__(self, graph: Graph, root: Path, cache: Path, *, foreign: bool = False) -> None:
        self.graph = graph
        self.root = root
        self.cache = cache
        self.foreign = foreign

    @functools.cached_property
    def real(self) -> PassTools:
        """Import what does the work."""
        from beeflow.cwl import schema_cache
        from beeflow.cwl.foresee import PassTools

        schema_cache.install(self.cache)
        return PassTools(self.graph, self.root, foreign=self.foreign)

    def step_inputs(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        """Apply loadContents and valueFrom to a step's inputs."""
        return self.real.step_inputs(step, values) if step.has_expressions else dict(values)

    def condition(self, step: Step, values: Mapping[str, Any]) -> bool:
        """Evaluate ``when``."""
        return self.real.condition(step, values)

    def expression_tool(self, tool_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run an ExpressionTool."""
        return self.real.expression_tool(tool_id, values)

    def resources(self, tool_id: str, inputs: Mapping[str, Any]) -> Resources:
        """Evaluate a tool's resources for given inputs."""
        return self.real.resources(tool_id, inputs)

    def run_facts(self, plan: Plan, group: Group) -> dict[str, Any]:
        """Describe a group's step for the runner on the node."""
        return self.real.run_facts(plan, group)
