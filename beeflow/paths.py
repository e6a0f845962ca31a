"""What is at a path that somebody named: a name that no file can have is none of a file. Standard library only."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from beeflow.errors import SystemFileError

_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)


def is_file(path: Path | str) -> bool:
    """True for a file, or a link to one; raises SystemFileError where nobody may look."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path | str) -> bool:
    """True for a folder, or a link to one; raises SystemFileError where nobody may look."""
    return stat.S_ISDIR(_mode(path))


def is_there(path: Path | str) -> bool:
    """True for anything but a link to nowhere; raises SystemFileError where nobody may look."""
    return _mode(path) != 0


def obstacle(folder: Path) -> str:
    """Say what keeps an absolute folder from being made, or written to; "": nothing does."""
    existing = next(parent for parent in (folder, *folder.parents) if is_there(parent))
    if not existing.is_dir():
        return f"{existing} is not a folder"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{folder} cannot be written: no permission in {existing}"


def is_text(path: Path | str) -> bool:
    """True for a name that is UTF-8, as that of a file need not be."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _mode(path: Path | str) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError:
        # A zero byte.
        return 0
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return 0
        raise SystemFileError(f"{path}: {error.strerror or error}") from error
