"""Which address the daemons listen on: loopback, if at all possible."""

from __future__ import annotations

import logging
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from beeflow import process

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
RENAME = Path(__file__).with_name("rename_host.py")
RENAME_S = 20.0


@dataclass(frozen=True)
class Address:
    """Where the daemons listen.

    ``everywhere``: they cannot be kept to this address. ``prefix``: what goes before their command lines.
    """

    ip: str
    everywhere: bool = False
    prefix: tuple[str, ...] = ()


def choose() -> Address:
    """Choose the address; with NoInAddrAny Slurm takes the one that this host's name resolves to.

    127.0.1.1, which Debian gives to the host's name, won't do: srun listens there, but what it sends comes from
    127.0.0.1, and slurmd answers to that (seen on Slurm 22.05.8: srun hangs).
    """
    name = socket.gethostname()
    own = resolve(name)
    if own == LOOPBACK:
        return Address(own)
    prefix = (sys.executable, "-I", str(RENAME))
    if resolve("localhost") == LOOPBACK and _can_rename(prefix):
        return Address(LOOPBACK, prefix=prefix)
    hint = f"with the line '{LOOPBACK} {name}' in /etc/hosts they would keep to loopback"
    if own is not None and not own.startswith("127.") and is_local(own):
        log.warning("Slurm's daemons listen on %s, this host's own address; %s", own, hint)
        return Address(own)
    log.warning("Slurm's daemons listen on all of this host's addresses; %s", hint)
    return Address(LOOPBACK, everywhere=True)


def resolve(name: str) -> str | None:
    """Return the IPv4 address of a name, as Slurm's daemons would find it."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return None
    return str(found[0][4][0]) if found else None


def is_local(ip: str) -> bool:
    """Tell whether this host has the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True


def _can_rename(prefix: tuple[str, ...]) -> bool:
    program = process.find("true") or Path("/bin/true")
    try:
        return process.run([*prefix, str(program)], timeout_s=RENAME_S).returncode == 0
    except (process.ProgramMissingError, process.ProgramTimeoutError):
        return False
