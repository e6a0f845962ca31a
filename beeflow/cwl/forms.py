"""Check the form of values: cwltool lets expressions, commands and input objects make a file of anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beeflow import locations
from beeflow.errors import TaskError

# What passes a value on calls itself for each level, some of it three times over, and Python lets it 1,000 times.
MOST_NESTED = 200
_NAMES = ("location", "path", "basename", "dirname")


def check(made: Any, what: str = "") -> dict[str, Any]:
    """Return an object of outputs or inputs as it is; raises TaskError for what nobody could take.

    ``what``: begins the message.
    """
    if not isinstance(made, dict):
        raise TaskError(f"{what}an object was expected, got {type(made).__name__}")
    found = problem(made)
    if found:
        raise TaskError(f"{what}an expression or command made {found}")
    return made


def problem(value: Any) -> str | None:
    """Say what is in a value that nobody could take, or None: "a File whose basename is no name: ..."."""
    level = [value] if isinstance(value, (Mapping, list, tuple)) else []
    for _ in range(MOST_NESTED):
        found = next((found for each in level for found in _problems(each)), None)
        if found or not level:
            return found
        level = [inner for each in level for inner in _inner(each) if isinstance(inner, (Mapping, list, tuple))]
    return f"a value that is nested more than {MOST_NESTED} deep; write it into a file instead" if level else None


def _inner(value: Any) -> Iterable[Any]:
    if not isinstance(value, Mapping):
        return value if isinstance(value, (list, tuple)) else ()
    # What is in the folders of a file system, and how deep, is for who lists them to say.
    is_folder = value.get("class") == "Directory" and not str(value.get("location", "_:")).startswith("_:")
    return [each for key, each in value.items() if not (is_folder and key == "listing")]


def _problems(value: Any) -> Iterator[str]:
    """Yield what is wrong with a list or object, as far as it is not with what is in it."""
    for each in (*value, *value.values()) if isinstance(value, Mapping) else value:
        if isinstance(each, str) and not _is_text(each):
            yield f"a text with half a character (a lone surrogate): {each!r:.200}"
    if isinstance(value, Mapping) and locations.is_entry(value):
        for key in _NAMES:
            name = value.get(key)
            if not (name is None or (isinstance(name, str) and "\0" not in name)):
                yield f"a {value['class']} whose {key} is no name: {name!r:.200}"
        contents = value.get("contents")
        if not (contents is None or isinstance(contents, str)):
            yield f"a {value['class']} whose contents is no text: {contents!r:.200}"
        for key in locations.INNER:
            yield from _of_inner(key, value.get(key))


def _is_text(text: str) -> bool:
    try:
        os.fsencode(text)  # names of files need not be UTF-8
    except UnicodeEncodeError:
        return False
    return True


def _of_inner(key: str, inner: Any) -> Iterator[str]:
    for each in inner if isinstance(inner, list) else [] if inner is None else [inner]:
        if not isinstance(each, dict) or not locations.is_entry(each):
            yield f"{key} with what is no File or Directory object: {each!r:.200}"
