"""A private, rootless, single-host Slurm for one user, under <bee_workdir>/slurm/.

config    what it looks like: nodes, CPUs, memory -> slurm.conf
paths     where its files are
address   where the daemons listen: loopback, whatever the host is called (rename_host)
ports     free TCP ports
procs     what /proc says of a process: is this pid still the one we started?
daemons   start and stop munged, slurmctld, slurmd
steps     processes of Slurm jobs that outlive slurmd
record    what runs, in a file: state.json
cluster   up, down, status
"""

from __future__ import annotations

from pathlib import Path

from beeflow.config import Config
from beeflow.private_slurm import record
from beeflow.private_slurm.paths import Paths, root_of


def running_conf(config: Config) -> Path | None:
    """Return the slurm.conf of the private Slurm that is running, or None; starts no program."""
    root = root_of(config)
    known = record.read(root)
    if known is None or not known.is_serving():
        return None
    return Paths(root, known.runtime).conf
