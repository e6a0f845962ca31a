"""What was to run: the workflow, its steps and its tools (prospective provenance)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from beeflow.crate.documents import Documents
from beeflow.crate.parameters import INPUT, OUTPUT, by_name, parameter_id, parameters, text_of
from beeflow.crate.terms import CWL, Entity, fragment, ref, refs, without_nothing
from beeflow.graph import Graph, Step, Tool, Workflow

_WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"


def step_id(path: str) -> str:
    """Name a step."""
    return fragment("step", path)


def tool_id(step: Step, path: str) -> str:
    """Name what a step runs: a tool, or a workflow."""
    return fragment("workflow", path) if step.workflow else fragment("tool", step.tool or path)


def owner(step: Step, path: str) -> str:
    """Return the path by which the parameters of what a step runs are named."""
    return path if step.workflow else step.tool or path


def inputs_of(tool: Tool) -> dict[str, Any]:
    """Index what a tool's document says of its inputs."""
    return by_name(tool.document.get("inputs"))


@dataclass
class Plans:
    """Describes a graph. ``ran``: the paths of the steps of which a task ran, and of those around them.

    A tool that did not run is described as what its step would run, and is no part of the workflow: the profile wants
    an action for each part. A subworkflow nothing of which ran would have no parts, so its step is left out.
    """

    graph: Graph
    documents: Documents
    main: str
    ran: Collection[str]
    _told: set[str] = field(default_factory=set)

    def entities(self, more: Entity) -> Iterator[Entity]:
        """Describe all. ``more``: properties of the workflow as a file."""
        types = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
        yield from self._workflow(self.graph.workflow, "", {**more, "@type": types})

    def _workflow(self, workflow: Workflow, path: str, base: Entity) -> Iterator[Entity]:
        document = self.documents.process(path)
        prefix = f"{path}/" if path else ""
        shown = [each for each in workflow.steps if each.workflow is None or f"{prefix}{each.name}" in self.ran]
        parts = [tool_id(each, prefix + each.name) for each in shown if f"{prefix}{each.name}" in self.ran]
        links = list(self._links(workflow, prefix, {each.name: each for each in shown}))
        name = text_of(document.get("label")) or base.get("name") or path
        yield without_nothing(
            {
                **base,
                "name": name,
                "description": text_of(document.get("doc")),
                "conformsTo": ref(_WORKFLOW_PROFILE),
                "programmingLanguage": ref(CWL),
                "input": refs(parameter_id(INPUT, path, name) for name in workflow.inputs),
                "output": refs(parameter_id(OUTPUT, path, name) for name in workflow.outputs),
                "step": refs(step_id(prefix + each.name) for each in shown),
                "hasPart": refs(parts),
                "connection": refs(each["@id"] for receiver, each in links if receiver is None),
            }
        )
        yield from parameters(INPUT, path, workflow.inputs, by_name(document.get("inputs")))
        yield from parameters(OUTPUT, path, workflow.outputs, by_name(document.get("outputs")))
        yield from (each for _, each in links)
        for position, step in enumerate(workflow.steps):
            if step in shown:
                connections = [each["@id"] for receiver, each in links if receiver == step.name]
                yield from self._step(step, prefix + step.name, position, connections)

    def _step(self, step: Step, path: str, position: int, connections: list[str]) -> Iterator[Entity]:
        yield without_nothing(
            {
                "@id": step_id(path),
                "@type": "HowToStep",
                "name": path,
                "position": str(position),
                "workExample": ref(tool_id(step, path)),
                "connection": refs(connections),
            }
        )
        if step.workflow:
            types = ["SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
            yield from self._workflow(step.workflow, path, {"@id": tool_id(step, path), "@type": types})
        elif tool_id(step, path) not in self._told:
            self._told.add(tool_id(step, path))
            yield from self._tool(self.graph.tools[step.tool or ""], tool_id(step, path), owner(step, path))

    def _tool(self, tool: Tool, identifier: str, path: str) -> Iterator[Entity]:
        document = tool.document
        inputs, outputs = inputs_of(tool), by_name(document.get("outputs"))
        software = list(_software(tool))
        yield without_nothing(
            {
                "@id": identifier,
                "@type": "SoftwareApplication",
                "name": text_of(document.get("label")) or path,
                "description": text_of(document.get("doc")),
                "additionalType": document.get("class"),
                "input": refs(parameter_id(INPUT, path, name) for name in inputs),
                "output": refs(parameter_id(OUTPUT, path, name) for name in outputs),
                "softwareRequirements": refs(each["@id"] for each in software),
            }
        )
        yield from parameters(INPUT, path, inputs, inputs)
        yield from parameters(OUTPUT, path, outputs, outputs)
        for each in software:
            if each["@id"] not in self._told:
                self._told.add(each["@id"])
                yield each

    def _links(self, workflow: Workflow, prefix: str, shown: Mapping[str, Step]) -> Iterator[tuple[str | None, Entity]]:
        """Yield each connection of a source to an input of a step, or (None) to an output of the workflow."""
        for step in shown.values():
            path = prefix + step.name
            known = step.workflow.inputs if step.workflow else inputs_of(self.graph.tools[step.tool or ""])
            for name, link in step.inputs.items():
                target = parameter_id(INPUT, owner(step, path), name)
                for source in self._sources(link.sources, prefix, shown) if name in known else ():
                    yield step.name, _connection(source, target)
        for name, link in workflow.outputs.items():
            target = parameter_id(OUTPUT, prefix.rstrip("/"), name)
            for source in self._sources(link.sources, prefix, shown):
                yield None, _connection(source, target)

    def _sources(self, sources: Collection[str], prefix: str, shown: Mapping[str, Step]) -> Iterator[str]:
        for source in sources:
            name, slash, port = source.rpartition("/")
            if not slash:
                yield parameter_id(INPUT, prefix.rstrip("/"), source)
            elif name in shown:
                yield parameter_id(OUTPUT, owner(shown[name], prefix + name), port)


def _connection(source: str, target: str) -> Entity:
    return {
        "@id": f"#connection/{source[1:]}/{target[1:]}",
        "@type": "ParameterConnection",
        "sourceParameter": ref(source),
        "targetParameter": ref(target),
    }


def _software(tool: Tool) -> Iterator[Entity]:
    """Describe what a SoftwareRequirement names."""
    requirement, _ = tool.requirement("SoftwareRequirement")
    for package in (requirement or {}).get("packages", ()):
        name, versions = str(package.get("package")), [str(each) for each in package.get("version") or ()]
        specs = [str(each) for each in package.get("specs") or ()]
        yield without_nothing(
            {
                "@id": fragment("software", name, *versions),
                "@type": "SoftwareApplication",
                "name": name,
                "softwareVersion": " or ".join(versions),
                "url": specs[0] if specs else None,
            }
        )
