"""How a workflow's graph is walked: what wakes the next pass, and what a failure stops."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import directory, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

TWO_WIDTHS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {fast: {type: int, default: 1}, slow: {type: int, default: 12}}
outputs: {a: {type: 'File[]', outputSource: use_fast/o}, b: {type: 'File[]', outputSource: use_slow/o}}
steps:
  make_slow:
    in: {seconds: slow}
    out: [numbers]
    run: &make
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep $0; echo [1, 2, 3] > numbers.json']
      inputs: {seconds: {type: int, inputBinding: {position: 1}}}
      outputs:
        numbers:
          type: int[]
          outputBinding: {glob: numbers.json, loadContents: true, outputEval: '$(JSON.parse(self[0].contents))'}
  make_fast: {in: {seconds: fast}, out: [numbers], run: *make}
  use_slow:
    scatter: n
    in: {n: make_slow/numbers}
    out: [o]
    run: &use
      class: CommandLineTool
      baseCommand: echo
      inputs: {n: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  use_fast: {scatter: n, in: {n: make_fast/numbers}, out: [o], run: *use}
"""

SIXTY = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {numbers: 'int[]'}
outputs: {all: {type: File, outputSource: gather/o}}
steps:
  mark:
    scatter: n
    in: {n: numbers}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo $0 >> MARKER; echo $0']
      inputs: {n: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  copy:
    scatter: f
    in: {f: mark/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  gather:
    in: {f: copy/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""

FAILING = """
cwlVersion: v1.2
class: Workflow
inputs: {seconds: {type: int, default: 6}}
outputs: {o: {type: File, outputSource: after/o}}
steps:
  fail:
    in: {}
    out: []
    run: {class: CommandLineTool, baseCommand: 'false', inputs: {}, outputs: {}}
  busy:
    in: {seconds: seconds}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'sleep $0; echo done']
      inputs: {seconds: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  after:
    in: {f: busy/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""

WIDE_FAILING = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {n: {type: 'int[]', default: NUMBERS}}
outputs: {}
steps:
  a:
    scatter: n
    in: {n: n}
    out: []
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, '[ $0 != 1 ] && sleep 5']
      inputs: {n: {type: int, inputBinding: {position: 1}}}
      outputs: {}
""".replace("NUMBERS", str(list(range(40))))


def write(path: Path, text: str) -> Path:
    """Write a document."""
    path.write_text(text)
    return path


def passes(slurm: PrivateSlurm, found: str) -> list[str]:
    """List the passes that ran."""
    log = (directory(slurm, found) / "log/passes.log").read_text()
    return [line for line in log.splitlines() if ": pass." in line]


def test_each_width_is_decided_as_soon_as_its_own_producer_ends(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = submit(slurm, write(tmp_path / "widths.cwl", TWO_WIDTHS))
    wait_state(slurm, found, "Archived")
    known = tasks(slurm, found)
    assert [known[f"use_fast[{n}]"]["state"] for n in range(3)] == ["COMPLETED"] * 3
    assert max(known[f"use_fast[{n}]"]["ended"] for n in range(3)) < known["make_slow"]["ended"]
    assert min(known[f"use_slow[{n}]"]["started"] for n in range(3)) > known["make_slow"]["ended"]
    # The driver, one a width, and the epilog.
    assert len(passes(slurm, found)) == 4


@pytest.mark.parametrize("choice", ["stop", "continue"])
def test_what_a_failure_stops(slurm: PrivateSlurm, tmp_path: Path, choice: str) -> None:
    found = submit(slurm, "--on-error", choice, write(tmp_path / "failing.cwl", FAILING))
    done = wait_state(slurm, found, "Archived/Failed")
    assert done["reason"].startswith("fail FAILED: the command ended with exit code 1")
    known = {task["name"]: (task["state"], task["reason"]) for task in done["tasks"]}
    assert known["busy"] == ("COMPLETED", "")
    unrun = ("CANCELLED", "not run: fail failed, and --on-error is stop")
    assert known["after"] == (unrun if choice == "stop" else ("COMPLETED", ""))
    assert "more" not in done["reason"]


def test_a_failure_is_noticed_while_another_task_runs(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = write(tmp_path / "failing.cwl", FAILING)
    found = submit(slurm, "--on-error", "stop", document, "--seconds", "15")
    slurm.wait_for(job_id_of(slurm, found, "after"), "CANCELLED")
    assert slurm.job_state(job_id_of(slurm, found, "busy")) == "RUNNING"
    wait_state(slurm, found, "Archived/Failed")
    assert tasks(slurm, found)["busy"]["state"] == "COMPLETED"


def test_an_element_that_fails_stops_those_that_have_yet_to_begin(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = write(tmp_path / "wide.cwl", WIDE_FAILING)
    found = submit(slurm, "--on-error", "stop", document)
    wait_state(slurm, found, "Archived/Failed", timeout_s=180)
    known = tasks(slurm, found)
    assert known["a[1]"]["state"] == "FAILED"
    # More than there are CPUs: these were behind it in the queue.
    assert known["a[39]"]["state"] == "CANCELLED"
    assert known["a[39]"]["reason"] == "not run: a[1] failed, and --on-error is stop"


def job_id_of(slurm: PrivateSlurm, found: str, step: str) -> str:
    """Wait until the job of a step is submitted; returns its id."""
    deadline = time.monotonic() + 20
    while not (ids := list((directory(slurm, found) / "jobs").glob(f"[0-9]*-{step}.0.id"))):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return ids[0].read_text().strip()


def test_the_runner_takes_on_error(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = write(tmp_path / "failing.cwl", FAILING)
    argv: list[Any] = ["--on-error", "stop", "--outdir", tmp_path / "out", document, "--seconds", "10"]
    done = slurm.bee("bee-cwl-runner", *argv, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"o": None}


# -- limits -----------------------------------------------------------------------------------------------------------


@dataclass
class Sixty:
    """A scatter of sixty, each an element of its own, twice, and a gather."""

    folder: Path

    def submit(self, slurm: PrivateSlurm, *lines: str) -> str:
        """Submit it with these lines in bee.conf, [slurm]."""
        conf = self.folder / "bee.conf"
        conf.write_text("\n".join([slurm.bee_conf.read_text(), "[slurm]", "tasks_per_element = 1", *lines, ""]))
        document = write(self.folder / "sixty.cwl", SIXTY.replace("MARKER", str(self.folder / "marker")))
        job = write(self.folder / "job.json", json.dumps({"numbers": list(range(100, 160))}))
        return submit(slurm, document, job, env={"BEE_CONFIG": str(conf)})

    def check(self, slurm: PrivateSlurm, found: str) -> None:
        """Check that every task ran once, and that the outputs are in order."""
        numbers = [str(number) for number in range(100, 160)]
        assert sorted((self.folder / "marker").read_text().split()) == numbers
        outputs = list((directory(slurm, found) / "outputs").iterdir())
        assert [path.read_text().split() for path in outputs] == [numbers]


def live(slurm: PrivateSlurm, found: str) -> int:
    """Count the jobs and elements of a workflow in the queue, passes not counted."""
    nonce = f"bee-{found.replace('-', '')[:12]}-"
    lines = slurm.slurm("squeue", "--noheader", "--array", "--format=%T %j").splitlines()
    mine = [line.split() for line in lines if nonce in line]
    return sum(state in ("PENDING", "RUNNING") and not name.endswith("-pass") for state, name in mine)


def test_no_more_jobs_than_asked_for_are_in_the_queue(slurm: PrivateSlurm, tmp_path: Path) -> None:
    sixty = Sixty(tmp_path)
    found = sixty.submit(slurm, "max_jobs = 14")
    most = 0
    deadline = time.monotonic() + 180
    while not (directory(slurm, found) / "outputs.json").exists():
        assert time.monotonic() < deadline
        most = max(most, live(slurm, found))
        time.sleep(0.1)
    wait_state(slurm, found, "Archived")
    sixty.check(slurm, found)
    # What has published its result may have yet to leave Slurm.
    assert 7 <= most <= 14 + 7
    windows = list((directory(slurm, found) / "jobs").glob("001-mark.*.json"))
    assert 60 / 14 < len(windows) <= 3 * 60 / 14


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["MaxArraySize=11", "MaxJobCount=60", "MinJobAge=2"], id="sizes"),
        pytest.param(["SchedulerParameters=max_array_tasks=9,batch_sched_delay=0,sched_interval=2"], id="refused"),
        pytest.param(["MaxJobCount=30", "MinJobAge=2"], id="sbatch-sleeps", marks=pytest.mark.slow),
    ],
)
def test_a_small_slurm_runs_a_wide_scatter(empty_slurm: PrivateSlurm, tmp_path: Path, settings: list[str]) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    empty_slurm.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "4", *words)
    sixty = Sixty(tmp_path)
    found = sixty.submit(empty_slurm)
    wait_state(empty_slurm, found, "Archived", timeout_s=240)
    sixty.check(empty_slurm, found)
