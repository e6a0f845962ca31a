"""What a private Slurm looks like: nodes, CPUs, memory, and the slurm.conf that says so."""

from __future__ import annotations

import os
import pwd
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import process, resources
from beeflow.errors import UsageError
from beeflow.private_slurm.address import Address
from beeflow.private_slurm.paths import Paths

TEMPLATE = "slurm/private/slurm.conf"
NODES = 2
NODES_MAX = 64
# A tool that asks for two cores runs on the smallest host too, only slower.
CPUS_MIN = 2
CPUS_MAX = 1024
MEM_MIN_MIB = 64
MIB = 2**20
LISTEN = "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None: choose. Kept, so that a later plain ``up`` makes the same nodes again.

    ``settings``: lines of slurm.conf, such as "MaxArraySize=101", in the place of ours.
    """

    nodes: int | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    settings: tuple[str, ...] = ()

    def over(self, older: Asked) -> Asked:
        """Return these wishes, and where there are none the older ones."""
        return Asked(
            older.nodes if self.nodes is None else self.nodes,
            older.cpus if self.cpus is None else self.cpus,
            older.memory_mib if self.memory_mib is None else self.memory_mib,
            self.settings or older.settings,
        )

    def shape_json(self) -> dict[str, int | None]:
        """Write what was asked of the nodes."""
        return {"nodes": self.nodes, "cpus": self.cpus, "memory_mib": self.memory_mib}

    def to_json(self) -> dict[str, Any]:
        """Write as state.json has it."""
        return {**self.shape_json(), "settings": list(self.settings)}

    @classmethod
    def from_json(cls, value: Any) -> Asked:
        """Read what to_json wrote; raises KeyError, TypeError or ValueError."""
        nodes, cpus, memory = (
            None if value[key] is None else int(value[key]) for key in ("nodes", "cpus", "memory_mib")
        )
        return cls(nodes, cpus, memory, tuple(str(line) for line in value.get("settings", ())))


@dataclass(frozen=True)
class Shape:
    """Virtual nodes, all alike."""

    nodes: int
    cpus: int
    memory_mib: int

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names."""
        return tuple(f"bee{number}" for number in range(1, self.nodes + 1))


def choose_shape(asked: Asked) -> Shape:
    """Fill in what was not asked for: two nodes, each with as many CPUs as the host, sharing its memory."""
    nodes = NODES if asked.nodes is None else asked.nodes
    _check("--nodes", nodes, 1, NODES_MAX)
    cpus = max(CPUS_MIN, len(os.sched_getaffinity(0))) if asked.cpus is None else asked.cpus
    _check("--cpus", cpus, 1, CPUS_MAX)
    memory = max(MEM_MIN_MIB, host_memory_mib() // nodes) if asked.memory_mib is None else asked.memory_mib
    _check("--memory", memory, MEM_MIN_MIB, 2**31)
    return Shape(nodes, cpus, memory)


def _check(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: choose from {least} to {most}")


def host_memory_mib() -> int:
    """Return this host's memory, or this container's if that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit) // MIB) if limit.isdecimal() else total


def user_name() -> str:
    """Return who runs this Slurm; the number where the user has no name (some containers)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def write(
    shape: Shape, paths: Paths, address: Address, ports: Sequence[int], version: str, settings: Sequence[str] = ()
) -> None:
    """Write cgroup.conf, slurm.conf, and daemons.conf for daemons that see this host under another name.

    A srun under its real name could not be reached on the address of that, so it listens on all, as srun does anywhere.
    """
    paths.cgroup_conf.write_text(render_cgroup(version), encoding="utf-8")
    own_name = not address.everywhere and not address.prefix
    text = render(shape, paths, address, ports, listen=LISTEN if own_name else "")
    paths.conf.write_text(with_settings(text, settings), encoding="utf-8")
    if address.prefix:
        text = render(shape, paths, address, ports, listen=LISTEN)
        paths.renamed_conf.write_text(with_settings(text, settings), encoding="utf-8")


def render_cgroup(version: str) -> str:
    """Render cgroup.conf for what ``slurmd -V`` says: no cgroups.

    slurmd loads a cgroup plugin though nothing asks for cgroups. cgroup/v2 does not start without root, and without a
    cgroup mount the default finds none to load; cgroup/v1 does nothing until it is used (seen on Slurm 22.05.8). Slurm
    24.05 and later can do without, Slurm before 21.08 does.
    """
    match = re.search(r"(\d+)\.(\d+)", version)
    numbers = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    if numbers < (21, 8):
        return ""
    return f"CgroupPlugin={'disabled' if numbers >= (24, 5) else 'cgroup/v1'}\n"


def render(shape: Shape, paths: Paths, address: Address, ports: Sequence[int], *, listen: str) -> str:
    """Render slurm.conf; ``ports``: slurmctld's, then one for each node; ``listen``: LISTEN or nothing."""
    controller_port, *node_ports = ports
    values: Mapping[str, object] = {
        "address": address.ip,
        "listen": listen,
        "controller_port": controller_port,
        "user": user_name(),
        "socket": paths.socket,
        "state": paths.state,
        "spool": paths.spool,
        "controller_pid_file": paths.pid_file("slurmctld"),
        "node_pid_file": paths.pid_file("slurmd-%n"),
        "controller_log": paths.log_file("slurmctld"),
        "node_log": paths.log_file("slurmd-%n"),
        "true_program": process.find("true") or "/bin/true",
        "mem_per_cpu_mib": max(1, shape.memory_mib // shape.cpus),
        "node_lines": "\n".join(
            _render_node(name, f"NodeAddr={address.ip} Port={port}", shape)
            for name, port in zip(shape.names, node_ports, strict=True)
        ),
    }
    return string.Template(resources.find(TEMPLATE).read_text(encoding="utf-8")).substitute(values)


# Lines whose value we only work out; any other does as well.
_TAKEN_OVER = {"epilog", "defmempercpu"}


def check_settings(settings: Sequence[str]) -> None:
    """Raise UsageError for what is no line of slurm.conf, or one that only we can write."""
    template = resources.find(TEMPLATE).read_text(encoding="utf-8")
    ours = {line.partition("=")[0].lower() for line in template.splitlines() if "$" in line} | {"partitionname"}
    for setting in settings:
        key, equals, _ = setting.partition("=")
        if not equals or not key.isalnum() or not setting.isprintable():
            raise UsageError(f"--set {setting!r}: write KEY=VALUE, as slurm.conf has it")
        if key.lower() in {*ours, "nodename"} - _TAKEN_OVER:
            raise UsageError(f"--set {setting!r}: bee-slurm chooses {key} itself")


def with_settings(text: str, settings: Sequence[str]) -> str:
    """Put lines in the place of those of the same key, or at the end; "KEY=" takes its line away."""
    for setting in settings:
        key, _, value = setting.partition("=")
        line = f"{setting}\n" if value else ""
        text, found = re.subn(rf"(?im)^{key}=.*\n", line.replace("\\", r"\\"), text)
        text += "" if found else line
    return text


def _render_node(name: str, place: str, shape: Shape) -> str:
    return (
        f"NodeName={name} NodeHostname=localhost {place} CPUs={shape.cpus} Sockets=1"
        f" CoresPerSocket={shape.cpus} ThreadsPerCore=1 RealMemory={shape.memory_mib} State=UNKNOWN"
    )
