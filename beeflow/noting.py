"""What a workflow takes from outside its directory: noted as it is submitted, to see later whether it is the same.

control/inputs.json: {"version": 1, "inputs": {path: {name in it, or "" for a file: [size, mtime, ctime, inode]}}}, with
times in nanoseconds.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from beeflow import locations, staging, store
from beeflow.codec import VERSION
from beeflow.layout import Layout

# Of a folder: what is in a larger one takes too long to be noted before it is needed.
_MOST = 10_000
# Names in all folders, and files besides: nobody waits for more at bee-submit.
_MOST_OF_ALL = 100_000
# A file server's clock and ours may be so far apart.
_CLOCKS = timedelta(seconds=2)
_SECOND = 10**9

Files = Mapping[str, list[int]]


def outside(layout: Layout, noted: Iterable[str] = ()) -> list[tuple[str, Path]]:
    """List the distinct (class, path) of what a workflow takes from outside its directory.

    Of the graph that is what its documents name as a default and is too large to be copied as it is submitted.
    ``noted``: what was there when it was.
    """
    found: dict[Path, str] = {}
    given, graph = (locations.entries(store.read_json(path)) for path in (layout.job, layout.graph))
    for entry, is_given in (*((each, True) for each in given), *((each, False) for each in graph)):
        path = locations.to_path(str(entry.get("location", "")))
        # A default that never was there may not be needed.
        if path is not None and (is_given or str(path) in noted or path.exists()):
            found.setdefault(path, entry["class"])
    # A file inside a Directory that is named too is there already.
    folders = {path for path, kind in found.items() if kind == "Directory"}

    @functools.cache
    def is_in_one(folder: Path) -> bool:
        return not folders.isdisjoint((folder, *folder.parents))

    return [(kind, path) for path, kind in found.items() if path == path.parent or not is_in_one(path.parent)]


def note(layout: Layout) -> None:
    """Write down what the inputs are; what cannot be looked at, or has too many files, is left to its times."""
    made = {}
    left = _MOST_OF_ALL
    # Files first, which take one look each.
    for _, path in sorted(outside(layout), key=lambda each: each[0] == "Directory"):
        if left <= 0:
            break
        with contextlib.suppress(OSError):
            files, looked = _files(path, min(_MOST, left))
            left -= looked
            if files:
                made[str(path)] = files
    if made:
        store.write_json(layout.noted, {"version": VERSION, "inputs": made})


def _files(path: Path, most: int) -> tuple[Files, int]:
    """Look at a file, or all that are in a folder, none where these are too many; also counts its names."""
    if not path.is_dir():
        return {"": _look(os.stat(path))}, 1
    inside = list(itertools.islice(staging.contents(path), most + 1))
    few = inside if len(inside) <= most else []
    return {name: _look(os.stat(each)) for name, each, is_folder in few if not is_folder}, len(inside)


def _look(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@dataclass(frozen=True)
class Noted:
    """What inputs were. ``submitted``: when the workflow was, by which what was not noted is judged."""

    inputs: Mapping[str, Files]
    submitted: datetime

    @classmethod
    def read(cls, layout: Layout, submitted: str) -> Noted:
        """Read what was noted, if anything was."""
        found = store.read_json(layout.noted)["inputs"] if layout.noted.exists() else {}
        return cls(found, datetime.fromisoformat(submitted))

    def changed(self, path: Path, files: Mapping[str, str]) -> datetime | None:
        """Say when an input was changed since, None when it is the same. ``files``: name in it -> path.

        Raises OSError when some of it is gone.
        """
        now = {name: os.stat(each) for name, each in files.items()}
        before = self.inputs.get(str(path))
        if before is None:
            # Its ctime tells of links, modes and backups, too.
            latest = _time(max(each.st_mtime for each in (os.stat(path), *now.values())))
            return latest if latest > self.submitted + _CLOCKS else None
        other = [status for name, status in now.items() if name not in before or not _is_same(before[name], status)]
        if other or before.keys() - now.keys():
            return _latest(other or [os.stat(path)])
        return None


def _latest(statuses: Iterable[os.stat_result]) -> datetime:
    return _time(max(max(each.st_mtime, each.st_ctime) for each in statuses))


def _time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, timezone.utc)


def _is_same(before: list[int], status: os.stat_result) -> bool:
    """Compare a file with what was noted of it.

    Its ctime alone tells nothing: a hard link, another mode or a backup change it. Nor does its inode without that:
    some file systems number anew what they mount.
    """
    size, mtime, ctime, inode = before
    is_other_file = inode != status.st_ino and not _is_same_time(ctime, status.st_ctime_ns)
    return size == status.st_size and _is_same_time(mtime, status.st_mtime_ns) and not is_other_file


def _is_same_time(one: int, other: int) -> bool:
    """Compare times; a file system may keep whole seconds only, once it has written them."""
    return one == other or (one // _SECOND == other // _SECOND and 0 in (one % _SECOND, other % _SECOND))
