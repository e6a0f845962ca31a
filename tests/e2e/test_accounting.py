"""A site with accounting, played by a program named sacct: Slurm has forgotten a job that left no result."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.test_disturbed import wait_for_python
from tests.e2e.workflows import SLEEP_THEN_CAT, directory, job_id, submit, wait_state, wait_task

pytestmark = pytest.mark.e2e

SACCT = """\
#!/bin/sh
echo "$@" >> {folder}/calls
{body}
"""


@pytest.fixture
def env(slurm: PrivateSlurm, tmp_path: Path) -> Mapping[str, str]:
    """An environment whose sacct is a program of the test's."""
    (tmp_path / "bin").mkdir()
    return {"PATH": f"{tmp_path / 'bin'}:{slurm.env['PATH']}"}


def lost(slurm: PrivateSlurm, tmp_path: Path, env: Mapping[str, str]) -> str:
    """Make a workflow of a site with accounting, whose first job Slurm does not know; returns its id."""
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    found = submit(slurm, "--no-start", document, "--seconds", "300", env=env)
    path = directory(slurm, found) / "workflow.json"
    record = json.loads(path.read_text())
    assert record["slurm"]["accounting"] is False
    record["slurm"]["accounting"] = True
    path.write_text(json.dumps(record))
    slurm.bee("bee-start", found, env=env)
    wait_task(slurm, found, "a", "RUNNING")
    # The next pass waits until Slurm has forgotten the job, and that is: has another number for it.
    slurm.slurm("scontrol", "hold", job_id(slurm, found, "pass.2"))
    kill_job(f"runner/__main__.py {directory(slurm, found)} 001-a")
    first = directory(slurm, found) / "jobs/001-a.0.id"
    slurm.wait_for(first.read_text().strip(), "FAILED", "CANCELLED")
    first.write_text("66999999\n")
    return found


def kill_job(words: str) -> None:
    """Kill a runner and the batch script that started it, so that neither says how it ended."""
    runner = wait_for_python(words)
    status = Path(f"/proc/{runner}/status").read_text()
    os.kill(int(status.partition("PPid:")[2].split()[0]), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(runner, signal.SIGKILL)


def write(tmp_path: Path, body: str) -> None:
    program = tmp_path / "bin/sacct"
    program.write_text(SACCT.format(folder=tmp_path, body=body))
    program.chmod(0o755)


def test_how_the_job_ended_is_known(slurm: PrivateSlurm, env: Mapping[str, str], tmp_path: Path) -> None:
    write(tmp_path, "")
    found = lost(slurm, tmp_path, env)
    name = json.loads((directory(slurm, found) / "jobs/001-a.0.json").read_text())["job_name"]
    write(tmp_path, f"echo '66999999|OUT_OF_MEMORY|n1|1795383900|{name}'")
    shown = json.loads(slurm.bee("bee-query", "--json", found, env=env).stdout)
    first = {task["name"]: task for task in shown["tasks"]}["a"]
    assert (first["state"], first["reason"]) == ("OUT_OF_MEMORY", "Slurm: OUT_OF_MEMORY")
    slurm.slurm("scontrol", "release", job_id(slurm, found, "pass.2"))
    ended = wait_state(slurm, found, "Archived/Failed")
    assert {task["name"]: task["state"] for task in ended["tasks"]}["a"] == "OUT_OF_MEMORY"
    assert "--jobs=66999999" in (tmp_path / "calls").read_text()


@pytest.mark.parametrize("body", ["sleep 120", "echo 'sacct: error: slurm_persist_conn_open: down' >&2; exit 1"])
def test_sacct_that_hangs_or_refuses_keeps_nothing(
    slurm: PrivateSlurm, env: Mapping[str, str], tmp_path: Path, body: str
) -> None:
    write(tmp_path, body)
    found = lost(slurm, tmp_path, env)
    slurm.slurm("scontrol", "release", job_id(slurm, found, "pass.2"))
    ended = wait_state(slurm, found, "Archived/Failed", timeout_s=120)
    (first,) = [task for task in ended["tasks"] if task["name"] == "a"]
    assert first["state"] == "FAILED"
    assert "Slurm: no longer known" in first["reason"]
