"""What of a workflow directory goes into its archive."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from beeflow import codec, staging
from beeflow.archive import leaving, names
from beeflow.staging import LINK_TO, NO_FILE

# tasks/GROUP/000/000000/ATTEMPT/LABEL/ (beeflow.layout)
_TASK_DEPTH = 6
# How the reasons begin that others read.
SAME_AS, UNFIT = "the same file as ", "no archive can hold it: "
LOST = "an input that could not be read: "
# The top directory of an archive is an id.
_TOP = b"." * 36 + b"/"
_PATH_MAX = 4096


class Source(NamedTuple):
    """What to pack under a name relative to the top directory: a file, some ``data``, or, with neither, a folder.

    ``size``: of a file when it was listed; ``most``: no more bytes of it than that, however it grew; ``inode``: of what
    was looked at, if anybody did. For one among 20,000 files; a tuple and a string are made three times as fast as a
    dataclass and a Path.
    """

    name: str
    path: str | None
    data: bytes | None = None
    size: int = 0
    most: int = sys.maxsize
    inode: int = 0


def record_source(name: str, record: object) -> Source:
    """Have a record packed that is on no disk."""
    return _text_source(name, codec.dumps(record))


def json_source(name: str, data: object) -> Source:
    """Have plain JSON packed that is on no disk."""
    return _text_source(name, "".join((*codec.plain_pieces(data), "\n")))


def _text_source(name: str, text: str) -> Source:
    # A name that is not UTF-8 has surrogates in it. So they are as JSON has them, and all of it is UTF-8.
    data = text.encode(errors="backslashreplace")
    return Source(name, None, data, len(data))


def tree(root: Path, skip: frozenset[str] = frozenset()) -> tuple[list[Source], dict[str, str]]:
    """List a workflow directory for packing. Returns the sources, and name -> why for what cannot be packed.

    Folders named in ``skip`` are left out where they are a task's own, beside what it made. A symbolic link to a file
    inside the directory becomes that file; two names of one file are packed once, the rest is listed. What vanishes
    meanwhile is not there. What is too deep for an archive is listed file by file, with size and sha256.
    """
    staging.make_readable(root / "tasks")
    found = _Tree(os.path.realpath(root), skip)
    found.walk(os.fspath(root), "", 0)
    return found.sources, found.omitted


def unfit(name: str, path: str = "") -> str:
    """Say why a file can be no member of an archive under a name; "" when it can. ``path``: where it is."""
    size = len(os.fsencode(path))
    return f"a path of {size} bytes" if size >= _PATH_MAX else names.unfit(_TOP + os.fsencode(name))


@dataclass
class _Tree:
    """What was found of a directory so far. ``inodes``: (device, inode) -> name."""

    root: str
    skip: frozenset[str]
    sources: list[Source] = field(default_factory=list)
    omitted: dict[str, str] = field(default_factory=dict)
    inodes: dict[tuple[int, int], str] = field(default_factory=dict)

    def walk(self, folder: str, prefix: str, depth: int) -> None:
        """List a folder: its files, then its folders, outputs/ first, so that a file goes by its name there."""
        folders: list[str] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                with contextlib.suppress(FileNotFoundError):
                    why = unfit(prefix + entry.name, entry.path)
                    if why:
                        self.leave(folder, prefix, entry.name, why)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    else:
                        self.add(entry, prefix + entry.name)
        if depth == _TASK_DEPTH and prefix.startswith("tasks/"):
            folders = [name for name in folders if name not in self.skip]
        for name in sorted(folders, key=lambda name: name != "outputs"):
            self.sources.append(Source(prefix + name, None))
            self.walk(f"{folder}/{name}", f"{prefix}{name}/", depth + 1)

    def add(self, entry: os.DirEntry[str], name: str) -> None:
        """List what is no folder."""
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(entry.path)
            if not self.is_inside(entry.path):
                self.omitted[name] = f"{LINK_TO}{target}"
                return
            status = entry.stat()
        elif not stat.S_ISREG(status.st_mode):
            self.omitted[name] = NO_FILE
            return
        known = self.inodes.setdefault((status.st_dev, status.st_ino), name)
        if known != name and name.startswith("tasks/"):
            self.omitted[name] = f"{SAME_AS}{known}"
        else:
            self.sources.append(Source(name, entry.path, size=status.st_size))

    def leave(self, folder: str, prefix: str, name: str, why: str) -> None:
        """Tell of what no archive can hold."""
        for path, what in leaving.describe(folder, name):
            self.omitted[prefix + path] = f"{UNFIT}{why}; {what}"

    def is_inside(self, link: str) -> bool:
        """True for a link to a file of the directory's own."""
        target = Path(os.path.realpath(link))
        return target.is_relative_to(self.root) and target.is_file()
