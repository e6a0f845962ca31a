"""File and Directory objects inside CWL values: where they are.

A location of ours is either a file:// URI, or a path relative to the workflow directory, so that an archive
can be unpacked anywhere. "_:" begins the location of a literal, which is nowhere.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Entry = dict[str, Any]

# What belongs to a File or Directory, and is one, too.
INNER = ("secondaryFiles", "listing")


def is_entry(value: Mapping[Any, Any]) -> bool:
    """True for a File or Directory."""
    return value.get("class") in ("File", "Directory")


def entries(value: Any) -> Iterator[Entry]:
    """Yield every File and Directory object in a value, also those in secondaryFiles and listings."""
    if isinstance(value, dict):
        if is_entry(value):
            yield value
        for inner in list(value.values()):
            yield from entries(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from entries(inner)


def possible_entries(value: Any, *, inner: bool = False) -> Iterator[Entry]:
    """Yield what cwltool may take for a File or Directory: of any class, and of none where it belongs to one.

    ``inner``: the value itself is what belongs to one. Nothing is too deep.
    """
    rest = [(value, inner)]
    while rest:
        each, is_inner = rest.pop()
        if isinstance(each, dict):
            if is_inner or "class" in each:
                yield each
            rest.extend((below, key in INNER) for key, below in reversed(each.items()))
        elif isinstance(each, (list, tuple)):
            rest.extend((below, is_inner) for below in reversed(each))


def places(entry: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield where a File or Directory says that it is: key, place."""
    yield from ((key, entry[key]) for key in ("location", "path") if isinstance(entry.get(key), str))


def to_uri(path: Path) -> str:
    """Write an absolute path as a file URI."""
    return f"file://{urllib.parse.quote(os.fsencode(path))}"


def quoted(path: Path) -> str:
    """Write a path inside the workflow directory as a location."""
    return urllib.parse.quote(os.fsencode(path))


def unquoted(location: str) -> Path:
    """Read a location inside the workflow directory as a path relative to it."""
    return Path(_unquote(location))


def to_path(location: str) -> Path | None:
    """Read the path of a file URI; None for anything else."""
    if not location.startswith("file://"):
        return None
    return Path(_unquote(location[len("file://") :].partition("#")[0]))


def _unquote(text: str) -> str:
    """Undo percent signs; names need not be UTF-8."""
    return os.fsdecode(urllib.parse.unquote_to_bytes(text))


def is_relative(location: str) -> bool:
    """True when a location is a path inside the workflow directory."""
    return not location.startswith("_:") and ":" not in location.split("/")[0] and not location.startswith("/")


def copied(value: Any) -> Any:
    """Copy a JSON value."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(inner) for inner in value]
    return value


def rewritten(value: Any, rewrite: Callable[[str], str]) -> Any:
    """Copy a value with every location rewritten."""
    result = copied(value)
    for entry in entries(result):
        if isinstance(entry.get("location"), str):
            entry["location"] = rewrite(entry["location"])
    return result


def absolute(value: Any, root: Path) -> Any:
    """Copy a value, locations inside the workflow directory made file URIs."""
    return rewritten(value, lambda each: to_uri(root / _unquote(each)) if is_relative(each) else each)


def relative(value: Any, root: Path) -> Any:
    """Copy a value, locations inside the workflow directory made relative to it."""
    prefix = to_uri(root) + "/"
    return rewritten(value, lambda each: each[len(prefix) :] if each.startswith(prefix) else each)
