"""Start programs: the only importer of subprocess.

Argument lists, never a shell; always a timeout; the environment is passed in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    except PermissionError as error:
        raise ProgramMissingError(f"{argv[0]}: may not be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramTimeoutError(f"{argv[0]}: no answer within {timeout_s:g} s") from error
    return Completed(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def run_attached(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None) -> int:
    """Run a program on our own terminal, with no time limit: a person watches it. Returns its exit code.

    Negative: a signal killed it. On an exception (Ctrl-C, which the terminal sends to the program too) the program is
    given some seconds to end by itself before it is made to; a second Ctrl-C makes it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = subprocess.Popen(list(argv), env=dict(env), cwd=cwd)
    except FileNotFoundError as error:
        raise ProgramMissingError(f"{argv[0]}: program not found; install it or put it on PATH") from error
    try:
        return child.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_INTERRUPTED_S)
        raise
    finally:
        if child.poll() is None:
            _end(child)


_INTERRUPTED_S = 15.0
_TERMINATED_S = 5.0


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_TERMINATED_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def find(program: str, env: Mapping[str, str] | None = None) -> Path | None:
    """Find a program on PATH (of env, if given)."""
    found = shutil.which(program, path=None if env is None else env.get("PATH", os.defpath))
    return Path(found) if found else None


class Stream:
    """A program whose output is read while it runs; what it says on stderr is kept aside."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would stop the program.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._child = subprocess.Popen(
                list(argv), env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._said
            )
        except FileNotFoundError as error:
            self._said.close()
            raise ProgramMissingError(f"{argv[0]}: program not found; install it or put it on PATH") from error

    @property
    def stdout(self) -> IO[bytes]:
        """What the program prints."""
        if self._child.stdout is None:
            raise ValueError("no pipe")
        return self._child.stdout

    def end(self) -> tuple[int, str]:
        """Wait for the program's end; returns its exit code and what it said on stderr."""
        self.stdout.close()
        code = self._child.wait()
        self._said.seek(0)
        return code, self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the program if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
        self.stdout.close()
        self._child.wait()
        self._said.close()


@contextlib.contextmanager
def stream(argv: Sequence[str], *, env: Mapping[str, str]) -> Iterator[Stream]:
    """Start a program to read from; it is ended at the end of the with block."""
    program = Stream(argv, env)
    try:
        yield program
    finally:
        program.close()
