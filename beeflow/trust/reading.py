"""Read and walk a stranger's YAML: never more than text, lists and mappings, and in a time that its length bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

# Numbers and dates are what is written: a number with 100,000 colons takes minutes to work out (YAML 1.1, base 60).
_AS_WRITTEN = ("int", "float", "timestamp", "merge", "value")


def _make_loader() -> Any:
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    # "<<" is a key like any other: merged into one another, a few lines have more pairs than there is memory.
    loader: Any = type("Loader", (base,), {"flatten_mapping": lambda _, __: None})
    for kind in _AS_WRITTEN:
        loader.add_constructor(f"tag:yaml.org,2002:{kind}", loader.construct_scalar)
    return loader


_LOADER = _make_loader()


def parse(data: bytes) -> Any:
    """Read YAML; None for what is none."""
    try:
        return yaml.load(data, Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None


def mappings(document: Any) -> Iterator[dict[Any, Any]]:
    """Yield all mappings in a document, each once: with YAML, it may contain itself."""
    seen: set[int] = set()
    rest = [document]
    while rest:
        value = rest.pop()
        if not isinstance(value, (dict, list, tuple)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield value
        rest.extend(reversed(list(value.values()) if isinstance(value, dict) else value))


def is_small(value: Any, most: int) -> bool:
    """True for a value that has no more parts than this when it is written out: what has two names counts twice."""
    rest = [value]
    for _ in range(most):
        if not rest:
            return True
        each = rest.pop()
        if isinstance(each, dict):
            rest.extend(each.values())
        elif isinstance(each, (list, tuple)):
            rest.extend(each)
    return not rest
