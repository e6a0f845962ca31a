"""What runs, in a file: state.json, written by ``up`` and ``down`` under their lock."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beeflow import procs
from beeflow.errors import SystemFileError
from beeflow.private_slurm.config import Asked, Shape

VERSION = 1
FILE = "state.json"


@dataclass(frozen=True)
class Running:
    """A daemon that was started: its pid means it only while start time and command line are the same."""

    name: str
    pid: int
    start_ticks: int
    argv: tuple[str, ...]
    log: Path

    def is_alive(self) -> bool:
        """Tell whether this pid still is what we started."""
        now = procs.read(self.pid)
        return now is not None and now.start_ticks == self.start_ticks and procs.read_argv(self.pid) == self.argv

    def to_json(self) -> dict[str, Any]:
        """Write as state.json has it."""
        return {
            "name": self.name,
            "pid": self.pid,
            "start_ticks": self.start_ticks,
            "argv": list(self.argv),
            "log": str(self.log),
        }

    @classmethod
    def from_json(cls, value: Any) -> Running:
        """Read what to_json wrote; raises KeyError, TypeError or ValueError."""
        argv = tuple(str(word) for word in value["argv"])
        return cls(str(value["name"]), int(value["pid"]), int(value["start_ticks"]), argv, Path(value["log"]))


@dataclass(frozen=True)
class Record:
    """One private Slurm, running or not; ``prefix`` goes before the command lines of slurmctld and slurmd."""

    runtime: Path
    asked: Asked
    shape: Shape
    ports: tuple[int, ...]
    prefix: tuple[str, ...] = ()
    daemons: tuple[Running, ...] = ()
    host: str = field(default_factory=platform.node)
    boot_id: str = field(default_factory=procs.read_boot_id)

    @property
    def here(self) -> bool:
        """True when the pids are of this boot of this host (the folder may be on a shared file system)."""
        return self.boot_id == procs.read_boot_id()

    @property
    def elsewhere(self) -> bool:
        """True when the daemons were started on another host, and may run there still."""
        return bool(self.daemons) and not self.here and self.host != platform.node()

    @property
    def alive(self) -> tuple[Running, ...]:
        """The daemons that run."""
        return tuple(daemon for daemon in self.daemons if daemon.is_alive()) if self.here else ()

    def is_serving(self) -> bool:
        """Tell whether commands get an answer: munged and slurmctld run."""
        return {"munged", "slurmctld"} <= {daemon.name for daemon in self.alive}

    def has_nodes(self) -> bool:
        """Tell whether any slurmd runs."""
        return any(daemon.name.startswith("slurmd-") for daemon in self.alive)

    def is_complete(self) -> bool:
        """Tell whether all daemons run: munged, slurmctld and a slurmd for each node."""
        return len(self.alive) == 2 + self.shape.nodes

    def with_daemons(self, daemons: tuple[Running, ...]) -> Record:
        """Return this record with other daemons, started here and now."""
        return replace(self, daemons=daemons, host=platform.node(), boot_id=procs.read_boot_id())

    def to_json(self) -> dict[str, Any]:
        """Write as state.json has it."""
        return {
            "version": VERSION,
            "host": self.host,
            "boot_id": self.boot_id,
            "runtime": str(self.runtime),
            "asked": self.asked.to_json(),
            "nodes": self.shape.nodes,
            "cpus": self.shape.cpus,
            "memory_mib": self.shape.memory_mib,
            "ports": list(self.ports),
            "prefix": list(self.prefix),
            "daemons": [daemon.to_json() for daemon in self.daemons],
        }

    @classmethod
    def from_json(cls, value: Any) -> Record:
        """Read what to_json wrote; raises KeyError, TypeError or ValueError."""
        return cls(
            runtime=Path(value["runtime"]),
            asked=Asked.from_json(value["asked"]),
            shape=Shape(int(value["nodes"]), int(value["cpus"]), int(value["memory_mib"])),
            ports=tuple(int(port) for port in value["ports"]),
            prefix=tuple(str(word) for word in value["prefix"]),
            daemons=tuple(Running.from_json(daemon) for daemon in value["daemons"]),
            host=str(value["host"]),
            boot_id=str(value["boot_id"]),
        )


def read(root: Path) -> Record | None:
    """Read state.json; None when no private Slurm was ever started here."""
    path = root / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["version"] > VERSION:
            raise SystemFileError(f"{path}: written by a newer beeflow (version {value['version']}); use that one")
        return Record.from_json(value)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemFileError(f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SystemFileError(
            f"{path}: damaged ({error}); end this Slurm's daemons yourself, if any run, and remove the file"
        ) from error


def write(root: Path, record: Record) -> None:
    """Replace state.json."""
    path = root / FILE
    try:
        handle, name = tempfile.mkstemp(prefix=".state.", dir=root)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record.to_json(), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise SystemFileError(f"{path}: cannot be written: {error.strerror}") from error
