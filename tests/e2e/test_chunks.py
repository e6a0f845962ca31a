"""Several tasks in one array element, on a real Slurm: what a dead element keeps, and who runs again."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import directory, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

# Task n of the first step leaves a line when it runs; one of them waits to be killed, or ends its own job.
WORKFLOW = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {numbers: 'int[]'}
outputs: {second: {type: 'File[]', outputSource: second/o}}
steps:
  first:
    scatter: n
    in: {n: numbers}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -ec, 'echo x >> MARKER/$0; [ $0 != VICTIM ] || sleep 120; echo $0']
      inputs: {n: {type: int, inputBinding: {}}}
      outputs: {o: stdout}
  second:
    scatter: f
    in: {f: first/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      arguments: ["${ return inputs.f.path; }"]
      inputs: {f: File}
      outputs: {o: stdout}
"""


def start(slurm: PrivateSlurm, folder: Path, victim: int | None) -> str:
    """Submit ten tasks, four an element, and as many that take from them one by one."""
    marker = folder / "ran"
    marker.mkdir()
    document, job, conf = folder / "w.cwl", folder / "job.json", folder / "bee.conf"
    document.write_text(WORKFLOW.replace("MARKER", str(marker)).replace("VICTIM", str(victim)))
    job.write_text(json.dumps({"numbers": list(range(10))}))
    conf.write_text(f"{slurm.bee_conf.read_text()}[slurm]\ntasks_per_element = 4\n")
    return submit(slurm, document, job, env={"BEE_CONFIG": str(conf)})


def times_run(folder: Path) -> dict[int, int]:
    """Count how often each task of the first step began."""
    return {int(path.name): len(path.read_text().split()) for path in (folder / "ran").iterdir()}


def kill_runner(slurm: PrivateSlurm, found: str, folder: Path, victim: int) -> None:
    """Kill -9 what runs the element of a task that has begun."""
    deadline = time.monotonic() + 60
    while not (folder / "ran" / str(victim)).exists():
        assert time.monotonic() < deadline, "the task did not begin"
        time.sleep(0.1)
    (started,) = directory(slurm, found).glob(f"tasks/001-first/000/{victim // 4:06}/*/started.json")
    os.kill(json.loads(started.read_text())["pid"], signal.SIGKILL)


def test_elements_of_several_tasks(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = start(slurm, tmp_path, None)
    wait_state(slurm, found, "Archived")
    assert times_run(tmp_path) == dict.fromkeys(range(10), 1)
    made = tasks(slurm, found)
    assert {task["state"] for task in made.values()} == {"COMPLETED"}
    # Four, four and two: three elements of one array.
    assert len({made[f"first[{number}]"]["job_id"] for number in range(10)}) == 3
    assert len(list(directory(slurm, found).glob("tasks/*/*/*/result.json"))) == 6
    outputs = json.loads((directory(slurm, found) / "outputs.json").read_text())["second"]
    texts = [(directory(slurm, found) / each["location"]).read_text() for each in outputs]
    assert texts == [f"{number}\n" for number in range(10)]


def test_an_element_that_is_killed_goes_on_behind_what_it_was_killed_in(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = start(slurm, tmp_path, 5)
    kill_runner(slurm, found, tmp_path, 5)
    wait_state(slurm, found, "Archived/Failed", timeout_s=90)
    assert times_run(tmp_path) == dict.fromkeys(range(10), 1)
    made = tasks(slurm, found)
    states = {name: task["state"] for name, task in made.items()}
    assert states.pop("first[5]") == "FAILED"
    assert "ended without a result" in made["first[5]"]["reason"]
    assert states.pop("second[5]") == "DEP_FAIL"
    assert set(states.values()) == {"COMPLETED"}
    # The tasks before it are those of the first job, the tasks behind it those of another.
    jobs = [made[f"first[{number}]"]["job_id"].partition("_")[0] for number in (4, 6, 7)]
    assert (jobs[0] == jobs[1], jobs[1] == jobs[2]) == (False, True)
