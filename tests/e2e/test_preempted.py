"""Jobs that a real Slurm preempts, by requeueing or by cancelling them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.test_retry_policy import GOOD, ONCE, Steps
from tests.e2e.workflows import tasks, wait_state, wait_task

pytestmark = pytest.mark.e2e


TIMES = 3


@pytest.mark.parametrize("mode", ["REQUEUE", "CANCEL"])
def test_a_task_that_is_preempted_again_and_again_runs_again(
    empty_slurm: PrivateSlurm, tmp_path: Path, mode: str
) -> None:
    slurm = empty_slurm
    settings = (f"PreemptMode={mode}", "PreemptType=preempt/partition_prio")
    words = [word for setting in settings for word in ("--set", setting)]
    slurm.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2", *words)
    slurm.slurm("scontrol", "create", "partitionname=urgent", "nodes=ALL", "priorityTier=100")
    steps = Steps(slurm, tmp_path, "{}", f'[ $(grep -c "^b " "RAN") -gt {TIMES} ] || sleep 300')
    jobs = set()
    for count in range(1, TIMES + 1):
        steps.wait_for("b", count)
        jobs.add(wait_task(slurm, steps.id, "each[1]", "RUNNING")["job_id"])
        urgent = slurm.sbatch("--partition=urgent", "--exclusive", "--time=1", "--wrap=sleep 1")
        slurm.wait_for(urgent)
    wait_state(slurm, steps.id, "Archived", timeout_s=90)
    made = tasks(slurm, steps.id)["each[1]"]
    assert (made["state"], made["tries"]) == ("COMPLETED", TIMES + 1)
    assert len(jobs | {made["job_id"]}) == (1 if mode == "REQUEUE" else TIMES + 1)
    assert steps.output() == GOOD
    assert steps.counts() == {**ONCE, "b": TIMES + 1}
    # What waits for it was submitted once for each of its jobs, and no more often.
    submitted = [key.partition("-")[2].partition(".")[0] for key in steps.submitted()]
    assert max(map(submitted.count, submitted)) <= (1 if mode == "REQUEUE" else TIMES + 1)
