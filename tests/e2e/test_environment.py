"""What tasks see of the environment of bee-submit, on a real Slurm: wherever that runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import directory, submit, wait_state

pytestmark = pytest.mark.e2e

DOCUMENT = Path(__file__).parent / "documents/environment.cwl"
# What a job, or a shell on a cluster, has set: each of these would change what sbatch or srun does.
OF_ANOTHER = {
    "SLURM_JOB_ID": "999999",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_CPUS_PER_TASK": "64",
    "SLURM_MEM_PER_NODE": "1",
    "SLURM_NTASKS": "17",
    "SBATCH_ARRAY_INX": "0-3",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_HOLD": "1",
    "SBATCH_REQUEUE": "0",
}
OF_THE_USER = {"LD_LIBRARY_PATH": "/opt/lib", "OMP_NUM_THREADS": "3", "TOKEN": "secret"}


def seen(slurm: PrivateSlurm, workflow_id: str) -> dict[str, str]:
    """Read what the task saw."""
    (path,) = (directory(slurm, workflow_id) / "outputs").iterdir()
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_a_task_sees_what_bee_conf_names_and_nothing_else(slurm: PrivateSlurm, tmp_path: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(slurm.bee_conf.read_text() + "\n[task]\npreserve_environment = LD_LIBRARY_PATH, OMP_*\n")
    env = {**OF_ANOTHER, **OF_THE_USER, "BEE_CONFIG": str(conf)}
    made = submit(slurm, DOCUMENT, env=env)
    wait_state(slurm, made, "Archived")
    found = seen(slurm, made)
    assert {"HOME", "PATH", "TMPDIR"} <= set(found)
    assert (found["LD_LIBRARY_PATH"], found["OMP_NUM_THREADS"]) == ("/opt/lib", "3")
    assert not [name for name in found if name.startswith(("SLURM", "SBATCH", "TOKEN", "BEE"))]


def test_nothing_of_the_users_is_seen_unless_bee_conf_says_so(slurm: PrivateSlurm) -> None:
    made = submit(slurm, DOCUMENT, env={**OF_ANOTHER, **OF_THE_USER})
    wait_state(slurm, made, "Archived")
    assert set(seen(slurm, made)) <= {"HOME", "PATH", "TMPDIR", "PWD", "SHLVL", "_", "OLDPWD"}


def test_a_workflow_can_be_submitted_from_inside_a_job(slurm: PrivateSlurm, tmp_path: Path) -> None:
    # An array element of an allocation of its own shape: what it has set must not get into our jobs.
    script = tmp_path / "outer.sh"
    words = shlex.join([sys.executable, "-m", "beeflow.commands.submit", str(DOCUMENT)])
    script.write_text(f"#!/bin/sh\nexec {words} >{tmp_path}/said 2>&1\n")
    slurm.slurm("sbatch", "--wait", "--array=2-2", "--ntasks=1", "--mem=100", "--output=/dev/null", script)
    said = (tmp_path / "said").read_text()
    assert "Your workflow id is " in said
    made = said.split("id is ")[1][:36]
    wait_state(slurm, made, "Archived")
    assert not [name for name in seen(slurm, made) if name.startswith(("SLURM", "SBATCH"))]
