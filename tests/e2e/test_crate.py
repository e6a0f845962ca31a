"""Crates of what really ran, as a user gets them."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

from tests import roc
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import SLEEP_THEN_CAT, submit, tasks, wait_state

WORDS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {words: "string[]", folder: Directory, flag: {type: boolean, default: false}}
outputs:
  all: {type: "File[]", outputSource: sub/o}
  made: {type: Directory, outputSource: mk/d}
  never: {type: File?, outputSource: maybe/o}
steps:
  sub:
    scatter: w
    in: {w: words}
    out: [o]
    run:
      class: Workflow
      inputs: {w: string}
      outputs: {o: {type: File, outputSource: two/o}}
      steps:
        one:
          in: {w: w}
          out: [o]
          run:
            class: CommandLineTool
            baseCommand: echo
            inputs: {w: {type: string, inputBinding: {}}}
            outputs: {o: stdout}
        two: {in: {f: one/o}, out: [o], run: cat.cwl}
  mk:
    in: {d: folder}
    out: [d]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'mkdir -p "made/a b/empty"; echo x > "made/a b/ü#.txt"']
      inputs: {d: Directory}
      outputs: {d: {type: Directory, outputBinding: {glob: made}}}
  maybe: {when: $(inputs.flag), in: {flag: flag, w: words}, out: [o], run: cat.cwl}
"""
CAT = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {f: {type: File?, inputBinding: {}}}
outputs: {o: stdout}
"""


def test_crates_of_what_ended_and_of_what_still_runs_are_valid(slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "words.cwl").write_text(WORDS)
    (tmp_path / "cat.cwl").write_text(CAT)
    (tmp_path / "sleep.cwl").write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("x")
    folder = {"class": "Directory", "path": str(tmp_path / "folder")}
    (tmp_path / "job.json").write_text(json.dumps({"words": ["a", "b c"], "folder": folder}))
    ended = submit(slurm, tmp_path / "words.cwl", tmp_path / "job.json")
    wait_state(slurm, ended, "Archived")
    running = submit(slurm, tmp_path / "sleep.cwl", "--seconds", "60")
    wait_state(slurm, running, "Running")
    (tmp_path / "into").mkdir()
    deadline = time.monotonic() + 60
    while tasks(slurm, running)["a"]["state"] != "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    of_now = slurm.bee("bee-archive", running).stdout.strip()
    made = [Path(slurm.bee("bee-archive", each, "--zip", tmp_path / "into").stdout.strip()) for each in (ended, of_now)]
    slurm.bee("bee-cancel", running)
    assert roc.problems(made, tmp_path / "cache") == {str(each): [] for each in made}
    with zipfile.ZipFile(made[0]) as zipped:
        graph = json.loads(zipped.read("ro-crate-metadata.json"))["@graph"]
    actions = {each["name"]: each for each in graph if each["@type"] == "CreateAction"}
    assert actions["Run of sub/one[1]"]["description"].startswith("echo 'b c' (on node ")
    assert actions["Run of sub/one[1]"]["result"] == actions["Run of sub/two[1]"]["object"]
    assert "Run of maybe" not in actions
    wait_state(slurm, running, "Archived/Cancelled")
