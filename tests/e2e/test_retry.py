"""bee-retry on a real Slurm: what failed runs again, what went well does not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import archive, directory, query, submit, tasks, wait_state, wait_task

pytestmark = pytest.mark.e2e

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]'}
outputs:
  all: {type: File, outputSource: gather/o}
  alone: {type: File, outputSource: other/o}
steps:
  other:
    in: {word: {default: alone}}
    out: [o]
    run: &each
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo $0 >> "RAN"; [ ! -e "BROKEN.$0" ] || exit 3; echo "made $0"']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  each: {scatter: word, in: {word: words}, out: [o], run: *each}
  second:
    scatter: f
    in: {f: each/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo second >> "RAN"; cat $0']
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
  gather:
    in: {files: second/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo gather >> "RAN"; cat "$@"', sh]
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
"""


class Steps:
    """A workflow whose tasks say when they run, and fail while a file is there."""

    def __init__(self, top: Path, words: list[str]) -> None:
        self.ran, self.broken = top / "ran", top / "broken"
        self.document, self.job = top / "steps.cwl", top / "job.json"
        self.document.write_text(DOCUMENT.replace("RAN", str(self.ran)).replace("BROKEN", str(self.broken)))
        self.job.write_text(json.dumps({"words": words}))

    def breaks(self, word: str) -> Path:
        """Have the task of a word fail from now on."""
        made = self.broken.with_suffix(f".{word}")
        made.touch()
        return made

    def counts(self) -> Counter[str]:
        """Count how often each ran."""
        return Counter(self.ran.read_text().split())


def outputs(slurm: PrivateSlurm, workflow_id: str) -> dict[str, str]:
    """Read the workflow's outputs."""
    made = json.loads((directory(slurm, workflow_id) / "outputs.json").read_text())
    return {name: (directory(slurm, workflow_id) / each["location"]).read_text() for name, each in made.items()}


GOOD = {"all": "made a\nmade b\nmade c\n", "alone": "made alone\n"}


def test_what_failed_runs_again_and_what_went_well_is_kept(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(tmp_path, ["a", "b", "c"])
    cause = steps.breaks("b")
    made = submit(slurm, steps.document, steps.job)
    wait_state(slurm, made, "Archived/Failed")
    first = archive(slurm, made)
    before = first.read_bytes()
    # Still broken: it fails again, and is another version.
    said = slurm.bee("bee-retry", made).stdout
    assert said == f"Retrying workflow {made}: tasks kept: 5; to run again: 3.\n"
    wait_state(slurm, made, "Archived/Failed")
    cause.unlink()
    slurm.bee("bee-retry", made[:8])
    wait_state(slurm, made, "Archived")
    assert outputs(slurm, made) == GOOD
    assert steps.counts() == {"alone": 1, "a": 1, "b": 3, "c": 1, "second": 3, "gather": 1}
    assert first.read_bytes() == before
    assert Path(query(slurm, made)["archive"]).name == f"{made}.v3.tgz"
    assert first.with_name(f"{made}.v2.tgz").exists()
    # Every attempt is still on record.
    bad = sorted(each.name for each in directory(slurm, made).glob("tasks/*each/000/000001/*"))
    assert [name for name in bad if name.startswith("result")] == [
        "result.json",
        "result.retry-1.json",
        "result.retry-2.json",
    ]
    listed = slurm.bee("bee-list", "--json").stdout
    assert [each["state"] for each in json.loads(listed) if each["id"] == made] == ["Archived"]


def test_the_newest_archive_is_the_one_that_is_copied_and_run_again(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(tmp_path, ["a", "b"])
    cause = steps.breaks("a")
    made = submit(slurm, steps.document, steps.job)
    wait_state(slurm, made, "Archived/Failed")
    cause.unlink()
    slurm.bee("bee-retry", made)
    wait_state(slurm, made, "Archived")
    slurm.bee("bee-copy", made, tmp_path)
    assert (tmp_path / f"{made}.v2.tgz").exists()
    words = slurm.bee("bee-rerun", tmp_path / f"{made}.v2.tgz").stdout.split()
    again = words[words.index("is") + 1].rstrip(".")
    wait_state(slurm, again, "Archived")
    assert outputs(slurm, again) == outputs(slurm, made)
    slurm.bee("bee-remove", "--archive", "--yes", made)
    assert not list(archive(slurm, made).parent.glob(f"{made}*"))


def test_steps_that_went_well_run_again_when_they_are_named(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(tmp_path, ["a", "b"])
    made = submit(slurm, steps.document, steps.job)
    wait_state(slurm, made, "Archived")
    refused = slurm.bee("bee-retry", made, check=False)
    assert (refused.returncode, "nothing of it failed" in refused.stderr) == (4, True)
    refused = slurm.bee("bee-retry", "--from", "nothing", made, check=False)
    assert (refused.returncode, "nothing: not a step of the workflow; they are " in refused.stderr) == (2, True)
    slurm.bee("bee-retry", "--from", "second", made)
    wait_state(slurm, made, "Archived")
    assert steps.counts() == {"alone": 1, "a": 1, "b": 1, "second": 4, "gather": 2}
    slurm.bee("bee-retry", "--step", "other", made)
    wait_state(slurm, made, "Archived")
    assert steps.counts() == {"alone": 2, "a": 1, "b": 1, "second": 4, "gather": 2}
    slurm.bee("bee-retry", "--force-rerun", made)
    wait_state(slurm, made, "Archived")
    assert steps.counts() == {"alone": 3, "a": 2, "b": 2, "second": 6, "gather": 3}
    assert outputs(slurm, made)["all"] == "made a\nmade b\n"
    assert Path(query(slurm, made)["archive"]).name == f"{made}.v4.tgz"


SLOW = """
cwlVersion: v1.2
class: Workflow
inputs: {seconds: int}
outputs: {o: {type: File, outputSource: b/o}}
steps:
  a:
    in: {seconds: seconds}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -ec, 'echo a >> "RAN"; [ -e "QUICK" ] || sleep $0; echo done']
      inputs: {seconds: {type: int, inputBinding: {}}}
      outputs: {o: stdout}
  b:
    in: {f: a/o}
    out: [o]
    run: {class: CommandLineTool, baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}}
"""


def slow(slurm: PrivateSlurm, tmp_path: Path) -> str:
    """Submit a workflow whose first task sleeps until a file makes it quick."""
    document = tmp_path / "slow.cwl"
    document.write_text(SLOW.replace("RAN", f"{tmp_path}/ran").replace("QUICK", f"{tmp_path}/quick"))
    made = submit(slurm, document, "--seconds", "300")
    wait_task(slurm, made, "a", "RUNNING")
    return made


def test_what_was_cancelled_goes_on(slurm: PrivateSlurm, tmp_path: Path) -> None:
    made = slow(slurm, tmp_path)
    refused = slurm.bee("bee-retry", made, check=False)
    assert (refused.returncode, "has not ended; cancel it first" in refused.stderr) == (4, True)
    slurm.bee("bee-cancel", made)
    wait_state(slurm, made, "Archived/Cancelled")
    (tmp_path / "quick").touch()
    slurm.bee("bee-retry", made)
    wait_state(slurm, made, "Archived")
    assert outputs(slurm, made) == {"o": "done\n"}
    assert {name: task["state"] for name, task in tasks(slurm, made).items()} == {"a": "COMPLETED", "b": "COMPLETED"}


def test_what_lost_all_its_jobs_goes_on(slurm: PrivateSlurm, tmp_path: Path) -> None:
    made = slow(slurm, tmp_path)
    jobs = slurm.slurm("squeue", "--noheader", "--format=%i %j").splitlines()
    own = [line.split()[0] for line in jobs if line.split()[1].startswith(f"bee-{made.replace('-', '')[:12]}-")]
    slurm.slurm("scancel", *own)
    wait_state(slurm, made, "Stalled")
    (tmp_path / "quick").touch()
    slurm.bee("bee-retry", made)
    wait_state(slurm, made, "Archived")
    assert outputs(slurm, made) == {"o": "done\n"}


LISTS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {words: 'string[]'}
outputs: {all: {type: {type: array, items: {type: array, items: File}}, outputSource: sub/made}}
steps:
  sub:
    scatter: word
    in: {word: words}
    out: [made]
    run:
      class: Workflow
      inputs: {word: string}
      outputs: {made: {type: 'File[]', outputSource: each/o}}
      steps:
        list:
          in: {word: word}
          out: [letters]
          run:
            class: CommandLineTool
            baseCommand: [sh, -c, 'echo list.$0 >> "RAN"; [ ! -e "BROKEN.$0" ] || exit 3; echo $0']
            inputs: {word: {type: string, inputBinding: {}}}
            stdout: word
            outputs:
              letters:
                type: 'string[]'
                outputBinding: {glob: word, loadContents: true, outputEval: '$(self[0].contents.trim().split(""))'}
        each:
          scatter: letter
          in: {letter: list/letters}
          out: [o]
          run:
            class: CommandLineTool
            baseCommand: [sh, -c, 'echo each.$0 >> "RAN"; echo $0']
            inputs: {letter: {type: string, inputBinding: {}}}
            outputs: {o: stdout}
"""


def test_results_follow_tasks_that_move_because_a_failed_one_decides_a_width(
    slurm: PrivateSlurm, tmp_path: Path
) -> None:
    steps = Steps(tmp_path, ["ab", "cd", "e"])
    steps.document.write_text(LISTS.replace("RAN", str(steps.ran)).replace("BROKEN", str(steps.broken)))
    cause = steps.breaks("ab")
    made = submit(slurm, steps.document, steps.job)
    wait_state(slurm, made, "Archived/Failed")
    assert steps.counts() == Counter(["list.ab", "list.cd", "list.e", "each.c", "each.d", "each.e"])
    cause.unlink()
    slurm.bee("bee-retry", made)
    wait_state(slurm, made, "Archived")
    assert steps.counts() == Counter(["list.ab"] * 2 + ["list.cd", "list.e", *(f"each.{letter}" for letter in "abcde")])
    found = json.loads((directory(slurm, made) / "outputs.json").read_text())["all"]
    texts = [[(directory(slurm, made) / each["location"]).read_text().strip() for each in inner] for inner in found]
    assert texts == [["a", "b"], ["c", "d"], ["e"]]
