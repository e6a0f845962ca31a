"""Start programs: the only importer of subprocess.

Argument lists, never a shell; always a timeout; the environment is passed in.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
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


class ProgramFloodError(BeeError):
    """The program printed more than anybody wants to keep."""

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


@contextlib.contextmanager
def _explained(program: str) -> Iterator[None]:
    """Say why a program could not be started."""
    try:
        yield
    except FileNotFoundError as error:
        raise ProgramMissingError(f"{program}: program not found; install it or put it on PATH") from error
    except OSError as error:
        raise ProgramMissingError(f"{program}: may not be run: {error.strerror}") from error


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
        with _explained(argv[0]):
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
    with _explained(argv[0]):
        child = subprocess.Popen(list(argv), env=dict(env), cwd=cwd)
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


def start_piped(argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a program that is talked to through pipes, and ends with its caller's end of them."""
    with _explained(argv[0]):
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )


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
    """A program whose output is read while it runs; what it says on stderr is kept aside.

    ``is_two_way``: it also reads what is written to it; else it finds nothing to read.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, is_two_way: bool = False) -> None:
        self.argv = tuple(argv)
        # A file, not a pipe: nobody reads it meanwhile, and a full pipe would stop the program.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        stdin = subprocess.PIPE if is_two_way else subprocess.DEVNULL
        try:
            with _explained(argv[0]):
                self._child = subprocess.Popen(
                    list(argv), env=dict(env), bufsize=0, stdin=stdin, stdout=subprocess.PIPE, stderr=self._said
                )
        except BaseException:
            self._said.close()
            raise

    @property
    def stdout(self) -> IO[bytes]:
        """What the program prints; not buffered."""
        if self._child.stdout is None:
            raise ValueError("no pipe")
        return self._child.stdout

    @property
    def stdin(self) -> IO[bytes]:
        """What the program reads; not buffered."""
        if self._child.stdin is None:
            raise ValueError("no pipe")
        return self._child.stdin

    def read_all(self, limit: int, timeout_s: float) -> bytes:
        """Read all that the program prints; raises ProgramFloodError when it is more, ProgramTimeoutError when late."""
        read, deadline = bytearray(), time.monotonic() + timeout_s
        while select.select([self.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = self.stdout.read(_PIECE)
            if not data:
                return bytes(read)
            read += data
            if len(read) > limit:
                raise ProgramFloodError(f"{self.argv[0]}: more than {limit} bytes of output")
        raise ProgramTimeoutError(f"{self.argv[0]}: no answer within {timeout_s:g} s")

    def end(self) -> tuple[int, str]:
        """Wait for the program's end; returns its exit code and the end of what it said on stderr."""
        self._close_pipes()
        try:
            code = self._child.wait(_TERMINATED_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - _SAID_BYTES))
        return code, self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        """End the program if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
        self._close_pipes()
        self._child.wait()
        self._said.close()

    def _close_pipes(self) -> None:
        self.stdout.close()
        if self._child.stdin is not None:
            self._child.stdin.close()


# Of a pipe at once; of stderr at all.
_PIECE, _SAID_BYTES = 1 << 16, 1 << 14


@contextlib.contextmanager
def stream(argv: Sequence[str], *, env: Mapping[str, str], is_two_way: bool = False) -> Iterator[Stream]:
    """Start a program to read from; it is ended at the end of the with block."""
    program = Stream(argv, env, is_two_way=is_two_way)
    try:
        yield program
    finally:
        program.close()
