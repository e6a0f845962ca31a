"""The workflow that is disturbed: every task says in its outputs, and in a log elsewhere, who and where it was.

Six tasks; one more behind each of them; one that decides, when it runs, how many a third step has and which of two
steps run at all; and one that takes from all. A task writes two files with the same nonce, a new one each time it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

WIDTH = 6
NAMES = ("x", "y", "z")

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, MultipleInputFeatureRequirement: {}}
inputs: {words: 'string[]', seconds: 'float[]', names: 'string[]', second: float}
outputs:
  all: {type: File, outputSource: gather/a}
  firsts: {type: 'File[]', outputSource: first/a}
  thirds: {type: 'File[]', outputSource: third/b}
  unmade: {type: 'File?', outputSource: skipped/a}
steps:
  first:
    scatter: [word, seconds]
    scatterMethod: dotproduct
    in: {word: words, seconds: seconds}
    out: [a, b]
    run: &one
      class: CommandLineTool
      baseCommand: [sh, SCRIPT]
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        seconds: {type: float, inputBinding: {position: 2}}
        files: {type: 'File[]?', inputBinding: {position: 3}}
      outputs: {a: {type: File, outputBinding: {glob: a}}, b: {type: File, outputBinding: {glob: b}}}
  second:
    scatter: [word, a, b]
    scatterMethod: dotproduct
    in: {word: words, seconds: second, a: first/a, b: first/b}
    out: [a, b]
    run:
      class: CommandLineTool
      baseCommand: [sh, SCRIPT]
      inputs:
        word: {type: string, inputBinding: {position: 1, prefix: second., separate: false}}
        seconds: {type: float, inputBinding: {position: 2}}
        a: {type: File, inputBinding: {position: 3}}
        b: {type: File, inputBinding: {position: 4}}
      outputs: {a: {type: File, outputBinding: {glob: a}}, b: {type: File, outputBinding: {glob: b}}}
  count:
    in: {seconds: second}
    out: [a, names, go, stay]
    run:
      class: CommandLineTool
      baseCommand: [sh, SCRIPT, count]
      inputs: {seconds: {type: float, inputBinding: {position: 1}}}
      outputs: {a: File, names: 'string[]', go: boolean, stay: boolean}
  third:
    scatter: word
    in: {word: NAMES, seconds: second, file: count/a}
    out: [a, b]
    run: &behind
      class: CommandLineTool
      baseCommand: [sh, SCRIPT]
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        seconds: {type: float, inputBinding: {position: 2}}
        file: {type: File, inputBinding: {position: 3}}
      outputs: {a: {type: File, outputBinding: {glob: a}}, b: {type: File, outputBinding: {glob: b}}}
  kept:
    when: $(inputs.go)
    in: {go: count/go, word: {default: kept}, seconds: second, file: count/a}
    out: [a]
    run: *behind
  skipped:
    when: $(inputs.go)
    in: {go: count/stay, word: {default: skipped}, seconds: second, file: count/a}
    out: [a]
    run: *behind
  gather:
    in:
      word: {default: gather}
      seconds: second
      files:
        source: [second/a, third/a, kept/a, skipped/a, first/b]
        linkMerge: merge_flattened
        pickValue: all_non_null
    out: [a]
    run: *one
"""

# It fails where it cannot write: what a tool does about a full disk is not ours.
SCRIPT = """
set -e
label=$1 seconds=$2
shift 2
read -r nonce </proc/sys/kernel/random/uuid
say() { echo "$1 $label $nonce $(date +%s.%N) $PWD" >>'LOG'; }
say begin
echo "$label $nonce $PWD" >a
sleep "$seconds"
cat -- "$@" /dev/null >>a
echo "$label $nonce" >b
[ "$label" != count ] || cat >cwl.output.json <<'END'
{"a": {"class": "File", "path": "a"}, "names": NAMES, "go": true, "stay": false}
END
say end
"""


@dataclass(frozen=True)
class Said:
    """A line of the log: a task began or ended. ``folder``: its working directory, which names job and attempt."""

    what: str
    label: str
    nonce: str
    at: float
    folder: str


@dataclass(frozen=True)
class Workload:
    """The files of one run's workflow, in a folder of its own."""

    folder: Path

    @property
    def document(self) -> Path:
        """What is submitted."""
        return self.folder / "chaos.cwl"

    @property
    def job(self) -> Path:
        """Its inputs."""
        return self.folder / "job.json"

    @property
    def script(self) -> Path:
        """What every task runs."""
        return self.folder / "task.sh"

    @property
    def log(self) -> Path:
        """Where tasks say that they begin and end."""
        return self.folder / "said"

    def write(self, random: Random, *, known_width: bool) -> None:
        """Write document, inputs and script. ``known_width``: no step's width is decided at run time."""
        names = "names" if known_width else "count/names"
        self.document.write_text(DOCUMENT.replace("SCRIPT", str(self.script)).replace("NAMES", names))
        self.script.write_text(SCRIPT.replace("LOG", str(self.log)).replace("NAMES", json.dumps(NAMES)))
        seconds = [round(random.uniform(0, 1), 2) for _ in range(WIDTH)]
        words = [f"first.{number}" for number in range(WIDTH)]
        job = {"words": words, "seconds": seconds, "names": NAMES, "second": round(random.uniform(0, 0.3), 2)}
        self.job.write_text(json.dumps(job))

    def said(self) -> Iterator[Said]:
        """Read the log."""
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            what, label, nonce, at, folder = line.split(" ", 4)
            yield Said(what, label, nonce, float(at), folder)


def read_outputs(root: Path) -> dict[str, Any]:
    """Read the outputs of a workflow: every file as its lines."""
    return {name: _lines(root, value) for name, value in json.loads((root / "outputs.json").read_text()).items()}


def _lines(root: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_lines(root, each) for each in value]
    if isinstance(value, dict):
        return (root / value["location"]).read_text().splitlines()
    return value


def without_nonces(outputs: Any) -> Any:
    """Reduce outputs to what every run makes."""
    if isinstance(outputs, dict):
        return {name: without_nonces(each) for name, each in outputs.items()}
    if isinstance(outputs, list):
        return [without_nonces(each) for each in outputs]
    return outputs.partition(" ")[0] if isinstance(outputs, str) else outputs


def nonces(outputs: Any) -> Iterator[tuple[str, str]]:
    """Yield label and nonce of every line of the outputs."""
    if isinstance(outputs, str):
        label, nonce = outputs.split(" ")[:2]
        yield label, nonce
    elif isinstance(outputs, (dict, list)):
        for each in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from nonces(each)
