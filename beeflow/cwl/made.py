"""Check the form of what expressions and commands made: cwltool lets them make a File or Directory of anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from beeflow import locations
from beeflow.errors import TaskError

# What passes a value on calls itself for each level, some of it three times over, and Python lets it 1,000 times.
MOST_NESTED = 200


def check(made: Any, what: str = "") -> dict[str, Any]:
    """Return an object of outputs or inputs as it is; raises TaskError for what nobody could take.

    ``what``: begins the message.
    """
    if not isinstance(made, dict):
        raise TaskError(f"{what}an object was expected, got {type(made).__name__}")
    if _is_deeper(made, MOST_NESTED):
        raise TaskError(f"{what}a value is nested more than {MOST_NESTED} deep; write it into a file instead")
    for entry in locations.entries(made):
        for name in locations.INNER:
            _check_inner(name, entry.get(name), what)
    return made


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [inner for each in level for inner in _inner(each) if isinstance(inner, (Mapping, list, tuple))]
        if not level:
            return False
    return True


def _inner(value: Any) -> Iterable[Any]:
    if not isinstance(value, Mapping):
        return value if isinstance(value, (list, tuple)) else ()
    # How deep the folders of a file system are is for who lists them to say.
    is_folder = value.get("class") == "Directory" and not str(value.get("location", "_:")).startswith("_:")
    return [each for key, each in value.items() if not (is_folder and key == "listing")]


def _check_inner(name: str, inner: Any, what: str) -> None:
    for each in inner if isinstance(inner, list) else [] if inner is None else [inner]:
        if not isinstance(each, dict) or each.get("class") not in ("File", "Directory"):
            raise TaskError(
                f"{what}an expression or command made {name} with what is no File or Directory object: {each!r:.200}"
            )
