"""Whether what would run is what people and other programs read: cwl/graph.json against cwl/packed.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from beeflow.trust.documents import mappings, parse
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import GRAPH, PACKED_CWL, Shipped, listed


def risks(shipped: Shipped) -> Iterator[Risk]:
    """Yield the tools that run another command than is shown."""
    if PACKED_CWL not in shipped.files:
        yield Risk(PACKED_CWL, "is not there", "only beeflow can read what would run")
        return
    packed = shipped.record(PACKED_CWL)
    shown = commands(packed)
    if any(str(each.get("$import")).startswith("#") for each in mappings(packed)):
        # cwltool packs a step that is named as an input or output is as an import of nothing.
        shown.update(*(commands(parse(data)) for _, data in shipped.documents()))
    for name, tool in shipped.tools():
        if command(tool["document"]) not in shown:
            yield Risk(f"{GRAPH}: {name}", "another command", f"is not the command of any tool in {PACKED_CWL}")


def commands(document: Any) -> set[str]:
    """Return what identifies each command of a document."""
    return {command(each) for each in mappings(document) if each.get("class") in ("CommandLineTool", "ExpressionTool")}


def command(tool: dict[str, Any]) -> str:
    """Reduce a tool to what its command line is made of: its words, prefixes and expressions."""
    arguments = [each.get("valueFrom") if isinstance(each, dict) else each for each in listed(tool.get("arguments"))]
    inputs = tool.get("inputs")
    ports = list(inputs.values()) if isinstance(inputs, dict) else listed(inputs)
    bindings = [each["inputBinding"] for each in ports if isinstance(each, dict) and "inputBinding" in each]
    words = [[each.get("prefix"), each.get("valueFrom")] for each in bindings if isinstance(each, dict)]
    made = [
        listed(tool.get("baseCommand")),
        arguments,
        sorted(json.dumps(each) for each in words),
        tool.get("expression"),
    ]
    return json.dumps(made, default=str)
