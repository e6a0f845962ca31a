"""Whatever is killed or cancelled: a true final state, an archive or a clear word, and no step run twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import (
    EXAMPLES,
    SLEEP_THEN_CAT,
    archive,
    directory,
    job_id,
    query,
    submit,
    tasks,
    wait_state,
    wait_task,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
def sleeper(slurm: PrivateSlurm, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Submit a two-step workflow whose first step sleeps; afterwards, check that it never began twice."""
    marker = tmp_path / "marker"
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(marker)))

    def start(seconds: int = 3, *options: str) -> str:
        return submit(slurm, *options, document, "--seconds", str(seconds))

    yield start
    began = Path(f"{marker}.ran")
    assert not began.exists() or began.read_text() == "x\n"


def python_pids(words: str) -> list[int]:
    """Find the Python processes whose command line has these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if words in line and (folder / "comm").read_text().startswith("python"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_for_python(words: str, timeout_s: float = 20.0) -> int:
    """Return the first Python process seen with these words."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for pid in python_pids(words):
            return pid
        time.sleep(0.02)
    pytest.fail(f"no process with {words!r} was seen")


def kill(words: str) -> None:
    """Kill -9 the first Python process seen with these words."""
    os.kill(wait_for_python(words), signal.SIGKILL)


def test_kill_the_driver(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(1)
    kill(f"beeflow.advance {directory(slurm, found)} pass.1")
    wait_state(slurm, found, "Archived")


def test_kill_the_epilog(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(0)
    kill(f"beeflow.advance {directory(slurm, found)} pass.2")
    wait_state(slurm, found, "Archived")


def test_kill_a_task(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(61543)
    wait_task(slurm, found, "a", "RUNNING")
    kill(f"runner/__main__.py {directory(slurm, found)} 001-a")
    wait_state(slurm, found, "Archived/Failed")
    failed = tasks(slurm, found)["a"]
    assert failed["state"] == "FAILED"
    assert "ended without a result" in failed["reason"]
    assert any("killed by signal 9" in line for line in failed["stderr_tail"])
    assert tasks(slurm, found)["b"]["state"] == "DEP_FAIL"
    assert not any("sleep 61543" in line for line in slurm.slurm("ps", "-eo", "args").splitlines())


def test_kill_a_consumer_before_it_has_done_anything(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(3)
    slurm.wait_for(job_id(slurm, found, "pass.1"))
    # The first act of a job is to read its id: it waits there until somebody writes into the pipe.
    known = directory(slurm, found) / "jobs/002-b.0.id"
    kept = known.rename(known.with_suffix(".kept"))
    os.mkfifo(known)
    runner = wait_for_python(f"runner/__main__.py {directory(slurm, found)} 002-b")
    kept.replace(known)
    status = Path(f"/proc/{runner}/status").read_text()
    os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(runner, signal.SIGKILL)
    wait_state(slurm, found, "Archived/Failed")
    made = tasks(slurm, found)
    assert made["a"]["state"] == "COMPLETED"
    assert (made["b"]["state"], made["b"]["job_id"]) == ("FAILED", job_id(slurm, found, "002-b.0"))
    assert made["b"]["reason"] == "the job ended without a result: before it started; Slurm: FAILED"
    assert not list((directory(slurm, found) / "jobs").glob("002-b.1.*"))


def test_cancel_the_driver_job(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(0)
    slurm.slurm("scancel", job_id(slurm, found, "pass.1"))
    wait_state(slurm, found, "Archived")


def test_cancel_the_pending_pass_before_the_driver_ran(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(0)
    slurm.slurm("scancel", job_id(slurm, found, "pass.2"))
    wait_state(slurm, found, "Archived")


def test_cancel_the_pending_pass_while_tasks_run(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(2)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.slurm("scancel", job_id(slurm, found, "pass.2"))
    stalled = wait_state(slurm, found, "Stalled")
    assert f"bee-start {found}" in stalled["reason"]
    slurm.bee("bee-start", found)
    wait_state(slurm, found, "Archived")


def test_cancel_a_running_task(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(60)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.slurm("scancel", job_id(slurm, found, "001-a.0"))
    wait_state(slurm, found, "Archived/Failed")
    states = {name: (task["state"], task["reason"]) for name, task in tasks(slurm, found).items()}
    # Before or after the runner itself began.
    assert states["a"][0] == "CANCELLED"
    assert "ancelled in Slurm" in states["a"][1] or "Slurm: CANCELLED" in states["a"][1]
    assert states["b"] == ("DEP_FAIL", "a CANCELLED")


def test_cancel_a_pending_task(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(2)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.slurm("scancel", job_id(slurm, found, "002-b.0"))
    wait_state(slurm, found, "Archived/Failed")
    states = {name: task["state"] for name, task in tasks(slurm, found).items()}
    assert states == {"a": "COMPLETED", "b": "CANCELLED"}


def test_bee_cancel_takes_this_workflows_jobs_and_no_others(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    mine = slurm.sbatch("--wrap", "sleep 30")
    found = sleeper(60)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.bee("bee-cancel", found[:9])
    wait_state(slurm, found, "Archived/Cancelled")
    assert {task["state"] for task in tasks(slurm, found).values()} == {"CANCELLED"}
    assert slurm.job_state(mine) in ("RUNNING", "PENDING")
    slurm.slurm("scancel", mine)
    assert slurm.bee("bee-cancel", found).stdout == f"Workflow {found} is Archived/Cancelled already.\n"
    assert archive(slurm, found).exists()
    assert_no_jobs(slurm, found)


def test_bee_cancel_at_once(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(60)
    slurm.bee("bee-cancel", found)
    wait_state(slurm, found, "Archived/Cancelled")
    assert_no_jobs(slurm, found)


def test_bee_cancel_what_was_never_started(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(60, "--no-start")
    slurm.bee("bee-cancel", found)
    wait_state(slurm, found, "Archived/Cancelled")


def test_all_jobs_cancelled_by_hand(slurm: PrivateSlurm, sleeper: Callable[..., str]) -> None:
    found = sleeper(60)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.slurm("scancel", *[path.read_text().strip() for path in (directory(slurm, found) / "jobs").glob("*.id")])
    stalled = wait_state(slurm, found, "Stalled")
    assert "bee-start" in stalled["reason"]
    slurm.bee("bee-start", found)
    wait_state(slurm, found, "Archived/Failed")


def test_a_time_limit_is_told_as_one(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "limit.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sleep, '50'], inputs: [], outputs: [],"
        " requirements: {ToolTimeLimit: {timelimit: 1}}}"
    )
    found = submit(slurm, document)
    wait_state(slurm, found, "Archived/Failed")
    (task,) = tasks(slurm, found).values()
    assert (task["state"], task["reason"]) == ("TIMEOUT", "ToolTimeLimit of 1 s")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount a tmpfs of a few pages."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    # Not below pytest's own folder, which pytest removes while the epilog may be about to end in here.
    folder = Path(tempfile.mkdtemp(prefix="bee-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], check=True)
    yield folder
    # The epilog may be about to end in there.
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


def test_a_full_archive_disk(slurm: PrivateSlurm, tmp_path: Path, small_disk: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(slurm.bee_conf.read_text() + f"bee_archive_dir = {small_disk}\n")
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl", env={"BEE_CONFIG": str(conf)})
    stalled = wait_state(slurm, found, "Stalled")
    assert "No space left on device" in stalled["reason"]
    assert f"bee-start {found}" in stalled["reason"]
    assert os.listdir(small_disk) == []
    subprocess.run(["mount", "-o", "remount,size=16m", small_disk], check=True)
    slurm.bee("bee-start", found)
    done = wait_state(slurm, found, "Archived")
    assert Path(done["archive"]).parent == small_disk
    assert {task["state"] for task in done["tasks"]} == {"COMPLETED"}


def test_a_full_disk_under_everything(slurm: PrivateSlurm, tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {small_disk}\n")
    env = {"BEE_CONFIG": str(conf)}
    found = submit(slurm, "--no-start", EXAMPLES / "diamond/diamond.cwl", env=env)
    fill(small_disk / "ballast")
    refused = slurm.bee("bee-start", found, env=env, check=False)
    assert refused.returncode == 74
    assert "No space left on device" in refused.stderr
    full = slurm.bee("bee-submit", EXAMPLES / "diamond/diamond.cwl", env=env, check=False)
    assert full.returncode == 74
    assert os.listdir(small_disk / "workflows") == [found]
    (small_disk / "ballast").unlink()
    slurm.bee("bee-start", found, env=env)
    deadline = time.monotonic() + 40
    while not (small_disk / "archives" / f"{found}.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"x" * 4096):
            pass


def live_jobs(slurm: PrivateSlurm, found: str) -> list[str]:
    """List the jobs of a workflow that Slurm still has."""
    nonce = f"bee-{found.replace('-', '')[:12]}-"
    lines = slurm.slurm("squeue", "--noheader", "--format=%j %T").splitlines()
    return [line for line in lines if line.startswith(nonce) and "COMPLETING" not in line]


def assert_no_jobs(slurm: PrivateSlurm, found: str) -> None:
    """Fail unless the workflow's jobs end: the epilog ends a moment after it said how the workflow did."""
    deadline = time.monotonic() + 15
    while left := live_jobs(slurm, found):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_an_undisturbed_workflow_asks_slurm_nothing(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = EXAMPLES / "scatter/scatter.cwl"
    slurm.slurm("sdiag", "--reset")
    found = submit(slurm, document)
    deadline = time.monotonic() + 60
    while not archive(slurm, found).with_suffix(".json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.3)
    time.sleep(1)
    counts = rpcs(slurm.slurm("sdiag"))
    queries = {name: count for name, count in counts.items() if "JOB_INFO" in name or "JOB_USER_INFO" in name}
    assert queries == {}
    # The driver, three passes in all, and one sbatch a step.
    assert counts["REQUEST_SUBMIT_BATCH_JOB"] == 3 + 3
    assert query(slurm, found)["state"] == "Archived"


def rpcs(text: str) -> dict[str, int]:
    """Read sdiag's counts of remote procedure calls by type."""
    found: dict[str, int] = {}
    for line in text.partition("Remote Procedure Call statistics by message type")[2].splitlines():
        words = line.replace("(", " ").replace(")", " ").split()
        if line.startswith("Remote Procedure"):
            break
        if len(words) > 3 and words[2].startswith("count:"):
            found[words[0]] = int(words[2].partition(":")[2])
    return found
