"""What expressions make: what is no CWL value ends their step, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from beeflow.states import WorkflowState
from tests.rerun.local import Local, state, tasks

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {f: File}
outputs: {o: {type: File?, outputSource: made/o}, other: {type: File, outputSource: other/o}}
steps:
  made:
    in: {f: f}
    out: [o]
    run:
      class: ExpressionTool
      requirements: {InlineJavascriptRequirement: {}}
      inputs: {f: File}
      outputs: {o: File}
      expression: '${ inputs.f.secondaryFiles = MADE; return {o: inputs.f}; }'
  takes:
    in: {f: made/o}
    out: [o]
    run: {class: CommandLineTool, baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}}
  other:
    in: {f: f}
    out: [o]
    run: {class: CommandLineTool, baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}}
"""


@pytest.mark.parametrize("made", ['[{location: "file:///x"}]', '["x"]', "3", '[{class: "file", path: "x"}]'])
def test_what_belongs_to_a_file_is_a_file_or_folder(tmp_path: Path, made: str) -> None:
    site = Local(tmp_path)
    (tmp_path / "in.txt").write_text("in\n")
    inputs = {"f": {"class": "File", "path": str(tmp_path / "in.txt")}}
    found = site.submit(DOCUMENT.replace("MADE", made), inputs)
    assert state(found) is WorkflowState.ARCHIVED_FAILED
    ended = tasks(found)
    assert "an expression or command made secondaryFiles with what is no File" in ended["takes"].reason
    assert (ended["other"].state.value, ended["takes"].state.value) == ("COMPLETED", "DEP_FAIL")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("return nothing.here;", "ReferenceError: nothing is not defined"),
        ("return 5;", "an object was expected, got int"),
        ('return {o: {class: "File"}};', "must have 'contents' and 'basename'"),
        ('return {o: {class: "File", location: 5}};', "made a File whose location is no name: 5"),
        ('return {o: [{class: "Directory", path: ["/x"]}]};', "made a Directory whose path is no name: ['/x']"),
        (r'return {o: {class: "File", contents: "", basename: "a\0b"}};', r"basename is no name: 'a\x00b'"),
        (r'return {o: "\ud800"};', r"(a lone surrogate): '\ud800'"),
        (r'return {o: {"\ud800": 1}};', r"(a lone surrogate): '\ud800'"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told(tmp_path: Path, code: str, why: str) -> None:
    site = Local(tmp_path)
    (tmp_path / "in.txt").write_text("in\n")
    inputs = {"f": {"class": "File", "path": str(tmp_path / "in.txt")}}
    text = DOCUMENT.replace("inputs.f.secondaryFiles = MADE; return {o: inputs.f};", code)
    ended = tasks(site.submit(text, inputs))
    assert ended["made"].reason.startswith("step made: ")
    assert why in ended["made"].reason
