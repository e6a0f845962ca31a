"""Start programs: the only importer of subprocess.

Argument lists, never a shell; always a timeout; the environment is passed in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beeflow.errors import BeeError


class ProgramMissingError(BeeError):
    """The program is not installed."""

    exit_code = 69


class ProgramTimeoutError(BeeError):
    """The program did not answer in time; whether it did its work is unknown."""

    exit_code = 69


@dataclass(frozen=True)
class Completed:
    """What a program that ended left: its exit code (negative: killed by that signal) and its text."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def message(self) -> str:
        """The program's own words, for an error message: stderr, else stdout, else the code."""
        return self.stderr.strip() or self.stdout.strip() or f"exit code {self.returncode}"


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> Completed:
    """Run a program to its end and keep its text.

    Raises ProgramMissingError when it is not there and ProgramTimeoutError when it took longer than timeout_s.
    """
    try:
        done = subprocess.run(
            list(argv),
            check=False,
            capture_output=True,
            cwd=cwd,
            env=None if env is None else dict(env),
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise ProgramMissingError(f"{argv[0]}: program not found; install it or put it on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramTimeoutError(f"{argv[0]}: no answer within {timeout_s:g} s") from error
    return Completed(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def find(program: str, env: Mapping[str, str] | None = None) -> Path | None:
    """Find a program on PATH (of env, if given)."""
    found = shutil.which(program, path=None if env is None else env.get("PATH", os.defpath))
    return Path(found) if found else None
