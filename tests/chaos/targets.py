"""The processes of one workflow, found by what /proc says of them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beeflow import procs
from beeflow.procs import Process

END_S = 20.0
PASS, RUNNER = "beeflow.advance", "runner/__main__.py"


@dataclass(frozen=True)
class Targets:
    """Finds processes. ``root``: the workflow's directory; ``script``: what its tasks run."""

    root: Path
    script: Path

    def passes(self) -> list[Process]:
        """Find the Python processes of passes."""
        return self._running(PASS)

    def runners(self) -> list[Process]:
        """Find the programs that run tasks."""
        return self._running(RUNNER)

    def commands(self) -> list[Process]:
        """Find the commands of tasks."""
        return [each for each in procs.read_all() if str(self.script) in procs.read_argv(each.pid)]

    def scripts(self, of: list[Process]) -> list[Process]:
        """Find the batch scripts that run these."""
        return [
            parent for each in of if (parent := procs.read(each.parent)) is not None and parent.name != "slurmstepd"
        ]

    def stepds(self) -> list[Process]:
        """Find the slurmstepds of this workflow's jobs."""
        found = {}
        for each in [*self.passes(), *self.runners()]:
            parent = procs.read(each.parent)
            while parent is not None and parent.pid > 1:
                if parent.name == "slurmstepd":
                    found[parent.pid] = parent
                    break
                parent = procs.read(parent.parent)
        return list(found.values())

    def everything(self) -> list[Process]:
        """Find whatever has to do with the workflow: by its command line, or its working directory."""
        return [each for each in procs.read_all() if each.pid != os.getpid() and self._is_ours(each.pid)]

    def _is_ours(self, pid: int) -> bool:
        if any(str(self.root) in word or str(self.script) in word for word in procs.read_argv(pid)):
            return True
        with contextlib.suppress(OSError):
            return Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(self.root)
        return False

    def _running(self, program: str) -> list[Process]:
        def is_it(argv: tuple[str, ...]) -> bool:
            return str(self.root) in argv and any(word.endswith(program) for word in argv)

        return [each for each in procs.read_all() if is_it(procs.read_argv(each.pid))]


def below(process: Process, choose: Callable[[Process], bool] = lambda _: True) -> Iterator[Process]:
    """Yield a process and what it started."""
    return (each for each in procs.read_descendants([process]) if choose(each))


def kill(*found: Process) -> str:
    """Kill processes at once; says which."""
    for each in found:
        procs.send(each, signal.SIGKILL)
    return " ".join(f"{each.name}({each.pid})" for each in found)


def end(*found: Process) -> str:
    """Tell processes to end, and wait until they have; says which."""
    for each in found:
        procs.send(each, signal.SIGTERM)
    kill(*procs.wait_gone(list(found), END_S))
    return " ".join(f"{each.name}({each.pid})" for each in found)
