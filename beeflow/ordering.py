"""Which steps wait for which because one of them updates a file in place (CWL v1.2, InplaceUpdateRequirement).

Pure. A step that updates what another made runs after all who read it before and before all who read it after, so that
a run is the same every time. Where nothing says which comes first, and where it cannot be had, the document is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from beeflow.errors import DocumentError
from beeflow.graph import EXPRESSION_TOOL, Graph, Link, Step, Tool, Workflow

_CROSSPRODUCTS = ("nested_crossproduct", "flat_crossproduct")


@dataclass(frozen=True)
class _Flow:
    """What a value may be made of: the ports of tools, and the scatters whose every instance has another one."""

    origins: frozenset[tuple[str, str]] = frozenset()
    differs: frozenset[str] = frozenset()

    @property
    def steps(self) -> set[str]:
        return {path for path, _ in self.origins}


@dataclass
class _Node:
    """One step. ``data``: the steps it takes from; ``gates``: those its workflow may wait for; ``scatters``: around it.

    ``looks``: a pass reads what is in its files, and may do so again at any later time.
    """

    path: str
    step: Step
    tool: Tool | None
    inputs: dict[str, _Flow]
    gates: set[str]
    scatters: frozenset[str]
    looks: bool
    after: set[str] = field(default_factory=set)

    @property
    def data(self) -> set[str]:
        return {path for flow in self.inputs.values() for path in flow.steps}

    @property
    def updated(self) -> list[_Flow]:
        names = self.tool.updates if self.tool else ()
        return [self.inputs[name] for name in names if name in self.inputs]

    def touches(self, origins: frozenset[tuple[str, str]]) -> bool:
        return any(flow.origins & origins for flow in self.inputs.values())


def ordered(graph: Graph) -> Graph:
    """Return the graph with the order that updates in place need (Step.after); raises DocumentError."""
    if not any(tool.updates for tool in graph.tools.values()):
        return graph
    nodes = _Reader(graph).nodes
    for writer in nodes.values():
        for flow in writer.updated:
            _refuse_many(writer, flow)
            for other in nodes.values():
                if other is not writer and other.touches(flow.origins):
                    _order(writer, other, flow, nodes)
    return replace(graph, workflow=_with_order(graph.workflow, "", nodes))


def _refuse_many(writer: _Node, flow: _Flow) -> None:
    if flow.origins and writer.scatters - flow.differs:
        raise DocumentError(
            f"step {writer.path}: it is scattered, and all its tasks would update one file in place "
            "(InplaceUpdateRequirement); scatter over the files too"
        )


def _order(writer: _Node, other: _Node, flow: _Flow, nodes: dict[str, _Node]) -> None:
    """Put another step that has the same file before or after a writer."""
    if other.looks and writer.path not in _before(other, nodes, gates=False):
        raise DocumentError(
            f"step {other.path}: it looks into what step {writer.path} updates in place (InplaceUpdateRequirement) "
            f"and does not take anything of that step's; let it take {writer.path}'s output"
        )
    if other.tool is None or other.tool.kind == EXPRESSION_TOOL:
        return
    if writer.path in _before(other, nodes):
        other.after |= {writer.path} - other.data
    elif other.path not in _before(writer, nodes) and any(each.origins & flow.origins for each in other.updated):
        raise DocumentError(
            f"steps {writer.path} and {other.path}: both update one file in place (InplaceUpdateRequirement), and "
            "nothing says which comes first; let one take the other's output"
        )
    else:
        writer.after |= {other.path} - writer.data


def _before(node: _Node, nodes: dict[str, _Node], *, gates: bool = True) -> set[str]:
    """Find all steps that must end before one can start; without gates only those whose data it has."""
    found: set[str] = set()
    todo = [node]
    while todo:
        each = todo.pop()
        new = (each.data | each.gates | each.after if gates else each.data) - found
        found |= new
        todo += [nodes[path] for path in new]
    return found


class _Reader:
    """Follows files through a graph: step path -> node, in the order of the steps."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: dict[str, _Node] = {}
        given = {name: _Flow() for name in graph.workflow.inputs}
        self.workflow(graph.workflow, "", given, set(), frozenset())

    def workflow(
        self, workflow: Workflow, path: str, values: dict[str, _Flow], gates: set[str], scatters: frozenset[str]
    ) -> dict[str, _Flow]:
        for step in workflow.steps:
            made = self.step(step, f"{path}{step.name}", values, gates, scatters)
            values.update({f"{step.name}/{port}": flow for port, flow in made.items()})
        return {name: _linked(link, values) for name, link in workflow.outputs.items()}

    def step(
        self, step: Step, path: str, values: dict[str, _Flow], gates: set[str], scatters: frozenset[str]
    ) -> dict[str, _Flow]:
        inputs = _inputs(step, path, values)
        inside = scatters | {path} if step.scatter else scatters
        tool = self.graph.tools[step.tool] if step.tool else None
        node = self.nodes[path] = _Node(path, step, tool, inputs, gates, inside, _looks(step, tool))
        if step.workflow:
            waits = step.when or step.scatter or step.has_expressions
            given = {name: inputs.get(name, _Flow()) for name in step.workflow.inputs}
            made = self.workflow(step.workflow, f"{path}/", given, gates | node.data if waits else gates, inside)
        else:
            made = _made(node)
        # Outside its scatter an output is one array.
        return {port: replace(flow, differs=flow.differs - {path}) for port, flow in made.items()}


def _inputs(step: Step, path: str, values: dict[str, _Flow]) -> dict[str, _Flow]:
    linked = {name: _linked(link, values) for name, link in step.inputs.items()}
    everything = frozenset(origin for flow in linked.values() for origin in flow.origins)
    differs = frozenset() if step.scatter_method in _CROSSPRODUCTS and len(step.scatter) > 1 else frozenset({path})
    return {
        name: _Flow(
            # An expression may give any of the step's inputs.
            everything if step.inputs[name].value_from else flow.origins,
            flow.differs | (differs if name in step.scatter else frozenset()),
        )
        for name, flow in linked.items()
    }


def _linked(link: Link, values: dict[str, _Flow]) -> _Flow:
    flows = [values[source] for source in link.sources]
    if not flows:
        return _Flow()
    origins = frozenset(origin for flow in flows for origin in flow.origins)
    return _Flow(origins, frozenset.intersection(*(flow.differs for flow in flows)))


def _made(node: _Node) -> dict[str, _Flow]:
    """Say what a tool's outputs may be: its own, and what it updated or passed on."""
    passed = list(node.inputs.values()) if node.tool and node.tool.kind == EXPRESSION_TOOL else node.updated
    origins = frozenset(origin for flow in passed for origin in flow.origins)
    return {port: _Flow(origins | {(node.path, port)}, node.scatters) for port in node.step.outputs}


def _looks(step: Step, tool: Tool | None) -> bool:
    loads = any(link.load_contents or link.load_listing for link in step.inputs.values())
    if tool is None:
        return step.has_expressions
    return (loads and step.when is not None) or (tool.kind == EXPRESSION_TOOL and (loads or tool.loads))


def _with_order(workflow: Workflow, path: str, nodes: dict[str, _Node]) -> Workflow:
    def steps() -> Iterator[Step]:
        for step in workflow.steps:
            full = f"{path}{step.name}"
            inner = _with_order(step.workflow, f"{full}/", nodes) if step.workflow else None
            yield replace(step, workflow=inner, after=tuple(sorted(nodes[full].after)))

    return replace(workflow, steps=tuple(steps()))
