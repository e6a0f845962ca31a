"""What the kernel killed for want of memory, as the control group of this job says (memory.events, memory.oom_control).

Slurm tells of it when the job has ended. Where it does not track jobs by cgroup, this is the group of its daemon.
"""

from __future__ import annotations

CGROUPS = "/sys/fs/cgroup"


class OomKills:
    """Counts them. ``seen``: as many were there before, or are told of."""

    def __init__(self, own: str = "/proc/self/cgroup", top: str = CGROUPS) -> None:
        self._path = _counter(_text(own), top)
        self.seen = self._count()

    def came(self) -> bool:
        """True once for each process that was killed."""
        if self._count() <= self.seen:
            return False
        self.seen += 1
        return True

    def _count(self) -> int:
        for line in _text(self._path).splitlines() if self._path else ():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                return int(count)
        return 0


def _counter(groups: str, top: str) -> str:
    """Name the file that counts, from the lines of /proc/self/cgroup (cgroups(7)): version 2, or 1 if that has it."""
    found = ""
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            return f"{top}/memory{path}/memory.oom_control"
        if not controllers:
            found = f"{top}{path}/memory.events"
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""
