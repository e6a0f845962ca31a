"""A packed document is read again, whatever names what it describes has in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from beeflow.cwl import compiler, documents, packing
from beeflow.graph import Workflow

CAT = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {f: {type: File, inputBinding: {}}}
outputs: {f: stdout}
"""
FLOW = """
cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: {f: File, sub: File}
outputs: {f: {type: File, outputSource: sub/f}}
steps:
  first: {run: cat.cwl, in: {f: f}, out: [f]}
  sub:
    in: {f: first/f}
    out: [f]
    run:
      class: Workflow
      inputs: {f: File}
      outputs: {f: {type: File, outputSource: f/f}}
      steps:
        f: {run: cat.cwl, in: {f: f}, out: [f]}
"""
TYPES = """
cwlVersion: v1.2
class: Workflow
requirements:
  SchemaDefRequirement: {types: [{$import: pair.yml}]}
inputs: {one: "pair.yml#Pair", two: "pair.yml#Pair"}
outputs: {both: {type: File, outputSource: both/both}}
steps:
  both:
    in: {one: one, two: two}
    out: [both]
    run:
      class: CommandLineTool
      requirements:
        SchemaDefRequirement: {types: [{$import: pair.yml}]}
      baseCommand: echo
      inputs: {one: {type: "pair.yml#Pair", inputBinding: {}}, two: {type: "pair.yml#Pair", inputBinding: {}}}
      outputs: {both: stdout}
"""


def shape(flow: Workflow) -> dict[str, Any]:
    """Describe what a workflow's steps take from: name -> source of each input, and what is in a subworkflow."""
    return {
        step.name: ({name: link.sources for name, link in step.inputs.items()}, step.workflow and shape(step.workflow))
        for step in flow.steps
    }


@pytest.mark.parametrize("text", [CAT, FLOW, TYPES], ids=["tool", "flow", "types"])
def test_what_is_packed_is_what_was_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "cat.cwl").write_text(CAT)
    (tmp_path / "pair.yml").write_text("{name: Pair, type: record, fields: {a: int, b: int}}")
    (tmp_path / "w.cwl").write_text(text)
    given = documents.load(str(tmp_path / "w.cwl"), tmp_path / "cache")
    packed = tmp_path / "elsewhere" / "packed.json"
    packed.parent.mkdir()
    packed.write_text(json.dumps(packing.pack(given)))
    for each in ("cat.cwl", "pair.yml"):
        (tmp_path / each).unlink()
    again = documents.load(str(packed), tmp_path / "cache")
    flows = [compiler.compile_graph(each).workflow for each in (given, again)]
    assert shape(flows[1]) == (shape(flows[0]) if text != CAT else {"main": ({"f": ("f",)}, None)})
    assert [output.keys() for output in (flow.outputs for flow in flows)][1] == flows[0].outputs.keys()
