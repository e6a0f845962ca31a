"""Compare what two runs ran: steps, links and tools, wherever the documents were. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from beeflow import codec
from beeflow.comparing.values import Values, union
from beeflow.comparing.verdicts import Difference, Item, Verdict, judged
from beeflow.graph import Container, Graph, Step, Workflow

# What says nothing about what runs: where a document was, which syntax it had, and words for people.
_SILENT = frozenset({"id", "cwlVersion", "doc", "label", "name"})
_INNER_VERSION = "original_cwlVersion"
# Lists whose items have names: the order says nothing.
_NAMED = {"inputs": "id", "outputs": "id", "fields": "name", "requirements": "class", "hints": "class"}
# An image is compared as an image, wherever it lies.
_IMAGE = ("useContainer", "copyContainer")


def compare(a: Graph, b: Graph, values: Values) -> tuple[Item, ...]:
    """Compare the workflow's own ports, and each step by its path."""
    items = [_item("(workflow)", _top(a), _top(b), values)]
    steps = dict(_steps(a.workflow)), dict(_steps(b.workflow))
    for path in union(*steps):
        left, right = (
            _flat_step(graph, found[path]) if path in found else None
            for graph, found in zip((a, b), steps, strict=True)
        )
        items.append(_item(path, left, right, values))
    return tuple(items)


def _item(name: str, a: Any, b: Any, values: Values) -> Item:
    if a is None or b is None:
        return judged(name, [Difference(name, Verdict.EXTRA if a is None else Verdict.MISSING)])
    return judged(name, list(values.compare(name, a, b)))


def _top(graph: Graph) -> dict[str, Any]:
    links = {name: codec.to_json(link) for name, link in graph.workflow.outputs.items()}
    return {"cwlVersion": graph.cwl_version, "inputs": sorted(graph.workflow.inputs), "outputs": links}


def _steps(workflow: Workflow, prefix: str = "") -> Iterator[tuple[str, Step]]:
    for step in workflow.steps:
        yield prefix + step.name, step
        if step.workflow:
            yield from _steps(step.workflow, f"{prefix}{step.name}/")


def _flat_step(graph: Graph, step: Step) -> dict[str, Any]:
    """Describe a step with its tool in it, a subworkflow only by its outputs: its steps are compared by themselves."""
    made: dict[str, Any] = codec.to_json(step)
    tool, workflow = graph.tools.get(step.tool or ""), step.workflow
    del made["tool"], made["name"]
    made["workflow"] = (
        codec.to_json({"inputs": sorted(workflow.inputs), "outputs": workflow.outputs}) if workflow else None
    )
    return {**made, "run": {"class": tool.kind, **normalised(tool.document)} if tool else None}


def normalised(value: Any, key: str = "") -> Any:
    """Take out of a resolved document where it was: paths in ids, order that says nothing, words for people."""
    if key == "default":
        return value
    if isinstance(value, dict):
        return {
            name: normalised(inner, name)
            for name, inner in value.items()
            if name not in _SILENT and not name.endswith((_INNER_VERSION, *_IMAGE))
        }
    if isinstance(value, list):
        names = [_name(each, _NAMED.get(key)) for each in value]
        if key in _NAMED and all(names) and len(set(names)) == len(names):
            return {str(name): normalised(each) for name, each in sorted(zip(names, value, strict=True), key=_first)}
        return [normalised(each) for each in value]
    return _short(value) if isinstance(value, str) else value


def _first(pair: tuple[Any, Any]) -> str:
    return str(pair[0])


def _name(item: Any, key: str | None) -> str | None:
    return _short(item[key]) if isinstance(item, dict) and isinstance(item.get(key), str) else None


def _short(text: str) -> str:
    """Reduce an id that has the path of its document in it to its last part."""
    if not text.startswith("file://") or "#" not in text:
        return text
    return text.rpartition("#")[2].rpartition("/")[2]


def images(a: Graph, b: Graph) -> tuple[Item, ...]:
    """Compare the images of steps that have one, by digest, else by name."""
    found = [
        {path: tool.container for path, step in _steps(graph.workflow) if (tool := graph.tools.get(step.tool or ""))}
        for graph in (a, b)
    ]
    paths = [path for path in union(*found) if any(each.get(path) for each in found)]
    return tuple(judged(path, list(_images(path, found[0].get(path), found[1].get(path)))) for path in paths)


def _images(path: str, a: Container | None, b: Container | None) -> Iterator[Difference]:
    if a is None or b is None:
        verdict = Verdict.EXTRA if a is None else Verdict.MISSING
        yield Difference(path, verdict, a and a.name, b and b.name)
    elif a.sha256 and b.sha256:
        if a.sha256 != b.sha256:
            yield Difference(path, Verdict.DIFFERS, f"{a.name} {a.sha256[:12]}", f"{b.name} {b.sha256[:12]}")
    elif a.name != b.name:
        yield Difference(path, Verdict.DIFFERS, a.name, b.name, "known only by name")
