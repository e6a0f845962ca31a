"""Read the hints that are beeflow's own, under whatever prefix a document's $namespaces make of "beeflow:"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from beeflow.errors import DocumentError
from beeflow.graph import OWN_HINTS

# Without $namespaces and with. What has no prefix is one of the document's own place: file:///home/me/beeflow/w.cwl#X.
_NAMESPACE = re.compile(r"beeflow:|https?://github\.com/lanl/BEE#", re.IGNORECASE)


def read(name: str, document: Mapping[str, Any], kind: str, keys: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Read the innermost hint of a kind; empty where a step's tool has none.

    ``document``: the resolved tool; ``keys``: read a value of each key. Raises DocumentError for what it must not say.
    """
    hints = [each for each in document.get("hints", ()) if is_called(each["class"], kind)]
    values = {}
    for key, value in hints[-1].items() if hints else ():
        if key == "class":
            continue
        if key not in keys:
            raise DocumentError(f"step {name}: {kind}: unknown key {key!r}; known are {', '.join(keys)}")
        try:
            values[key] = keys[key](_text(value))
        except ValueError as error:
            raise DocumentError(f"step {name}: {kind}: {key}: {error}") from error
    return values


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("has no value; give one, or leave the key out")
    if isinstance(value, (Mapping, list, tuple)):
        raise ValueError(f"takes one value, no {'mapping' if isinstance(value, Mapping) else 'list'}")
    return str(value)


def is_called(given: str, kind: str) -> bool:
    """True for a class that is called so in any namespace."""
    return _name(given) == kind


def _name(given: str) -> str:
    return re.split("[:/#]", given)[-1]


def unknown(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the hints of a resolved tool that are in our namespace, and nobody knows."""
    for each in document.get("hints", ()):
        given = str(each["class"])
        if _NAMESPACE.match(given) and not any(is_called(given, kind) for kind in OWN_HINTS):
            yield _name(given)
