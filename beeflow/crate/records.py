"""What the tasks took and made, read element by element."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from beeflow import elements, store
from beeflow.graph import Step
from beeflow.layout import Layout
from beeflow.models import ElementTask, GroupRecord
from beeflow.states import TaskState
from beeflow.values import Broken, Known, Output, Value, from_json, simplify

# Tasks of one element, and those that take from each other, are near each other.
_RESULTS_KEPT = 32


class Made(NamedTuple):
    """What is needed of a TaskResult. ``stderr``: a file's name."""

    state: TaskState
    outputs: dict[str, Any]
    command: tuple[str, ...]
    stderr: str | None


class Records:
    """Reads the files of tasks. What an expression made is in none of them, and stays unknown here."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._results_of = functools.lru_cache(_RESULTS_KEPT)(self._read_results)
        self._tasks_of = functools.lru_cache(1)(self._read_tasks)
        self._positions: dict[str, dict[str, int]] = {}
        self._groups: dict[str, GroupRecord | None] = {}

    def group(self, key: str) -> GroupRecord | None:
        """Read a group's record, or None."""
        if key not in self._groups:
            found = self._groups[key] = store.read_record(GroupRecord, self.layout.group_record(key))
            self._positions[key] = {label: place for place, label in enumerate(found.labels)} if found else {}
        return self._groups[key]

    def made(self, key: str, label: str) -> Made | None:
        """Read what came of a task, or None."""
        number = self._element(key, label)
        found = None if number is None else self._results_of(key, number).get(label)
        if found is None:
            return None
        state, outputs, command = found["state"], found.get("outputs", {}), found.get("command", ())
        return Made(TaskState(state), outputs, tuple(command), found.get("stderr"))

    def inputs(self, key: str, label: str, step: Step) -> dict[str, Any]:
        """Return what a task's tool was given, as far as the files tell: not what an expression made of it."""
        number = self._element(key, label)
        task = None if number is None else self._tasks_of(key, number).get(label)
        if task is None:
            return {}
        found = {}
        for name, value in task.inputs.items():
            link = step.inputs.get(name)
            if link and (link.value_from or link.load_contents) and not task.evaluated:
                continue
            known = simplify(from_json(value), self._look_up)
            if isinstance(known, Known):
                found[name] = known.value
        return found

    def _look_up(self, output: Output) -> Value:
        result = self.made(output.group, output.label)
        if result is None:
            return output
        if not result.state.good:
            return Broken(result.state.value)
        return Known(result.outputs.get(output.port) if result.state is TaskState.COMPLETED else None)

    def _element(self, key: str, label: str) -> int | None:
        group = self.group(key)
        place = self._positions[key].get(label)
        return None if group is None or place is None else place // group.tasks_per_element

    def _read_results(self, key: str, number: int) -> dict[str, dict[str, Any]]:
        """Read an element's results as they are: whoever lists the tasks has checked them all, just before."""
        path = self.layout.element_result(key, number)
        found = store.read_json(path) if path.is_file() else {}
        tasks: dict[str, dict[str, Any]] = found.get("tasks", {})
        return tasks

    def _read_tasks(self, key: str, number: int) -> dict[str, ElementTask]:
        if not self.layout.elements(key).is_file():
            return {}
        return {task.label: task for task in elements.read(self.layout, key, number).tasks}
