"""What /proc says of processes (proc(5))."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
POLL_S = 0.05


@dataclass(frozen=True)
class Process:
    """A live process; pid and ``start_ticks`` (since boot) together never come again before the next boot."""

    pid: int
    parent: int
    start_ticks: int
    name: str


def read(pid: int) -> Process | None:
    """Return a live process, or None; a zombie is not alive."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may have any character in it, parentheses too.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZXx":
        return None
    return Process(pid, int(fields[1]), int(fields[19]), name)


def read_argv(pid: int) -> tuple[str, ...]:
    """Return a process's command line; () if there is none to read."""
    return tuple(_read_strings(pid, "cmdline"))


def read_env(pid: int) -> Mapping[str, str]:
    """Return the environment a process was started with; {} if it is not ours to read."""
    pairs = (entry.partition("=") for entry in _read_strings(pid, "environ"))
    return {name: value for name, _, value in pairs}


def _read_strings(pid: int, file: str) -> list[str]:
    try:
        raw = (PROC / str(pid) / file).read_bytes()
    except OSError:
        return []
    return os.fsdecode(raw.removesuffix(b"\0")).split("\0") if raw else []


def read_all() -> list[Process]:
    """Return all live processes."""
    found = (read(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdecimal())
    return [process for process in found if process is not None]


def read_boot_id() -> str:
    """Return what tells this boot of the machine from any other; "" where the kernel does not say."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_alive(process: Process) -> bool:
    """Tell whether this very process still runs."""
    now = read(process.pid)
    return now is not None and now.start_ticks == process.start_ticks


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to this very process, or to none."""
    if is_alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def wait_gone(processes: list[Process], timeout_s: float) -> list[Process]:
    """Wait until the processes have ended; return those that have not."""
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left


def sort_down(processes: list[Process]) -> list[Process]:
    """Sort parents before their children."""
    parents = {process.pid: process.parent for process in processes}

    def depth(pid: int) -> int:
        steps = 0
        while pid in parents and steps <= len(parents):
            pid, steps = parents[pid], steps + 1
        return steps

    return sorted(processes, key=lambda process: depth(process.pid))


def read_descendants(roots: list[Process]) -> list[Process]:
    """Return the roots and all processes below them, parents first."""
    everyone = read_all()
    family = {process.pid for process in roots}
    grown = True
    while grown:
        more = {process.pid for process in everyone if process.parent in family} - family
        family |= more
        grown = bool(more)
    return sort_down([process for process in everyone if process.pid in family])
