"""Put around a command what starts it: modules, srun, a container, and what of the job's environment it may see.

From the outside in: a shell that loads modules, srun, ch-run, the command. Standard library only.
"""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Mapping

from beeflow import container
from beeflow.command import Command

EXIT_NOT_LOADED = 127  # a shell's word for a command that is not there


def wrap(command: Command, environ: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command line to start and its environment. ``environ``: the job's."""
    given = inherited(command.inherit, environ)
    argv, env = command.argv, {**given, **command.env}
    if command.container:
        argv, env = container.wrap(command, given)
    return (*_loading(command), *command.launcher, *argv), env


def _loading(command: Command) -> tuple[str, ...]:
    """Return a shell that loads modules and becomes the command. ``module`` is a function of the shell everywhere."""
    if not command.modules:
        return ()
    words = shlex.join(command.modules)
    # The site's own file must not see the command's words as its arguments, nor may what it prints be the command's.
    load = f'_bee_command=("$@"); set --; {{ . {shlex.quote(command.modules_init)} && module load {words}; }} >&2'
    complaint = shlex.quote(f"beeflow: module load {words}: failed")
    script = f'{load} || {{ echo {complaint} >&2; exit {EXIT_NOT_LOADED}; }}; exec "${{_bee_command[@]}}"'
    return ("/bin/bash", "--noprofile", "--norc", "-c", script, "bash")


def inherited(patterns: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the variables that a command takes from the job."""
    return {name: value for name, value in environ.items() if any(fnmatch.fnmatchcase(name, each) for each in patterns)}
