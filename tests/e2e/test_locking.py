"""A workflow on a file system without locks: soft locks, also those that killed processes left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, PrivateSlurm
from tests.e2e.workflows import directory, submit, wait_state

pytestmark = pytest.mark.e2e


@pytest.fixture
def env(slurm: PrivateSlurm, tmp_path: Path) -> dict[str, str]:
    """An environment whose bee.conf asks for soft locks."""
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {slurm.bee_workdir}\nlock = soft\n")
    return {"BEE_CONFIG": str(conf)}


def leave(slurm: PrivateSlurm, workflow_id: str, name: str, **given: str) -> Path:
    """Leave a soft lock behind, as of a process that was killed on another host."""
    path = directory(slurm, workflow_id) / f"control/{name}.holder"
    there = {"host": "far", "boot": "b", "namespace": "n", "since": "2026-11-23T00:00:00.000+00:00", "token": "t"}
    path.write_text(json.dumps({"version": 1, "pid": 7, "start_ticks": 7, **there, **given}))
    return path


def test_what_a_killed_job_left_keeps_nobody(slurm: PrivateSlurm, env: dict[str, str]) -> None:
    found = submit(slurm, "--no-start", REPOSITORY / "etc/examples/diamond/diamond.cwl", env=env)
    record = json.loads((directory(slurm, found) / "workflow.json").read_text())
    assert record["lock"] == "soft"
    ended = {"job_id": slurm.sbatch("--wrap=true"), "cluster": record["slurm"]["cluster_name"]}
    slurm.wait_for(ended["job_id"])
    locks = [leave(slurm, found, name, **ended) for name in ("lock", "holds.lock")]
    slurm.bee("bee-start", found, env=env)
    slurm.bee("bee-pause", found, env=env)
    slurm.bee("bee-resume", found, env=env)
    wait_state(slurm, found, "Archived")
    assert not [path for path in locks if path.exists()]
    assert not (directory(slurm, found) / "control/lock").exists()
    assert "left behind by process 7 on far, job" in (directory(slurm, found) / "log/passes.log").read_text()


def test_whom_nobody_can_ask_is_named_with_the_file_to_remove(slurm: PrivateSlurm, env: dict[str, str]) -> None:
    found = submit(slurm, "--no-start", REPOSITORY / "etc/examples/diamond/diamond.cwl", env=env)
    slurm.bee("bee-cancel", found, env=env)
    wait_state(slurm, found, "Archived/Cancelled")
    path = leave(slurm, found, "lock")
    said = slurm.bee("bee-retry", found, env=env, check=False)
    assert said.returncode == 74
    assert f"{path}: a soft lock, held by process 7 on far" in said.stderr
    assert "only then, remove this file" in said.stderr
    path.unlink()
    slurm.bee("bee-retry", found, env=env)
    wait_state(slurm, found, "Archived")
