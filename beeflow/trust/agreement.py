"""Whether what would run is what people and other programs read: cwl/graph.json against cwl/packed.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from beeflow.trust.reading import is_small, mappings, parse
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import GRAPH, PACKED_CWL, Shipped, listed

_BINDING = ("prefix", "valueFrom", "separate", "itemSeparator", "shellQuote")
# What makes up a command line a person may have written.
_MAX_PARTS = 100_000


def risks(shipped: Shipped) -> Iterator[Risk]:
    """Yield the tools that run another command than is shown."""
    if PACKED_CWL not in shipped.files:
        yield Risk(PACKED_CWL, "is not there", "only beeflow can read what would run")
        return
    packed = shipped.record(PACKED_CWL)
    shown = commands(packed)
    imports = (each.get("$import") for each in mappings(packed))
    if any(isinstance(each, str) and each.startswith("#") for each in imports):
        # cwltool packs a step that is named as an input or output is as an import of nothing.
        shown.update(*(commands(parse(data)) for _, data in shipped.documents()))
    for name, tool in shipped.tools():
        if command(tool["document"]) not in shown:
            yield Risk(f"{GRAPH}: {name}", "another command", f"is not the command of any tool in {PACKED_CWL}")


def commands(document: Any) -> set[str]:
    """Return what identifies each command of a document, but for those that are too large to be one."""
    tools = (each for each in mappings(document) if each.get("class") in ("CommandLineTool", "ExpressionTool"))
    return {found for each in tools if (found := command(each)) is not None}


def command(tool: dict[str, Any]) -> str | None:
    """Reduce a tool to what its command line is made of: its words, prefixes and expressions.

    None for what is too large: with YAML, some lines may stand for more than fits any memory.
    """
    inputs = tool.get("inputs")
    ports = list(inputs.values()) if isinstance(inputs, dict) else listed(inputs)
    bindings = [each.get("inputBinding") for each in ports if isinstance(each, dict)]
    words = [_words(each) for each in bindings if isinstance(each, dict)]
    arguments = [_words(each) if isinstance(each, dict) else each for each in listed(tool.get("arguments"))]
    made = [listed(tool.get("baseCommand")), arguments, words, tool.get("expression")]
    if not is_small(made, _MAX_PARTS):
        return None
    made[2] = sorted(json.dumps(each, default=str, skipkeys=True) for each in words)
    try:
        return json.dumps(made, default=str, skipkeys=True)
    except (RecursionError, TypeError, ValueError):
        return None


def _words(binding: dict[str, Any]) -> list[Any]:
    """Say what a binding makes of words. The numbers of a document as it was given are text."""
    position = binding.get("position")
    return [str(position) if isinstance(position, int) else position, *(binding.get(key) for key in _BINDING)]
