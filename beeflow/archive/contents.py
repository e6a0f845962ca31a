"""What of a workflow directory goes into its archive."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from beeflow import staging

OMITTED = "omitted.json"
# tasks/GROUP/000/000000/ATTEMPT/LABEL/ (beeflow.layout)
_TASK_DEPTH = 6


@dataclass(frozen=True)
class Source:
    """A file or folder (``path`` None) to pack under a name relative to the top directory."""

    name: str
    path: Path | None


def tree(root: Path, skip: frozenset[str] = frozenset()) -> tuple[list[Source], dict[str, str]]:
    """List a workflow directory for packing. Returns the sources, and name -> why for what cannot be packed.

    Folders named in ``skip`` are left out where they are a task's own, beside what it made. A symbolic link to a file
    inside the directory becomes that file; two names of one file are packed once, the rest is listed.
    """
    staging.make_readable(root / "tasks")
    sources: list[Source] = []
    omitted: dict[str, str] = {}
    inodes: dict[tuple[int, int], str] = {}
    for parent, folders, names in os.walk(root):
        relative = os.path.relpath(parent, root)
        prefix = "" if relative == "." else f"{relative}/"
        folders.sort(key=lambda name: (name != "outputs", name))
        if prefix.startswith("tasks/") and prefix.count("/") == _TASK_DEPTH:
            folders[:] = [name for name in folders if name not in skip]
        for name in list(folders):
            if os.path.islink(os.path.join(parent, name)):
                folders.remove(name)
                omitted[prefix + name] = f"a symbolic link to {os.readlink(os.path.join(parent, name))}"
            else:
                sources.append(Source(prefix + name, None))
        for name in sorted(names):
            path = Path(parent, name)
            why = _unpackable(path, root)
            if why:
                omitted[prefix + name] = why
                continue
            status = path.stat()
            known = inodes.setdefault((status.st_dev, status.st_ino), prefix + name)
            if known != prefix + name and prefix.startswith("tasks/"):
                omitted[prefix + name] = f"the same file as {known}"
            else:
                sources.append(Source(prefix + name, path))
    return sources, omitted


def _unpackable(path: Path, root: Path) -> str | None:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        real = Path(os.path.realpath(path))
        inside = real.is_relative_to(os.path.realpath(root))
        return None if inside and real.is_file() else f"a symbolic link to {target}"
    return None if stat.S_ISREG(mode) else "not a regular file"
