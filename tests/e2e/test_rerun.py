"""bee-rerun on a real Slurm: other inputs, files that moved, another user."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import archive, directory, query, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

# Two branches that count how often they run, and a third step that joins them.
DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs:
  words: string[]
  data: File
  tail: {type: int, default: 1}
outputs:
  all: {type: File, outputSource: join/o}
steps:
  each:
    scatter: word
    in: {word: words}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo each.$0 >> "RAN"; echo "made $0"']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  cut:
    in: {data: data, n: tail}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo cut >> "RAN"; tail -n $1 "$0"']
      inputs: {data: {type: File, inputBinding: {position: 1}}, n: {type: int, inputBinding: {position: 2}}}
      outputs: {o: stdout}
  join:
    in: {files: each/o, cut: cut/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo join >> "RAN"; cat "$@"', sh]
      inputs: {files: {type: 'File[]', inputBinding: {position: 1}}, cut: {type: File, inputBinding: {position: 2}}}
      outputs: {o: stdout}
"""


class Counting:
    """A workflow whose tasks say when they run, and its archive."""

    def __init__(self, slurm: PrivateSlurm, top: Path) -> None:
        self.slurm, self.top, self.ran = slurm, top, top / "ran"
        (top / "w.cwl").write_text(DOCUMENT.replace("RAN", str(self.ran)))
        (top / "data.txt").write_text("one\ntwo\nthree\n")
        job = {"words": ["a", "b"], "data": {"class": "File", "path": "data.txt"}}
        (top / "job.json").write_text(json.dumps(job))
        self.id = submit(slurm, "--name", "counting", top / "w.cwl", top / "job.json")
        wait_state(slurm, self.id, "Archived")
        self.archive = archive(slurm, self.id)

    def rerun(self, *argv: str | Path, **kwargs: object) -> str:
        """Re-execute to the end; returns the new id. From here on it is counted what runs."""
        self.ran.unlink(missing_ok=True)
        done = self.slurm.bee("bee-rerun", "--wait", *argv, self.archive, **kwargs)
        return str(done.stdout).split("id is ")[1][:36]

    def counted(self) -> list[str]:
        """List what ran."""
        return sorted(self.ran.read_text().split()) if self.ran.exists() else []

    def made(self, found: str) -> str:
        """Read the output."""
        out = json.loads((directory(self.slurm, found) / "outputs.json").read_text())
        return (directory(self.slurm, found) / str(out["all"]["location"])).read_text()


@pytest.fixture(scope="module")
def counting(slurm: PrivateSlurm, tmp_path_factory: pytest.TempPathFactory) -> Counting:
    return Counting(slurm, tmp_path_factory.mktemp("counting"))


def test_with_other_inputs(counting: Counting, slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("1\n2\n")
    argv = ("--set", "words=[x, y, z]", "--set", "data=more.txt", "--set", "tail=2", "--time", "5", "--name", "other")
    found = counting.rerun(*argv, cwd=tmp_path)
    assert counting.made(found) == "made x\nmade y\nmade z\n1\n2\n"
    shown = query(slurm, found)
    assert (shown["name"], shown["parent"]) == ("other", counting.id)
    again = slurm.bee("bee-rerun", "--wait", "--set", "tail=1", found).stdout.split("id is ")[1][:36]
    assert counting.made(again) == "made x\nmade y\nmade z\n2\n"
    kept = directory(slurm, again) / "provenance"
    assert json.loads((kept / "workflow.json").read_text())["id"] == found
    assert json.loads((kept / "provenance/workflow.json").read_text())["id"] == counting.id


def test_a_part_of_it(counting: Counting, slurm: PrivateSlurm) -> None:
    found = counting.rerun("--from", "cut")
    assert counting.counted() == ["cut", "join"]
    assert counting.made(found) == "made a\nmade b\nthree\n"
    shown = tasks(slurm, found)
    kept = shown["each[0]"]
    assert (kept["state"], kept["reason"], kept["tries"], kept["job_id"]) == (
        "COMPLETED",
        f"taken from {counting.id}",
        0,
        None,
    )
    assert shown["join"]["tries"] == 1
    # What was taken is in the new archive, and can be taken again.
    counting.ran.unlink()
    again = slurm.bee("bee-rerun", "--wait", "--only", "cut", found).stdout.split("id is ")[1][:36]
    assert (counting.counted(), counting.made(again)) == (["cut"], "made a\nmade b\nthree\n")


def test_only_what_is_affected(counting: Counting, slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = counting.rerun("--reuse")
    assert (counting.counted(), counting.made(found)) == ([], "made a\nmade b\nthree\n")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/data.txt").write_text("one\ntwo\nthree\n")
    argv = ("--reuse", "--set", "words=[b, c, a, b]", "--set", f"data={tmp_path}/copy/data.txt")
    found = counting.rerun(*argv)
    assert counting.counted() == ["each.c", "join"]
    assert counting.made(found) == "made b\nmade c\nmade a\nmade b\nthree\n"
    found = counting.rerun("--reuse", "--set", "tail=2")
    assert counting.counted() == ["cut", "join"]
    assert counting.made(found) == "made a\nmade b\ntwo\nthree\n"
