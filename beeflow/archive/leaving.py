"""Say what files are that no archive can hold, for their names are too long or too deep: by size and sha256.

No path may lead to them, so every folder is opened in the one above; two descriptors are open at a time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from beeflow import removal
from beeflow.archive import hashing
from beeflow.staging import LINK_TO, NO_FILE


def describe(folder: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield an entry of a folder, or all that is in it when it is one: the path from there, and what it is."""
    here = os.open(folder, removal.FOLDER)
    above: list[str] = []
    # Of the folder that we are in and those above it: what is yet to be looked at.
    waiting = [[name]]
    try:
        while waiting:
            if waiting[-1]:
                name = waiting[-1].pop()
                path = "/".join([*above, name])
                try:
                    if not stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                        yield path, _what(here, name)
                        continue
                    inner = removal.open_folder(here, name)
                except OSError as error:
                    yield path, error.strerror or str(error)
                    continue
                os.close(here)
                here = inner
                above.append(name)
                waiting.append(sorted(os.listdir(here), reverse=True))
                if not waiting[-1]:
                    yield f"{path}/", "an empty folder"
            else:
                waiting.pop()
                if above:
                    above.pop()
                    outer = os.open("..", removal.FOLDER, dir_fd=here)
                    os.close(here)
                    here = outer
    finally:
        os.close(here)


def _what(folder: int, name: str) -> str:
    """Describe what is no folder."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return f"{LINK_TO}{os.readlink(name, dir_fd=folder)}"
    if not stat.S_ISREG(status.st_mode):
        return NO_FILE
    digest, size = hashing.whole(Path(f"/proc/self/fd/{folder}/{name}"))
    return f"{size} bytes, sha256 {digest}"
