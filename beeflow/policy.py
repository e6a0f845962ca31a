"""Read how often tasks are tried again: the keys of bee.conf's [retry], and of the hint beeflow:RetryRequirement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from beeflow import hints
from beeflow.graph import RETRY, RetryPolicy

DEFAULT = RetryPolicy(node_fail=3)


def _count(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _number(text: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise ValueError(f"{text!r} is not a number from {least:g} on")
    return number


def _factor(text: str) -> float:
    return _number(text, 1)


def _seconds(text: str) -> float:
    return _number(text, 0)


KEYS: Mapping[str, Callable[[str], Any]] = {
    "node_fail": _count,
    "temporary_fail": _count,
    "timeout": _count,
    "timeout_factor": _factor,
    "out_of_memory": _count,
    "memory_factor": _factor,
    "wait_s": _seconds,
}


def of_tool(name: str, document: Mapping[str, Any], given: RetryPolicy) -> RetryPolicy:
    """Return what counts for a step's tool; the innermost hint overrides what is given.

    ``document``: the resolved tool. Raises DocumentError for what the hint must not say.
    """
    return replace(given, **hints.read(name, document, RETRY, KEYS))
