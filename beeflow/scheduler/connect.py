"""Which of the schedulers talks to Slurm, as [slurm] api of bee.conf says."""

from __future__ import annotations

from collections.abc import Mapping

from beeflow.scheduler import Scheduler
from beeflow.scheduler.cli import CliScheduler
from beeflow.scheduler.patient import Patience, PatientScheduler
from beeflow.scheduler.target import Target, environment

CLI = "cli"
PYSLURM = "pyslurm"


def connect(api: str, target: Target, env: Mapping[str, str], patience: Patience | None = None) -> Scheduler:
    """Return the scheduler for a Slurm; raises ConfigError when pyslurm was chosen and cannot be used.

    ``patience``: how long to ask a Slurm that is away; None: once.
    """
    made = _connect(api, environment(target, env))
    return PatientScheduler(made, patience) if patience else made


def _connect(api: str, made: Mapping[str, str]) -> Scheduler:
    if api == CLI:
        return CliScheduler(made)
    # Only who asked for pyslurm pays for it.
    from beeflow.scheduler.pyslurm import PyslurmScheduler

    return PyslurmScheduler(made)
