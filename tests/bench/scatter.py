"""RPCs and CPU of a scatter of N with a gather (python -m tests.bench.scatter [N]), beside a raw job array.

Runs on the Slurm that bee-* commands find; nothing else should use it meanwhile. Wanted: sbatch calls independent of N,
no squeue, sacct or scontrol query by the workflow.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from beeflow import cli
from beeflow.scheduler.target import environment, find
from beeflow.states import WorkflowState
from beeflow.store import Store

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]'}
outputs: {all: {type: File, outputSource: gather/o}}
steps:
  each:
    scatter: word
    in: {word: words}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  gather:
    in: {files: each/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
"""


def rpcs(env: dict[str, str]) -> dict[str, int]:
    """Read sdiag's counts by message type."""
    text = subprocess.run(["sdiag"], env=env, check=True, capture_output=True, text=True).stdout
    part = text.partition("by message type")[2].partition("Remote Procedure Call statistics by user")[0]
    return {name: int(count) for name, count in re.findall(r"^\s*(\w+)\s+\(\s*\d+\) count:(\d+)", part, re.MULTILINE)}


def raw_array(env: dict[str, str], count: int) -> float:
    """Time a bare job array of the same commands; returns seconds."""
    began = time.monotonic()
    argv = ["sbatch", "--wait", "--output=/dev/null", f"--array=0-{count - 1}", "--wrap=echo word"]
    subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def workflow(env: dict[str, str], count: int) -> tuple[float, float]:
    """Run the workflow; returns the seconds until it is archived, and the CPU seconds of its tasks' commands."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "w.cwl").write_text(DOCUMENT)
        (folder / "job.json").write_text(json.dumps({"words": [f"w{n}" for n in range(count)]}))
        began = time.monotonic()
        argv = [sys.executable, "-m", "beeflow.commands.submit", str(folder / "w.cwl"), str(folder / "job.json")]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        found = Store(cli.load_config().workflows_dir).get(said.split("id is ")[1][:36])
        while (state := found.state()) is None or state.state is not WorkflowState.ARCHIVED:
            if state is not None and state.state.final and state.state is not WorkflowState.COMPLETED:
                raise SystemExit(f"the workflow is {state.state.value}: {state.reason}")
            time.sleep(0.5)
        tasks = found.final_tasks() or ()
        return time.monotonic() - began, sum(task.cpu_s or 0 for task in tasks)


def main(count: int) -> None:
    """Measure."""
    env = environment(find(cli.load_config(), os.environ), os.environ)
    raw = raw_array(env, count)
    subprocess.run(["sdiag", "--reset"], env=env, check=True, stdout=subprocess.DEVNULL)
    seconds, _ = workflow(env, count)
    counts = rpcs(env)
    print(f"scatter {count} + gather: {seconds:.1f} s, {seconds / raw:.1f} times a raw array of the same commands")
    for name, number in sorted(counts.items()):
        print(f"  {name:36} {number}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
