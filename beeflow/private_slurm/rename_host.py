"""Run a program that sees this host under the name localhost: ``python -I rename_host.py program argument...``.

Slurm's daemons listen on the address that the host's own name resolves to, and have no setting for another one
(slurm_setup_addr() of Slurm 20.11 to 25.11). Where that name is not loopback's they get a UTS namespace,
uts_namespaces(7); who is not root needs a user namespace for that, user_namespaces(7), and keeps user and group in it.
Not every system allows it; then this ends with an error and starts nothing. Imports nothing of beeflow.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
NAME = "localhost"


def _unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def rename_host() -> None:
    """Give this process a host name of its own; raises OSError where the system does not allow it."""
    user, group = os.geteuid(), os.getegid()
    if not _unshare(CLONE_NEWUTS):
        if not _unshare(CLONE_NEWUSER | CLONE_NEWUTS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny")
        (own / "uid_map").write_text(f"{user} {user} 1")
        (own / "gid_map").write_text(f"{group} {group} 1")
    socket.sethostname(NAME)


def main(argv: Sequence[str]) -> None:
    """Rename, and become the program."""
    try:
        rename_host()
        os.execv(argv[0], list(argv))  # noqa: S606 - no shell is what we want
    except OSError as error:
        sys.exit(f"{argv[0]}: cannot be run under another host name: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
