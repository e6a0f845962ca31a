"""Free TCP ports."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence

from beeflow.errors import SlurmError

# Below the range that Linux hands out for outgoing connections, so that these don't collide with ours.
LOW, HIGH = 20000, 32000


def is_free(port: int, ip: str) -> bool:
    """Tell whether a daemon could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Slurm's daemons do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(count: int, ip: str, preferred: Sequence[int] = ()) -> tuple[int, ...]:
    """Choose free ports, those of the last time if all are; another program may still take one before we do."""
    if len(preferred) == count and all(is_free(port, ip) for port in preferred):
        return tuple(preferred)
    chosen: list[int] = []
    for port in random.sample(range(LOW, HIGH), HIGH - LOW):
        if len(chosen) == count:
            break
        if is_free(port, ip):
            chosen.append(port)
    if len(chosen) < count:
        raise SlurmError(f"no {count} free TCP ports between {LOW} and {HIGH} on {ip}; stop what uses them")
    return tuple(chosen)
