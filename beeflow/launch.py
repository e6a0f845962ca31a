"""Put around a command what starts it: srun, a container, and what of the job's environment it may see.

From the outside in: srun, ch-run, the command. Standard library only.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from beeflow import container
from beeflow.command import Command


def wrap(command: Command, environ: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command line to start and its environment. ``environ``: the job's."""
    given = inherited(command.inherit, environ)
    argv, env = command.argv, {**given, **command.env}
    if command.container:
        argv, env = container.wrap(command, given)
    return (*command.launcher, *argv), env


def inherited(patterns: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the variables that a command takes from the job."""
    return {name: value for name, value in environ.items() if any(fnmatch.fnmatchcase(name, each) for each in patterns)}
