"""Start programs: the only importer of subprocess.

Argument lists, never a shell; always a timeout; the environment is passed in.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class Measured:
    """What a program that was watched did. ``returncode``: negative when a signal killed it.

    ``cpu_s`` includes the children it waited for; ``max_rss_kib``, the largest of them, is None where the program was
    too small and too short to be told from this process. ``timed_out``: it was killed at its limit.
    """

    returncode: int
    max_rss_kib: int | None
    cpu_s: float
    timed_out: bool


_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """Have the kernel kill the command when the runner is killed: nothing may run that nobody watches (prctl(2))."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _PeakRss:
    """The peak memory of a program that a larger process started.

    Linux keeps the peak over fork and exec, so what wait4 tells is at least this process's own size (seen on Linux 5
    and 6). A larger value is the program's; for a smaller program its VmHWM (proc(5)) is looked at now and then.
    """

    _DELAYS_S = (0.002, 0.01, 0.05, 0.2)

    def __init__(self, pid: int) -> None:
        self._status = f"/proc/{pid}/status"
        self._own = _read_kib("/proc/self/status", "VmHWM") or 0
        self._seen: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        for delay in itertools.chain(self._DELAYS_S, itertools.repeat(1.0)):
            value = _read_kib(self._status, "VmHWM")
            if value is not None:
                self._seen = max(value, self._seen or 0)
            if self._ended.wait(delay):
                return

    def end(self, waited_kib: int) -> int | None:
        """Return the peak in KiB, given what wait4 told."""
        self._ended.set()
        self._thread.join()
        return waited_kib if waited_kib > self._own else self._seen


def _read_kib(path: str, name: str) -> int | None:
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)
    except OSError:
        return None


def run_measured(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    stdin: str | None,
    stdout: str,
    stderr: str,
    time_limit_s: float | None = None,
    on_start: Callable[[Callable[[int], None]], None] | None = None,
) -> Measured:
    """Run a user's program in a process group of its own, its streams in files, and measure it.

    ``on_start`` is given a function that signals the whole group. What the program left running is killed.
    Raises OSError when it cannot be started.
    """
    with contextlib.ExitStack() as files:
        source = files.enter_context(open(stdin or os.devnull, "rb"))
        out = files.enter_context(open(stdout, "ab"))
        # One file for both: one position, so that neither overwrites the other.
        err = out if stderr == stdout else files.enter_context(open(stderr, "ab"))
        child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=source,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def signal_group(number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)

    peak = _PeakRss(child.pid)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        signal_group(signal.SIGKILL)

    timer = threading.Timer(time_limit_s, expire) if time_limit_s else None
    if timer:
        timer.daemon = True
        timer.start()
    if on_start:
        on_start(signal_group)
    # wait4, not Popen.wait: it is what tells the memory and CPU time of this child alone.
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if timer:
        timer.cancel()
    signal_group(signal.SIGKILL)
    return Measured(child.returncode, peak.end(usage.ru_maxrss), usage.ru_utime + usage.ru_stime, expired.is_set())


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
