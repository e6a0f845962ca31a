"""Which of the schedulers talks to Slurm, as [slurm] api of bee.conf says."""

from __future__ import annotations

from collections.abc import Mapping

from beeflow.scheduler import Scheduler
from beeflow.scheduler.cli import CliScheduler
from beeflow.scheduler.target import Target, environment

CLI = "cli"
PYSLURM = "pyslurm"


def connect(api: str, target: Target, env: Mapping[str, str]) -> Scheduler:
    """Return the scheduler for a Slurm; raises ConfigError when pyslurm was chosen and cannot be used."""
    made = environment(target, env)
    if api == CLI:
        return CliScheduler(made)
    # Only who asked for pyslurm pays for it.
    from beeflow.scheduler.pyslurm import PyslurmScheduler

    return PyslurmScheduler(made)
