"""Tasks that are tried again: what the runner says and asks of Slurm, and what the next attempt runs."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from beeflow.runner.again import Again
from beeflow.runner.job import Job
from beeflow.runner.memory import OomKills
from beeflow.tries import OUT_OF_MEMORY, TEMPORARY_FAIL
from tests.runner.test_element import COMMAND, PORT, SHAPE, World

POLICY: dict[str, Any] = {
    "node_fail": 1,
    "temporary_fail": 2,
    "timeout": 1,
    "timeout_factor": 2.0,
    "out_of_memory": 1,
    "memory_factor": 1.5,
    "wait_s": 30.0,
}
# Says what it was asked for; what is in the file "refuse" it does not do.
SCONTROL = """#!/bin/sh
echo "$@" >> ROOT/asked
if [ -e ROOT/refuse ] && echo "$@" | grep -q -f ROOT/refuse; then
  echo "slurm_update error: Access denied" >&2
  exit 1
fi
[ "$1" != show ] || echo "PartitionName=p MaxTime=$(cat ROOT/max)"
"""


@pytest.fixture
def made(tmp_path: Path) -> World:
    """Make an element whose commands may end with 75 for now, in a job that finds a Slurm of ours."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "scontrol"
    program.write_text(SCONTROL.replace("ROOT", str(tmp_path)))
    program.chmod(0o755)
    (tmp_path / "max").write_text("UNLIMITED")
    command = {**COMMAND, "temporary_fail_codes": [75]}
    run = {"retry": POLICY, "templates": {SHAPE: {"command": command, "ports": [PORT]}}}
    more = [f"PATH={programs}:/usr/bin:/bin", "SLURM_JOB_PARTITION=p", "SLURM_MEM_PER_NODE=100"]
    return World(tmp_path, {}, run, wrapper=lambda argv: ["env", *more, *argv])


def go(made: World, scripts: dict[str, str], **how: Any) -> tuple[int, str]:
    """Run an attempt whose tasks are these."""
    made.scripts = scripts
    made.write()
    return made.go(**how)


def asked(made: World) -> list[str]:
    path = made.root / "asked"
    return path.read_text().splitlines() if path.exists() else []


def entries(made: World, attempt: str = "7_0.0") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made.element / attempt / "tasks.jsonl").read_text().splitlines()]


def kinds(made: World, attempt: str = "7_0.0") -> list[str]:
    return [next(iter(entry)) for entry in entries(made, attempt)]


def test_a_temporary_failure_has_the_job_requeued_and_the_others_are_kept(made: World) -> None:
    scripts = {"0": f"echo 0 >> {made.root}/ran", "1": f"echo 1 >> {made.root}/ran; exit 75", "2": "exit 3"}
    code, said = go(made, scripts)
    assert (code, said) == (1, "beeflow: 1: waits for try 2 of 3: the command ended with exit code 75\n")
    assert not (made.element / "result.json").exists()
    assert asked(made) == ["requeue 7_0", "update JobId=7_0 StartTime=now+30"]
    scripts["1"] = f"echo again >> {made.root}/ran"
    assert go(made, scripts, restart=1) == (0, "")
    assert made.states() == {"0": "COMPLETED", "1": "COMPLETED", "2": "FAILED"}
    assert (made.root / "ran").read_text().split() == ["0", "1", "again"]
    assert [made.result()[label].get("tries") for label in "012"] == [None, 2, None]


def test_tries_are_bounded_and_wait_longer_each_time(made: World) -> None:
    scripts = {"0": "exit 75", "1": "true"}
    for restart in range(2):
        assert go(made, scripts, restart=restart)[0] == 1
    assert go(made, scripts, restart=2)[0] == 0
    assert [line for line in asked(made) if "StartTime" in line] == [
        "update JobId=7_0 StartTime=now+30",
        "update JobId=7_0 StartTime=now+60",
    ]
    assert made.states() == {"0": "FAILED", "1": "COMPLETED"}
    assert made.result()["0"]["reason"] == "the command ended with exit code 75; try 3 of 3"
    assert made.result()["0"]["tries"] == 3


def test_where_slurm_refuses_the_log_says_what_a_pass_is_to_submit_again(made: World) -> None:
    (made.root / "refuse").write_text("requeue")
    code, said = go(made, {"0": "exit 75"})
    assert code == 1
    assert "not requeued: scontrol requeue 7_0: slurm_update error: Access denied; a pass" in said
    assert kinds(made) == ["begin", "run", "again"]
    assert asked(made) == ["requeue 7_0"]


def test_a_runner_killed_before_it_requeues_has_said_what_is_to_be_tried_again(made: World) -> None:
    # In place of scontrol, so that it comes after all that was logged.
    (made.root / "bin/scontrol").write_text("#!/bin/sh\nkill -9 $PPID\n")
    assert go(made, {"0": "exit 75", "1": "true"})[0] == -signal.SIGKILL
    assert kinds(made) == ["begin", "run", "again", "begin", "run", "end"]
    assert go(made, {"0": "true", "1": "exit 9"}, job="8")[0] == 0
    assert made.states() == {"0": "COMPLETED", "1": "COMPLETED"}


@pytest.mark.parametrize("flag", ["paused", "cancel"])
def test_a_halted_workflow_requeues_nothing(made: World, flag: str) -> None:
    (made.root / "control").mkdir()
    (made.root / "control" / flag).write_text("")
    assert "paused or cancelled" in go(made, {"0": "exit 75"})[1]
    assert asked(made) == []


def test_an_attempt_whose_successor_runs_requeues_nothing(made: World) -> None:
    (made.element / "7_0.1").mkdir(parents=True)
    assert "its next attempt runs" in go(made, {"0": "exit 75"})[1]
    assert asked(made) == []


def test_without_a_policy_a_temporary_failure_is_one(made: World) -> None:
    made.run["retry"] = {**POLICY, "temporary_fail": 0}
    go(made, {"0": "exit 75"})
    assert made.result()["0"]["reason"] == "the command ended with exit code 75"
    assert asked(made) == []


def test_a_scancel_ends_also_what_waits_for_another_try(made: World) -> None:
    made.scripts = {"0": "exit 75", "1": f"touch {made.root}/here; sleep 30"}
    made.write()
    program = made.start()
    made.wait_for("here")
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert asked(made) == []
    assert made.states() == {"0": "CANCELLED", "1": "CANCELLED"}
    reason = "cancelled in Slurm while it waited for try 2 of 3: the command ended with exit code 75"
    assert made.result()["0"]["reason"] == reason


# -- the time limit ---------------------------------------------------------------------------------------------------


def out_of_time(made: World, *, restart: int = 0, cpus: int = 1) -> str:
    """Run a task, and as many like it, until its job's time limit; returns what was said."""
    made.run["time_limit_s"] = 1
    made.scripts = {str(label): f"touch {made.root}/here{label}; sleep 30" for label in range(cpus)}
    made.scripts["after"] = "true"
    made.write()
    for label in range(cpus):
        (made.root / f"here{label}").unlink(missing_ok=True)
    program = made.start(restart=restart, cpus=cpus)
    for label in range(cpus):
        made.wait_for(f"here{label}")
    time.sleep(1)
    program.send_signal(signal.SIGTERM)
    return program.communicate(timeout=20)[1]


def test_a_time_limit_is_raised_for_the_next_try(made: World) -> None:
    made.run["retry"] = {**POLICY, "timeout_factor": 90.0}
    assert "0: waits for try 2 of 2: time limit of 1 s" in out_of_time(made)
    assert asked(made) == [
        "show partition p",
        "requeue 7_0",
        "update JobId=7_0 StartTime=now+30",
        "update JobId=7_0 TimeLimit=0-00:02:00",
    ]
    assert entries(made)[-1] == {"raised": {"time_limit_s": 120}}
    # The next attempt knows: what ends it now is no time limit.
    out_of_time(made, restart=1)
    assert made.states() == {"0": "CANCELLED", "after": "CANCELLED"}


def test_more_than_the_partition_allows_is_not_asked_for(made: World) -> None:
    (made.root / "max").write_text("00:01:00")
    made.run["retry"] = {**POLICY, "timeout_factor": 90.0}
    out_of_time(made)
    assert asked(made)[-1] == "update JobId=7_0 TimeLimit=0-00:01:00"


def test_where_there_is_no_more_time_it_is_not_tried_again(made: World) -> None:
    (made.root / "refuse").write_text("show partition")
    out_of_time(made, cpus=2)
    assert asked(made) == ["show partition p"]
    ends = [entry["result"] for entry in entries(made) if "end" in entry]
    assert [end["state"] for end in ends] == ["TIMEOUT", "TIMEOUT"]
    assert all("Access denied" in end["reason"] for end in ends)


def test_a_time_limit_that_slurm_does_not_raise_is_not_taken_for_raised(made: World) -> None:
    (made.root / "refuse").write_text("TimeLimit")
    assert "Access denied" in out_of_time(made)
    assert kinds(made)[-1] == "again"


# -- memory -----------------------------------------------------------------------------------------------------------


def test_the_kernels_word_is_read_from_either_version_of_cgroups(tmp_path: Path) -> None:
    own = tmp_path / "own"
    for line, name, before in (
        ("0::/job_7/task_0\n", "job_7/task_0/memory.events", "low 0\noom 3\noom_kill {}\n"),
        ("4:memory:/job_7\n0::/x\n", "memory/job_7/memory.oom_control", "under_oom 0\noom_kill {}\n"),
    ):
        own.write_text(line)
        events = tmp_path / name
        events.parent.mkdir(parents=True, exist_ok=True)
        events.write_text(before.format(2))
        kills = OomKills(str(own), str(tmp_path))
        assert not kills.came()
        events.write_text(before.format(4))
        assert [kills.came() for _ in range(3)] == [True, True, False]
    assert not OomKills(str(tmp_path / "none"), str(tmp_path)).came()


def test_more_memory_is_asked_for_the_next_try(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go(made, {"0": "true"})
    for name, value in (("PATH", f"{made.root}/bin:/usr/bin:/bin"), ("SLURM_MEM_PER_NODE", "100")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    run = json.loads((made.group / "run.json").read_text())
    again = Again(str(made.root), run, Job(), f"{made.root}/none")
    events = made.root / "memory.events"
    (made.root / "own").write_text("0::/\n")
    again.oom_kills = OomKills(str(made.root / "own"), str(made.root))
    events.write_text("oom_kill 1\n")
    status = SimpleNamespace(code=75)
    assert again.cause_of({"temporary_fail_codes": [75]}, status) == OUT_OF_MEMORY  # type: ignore[arg-type]
    assert again.cause_of({"temporary_fail_codes": [75]}, status) == TEMPORARY_FAIL  # type: ignore[arg-type]
    again.tally.begin("0")
    entry, _ = again.take("0", OUT_OF_MEMORY, "out of memory")
    assert entry is not None
    assert again.requeue() == ({"raised": {"mem_mib": 150}}, [])
    assert asked(made)[-1] == "update JobId=8 MinMemoryNode=150"
    again.tally.begin("0")
    assert again.take("0", OUT_OF_MEMORY, "out of memory") == (None, "; try 2 of 2")


# -- jobs that were restarted -----------------------------------------------------------------------------------------


def test_what_a_restart_interrupts_too_often_is_node_fail(made: World) -> None:
    scripts = {"0": "kill -9 $PPID; sleep 1", "1": "true"}
    for restart in range(2):
        assert go(made, scripts, restart=restart)[0] == -signal.SIGKILL
    assert go(made, scripts, restart=2)[0] == 0
    assert made.states() == {"0": "NODE_FAIL", "1": "COMPLETED"}
    reason = "its node failed, or its job was preempted or requeued, 2 times while it ran; [retry] node_fail = 1"
    assert (made.result()["0"]["reason"], made.result()["0"]["tries"]) == (reason, 2)


def test_a_job_that_is_restarted_before_anything_begins_ends_too(made: World) -> None:
    assert go(made, {"0": "true"}, restart=2)[0] == 1
    assert made.states() == {"0": "NODE_FAIL"}
    assert made.result()["0"]["reason"] == "its job was restarted 2 times before a task began; [retry] node_fail = 1"


def test_what_was_told_to_end_runs_again_though_it_could_not_publish_that(made: World) -> None:
    made.scripts = {"0": f"touch {made.root}/here; [ -e {made.root}/again ] || sleep 30"}
    made.write()
    program = made.start()
    made.wait_for("here")
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    # Slurm killed it before.
    (made.element / "result.json").unlink()
    (made.root / "again").touch()
    assert made.go(restart=1)[0] == 0
    assert made.states() == {"0": "COMPLETED"}


def test_a_job_requeued_by_hand_runs_again_so_often(made: World) -> None:
    # What is requeued is told to end as if it were cancelled.
    made.scripts = {"0": f"touch {made.root}/here; sleep 30"}
    made.write()
    for restart in range(2):
        (made.root / "here").unlink(missing_ok=True)
        program = made.start(restart=restart)
        made.wait_for("here")
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=20)
        assert made.states() == {"0": "CANCELLED"}
    assert made.go(restart=2)[0] == 1
    assert made.states() == {"0": "NODE_FAIL"}


def test_what_a_lost_attempt_says_too_late_does_not_count(made: World) -> None:
    late = {"version": 1, "tasks": {"0": {"state": "CANCELLED", "reason": "cancelled in Slurm while it ran"}}}
    result = made.element / "result.json"
    assert go(made, {"0": f"echo '{json.dumps(late)}' > {result}"}, restart=1)[0] == 0
    assert made.states() == {"0": "COMPLETED"}
    assert json.loads((made.element / "result.late-7_0.1.json").read_text()) == late


def test_a_job_that_another_took_the_place_of_does_nothing(made: World) -> None:
    made.element.mkdir(parents=True)
    (made.element / "lost.json").write_text(json.dumps({"version": 1, "jobs": ["7_0"], "tasks": {}}))
    assert go(made, {"0": f"touch {made.root}/ran"}, restart=1) == (0, "")
    assert [path.name for path in made.element.iterdir()] == ["lost.json"]
    assert go(made, {"0": f"touch {made.root}/ran"}, job="8")[0] == 0
    assert made.states() == {"0": "COMPLETED"}


def test_the_first_good_result_stays(made: World) -> None:
    first = {"version": 1, "tasks": {"0": {"state": "COMPLETED", "outputs": {}}}}
    go(made, {"0": f"echo '{json.dumps(first)}' > {made.element}/result.json"})
    assert made.result() == first["tasks"]


def test_how_a_try_was_cancelled_is_told_no_more_once_another_began(made: World) -> None:
    # Attempt 0 was cancelled, attempt 1 died while it ran again: attempt 2 must run it, not repeat what 0 said.
    for name, lines in (("9_0.0", ["end"]), ("9_0.1", [])):
        folder = made.element / name
        folder.mkdir(parents=True)
        log: list[dict[str, Any]] = [{"begin": "0", "at": "2026-01-01T00:00:00+00:00"}]
        log += [{"end": "0", "result": {"state": "CANCELLED"}} for _ in lines]
        (folder / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    made.run["retry"] = {**POLICY, "node_fail": 2}
    assert go(made, {"0": "true"}, job="9", restart=2)[0] == 0
    assert made.states() == {"0": "COMPLETED"}
