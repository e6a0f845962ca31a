"""bee-start, bee-pause, bee-resume and bee-cancel, alone and at the same time, also while a driver is submitting."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import (
    SLEEP_THEN_CAT,
    checksums,
    directory,
    job_id,
    query,
    submit,
    wait_state,
    wait_task,
)

pytestmark = pytest.mark.e2e

# A scatter that takes four CPUs a task, so that two run at a time, one that follows it element by element, a gather.
SCATTER = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {xs: {type: "int[]", default: [1, 2, 3, 4, 5]}, seconds: {type: string, default: "1"}}
outputs: {o: {type: File, outputSource: g/o}}
steps:
  s:
    in: {x: xs, seconds: seconds}
    out: [o]
    scatter: x
    run:
      class: CommandLineTool
      requirements: {ResourceRequirement: {coresMin: 4}}
      baseCommand: [sh, -c, 'echo s$0 >> MARKER; sleep $1; echo $0']
      inputs: {x: {type: int, inputBinding: {position: 1}}, seconds: {type: string, inputBinding: {position: 2}}}
      outputs: {o: {type: stdout}}
  t:
    in: {f: s/o}
    out: [o]
    scatter: f
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo t >> MARKER; cat $0']
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  g:
    in: {f: t/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: "File[]", inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""
GATHERED = "1\n2\n3\n4\n5\n"
EVERY_TASK_ONCE = ["s1", "s2", "s3", "s4", "s5", *["t"] * 5]

# A scatter over what the first step makes: the driver that submits it comes when that has ended.
UNKNOWN = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {}
outputs: {o: {type: "File[]", outputSource: s/o}}
steps:
  a:
    in: {}
    out: [xs]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep 2; echo 1 2 3']
      inputs: {}
      stdout: xs
      outputs:
        xs:
          type: "int[]"
          outputBinding:
            {glob: xs, loadContents: true, outputEval: "$(self[0].contents.trim().split(' ').map(Number))"}
  s:
    in: {x: a/xs}
    out: [o]
    scatter: x
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {x: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""


class Scatter:
    """A document, and which of its tasks began."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.marker = folder / "ran"
        self.document = folder / "scatter.cwl"
        self.document.write_text(SCATTER.replace("MARKER", str(self.marker)))

    def ran(self) -> list[str]:
        """List the tasks that began."""
        return sorted(self.marker.read_text().split()) if self.marker.exists() else []


@pytest.fixture
def scatter(tmp_path: Path) -> Scatter:
    return Scatter(tmp_path)


def queue(slurm: PrivateSlurm, found: str) -> list[tuple[str, str, str]]:
    """List a workflow's live jobs: name without the nonce, state, reason."""
    nonce = f"bee-{found.replace('-', '')[:12]}-"
    lines = slurm.slurm("squeue", "--noheader", "--array", "--format=%j %T %r").splitlines()
    live = [line.removeprefix(nonce).split(" ", 2) for line in lines if line.startswith(nonce)]
    return [(name, state, reason) for name, state, reason in live if state != "COMPLETING"]


def wait_until(test: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not test():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def wait_quiet(slurm: PrivateSlurm, found: str) -> None:
    """Wait until nothing of a paused workflow runs; fail if anything is pending that may begin."""
    wait_until(lambda: not any(state == "RUNNING" for _, state, _ in queue(slurm, found)))
    waiting = [job for job in queue(slurm, found) if not (job[2].startswith("JobHeld") or job[0] == "pass")]
    assert waiting == []


def assert_done(slurm: PrivateSlurm, found: str, ran: list[str]) -> None:
    """Fail unless a scatter ends with the outputs of one that nobody disturbed, and each task began once."""
    wait_state(slurm, found, "Archived")
    output = json.loads((directory(slurm, found) / "outputs.json").read_text())["o"]
    assert (directory(slurm, found) / "outputs" / output["basename"]).read_text() == GATHERED
    assert ran == EVERY_TASK_ONCE
    assert_no_jobs(slurm, found)


def assert_no_jobs(slurm: PrivateSlurm, found: str) -> None:
    wait_until(lambda: not queue(slurm, found))


# -- pause and resume -------------------------------------------------------------------------------------------------


def test_pause_in_the_middle_of_a_scatter(slurm: PrivateSlurm, scatter: Scatter) -> None:
    undisturbed = submit(slurm, scatter.document, "--seconds", "0")
    wait_state(slurm, undisturbed, "Archived")
    scatter.marker.unlink()
    found = submit(slurm, scatter.document)
    wait_until(lambda: len(scatter.ran()) >= 2)
    said = slurm.bee("bee-pause", found[:13]).stdout
    assert said.startswith(f"Paused workflow {found} ")
    wait_quiet(slurm, found)
    ran = scatter.ran()
    assert 2 <= len(ran) < len(EVERY_TASK_ONCE)
    time.sleep(3)
    assert scatter.ran() == ran
    assert f"{found}  Paused" in slurm.bee("bee-list").stdout
    shown = query(slurm, found)
    assert shown["state"] == "Paused"
    assert {task["state"] for task in shown["tasks"]} == {"COMPLETED", "PENDING"}
    assert slurm.bee("bee-pause", found).stdout == f"Workflow {found} is paused already.\n"
    assert slurm.bee("bee-resume", found).stdout == f"Resumed workflow {found}.\n"
    again = slurm.bee("bee-resume", found, check=False)
    # It may have ended meanwhile.
    assert (again.returncode, again.stdout) in ((0, f"Workflow {found} is under way already.\n"), (4, ""))
    assert_done(slurm, found, scatter.ran() if wait_state(slurm, found, "Archived") else [])
    outputs = [json.loads((directory(slurm, each) / "outputs.json").read_text()) for each in (undisturbed, found)]
    assert checksums(outputs[0]) == checksums(outputs[1])
    again = slurm.bee("bee-pause", found, check=False)
    assert (again.returncode, "bee-copy, bee-rerun" in again.stderr) == (4, True)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0])
def test_pause_while_the_driver_is_submitting(slurm: PrivateSlurm, scatter: Scatter, delay: float) -> None:
    found = submit(slurm, scatter.document)
    time.sleep(delay)
    slurm.bee("bee-pause", found)
    wait_quiet(slurm, found)
    ran = scatter.ran()
    assert query(slurm, found)["state"] == "Paused"
    time.sleep(1)
    assert scatter.ran() == ran
    slurm.bee("bee-resume", found)
    wait_state(slurm, found, "Archived")
    assert_done(slurm, found, scatter.ran())


def test_what_the_user_held_stays_held(slurm: PrivateSlurm, scatter: Scatter) -> None:
    found = submit(slurm, scatter.document)
    wait_until(lambda: len(scatter.ran()) >= 2)
    held = f"{job_id(slurm, found, '001-s.0')}_4"
    slurm.slurm("scontrol", "hold", held)
    slurm.bee("bee-pause", found)
    slurm.bee("bee-resume", found)
    wait_until(lambda: len(scatter.ran()) == 8)
    assert query(slurm, found)["state"] == "Running"
    assert slurm.job_state(held) == "PENDING"
    slurm.slurm("scontrol", "release", held)
    wait_state(slurm, found, "Archived")
    assert_done(slurm, found, scatter.ran())


def test_pause_before_a_width_is_known(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "unknown.cwl"
    document.write_text(UNKNOWN)
    found = submit(slurm, document)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.bee("bee-pause", found)
    wait_until(
        lambda: [job for job in queue(slurm, found) if job[2] != "Dependency"] == [("pass", "PENDING", "JobHeldUser")]
    )
    assert query(slurm, found)["state"] == "Paused"
    slurm.bee("bee-resume", found)
    done = wait_state(slurm, found, "Archived")
    assert {task["name"] for task in done["tasks"]} == {"a", "s[0]", "s[1]", "s[2]"}


def test_a_paused_workflow_with_nothing_left_to_start_is_archived(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "one.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sleep, '3'], inputs: [], outputs: []}"
    )
    found = submit(slurm, document)
    wait_until(lambda: any(state == "RUNNING" and name != "pass" for name, state, _ in queue(slurm, found)))
    slurm.bee("bee-pause", found)
    wait_state(slurm, found, "Archived")


def test_resume_when_all_jobs_were_cancelled_in_slurm(slurm: PrivateSlurm, scatter: Scatter) -> None:
    found = submit(slurm, scatter.document)
    wait_until(lambda: len(scatter.ran()) >= 2)
    slurm.bee("bee-pause", found)
    wait_quiet(slurm, found)
    slurm.slurm("scancel", *[path.read_text().strip() for path in (directory(slurm, found) / "jobs").glob("*.id")])
    assert_no_jobs(slurm, found)
    assert query(slurm, found)["state"] == "Paused"
    assert slurm.bee("bee-resume", found).stdout == f"Resumed workflow {found}.\n"
    wait_state(slurm, found, "Archived")
    assert_done(slurm, found, scatter.ran())


def test_pause_where_jobs_may_not_submit(slurm: PrivateSlurm, scatter: Scatter, tmp_path: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(slurm.bee_conf.read_text() + "[slurm]\ndrive = here\n")
    found = submit(slurm, scatter.document, env={"BEE_CONFIG": str(conf)})
    wait_until(lambda: len(scatter.ran()) >= 2)
    slurm.bee("bee-pause", found)
    wait_quiet(slurm, found)
    slurm.bee("bee-resume", found)
    wait_state(slurm, found, "Archived")
    assert_done(slurm, found, scatter.ran())


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_pause_then_cancel(slurm: PrivateSlurm, scatter: Scatter) -> None:
    found = submit(slurm, scatter.document)
    wait_until(lambda: len(scatter.ran()) >= 2)
    slurm.bee("bee-pause", found)
    refused = slurm.bee("bee-start", found, check=False)
    assert (refused.returncode, "what is: bee-resume, bee-cancel" in refused.stderr) == (4, True)
    slurm.bee("bee-cancel", found)
    wait_state(slurm, found, "Archived/Cancelled")
    assert_no_jobs(slurm, found)
    assert slurm.bee("bee-cancel", found).stdout == f"Workflow {found} is Archived/Cancelled already.\n"


def test_cancel_where_a_paused_pass_is_held(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "unknown.cwl"
    document.write_text(UNKNOWN)
    found = submit(slurm, document)
    # Before it begins it would be held itself, and the pass would wait for it.
    wait_task(slurm, found, "a", "RUNNING")
    slurm.bee("bee-pause", found)
    wait_until(lambda: ("pass", "PENDING", "JobHeldUser") in queue(slurm, found) and len(queue(slurm, found)) == 1)
    slurm.bee("bee-cancel", found)
    wait_state(slurm, found, "Archived/Cancelled")
    assert_no_jobs(slurm, found)


def test_cancel_leaves_jobs_that_look_alike(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    found = submit(slurm, document, "--seconds", "60")
    wait_task(slurm, found, "a", "RUNNING")
    nonce = f"bee-{found.replace('-', '')[:12]}"
    names = ["mine", f"{nonce}-001.0", f"{nonce}-001.00", f"{nonce}-pass2", f"{nonce}-001.0-mine", nonce]
    mine = [slurm.sbatch(f"--job-name={name}", "--wrap", "sleep 60") for name in names]
    slurm.bee("bee-pause", found)
    reasons = [slurm.slurm("squeue", "--noheader", "--format=%r", f"--jobs={each}") for each in mine]
    assert not any(reason.startswith("JobHeld") for reason in reasons)
    slurm.bee("bee-cancel", found)
    wait_state(slurm, found, "Archived/Cancelled")
    assert {slurm.job_state(each) for each in mine} <= {"RUNNING", "PENDING"}
    slurm.slurm("scancel", *mine)


# -- many -------------------------------------------------------------------------------------------------------------


def test_all(slurm: PrivateSlurm, scatter: Scatter, tmp_path: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {tmp_path / 'own'}\n")
    env = {"BEE_CONFIG": str(conf)}
    # On a busy machine the first could otherwise be over before the last is submitted.
    found = [submit(slurm, scatter.document, "--seconds", "10", env=env) for _ in range(2)]
    found.append(submit(slurm, "--no-start", scatter.document, env=env))

    def states() -> list[str]:
        listed = {each["id"]: each["state"] for each in json.loads(slurm.bee("bee-list", "--json", env=env).stdout)}
        return [listed[each] for each in found]

    assert slurm.bee("bee-pause", "--all", env=env, check=False).returncode == 2
    paused = slurm.bee("bee-pause", "--all", "--yes", env=env).stdout.splitlines()
    assert len(paused) == 2
    assert states() == ["Paused", "Paused", "Submitted"]
    assert len(slurm.bee("bee-start", "--all", "--yes", env=env).stdout.splitlines()) == 1
    assert len(slurm.bee("bee-resume", "--all", "--yes", env=env).stdout.splitlines()) == 2
    mixed = slurm.bee("bee-cancel", found[0], "nothing", found[1], env=env, check=False)
    assert (mixed.returncode, len(mixed.stdout.splitlines())) == (3, 2)
    wait_until(lambda: states() == ["Archived/Cancelled", "Archived/Cancelled", "Archived"], timeout_s=60)


# -- at the same time -------------------------------------------------------------------------------------------------

COMMANDS = ("start", "pause", "resume", "cancel")
PAIRS = [(first, second) for number, first in enumerate(COMMANDS) for second in COMMANDS[number:]]
ROUNDS = 2


def begin(slurm: PrivateSlurm, command: str, found: str, *options: str) -> subprocess.Popen[str]:
    """Start a command and do not wait for it."""
    argv = [sys.executable, "-m", f"beeflow.commands.{command}", found, *options]
    return subprocess.Popen(argv, env=dict(slurm.env), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_commands_at_once(slurm: PrivateSlurm, tmp_path: Path, first: str, second: str) -> None:
    chance = random.Random(f"{first} {second}")
    rounds: list[tuple[str, Scatter]] = []
    said: dict[str, list[tuple[str, int, str]]] = {}
    for number in range(ROUNDS):
        scatter = Scatter(tmp_path / str(number))
        held = ("--no-start",) if "start" in (first, second) else ()
        found = submit(slurm, *held, scatter.document, "--seconds", "0.2")
        rounds.append((found, scatter))
        time.sleep(chance.choice((0.0, 0.3, 0.6, 0.9, 1.5)))
        if "resume" in (first, second) and not held and chance.random() < 0.7:
            slurm.bee("bee-pause", found, check=False)
        programs = [(first, begin(slurm, first, found))]
        time.sleep(chance.choice((0.0, 0.0, 0.05, 0.2)))
        programs.append((second, begin(slurm, second, found)))
        said[found] = []
        for command, program in programs:
            text, _ = program.communicate(timeout=60)
            said[found].append((command, program.returncode, text))
    for found, scatter in rounds:
        assert {code for _, code, _ in said[found]} <= {0, 4}, said[found]
        assert "Traceback" not in str(said[found])
        if query(slurm, found)["state"] == "Submitted":
            assert "start" not in (first, second)
        if query(slurm, found)["state"] == "Paused":
            assert "pause" in (first, second), said[found]
            wait_quiet(slurm, found)
            slurm.bee("bee-resume", found)
        cancelled = any(command == "cancel" and code == 0 for command, code, _ in said[found])
        states = ("Archived", "Archived/Cancelled") if cancelled else ("Archived",)
        done = wait_state(slurm, found, *states)
        if done["state"] == "Archived":
            assert_done(slurm, found, scatter.ran())
        assert len(scatter.ran()) == len(set(scatter.ran()) - {"t"}) + scatter.ran().count("t")
        assert_no_jobs(slurm, found)
