"""Turn a loaded CWL process into the graph that runs (beeflow.graph)."""

from __future__ import annotations

import json
import math
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rdflib
from cwltool.process import Process
from cwltool.update import ORIGINAL_CWLVERSION
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarfloat import ScalarFloat

from beeflow import locations
from beeflow.cwl.documents import Document, short_name
from beeflow.errors import DocumentError
from beeflow.graph import (
    COMMAND_LINE_TOOL,
    CUDA,
    MPI,
    Expressions,
    Graph,
    Link,
    Resources,
    Step,
    Tool,
    Workflow,
    requirement_of,
)
from beeflow.ordering import ordered

# Beyond this a float's neighbours are not whole numbers apart: as an integer it would show digits nobody wrote.
_EXACT = 1 << 53
_METADATA = ("cwlVersion", ORIGINAL_CWLVERSION, "$namespaces")


def compile_graph(document: Document) -> Graph:
    """Compile a document; a bare tool becomes a workflow of one step. Raises DocumentError for what makes no sense."""
    compiler = _Compiler()
    process = document.process
    if process.tool["class"] == "Workflow":
        workflow = compiler.workflow(process, "")
    else:
        workflow = compiler.one_step(process, document.path)
    version = process.metadata.get(ORIGINAL_CWLVERSION) or process.metadata.get("cwlVersion", "")
    return ordered(Graph(compiler.tools, workflow, str(version)))


def plain(value: Any) -> Any:
    """Copy cwltool's commented maps and sequences to plain JSON values."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, ScalarFloat):
        return _plain_float(value)
    if value is None or isinstance(value, (bool, float, str)):
        return value
    return int(value) if isinstance(value, int) else str(value)


def _plain_float(value: Any) -> float | int:
    """Keep that 1.23e5 was written without a fraction: a command line gets 123000, not 123000.0."""
    text = RoundTripRepresenter().represent_scalar_float(value).value
    is_exact = float(value).is_integer() and abs(value) < _EXACT
    return int(value) if "e" in text.lower() and is_exact else float(value)


def _names(parameters: list[Any]) -> tuple[str, ...]:
    return tuple(short_name(parameter["id"]) for parameter in parameters)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


class _Compiler:
    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {}

    def workflow(self, process: Any, path: str) -> Workflow:
        tool = process.tool
        names = _source_names(process)
        steps = [self.step(step, process, names, path) for step in process.steps]
        return Workflow(
            inputs=_names(tool["inputs"]),
            steps=_ordered(steps, path),
            outputs={
                short_name(output["id"]): _link(output, output.get("outputSource"), names) for output in tool["outputs"]
            },
            defaults={short_name(each["id"]): plain(each["default"]) for each in tool["inputs"] if "default" in each},
        )

    def one_step(self, process: Process, document: Path) -> Workflow:
        name = urllib.parse.unquote(short_name(process.tool["id"]))
        name = Path(name).stem if "#" not in process.tool["id"] else name
        inputs, outputs = _names(process.tool["inputs"]), _names(process.tool["outputs"])
        step = Step(
            name=name or document.stem,
            inputs={each: Link(sources=(each,)) for each in inputs},
            outputs=outputs,
            tool=self.tool(process, name),
            expressions=_expressions(process),
        )
        return Workflow(inputs, (step,), {each: Link(sources=(f"{step.name}/{each}",)) for each in outputs})

    def step(self, step: Any, parent: Any, names: dict[str, str], path: str) -> Step:
        name = short_name(step.id)
        embedded, tool = step.embedded_tool, step.tool
        is_workflow = embedded.tool["class"] == "Workflow"
        return Step(
            name=name,
            inputs={short_name(each["id"]): _step_input(each, names) for each in tool["inputs"]},
            outputs=_names(tool["outputs"]),
            scatter=tuple(short_name(each) for each in _as_list(tool.get("scatter"))),
            scatter_method=tool.get("scatterMethod"),
            when=tool.get("when"),
            tool=None if is_workflow else self.tool(embedded, f"{path}{name}"),
            workflow=self.workflow(embedded, f"{path}{name}/") if is_workflow else None,
            expressions=_expressions(parent),
        )

    def tool(self, process: Process, name: str) -> str:
        """Keep a tool under the path of its step: two steps may inherit different requirements for one tool."""
        document = plain(process.tool)
        _resolve_paths(document)
        document["requirements"] = plain(process.requirements)
        document["hints"] = plain(process.hints)
        self.tools[name] = Tool(
            kind=document["class"],
            document=document,
            metadata={key: plain(process.metadata[key]) for key in _METADATA if key in process.metadata},
            outputs=_names(document["outputs"]),
            resources=static_resources(document) if document["class"] == COMMAND_LINE_TOOL else Resources(),
            formats=_formats(process.formatgraph),
            updates=_updates(document),
            loads=_loads(document),
        )
        return name


def _resolve_paths(document: dict[str, Any]) -> None:
    """Make ``path`` of default files a location: the document's own folder is what it is relative to."""
    folder = locations.to_path(document["id"])
    for entry in locations.entries(document["inputs"]):
        if "location" not in entry and isinstance(entry.get("path"), str) and folder is not None:
            entry["location"] = locations.to_uri(folder.parent / entry.pop("path"))


def _formats(ontology: Any) -> str:
    """Keep of an ontology what format checks ask: subclasses and equivalents."""
    if ontology is None or not len(ontology):
        return ""
    kept = rdflib.Graph()
    for predicate in (rdflib.RDFS.subClassOf, rdflib.OWL.equivalentClass):
        for triple in ontology.triples((None, predicate, None)):
            kept.add(triple)
    return str(kept.serialize(format="nt"))


def _step_input(parameter: Any, names: dict[str, str]) -> Link:
    link = _link(parameter, parameter.get("source"), names)
    return Link(
        sources=link.sources,
        link_merge=link.link_merge,
        pick_value=link.pick_value,
        default=plain(parameter.get("default")),
        value_from=parameter.get("valueFrom"),
        load_contents=bool(parameter.get("loadContents")),
        load_listing=parameter.get("loadListing"),
    )


def _link(parameter: Any, source: Any, names: dict[str, str]) -> Link:
    sources = tuple(names[each] for each in _as_list(source))
    default_merge = "merge_nested" if len(sources) > 1 else None
    return Link(sources, parameter.get("linkMerge") or default_merge, parameter.get("pickValue"))


def _source_names(process: Any) -> dict[str, str]:
    """Map every identifier that a link of a workflow may name to "input" or "step/port"."""
    names = {each["id"]: short_name(each["id"]) for each in process.tool["inputs"]}
    for step in process.steps:
        names.update({each["id"]: f"{short_name(step.id)}/{short_name(each['id'])}" for each in step.tool["outputs"]})
    return names


def _expressions(process: Process) -> Expressions:
    requirement, _ = process.get_requirement("InlineJavascriptRequirement")
    if requirement is None:
        return Expressions()
    return Expressions(True, tuple(str(each) for each in requirement.get("expressionLib", [])))


def _ordered(steps: list[Step], path: str) -> tuple[Step, ...]:
    """Sort steps so that each follows its sources, by name where free: cwltool shuffles them."""
    waiting = {step.name: step for step in steps}
    ordered: list[Step] = []
    done: set[str] = set()
    while waiting:
        ready = [
            step
            for step in waiting.values()
            if all(
                "/" not in source or source.split("/")[0] in done
                for link in step.inputs.values()
                for source in link.sources
            )
        ]
        if not ready:
            raise DocumentError(f"workflow {path or '(top)'}: the steps {', '.join(waiting)} wait for each other")
        for step in sorted(ready, key=lambda each: each.name):
            ordered.append(waiting.pop(step.name))
            done.add(step.name)
    return tuple(ordered)


def updates_in_place(document: dict[str, Any]) -> bool:
    """True when a tool requires it; as a hint it may be ignored, and a copy is safer."""
    requirement, is_required = requirement_of(document, "InplaceUpdateRequirement")
    return bool(requirement and is_required and requirement.get("inplaceUpdate"))


def _updates(document: dict[str, Any]) -> tuple[str, ...]:
    """Name the inputs that a tool may update in place: those that a writable entry of its working directory names."""
    requirement, _ = requirement_of(document, "InitialWorkDirRequirement")
    if requirement is None or not updates_in_place(document):
        return ()
    entries = [each for each in _as_list(requirement.get("listing")) if _may_be_writable(each)]
    text = json.dumps(entries).replace("\\", "")
    mentions = re.findall(r"""\binputs\b(?:\.(\w+)|\[["']([^"']+)["']\])?""", text)
    named = {plain_name or quoted for plain_name, quoted in mentions}
    return tuple(name for name in _names(document["inputs"]) if name in named or "" in named)


def _may_be_writable(entry: Any) -> bool:
    if isinstance(entry, dict):
        return bool(entry.get("writable"))
    # An expression that gives more than an input may give entries that say what they are.
    return isinstance(entry, str) and re.fullmatch(r"\$\(inputs\.\w+\)", entry.strip()) is None


def _loads(document: dict[str, Any]) -> bool:
    """True when the text of files, or the names in folders, are part of a tool's inputs."""
    if requirement_of(document, "LoadListingRequirement")[0] is not None:
        return True
    return any(key in json.dumps(document["inputs"]) for key in ('"loadContents": true', '_listing"'))


def requested(document: dict[str, Any]) -> dict[str, Any]:
    """List what a resolved tool asks of Slurm, by CWL's names, as it is written: expressions too."""
    asked = requirement_of(document, "ResourceRequirement")[0] or {}
    found = {name: value for name, value in asked.items() if name.endswith(("Min", "Max"))}
    found["timelimit"] = (requirement_of(document, "ToolTimeLimit")[0] or {}).get("timelimit")
    mpi, _ = requirement_of(document, MPI)
    if mpi is not None:
        found["processes"] = mpi.get("processes", 1)
    cuda, is_required = requirement_of(document, CUDA)
    if cuda is not None and is_required:
        # A hint must not keep a job from running where there is no GPU.
        found["cudaDeviceCount"] = cuda.get("cudaDeviceCountMin") or cuda.get("cudaDeviceCountMax") or 1
    return found


def static_resources(document: dict[str, Any]) -> Resources | None:
    """Read what a resolved tool asks for; None when an expression decides it. Raises DocumentError for nonsense."""
    values = requested(document)
    if any(isinstance(value, str) and ("$(" in value or "${" in value) for value in values.values()):
        return None
    try:
        return resources_of(values)
    except (TypeError, ValueError) as error:
        raise DocumentError(f"{_file_of(document)}: {error}") from error


def _file_of(document: dict[str, Any]) -> str:
    """Name a tool as a user knows it: its file."""
    return str(document["id"]).removeprefix("file://")


def resources_of(values: Mapping[str, Any]) -> Resources:
    """Turn evaluated CWL resources (cores; MiB) into Slurm's; the minimum is what is asked for.

    Raises TypeError or ValueError for what is no number.
    """

    def asked(name: str) -> Any:
        return values.get(f"{name}Min") or values.get(f"{name}Max")

    cores, ram = asked("cores"), asked("ram")
    scratch = [value for value in (asked("tmpdir"), asked("outdir")) if value]
    limit, ranks, gpus = (values.get(name) for name in ("timelimit", "processes", "cudaDeviceCount"))
    return Resources(
        cpus_per_task=max(1, math.ceil(cores or 1)),
        mem_mib=math.ceil(ram) if ram else None,
        tmp_mib=math.ceil(sum(scratch)) if scratch else None,
        time_limit_s=int(limit) if limit else None,
        ntasks=None if ranks is None else count("MPIRequirement: processes", ranks),
        gpus=None if gpus is None else count("CUDARequirement: cudaDeviceCountMin", gpus),
    )


def count(what: str, value: Any) -> int:
    """Check a number of processes or devices; raises ValueError for what is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{what}: {value!r} is not a number from 1 on")
    return value
