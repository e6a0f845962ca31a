"""Jobs that a real Slurm preempts, by requeueing or by cancelling them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.test_retry_policy import GOOD, ONCE, Steps
from tests.e2e.workflows import tasks, wait_state, wait_task

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("mode", ["REQUEUE", "CANCEL"])
def test_a_preempted_task_runs_again(empty_slurm: PrivateSlurm, tmp_path: Path, mode: str) -> None:
    slurm = empty_slurm
    settings = (f"PreemptMode={mode}", "PreemptType=preempt/partition_prio")
    words = [word for setting in settings for word in ("--set", setting)]
    slurm.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2", *words)
    slurm.slurm("scontrol", "create", "partitionname=urgent", "nodes=ALL", "priorityTier=100")
    steps = Steps(slurm, tmp_path, "{}", '[ $(grep -c "^b " "RAN") -ge 2 ] || sleep 300')
    steps.wait_for("b", 1)
    running = wait_task(slurm, steps.id, "each[1]", "RUNNING")
    urgent = slurm.sbatch("--partition=urgent", "--exclusive", "--time=1", "--wrap=sleep 1")
    slurm.wait_for(urgent)
    wait_state(slurm, steps.id, "Archived", timeout_s=90)
    made = tasks(slurm, steps.id)["each[1]"]
    assert (made["state"], made["tries"]) == ("COMPLETED", 2)
    assert (made["job_id"] == running["job_id"]) == (mode == "REQUEUE")
    assert steps.output() == GOOD
    assert steps.counts() == {**ONCE, "b": 2}
