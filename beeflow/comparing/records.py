"""The JSON that a run left, read as what a stranger may have written. Pure."""

from __future__ import annotations

import json
from typing import Any

from beeflow import locations
from beeflow.errors import ArchiveError

# Deeper than anybody's values, and well before Python would run out of stack.
_MAX_DEPTH = 100


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Read a JSON object; raises ArchiveError for anything else."""
    try:
        found = json.loads(text)
        _check_depth(found)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{where}: damaged: {error}") from error
    if not isinstance(found, dict):
        raise ArchiveError(f"{where}: damaged: not a JSON object")
    return found


def parse_values(text: str, where: str) -> dict[str, Any]:
    """Read an input or output object; raises ArchiveError when its files are not described as CWL does."""
    found = parse_object(text, where)
    for entry in locations.entries(found):
        _check_entry(entry, where)
    return found


def _check_depth(value: Any) -> None:
    """Raise ValueError for what is nested so deep that nobody can have meant it."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]


def _check_entry(entry: locations.Entry, where: str) -> None:
    for key in ("secondaryFiles", "listing"):
        inner = entry.get(key)
        if inner is not None and not (isinstance(inner, list) and all(_is_entry(each) for each in inner)):
            raise ArchiveError(f"{where}: damaged: the {key} of a {entry['class']} is no list of files")
    for key in ("basename", "location", "nameroot"):
        if not isinstance(entry.get(key), (str, type(None))):
            raise ArchiveError(f"{where}: damaged: the {key} of a {entry['class']} is no text")


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and locations.is_entry(value)
