"""Processes of Slurm jobs: they outlive slurmd, so ``down`` ends them."""

from __future__ import annotations

import signal
from collections.abc import Collection
from pathlib import Path

from beeflow import procs
from beeflow.errors import SlurmError

KILL_ROUNDS = 20
ROUND_S = 0.5


def find_processes(confs: Collection[Path]) -> list[procs.Process]:
    """Return the slurmstepds of the Slurm with these slurm.confs and all they started, parents first.

    slurmd starts slurmstepd with SLURM_CONF alone; slurmstepd adds SLURMD_NODENAME to what it starts (seen on Slurm
    22.05.8). A process that detached from its slurmstepd is found by these two; one that also dropped its environment
    is not: neither does Slurm's own proctrack/linuxproc.
    """
    names = {str(conf) for conf in confs}
    roots = []
    for process in procs.read_all():
        env = procs.read_env(process.pid)
        if env.get("SLURM_CONF") in names and (process.name == "slurmstepd" or "SLURMD_NODENAME" in env):
            roots.append(process)
    return procs.read_descendants(roots)


def kill_processes(confs: Collection[Path]) -> None:
    """Kill them as a power cut would: no SIGTERM, so that no job takes it for a scancel; parents before children."""
    for _ in range(KILL_ROUNDS):
        left = find_processes(confs)
        if not left:
            return
        for process in left:
            procs.send(process, signal.SIGKILL)
        procs.wait_gone(left, ROUND_S)
    pids = " ".join(str(process.pid) for process in find_processes(confs))
    raise SlurmError(f"processes of Slurm jobs cannot be killed: {pids}; see what they do with ps, then try again")
