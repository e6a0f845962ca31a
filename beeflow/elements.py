"""The tasks of a group's array elements on disk: three files a group, whatever its width.

An element reads its own line only: elements.index has a number of fixed width a line, the offset of each
element's line in elements.jsonl. What all tasks take alike is in shared.json, once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from beeflow import codec, store
from beeflow.errors import SystemFileError
from beeflow.layout import Layout
from beeflow.models import ElementSpec
from beeflow.plan import Group, Task
from beeflow.values import ElementOf, Inputs, to_json

_WIDTH = 20


def write(
    layout: Layout,
    group: Group,
    skipped: Collection[str],
    element_of: ElementOf,
    evaluated: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write what the elements of a group run: all its tasks but the skipped ones.

    ``evaluated``: label -> inputs after the step's expressions, where they are known.
    """
    shared = {} if evaluated else _shared(group.tasks)
    lines = [
        json.dumps({"tasks": list(_tasks(group.tasks_of(number), shared, skipped, element_of, evaluated))}) + "\n"
        for number in range(group.elements)
    ]
    offsets, position = [], 0
    for line in lines:
        offsets.append(f"{position:{_WIDTH}}\n")
        position += len(line)
    store.write_json(layout.shared(group.key), {name: to_json(value, element_of) for name, value in shared.items()})
    store.write_text(layout.elements(group.key), "".join(lines))
    store.write_text(layout.elements_index(group.key), "".join(offsets))


def _shared(tasks: Sequence[Task]) -> Inputs:
    """Find the inputs that all tasks take from one place; none where there is only one task."""
    if len(tasks) < 2:
        return {}
    first = tasks[0].inputs
    return {name: value for name, value in first.items() if all(task.inputs.get(name) is value for task in tasks[1:])}


def _tasks(
    tasks: Sequence[Task],
    shared: Inputs,
    skipped: Collection[str],
    element_of: ElementOf,
    evaluated: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    for task in tasks:
        if task.label in evaluated:
            ready = {name: {"known": value} for name, value in evaluated[task.label].items()}
            yield {"label": task.label, "inputs": ready, "evaluated": True}
        elif task.label not in skipped:
            own = {name: to_json(value, element_of) for name, value in task.inputs.items() if name not in shared}
            yield {"label": task.label, "inputs": own}


def read(layout: Layout, key: str, number: int) -> ElementSpec:
    """Read what one element runs."""
    try:
        with layout.elements_index(key).open("rb") as index:
            index.seek(number * (_WIDTH + 1))
            offset = int(index.read(_WIDTH))
        with layout.elements(key).open("rb") as lines:
            lines.seek(offset)
            line = json.loads(lines.readline())
        shared = json.loads(layout.shared(key).read_bytes())
        for task in line["tasks"]:
            task["inputs"] = {**shared, **task["inputs"]}
        return codec.from_json(ElementSpec, line)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SystemFileError(f"{layout.elements(key)}: element {number} cannot be read: {error}") from error
