"""Start commands, several at a time if need be, watch them, and measure them.

Each runs in a session of its own; what it leaves behind is killed, and the kernel kills it when the runner dies.
"""

from __future__ import annotations

import os
import time
from _signal import (
    ITIMER_REAL,
    SIG_BLOCK,
    SIG_DFL,
    SIG_SETMASK,
    SIGALRM,
    SIGKILL,
    SIGPIPE,
    SIGTERM,
    SIGXFSZ,
    pthread_sigmask,
    setitimer,
    signal,
)
from errno import EACCES, ENOENT

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PR_SET_PDEATHSIG = 1
# When a running command is looked at: soon after its start, then once a second.
_TICKS_S = (0.002, 0.01, 0.05, 0.2)
_TICK_S = 1.0


def _prctl() -> Callable[[], None]:
    """Return what has the kernel kill this process when its parent dies (prctl(2))."""
    try:
        # ctypes itself would add a third to the start of this program.
        from _ctypes import call_function, dlopen, dlsym

        this: Any = None
        address = dlsym(dlopen(this, 0), "prctl")
        return lambda: call_function(address, (_PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    except ImportError:
        import ctypes

        library = ctypes.CDLL(None)
        return lambda: library.prctl(_PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def why_unfit(command: dict[str, Any]) -> str | None:
    """Say why no system call takes a command, or None."""
    if not command["argv"]:
        return "the command has no words"
    for number, word in enumerate(command["argv"], 1):
        if "\0" in word:
            return f"word {number} of the command has a NUL character"
    for name, value in command["env"].items():
        if "\0" in name or "\0" in value:
            return f"the environment variable {name!r} has a NUL character"
    paths = [(name, command[name]) for name in ("workdir", "stdin", "stdout", "stderr")]
    paths += [("the name", stage[name]) for stage in command["stage"] for name in ("source", "target")]
    odd = next((f"{what} {path!r}" for what, path in paths if path and "\0" in path), None)
    return odd and f"{odd} has a NUL character"


class CannotStartError(Exception):
    """A command cannot be started. ``args``: errno, and what it is about; where that is 0, why."""


class Running:
    """A command that runs. ``peak_kib``: the most memory seen so far, where it was looked at."""

    def __init__(self, pid: int, label: str, time_limit_s: float | None) -> None:
        self.pid = pid
        self.label = label
        self.began = time.monotonic()
        self.deadline = self.began + time_limit_s if time_limit_s else None
        self.timed_out = False
        self.peak_kib: int | None = None
        self.looks = 0

    def signal(self, number: int) -> None:
        """Signal the command and all it started."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def look(self) -> float:
        """Look at the command's memory and time; returns when to look again (seconds from now)."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            self.timed_out = True
            self.signal(SIGKILL)
        # Right after its start it has not grown to what it is.
        peak = _peak_kib(str(self.pid)) if self.looks else None
        if peak is not None:
            self.peak_kib = max(peak, self.peak_kib or 0)
        pause = _TICKS_S[self.looks] if self.looks < len(_TICKS_S) else _TICK_S
        self.looks += 1
        return pause if self.deadline is None else max(0.001, min(pause, self.deadline - now))


class Ended:
    """A command that ended. ``code``: negative when a signal killed it; ``cpu_s``: with the children it waited for.

    ``max_rss_kib``: of the largest of them; None where it was too small and too short to be told from this process.
    """

    def __init__(self, running: Running, status: int, usage: Any) -> None:
        self.label = running.label
        self.code = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.timed_out = running.timed_out
        # Linux keeps the peak over fork and exec, so what wait4 tells is at least this process's own size (seen on
        # Linux 5 and 6): a larger value is the command's.
        own = _peak_kib("self")
        self.max_rss_kib = usage.ru_maxrss if own and usage.ru_maxrss > own else running.peak_kib


class Launcher:
    """Starts commands and waits for them."""

    def __init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.kill_at: float | None = None
        self._prctl = _prctl()

    def start(self, label: str, command: dict[str, Any]) -> int:
        """Start a command, its streams in files; returns its process group. Raises CannotStartError."""
        # A SIGTERM before the command is in ``running`` would not find it; and what is forked is still this program.
        mask = pthread_sigmask(SIG_BLOCK, (SIGTERM,))
        try:
            pid = self._fork(command, mask)
            running = self.running[pid] = Running(pid, label, command.get("time_limit_s"))
        finally:
            pthread_sigmask(SIG_SETMASK, mask)
        self._tick_in(running.look())
        return pid

    def _fork(self, command: dict[str, Any], mask: set[Any]) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            try:
                self._become(command, mask)
            except OSError as error:
                os.write(writing, f"{error.errno or 0} {error.filename or ''}".encode(errors="surrogateescape"))
            except Exception as error:  # what no system call takes: a NUL, a name with "=", half a surrogate pair
                os.write(writing, f"0 {type(error).__name__}: {error}".encode(errors="backslashreplace"))
            finally:
                os._exit(127)
        os.close(writing)
        with open(reading, encoding="utf-8", errors="surrogateescape") as pipe:
            said = pipe.read()
        if said:
            os.waitpid(pid, 0)
            number, _, name = said.partition(" ")
            raise CannotStartError(int(number), name)
        return pid

    def _become(self, command: dict[str, Any], mask: set[Any]) -> None:
        """Be the command, in the child."""
        os.setsid()
        self._prctl()
        signal(SIGTERM, SIG_DFL)
        pthread_sigmask(SIG_SETMASK, mask)
        os.chdir(command["workdir"])
        source = os.open(command["stdin"] or os.devnull, os.O_RDONLY)
        out = _open(command["stdout"])
        # One file for both: one position, so that neither overwrites the other.
        err = out if command["stderr"] == command["stdout"] else _open(command["stderr"])
        for number, descriptor in enumerate((source, out, err)):
            os.dup2(descriptor, number)
        for number in (SIGPIPE, SIGXFSZ):
            signal(number, SIG_DFL)
        _execute(command["argv"], command["env"])

    def wait(self) -> Ended:
        """Wait for the next command to end; what it left running is killed."""
        while True:
            pid, status, usage = os.wait4(-1, 0)
            running = self.running.pop(pid, None)
            if running is not None:
                if not self.running:
                    # An alarm that came when Python ends would kill it.
                    self.kill_at = None
                    setitimer(ITIMER_REAL, 0)
                running.signal(SIGKILL)
                return Ended(running, status, usage)

    def signal_all(self, number: int) -> None:
        """Signal all that runs."""
        for running in list(self.running.values()):
            running.signal(number)

    def terminate(self, grace_s: float) -> None:
        """Tell all that runs to end, and kill what still runs after some seconds."""
        self.signal_all(SIGTERM)
        self.kill_in(grace_s)

    def kill_in(self, seconds: float) -> None:
        """Kill what still runs after some seconds."""
        if self.running:
            self.kill_at = time.monotonic() + seconds
            self._tick_in(seconds)

    def on_alarm(self, *_: object) -> None:
        """Handle SIGALRM: look at what runs."""
        if not self.running:
            return
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self.kill_at = None
            self.signal_all(SIGKILL)
        pauses = [running.look() for running in list(self.running.values())]
        if self.kill_at is not None:
            pauses.append(max(0.001, self.kill_at - time.monotonic()))
        if pauses:
            setitimer(ITIMER_REAL, min(pauses))

    def _tick_in(self, seconds: float) -> None:
        signal(SIGALRM, self.on_alarm)
        setitimer(ITIMER_REAL, seconds)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def _execute(argv: list[str], env: dict[str, str]) -> None:
    """Become a command, looked for as execvp(3) does; os.execvpe would import a module before it looks."""
    name = argv[0]
    folders = [""] if "/" in name else env.get("PATH", os.defpath).split(":")
    failure: OSError = FileNotFoundError(ENOENT, os.strerror(ENOENT), name)
    for folder in folders:
        try:
            os.execve(f"{folder}/{name}" if folder else name, argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            # What is there and may not be run is what to tell of, unless another folder has one that may.
            failure = error
            failure.filename = name
            if error.errno != EACCES:
                break
    raise failure


def _peak_kib(pid: str) -> int | None:
    """Read the most memory that a process has had ("self": this one); None where nobody tells."""
    try:
        descriptor = os.open(f"/proc/{pid}/status", os.O_RDONLY)
    except OSError:
        return None
    try:
        _, found, rest = os.read(descriptor, 1 << 16).partition(b"VmHWM:")
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return int(rest.split(None, 1)[0]) if found else None
