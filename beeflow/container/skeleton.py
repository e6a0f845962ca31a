"""A root folder for ch-run that looks like an image and has places to bind to that the image lacks.

ch-run mounts an image read-only, and binds only to what is there (seen on 0.31). So where a tool wants a file or its
working directory at a path of its own, the root is a folder made for the task: what the image has is bound into it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from beeflow.errors import TaskError

# ch-run mounts these itself, and files in /etc; it reads /ch/environment before anything is bound.
_MOUNTED = frozenset({"/dev", "/proc", "/sys", "/tmp"})  # noqa: S108 - the image's
_COPIED = frozenset({"/", "/etc", "/ch"})


def make(image: Path, wanted: Mapping[str, str], root: Path) -> dict[str, str]:
    """Lay out ``root`` with a place for each wanted bind; returns the binds that fill it from the image.

    Raises TaskError for a place that a symbolic link of the image leads to.
    """
    opened = _COPIED | {str(parent) for inside in wanted.values() for parent in PurePosixPath(inside).parents}
    for folder in opened:
        if (image / folder[1:]).is_symlink():
            raise TaskError(f"{folder}: a symbolic link in the image {image}; name the folder it leads to")
    root.mkdir()
    binds = dict(_open(image, root, PurePosixPath("/"), opened))
    for host, inside in wanted.items():
        place = root / inside[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if os.path.isdir(host) else place.touch()
    return binds


def _open(image: Path, root: Path, inside: PurePosixPath, opened: frozenset[str]) -> Iterable[tuple[str, str]]:
    for entry in os.scandir(image / inside.relative_to("/")):
        path = inside / entry.name
        place = root / path.relative_to("/")
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry.path))
        elif entry.is_dir():
            place.mkdir()
            if str(path) in opened:
                yield from _open(image, root, path, opened)
            elif str(path) not in _MOUNTED:
                yield entry.path, str(path)
        elif entry.is_file() and os.access(entry.path, os.R_OK):
            shutil.copy(entry.path, place)
