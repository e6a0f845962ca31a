"""bee-diff of runs on a real Slurm, and what a re-executed workflow says of its parent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import archive, directory, query, submit, wait_state

pytestmark = pytest.mark.e2e

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]', number: float, data: File}
outputs:
  said: {type: 'File[]', outputSource: say/o}
  folder: {type: Directory, outputSource: pack/o}
  length: {type: int, outputSource: count/o}
steps:
  say:
    scatter: word
    in: {word: words, number: number}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo "# at $(date +%s%N)"; echo "$0 $1"']
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        number: {type: float, inputBinding: {position: 2}}
      outputs: {o: stdout}
      stdout: $(inputs.word).txt
  pack:
    in: {data: data}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'mkdir -p d/sub; cp "$0" d/sub/data; echo always > d/same']
      inputs: {data: {type: File, inputBinding: {}}}
      outputs: {o: {type: Directory, outputBinding: {glob: d}}}
  count:
    in: {words: words}
    out: [o]
    run:
      class: ExpressionTool
      requirements: {InlineJavascriptRequirement: {}}
      inputs: {words: 'string[]'}
      outputs: {o: int}
      expression: '${return {o: inputs.words.length};}'
"""


class Runs:
    """Submits one document with several inputs."""

    def __init__(self, slurm: PrivateSlurm, top: Path) -> None:
        self.slurm, self.top = slurm, top
        (top / "flow.cwl").write_text(DOCUMENT)

    def submit(self, data: str, number: float, *words: str) -> str:
        """Submit and return the id."""
        folder = self.top / data
        folder.mkdir(exist_ok=True)
        (folder / "data").write_text(f"{data}\n")
        given = {"class": "File", "path": str(folder / "data")}
        (folder / "job.json").write_text(json.dumps({"words": words, "number": number, "data": given}))
        return submit(self.slurm, self.top / "flow.cwl", folder / "job.json")

    def rerun(self, workflow_id: str, *argv: str) -> str:
        """Re-execute and return the new id."""
        return self.slurm.bee("bee-rerun", workflow_id, *argv).stdout.split()[-1].rstrip(".")

    def diff(self, *argv: str | Path) -> tuple[int, str]:
        """Return bee-diff's exit code and what it prints."""
        done = self.slurm.bee("bee-diff", *argv, check=False)
        assert not done.stderr
        return done.returncode, done.stdout

    def verdicts(self, *argv: str | Path) -> dict[str, Any]:
        """Return the verdict of each thing, by section."""
        sections = json.loads(self.diff("--json", *argv)[1])["sections"]
        return {
            section: {name: item["verdict"] for name, item in found["items"].items()}
            for section, found in sections.items()
        }


@pytest.fixture
def runs(slurm: PrivateSlurm, tmp_path: Path) -> Runs:
    return Runs(slurm, tmp_path)


def test_runs_are_compared(slurm: PrivateSlurm, runs: Runs) -> None:
    first = runs.submit("one", 1.0, "a", "b")
    wait_state(slurm, first, "Archived")
    (runs.top / "two").write_text("two\n")
    second = runs.rerun(first, "--set", "number=1.001", "--set", "words=[a, b, c]", "--set", f"data={runs.top / 'two'}")
    wait_state(slurm, second, "Archived")
    code, said = runs.diff(first[:13], archive(slurm, second))
    assert code == 1
    assert "workflow     4 identical" in said
    assert "images       none" in said
    assert f"-# at {(directory(slurm, first) / 'outputs/a.txt').read_text().split()[2]}" in said
    found = runs.verdicts(first, second)
    assert found["inputs"] == {"data": "differs", "number": "differs", "words": "differs"}
    assert set(found["environment"].values()) == {"identical"}
    assert found["outputs"] == {"said": "differs", "folder": "differs", "length": "differs"}
    lenient = ("--outputs-only", "--ignore-line", "^# at", "--rtol", "0.01")
    details = json.loads(runs.diff("--json", *lenient, first, second)[1])["sections"]["outputs"]["items"]
    assert [(each["where"], each["verdict"]) for each in details["said"]["differences"]] == [
        ("said[0]", "equivalent"),
        ("said[1]", "equivalent"),
        ("said[2]", "extra"),
    ]
    assert [each["where"] for each in details["folder"]["differences"]] == ["folder/sub/data"]
    assert "3 differ, compared with" in slurm.bee("bee-query", second).stdout
    ignored = ("--ignore", "*/data", "--ignore", "length", "--ignore", "c.txt", "--ignore", "said?2?")
    assert runs.diff(*lenient, *ignored, first, second)[0] == 0


def test_a_rerun_says_how_it_is_to_its_parent(slurm: PrivateSlurm, runs: Runs) -> None:
    first = runs.submit("one", 1.0, "a")
    wait_state(slurm, first, "Archived")
    again = runs.rerun(first)
    wait_state(slurm, again, "Archived")
    assert runs.diff(first, again, "--ignore-line", "^# at")[0] == 0
    assert query(slurm, first)["comparison"] is None
    outputs = {each["name"]: each for each in query(slurm, again)["comparison"]["outputs"]}
    assert {name: each["verdict"] for name, each in outputs.items()} == {
        "folder": "identical",
        "length": "identical",
        "said": "differs",
    }
    assert outputs["said"]["places"] == ["said[0]"]
    line = f"outputs: 2 identical, 1 differs, compared with those of {first} (said)"
    assert line in slurm.bee("bee-query", again).stdout.splitlines()
    # Its archive says it, too, also when that is all that is left.
    slurm.bee("bee-remove", "--yes", again)
    assert line in slurm.bee("bee-query", again).stdout.splitlines()
    assert runs.diff(first, again, "--ignore-line", "^# at")[0] == 0


def test_a_workflow_that_is_not_over_is_trouble(slurm: PrivateSlurm, runs: Runs) -> None:
    held = submit(
        slurm, "--no-start", runs.top / "flow.cwl", "--words", "a", "--number", "1", "--data", runs.top / "flow.cwl"
    )
    done = slurm.bee("bee-diff", held, held, check=False)
    assert done.returncode == 2
    assert "before it has ended" in done.stderr
    slurm.bee("bee-cancel", held)
