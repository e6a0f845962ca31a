"""Say how to collect a tool's outputs where cwltool is not there (beeflow.runner.collect)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cwl_utils.errors import WorkflowException

from beeflow.cwl.documents import short_name
from beeflow.cwl.prepare import Prepared
from beeflow.graph import Tool
from beeflow.shape import NoTemplateError

Port = dict[str, Any]

_PRIMITIVES = frozenset({"string", "int", "long", "float", "double", "boolean"})
_SELF_FIELDS = frozenset({"contents", "basename", "nameroot", "nameext", "size", "checksum"})
_REFERENCE = re.compile(r"\$\((\w+)((?:\.\w+|\[\d+\])*)\)")
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")


def ports_of(prepared: Prepared, tool: Tool) -> list[Port] | None:
    """Describe the outputs of a command; None where an expression has to see what it made."""
    builder = prepared.job.builder
    # The task's own record does not have these.
    filled_in = {short_name(each["id"]) for each in tool.document["inputs"] if "default" in each}
    try:
        ports = [_port(port, builder.do_eval, builder.loadListing) for port in prepared.outputs]
    except (NoTemplateError, WorkflowException):
        return None
    evaluated = [port["eval"] for port in ports if port["eval"]]
    return None if any(first == "inputs" and name in filled_in for first, name, *_ in evaluated) else ports


def _port(port: Mapping[str, Any], evaluate: Callable[[Any], Any], listing: str | None) -> Port:
    binding = port.get("outputBinding") or {}
    kind, array, optional = _type_of(port["type"])
    expression = binding.get("outputEval")
    if (kind in _PRIMITIVES) is (expression is None):
        raise NoTemplateError
    if kind in ("Directory", "any") and (binding.get("loadListing") or listing or "no_listing") != "no_listing":
        raise NoTemplateError
    globs = [each for glob in _listed(binding.get("glob")) for each in _listed(evaluate(glob))]
    file_format = port.get("format")
    made_format = evaluate(file_format) if file_format else None
    if not all(isinstance(glob, str) for glob in globs) or "self" in str(file_format):
        raise NoTemplateError
    if file_format and not isinstance(made_format, str):
        raise NoTemplateError
    return {
        "name": short_name(port["id"]),
        "type": kind,
        "classes": ["File", "Directory"] if kind == "any" else [kind],
        "array": array,
        "optional": optional,
        "globs": globs,
        "contents": bool(binding.get("loadContents")),
        "eval": _reference(expression) if expression is not None else None,
        "secondary": [_secondary(each) for each in _listed(port.get("secondaryFiles"))],
        "format": made_format,
    }


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _type_of(declared: Any) -> tuple[str, bool, bool]:
    """Take a type apart: what it is (of), whether an array, whether optional."""
    kinds = _listed(declared)
    optional = "null" in kinds
    kinds = [kind for kind in kinds if kind != "null"]
    if sorted(map(str, kinds)) == ["Directory", "File"]:
        return "any", False, optional
    if len(kinds) != 1:
        raise NoTemplateError
    (kind,) = kinds
    if isinstance(kind, Mapping) and kind.get("type") == "array" and kind.get("items") in ("File", "Directory"):
        return str(kind["items"]), True, optional
    if kind not in {*_PRIMITIVES, "File", "Directory"}:
        raise NoTemplateError
    return str(kind), False, optional


def _reference(expression: Any) -> list[Any]:
    """Take a parameter reference apart: "$(self[0].contents)" is ["self", 0, "contents"]."""
    match = _REFERENCE.fullmatch(str(expression).strip())
    if match is None:
        raise NoTemplateError
    parts = [name or int(index) for name, index in _PART.findall(match.group(2))]
    first = match.group(1)
    # Of inputs, only what is as it is in the task's own record: no File, whose path differs there.
    plain = (first == "inputs" and len(parts) == 1) or (first == "runtime" and parts == ["exitCode"])
    if not plain and not (first == "self" and len(parts) == 2 and parts[0] == 0 and parts[1] in _SELF_FIELDS):
        raise NoTemplateError
    return [first, *parts]


def _secondary(entry: Mapping[str, Any]) -> list[Any]:
    pattern, required = entry["pattern"], entry.get("required")
    if "$" in pattern or not (required is None or isinstance(required, bool)):
        raise NoTemplateError
    return [pattern, bool(required)]
