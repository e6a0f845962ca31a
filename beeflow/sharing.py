"""Who may read what we make: nobody else or, where bee.conf says so, a group. Whatever the user's umask is.

A folder that is shared has the group's set-group-ID bit: what is made in it is the group's too.
"""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from pathlib import Path

from beeflow.errors import ConfigError

# Of processes that work in a shared workflow: what they make can be read by its group, and written by the user alone.
UMASK = 0o027
_SHARED = stat.S_ISGID | stat.S_IRGRP | stat.S_IXGRP


def gid_of(group: str) -> int | None:
    """Return the number of the group to share with, None for nobody; raises ConfigError when it cannot be."""
    if not group:
        return None
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"share_with_group: there is no group {group} here") from None
    if os.geteuid() != 0 and gid not in (os.getegid(), *os.getgroups()):
        raise ConfigError(f"share_with_group: you are not in the group {group}, or have to log in anew")
    return gid


def make_folder(path: Path, gid: int | None) -> None:
    """Make a folder, and those above it that are missing; share what is there already with the group, if it is ours."""
    if path.is_dir():
        if gid is not None and path.stat().st_uid == os.geteuid():
            _share(path, gid)
        return
    if not path.parent.is_dir():
        make_folder(path.parent, gid)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=stat.S_IRWXU)
        if gid is not None:
            _share(path, gid)


def _share(path: Path, gid: int) -> None:
    status = path.stat()
    if status.st_gid != gid:
        os.chown(path, -1, gid)
    if status.st_gid != gid or status.st_mode & _SHARED != _SHARED:
        path.chmod(stat.S_IMODE(status.st_mode) | _SHARED)


def is_shared(folder: Path) -> bool:
    """True for a folder that is a group's to read, and what is made in it too."""
    return folder.stat().st_mode & _SHARED == _SHARED


def settle_file(path: Path, gid: int | None) -> None:
    """Have a file be the user's alone, or the group's to read."""
    if gid is not None and path.stat().st_gid != gid:
        os.chown(path, -1, gid)
    path.chmod(0o600 if gid is None else 0o640)
