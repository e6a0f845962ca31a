"""Documents that are valid CWL, and trouble cwltool."""

from __future__ import annotations

from pathlib import Path

import pytest

from beeflow.states import WorkflowState
from tests.rerun.local import Local, state

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {f: FILE}
outputs: {o: {type: File, outputSource: shown/o}}
steps:
  shown:
    in: {f: f}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      arguments: [$(inputs.f.path).idx]
      inputs: {f: {type: File, secondaryFiles: PATTERN, inputBinding: {}}}
      outputs: {o: {type: stdout}}
"""


@pytest.mark.parametrize("pattern", [".idx", "'$(self.basename + \".idx\")'", "{pattern: .idx, required: true}"])
@pytest.mark.parametrize("given", ["File", "{type: File, secondaryFiles: .idx}"])
def test_secondary_files_may_be_one_pattern(tmp_path: Path, pattern: str, given: str) -> None:
    site = Local(tmp_path)
    for name in ("a", "a.idx"):
        (tmp_path / name).write_text(f"{name}\n")
    entries = [{"class": "File", "path": str(tmp_path / name)} for name in ("a", "a.idx")]
    inputs = {"f": {**entries[0], "secondaryFiles": entries[1:]}}
    found = site.submit(DOCUMENT.replace("PATTERN", pattern).replace("FILE", given), inputs)
    assert state(found) is WorkflowState.ARCHIVED
