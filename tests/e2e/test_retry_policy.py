"""Tasks that are tried again, on a real Slurm: the job is requeued under its id, and what depends on it waits."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import directory, job_id, submit, tasks, wait_state, wait_task

pytestmark = pytest.mark.e2e

# Task "b" of the first step ends as BAD says. RAN: who ran when, in seconds.
DOCUMENT = """
cwlVersion: v1.2
class: Workflow
$namespaces: {beeflow: "https://github.com/lanl/BEE#"}
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]'}
outputs: {all: {type: File, outputSource: gather/o}}
steps:
  each:
    scatter: word
    in: {word: words}
    out: [o]
    hints: {'beeflow:RetryRequirement': POLICY}
    run:
      class: CommandLineTool
      baseCommand: [sh, -ec, 'echo $0 $(date +%s) >> "RAN"; [ $0 != b ] || { BAD; }; echo "made $0"']
      temporaryFailCodes: [75]
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  second:
    scatter: f
    in: {f: each/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo second $(date +%s) >> "RAN"; cat $0']
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
  gather:
    in: {files: second/o, first: each/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo gather $(date +%s) >> "RAN"; cat "$@"', sh]
      inputs: {files: {type: 'File[]', inputBinding: {}}, first: 'File[]'}
      outputs: {o: stdout}
"""
GOOD = "made a\nmade b\nmade c\n"


class Steps:
    """A workflow whose task b ends badly, as a shell says."""

    def __init__(self, slurm: PrivateSlurm, folder: Path, policy: str, bad: str, *conf: str, path: str = "") -> None:
        self.slurm, self.ran = slurm, folder / "ran"
        document, job, bee_conf = folder / "steps.cwl", folder / "job.json", folder / "bee.conf"
        text = DOCUMENT.replace("POLICY", policy).replace("BAD", bad).replace("RAN", str(self.ran))
        document.write_text(text.replace("FOLDER", str(folder)))
        job.write_text(json.dumps({"words": ["a", "b", "c"]}))
        bee_conf.write_text("\n".join([slurm.bee_conf.read_text(), *conf, ""]))
        env = {"BEE_CONFIG": str(bee_conf), "PATH": path or slurm.env["PATH"]}
        self.id = submit(slurm, document, job, env=env)

    def times(self, who: str) -> list[int]:
        """Say when a task began."""
        lines = self.ran.read_text().splitlines() if self.ran.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == who]

    def wait_for(self, who: str, count: int, timeout_s: float = 60.0) -> None:
        """Wait until a task has begun so often."""
        deadline = time.monotonic() + timeout_s
        while len(self.times(who)) < count:
            if time.monotonic() > deadline:
                shown = self.slurm.bee("bee-query", self.id).stdout + self.slurm.slurm("squeue")
                pytest.fail(f"{who} began {len(self.times(who))} times, not {count}\n{shown}")
            time.sleep(0.1)

    def counts(self) -> dict[str, int]:
        """Count how often each ran."""
        return {who: len(self.times(who)) for who in ("a", "b", "c", "second", "gather")}

    def submitted(self) -> list[str]:
        """List the sbatch calls for steps."""
        return sorted(path.stem for path in (directory(self.slurm, self.id) / "jobs").glob("0*.id"))

    def output(self) -> str:
        """Read what the workflow made."""
        made = json.loads((directory(self.slurm, self.id) / "outputs.json").read_text())
        location: str = made["all"]["location"]
        return (directory(self.slurm, self.id) / location).read_text()


def until(count: int) -> str:
    """Fail for now until the task has run so often."""
    return f'[ $(grep -c "^b " "RAN") -ge {count} ] || exit 75'


ONCE = {"a": 1, "b": 1, "c": 1, "second": 3, "gather": 1}


def test_a_temporary_failure_is_tried_again_by_the_same_job(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(slurm, tmp_path, "{temporary_fail: 3, wait_s: 4}", until(3))
    steps.wait_for("b", 1)
    waits = wait_put_off(slurm, steps, timeout_s=30)
    assert (waits["state"], waits["tries"]) == ("PENDING", 1)
    assert waits["reason"] == "waits for try 2 of 4: the command ended with exit code 75"
    ids = {key: job_id(slurm, steps.id, key) for key in steps.submitted()}
    wait_state(slurm, steps.id, "Archived", timeout_s=120)
    assert steps.counts() == {**ONCE, "b": 3}
    assert steps.output() == GOOD
    # No job was submitted again, neither this one nor what waited for it.
    assert {key: job_id(slurm, steps.id, key) for key in steps.submitted()} == ids
    assert [key.partition("-")[2] for key in ids] == ["each.0", "second.0", "gather.0"]
    made = tasks(slurm, steps.id)
    assert [made[f"each[{number}]"]["tries"] for number in range(3)] == [1, 3, 1]
    # What does not need it did not wait for it: each task of the next step only waits for its own.
    assert steps.times("second")[1] < steps.times("b")[2]
    first, second = (late - early for early, late in pairwise(steps.times("b")))
    assert (first >= 4, second >= 8) == (True, True)
    recorded = json.loads((directory(slurm, steps.id) / "metadata/001-each.json").read_text())
    assert [task["tries"] for task in recorded] == [1, 3, 1]


def test_tries_end_and_the_other_tasks_of_the_element_run_once(slurm: PrivateSlurm, tmp_path: Path) -> None:
    conf = ("[slurm]", "tasks_per_element = 3", "[retry]", "temporary_fail = 1", "wait_s = 1")
    steps = Steps(slurm, tmp_path, "{}", "exit 75", *conf)
    wait_state(slurm, steps.id, "Archived/Failed", timeout_s=90)
    assert steps.counts() == {**ONCE, "b": 2, "second": 2, "gather": 0}
    made = tasks(slurm, steps.id)
    failed = made["each[1]"]
    assert (failed["state"], failed["tries"]) == ("FAILED", 2)
    assert failed["reason"] == "the command ended with exit code 75; try 2 of 2"
    assert [made[f"each[{number}]"]["state"] for number in (0, 2)] == ["COMPLETED", "COMPLETED"]
    assert [key.partition("-")[2] for key in steps.submitted()] == ["each.0", "second.0", "gather.0"]


@pytest.mark.parametrize("chunk", [1, 3])
def test_where_jobs_may_not_be_requeued_a_pass_submits_again(slurm: PrivateSlurm, tmp_path: Path, chunk: int) -> None:
    conf = ("[slurm]", "task_options = --no-requeue", f"tasks_per_element = {chunk}")
    steps = Steps(slurm, tmp_path, "{temporary_fail: 2, wait_s: 1}", until(3), *conf)
    wait_state(slurm, steps.id, "Archived", timeout_s=90)
    assert steps.counts() == {**ONCE, "b": 3}
    assert steps.output() == GOOD
    logs = "".join(path.read_text() for path in (directory(slurm, steps.id) / "tasks").rglob("*.log"))
    assert "not requeued: scontrol requeue" in logs
    assert [key for key in steps.submitted() if "-each." in key] == [f"001-each.{part}" for part in range(3)]


# In place of scontrol: kills who first asks it to requeue a job, before or after that is done.
KILLER = """#!/bin/sh
if [ "$1" = requeue ] && [ ! -e FOLDER/killed ]; then
  touch FOLDER/killed
  AFTER && SCONTROL "$@"
  kill -9 $PPID
  exit 1
fi
exec SCONTROL "$@"
"""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("chunk", [1, 3])
def test_a_runner_killed_while_it_has_its_job_requeued(
    slurm: PrivateSlurm, tmp_path: Path, after: bool, chunk: int
) -> None:
    program = tmp_path / "bin/scontrol"
    program.parent.mkdir()
    real = shutil.which("scontrol", path=slurm.env["PATH"]) or ""
    text = KILLER.replace("SCONTROL", real).replace("FOLDER", str(tmp_path)).replace("AFTER", str(after).lower())
    program.write_text(text)
    program.chmod(0o755)
    path = f"{program.parent}:{slurm.env['PATH']}"
    conf = ("[slurm]", f"tasks_per_element = {chunk}")
    steps = Steps(slurm, tmp_path, "{temporary_fail: 2, wait_s: 1}", until(2), *conf, path=path)
    wait_state(slurm, steps.id, "Archived", timeout_s=90)
    assert (tmp_path / "killed").exists()
    assert steps.counts() == {**ONCE, "b": 2}
    assert steps.output() == GOOD
    # Only what was not requeued was submitted again.
    assert len([key for key in steps.submitted() if "-each." in key]) == (1 if after else 2)


def test_a_job_requeued_by_hand_runs_again_so_often_and_no_more(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(slurm, tmp_path, "{node_fail: 1}", "sleep 300")
    for count in (1, 2):
        steps.wait_for("b", count)
        slurm.slurm("scontrol", "requeue", tasks(slurm, steps.id)["each[1]"]["job_id"])
    wait_state(slurm, steps.id, "Archived/Failed", timeout_s=60)
    failed = tasks(slurm, steps.id)["each[1]"]
    assert (failed["state"], failed["tries"]) == ("NODE_FAIL", 2)
    assert failed["reason"].endswith("requeued, 2 times while it ran; [retry] node_fail = 1")
    assert steps.counts()["b"] == 2


@contextlib.contextmanager
def down(slurm: PrivateSlurm, node: str) -> Iterator[None]:
    """Have a node down for a while; once its slurmd says that it is well, it is only drained (ReturnToService=2)."""
    for state in ("DOWN", "DRAIN"):
        slurm.slurm("scontrol", "update", f"NodeName={node}", f"State={state}", "Reason=test")
    try:
        yield
    finally:
        slurm.slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")


def test_a_task_whose_node_goes_down_runs_again_elsewhere(slurm: PrivateSlurm, tmp_path: Path) -> None:
    steps = Steps(slurm, tmp_path, "{}", '[ $(grep -c "^b " "RAN") -ge 2 ] || sleep 300')
    steps.wait_for("b", 1)
    running = wait_task(slurm, steps.id, "each[1]", "RUNNING")
    with down(slurm, running["node"]):
        wait_state(slurm, steps.id, "Archived", timeout_s=90)
    made = tasks(slurm, steps.id)["each[1]"]
    assert (made["state"], made["tries"], made["job_id"]) == ("COMPLETED", 2, running["job_id"])
    assert made["node"] not in ("", running["node"])
    assert made["folder"].endswith(f"{made['job_id']}.1/1")
    assert steps.output() == GOOD
    assert steps.counts() == {**ONCE, "b": 2}
    assert [key.partition("-")[2] for key in steps.submitted()] == ["each.0", "second.0", "gather.0"]


@pytest.mark.slow
def test_a_time_limit_is_raised_and_dependents_wait(slurm: PrivateSlurm, tmp_path: Path) -> None:
    conf = ("[slurm]", "time_limit = 1")
    bad = '[ $(grep -c "^b " "RAN") -ge 2 ] || sleep 300'
    steps = Steps(slurm, tmp_path, "{timeout: 1, timeout_factor: 3, wait_s: 8}", bad, *conf)
    steps.wait_for("b", 1)
    waits = wait_put_off(slurm, steps, timeout_s=120)
    assert waits["reason"] == "waits for try 2 of 2: time limit of 60 s"
    shown = slurm.slurm("scontrol", "show", "job", waits["job_id"])
    assert "TimeLimit=00:03:00" in shown
    wait_state(slurm, steps.id, "Archived", timeout_s=60)
    assert steps.counts() == {**ONCE, "b": 2}
    assert steps.output() == GOOD
    # To Slurm the array has an element that went wrong: only what needs all of it has to be submitted again.
    assert [key.partition("-")[2] for key in steps.submitted()] == ["each.0", "second.0", "gather.0", "gather.1"]


def wait_put_off(slurm: PrivateSlurm, steps: Steps, timeout_s: float) -> dict[str, Any]:
    """Wait until task b waits for another try, and its job does."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = tasks(slurm, steps.id)["each[1]"]
        if "waits for try" in found["reason"] and slurm.job_state(found["job_id"]) == "PENDING":
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
