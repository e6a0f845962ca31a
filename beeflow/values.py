"""Values that may not be known yet: a tree of what is known and what a task will make.

Pure. A pass builds such a tree for every task input, writes it into the task's file, and the task
replaces the holes by what its producers made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from beeflow.errors import DocumentError, PendingValueError, TaskError


@dataclass(frozen=True)
class Known:
    """A CWL value: JSON, with File and Directory objects."""

    value: Any


@dataclass(frozen=True)
class Output:
    """What the output port of a task will be. ``group``: the task's group key; ``label``: which of its tasks."""

    group: str
    label: str
    port: str


@dataclass(frozen=True)
class Items:
    """An array of known length whose elements may not be known."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Linked:
    """Several sources merged and picked from (CWL: linkMerge, pickValue), with a default for null."""

    values: tuple[Value, ...]
    link_merge: str | None
    pick_value: str | None
    default: Any = None


@dataclass(frozen=True)
class Broken:
    """What will never be made, and why: a failed source is not null, it blocks."""

    reason: str


Value = Known | Output | Items | Linked | Broken
Lookup = Callable[[Output], "Value"]
Inputs = dict[str, "Value"]


def outputs_of(value: Value) -> Iterator[Output]:
    """Yield every hole of a value."""
    if isinstance(value, Output):
        yield value
    elif isinstance(value, (Items, Linked)):
        for inner in value.values:
            yield from outputs_of(inner)


def broken_of(value: Value) -> Broken | None:
    """Return why a value will never be complete, or None."""
    if isinstance(value, Broken):
        return value
    if isinstance(value, (Items, Linked)):
        return next((found for each in value.values if (found := broken_of(each))), None)
    return None


def simplify(value: Value, lookup: Lookup) -> Value:
    """Fill the holes that lookup knows (it returns the Output itself when it does not) and fold what became known."""
    if isinstance(value, (Known, Broken)):
        return value
    if isinstance(value, Output):
        return lookup(value)
    inner = tuple(simplify(each, lookup) for each in value.values)
    if isinstance(value, Items):
        return fold_items(inner)
    return fold_linked(Linked(inner, value.link_merge, value.pick_value, value.default))


def fold_items(values: Sequence[Value]) -> Value:
    """Make an array; Known when all its elements are."""
    if all(isinstance(each, Known) for each in values):
        return Known([each.value for each in values if isinstance(each, Known)])
    return Items(tuple(values))


def fold_linked(link: Linked) -> Value:
    """Merge and pick as far as can be known."""
    if not all(isinstance(each, Known) for each in link.values):
        return _fold_partly_known(link)
    values = [each.value for each in link.values if isinstance(each, Known)]
    merged = merge(values, link.link_merge)
    try:
        picked = pick(merged, link.pick_value)
    except TaskError as error:
        return Broken(str(error))
    return Known(link.default if picked is None else picked)


def _fold_partly_known(link: Linked) -> Value:
    if link.link_merge is None and link.pick_value is None and isinstance(link.values[0], (Items, Broken)):
        # An array is not null whatever its elements are, so no default applies.
        return link.values[0]
    if link.pick_value is not None or link.default is not None:
        return broken_of(link) or link
    if link.link_merge is None:
        return link.values[0]
    if link.link_merge == "merge_nested":
        return Items(link.values)
    elements: list[Value] = []
    for each in link.values:
        if isinstance(each, Items):
            elements.extend(each.values)
        elif isinstance(each, Known):
            elements.extend(Known(item) for item in (each.value if isinstance(each.value, list) else [each.value]))
        elif isinstance(each, Broken):
            elements.append(each)
        else:
            return link
    return Items(tuple(elements))


def merge(values: Sequence[Any], link_merge: str | None) -> Any:
    """Merge the values of several sources (CWL v1.2 Workflow, LinkMergeMethod). No values: null."""
    if link_merge is None:
        return values[0] if values else None
    if link_merge == "merge_nested":
        return list(values)
    flat: list[Any] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [value])
    return flat


def pick(value: Any, pick_value: str | None) -> Any:
    """Pick among the values of several sources (CWL v1.2 Workflow, PickValueMethod)."""
    if pick_value is None or not isinstance(value, list):
        return value
    good = [item for item in value if item is not None]
    if pick_value == "all_non_null":
        return good
    if not good:
        raise TaskError(f"pickValue: {pick_value}: all sources are null")
    if pick_value == "the_only_non_null" and len(good) > 1:
        raise TaskError("pickValue: the_only_non_null: more than one source is not null")
    return good[0]


def known(value: Value) -> Any:
    """Return the value itself; raises PendingValueError when it has holes, TaskError when they will never be filled."""
    if isinstance(value, Known):
        return value.value
    broken = broken_of(value)
    if broken:
        raise TaskError(broken.reason)
    holes = ", ".join(f"{hole.group}[{hole.label}]/{hole.port}" for hole in outputs_of(value))
    raise PendingValueError(f"not made yet: {holes}")


def elements(value: Value, where: str) -> tuple[Value, ...] | None:
    """Return the elements of an array to scatter over, or None when their number is not known yet."""
    if isinstance(value, Items):
        return value.values
    if isinstance(value, Known):
        if not isinstance(value.value, list):
            raise DocumentError(f"{where}: scatter needs an array, got {type(value.value).__name__}")
        return tuple(Known(item) for item in value.value)
    return None


# Says which element of its group makes an output; None where no job does.
ElementOf = Callable[[Output], int | None]


def to_json(value: Value, element_of: ElementOf) -> Any:
    """Write a value: {"known"|"output"|"items"|"linked": ...}."""
    if isinstance(value, Known):
        return {"known": value.value}
    if isinstance(value, Output):
        return {"output": [value.group, value.label, value.port], "element": element_of(value)}
    if isinstance(value, Broken):
        return {"broken": value.reason}
    inner = [to_json(each, element_of) for each in value.values]
    if isinstance(value, Items):
        return {"items": inner}
    return {"linked": inner, "link_merge": value.link_merge, "pick_value": value.pick_value, "default": value.default}


def from_json(data: Any) -> Value:
    """Read a value that to_json wrote."""
    if "known" in data:
        return Known(data["known"])
    if "output" in data:
        return Output(*data["output"])
    if "broken" in data:
        return Broken(data["broken"])
    if "items" in data:
        return Items(tuple(from_json(each) for each in data["items"]))
    inner = tuple(from_json(each) for each in data["linked"])
    return Linked(inner, data["link_merge"], data["pick_value"], data["default"])
