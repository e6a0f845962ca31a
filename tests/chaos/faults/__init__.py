"""What is done to a workflow, and when.

base       what a fault is
processes  processes of a workflow are killed
commands   commands are killed
slurm      something happens to Slurm: its daemons, its nodes, its jobs
calls      calls of Slurm's programs do something else
disk       the disk is full
endings    what takes a workflow away that is over is killed
"""

from __future__ import annotations

import random
from types import ModuleType

from tests.chaos.faults import calls, commands, disk, endings, processes, slurm
from tests.chaos.faults.base import Fault


def _kinds(module: ModuleType) -> list[type[Fault]]:
    own = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    return [each for each in own if issubclass(each, Fault) and "name" in vars(each)]


# Their order decides what a seed draws.
KINDS = {kind.name: kind for module in (processes, commands, slurm, calls, disk, endings) for kind in _kinds(module)}
# What takes minutes comes seldom.
WEIGHTS = {"sbatch-hangs": 0.15, "sbatch-hangs-accepted": 0.15}


def choose(draw: random.Random, among: list[str]) -> list[Fault]:
    """Make one to three faults."""
    weights = [WEIGHTS.get(name, 1.0) for name in among]
    count = draw.choice((1, 1, 2, 3))
    names = dict.fromkeys(draw.choices(among, weights, k=count))
    return [KINDS[name](draw) for name in names]
