"""What the tasks took and made, read element by element."""

from __future__ import annotations

import functools
from typing import Any

from beeflow import elements, store
from beeflow.graph import Step
from beeflow.layout import Layout
from beeflow.models import ElementResult, ElementTask, GroupRecord, TaskResult
from beeflow.states import TaskState
from beeflow.values import Broken, Known, Output, Value, from_json, simplify

# Tasks of one element, and those that take from each other, are near each other.
_ELEMENTS_KEPT = 32


class Records:
    """Reads the files of tasks. What an expression made is in none of them, and stays unknown here."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.result_of = functools.lru_cache(_ELEMENTS_KEPT)(self._read_result)
        self._tasks_of = functools.lru_cache(_ELEMENTS_KEPT)(self._read_tasks)
        self._positions: dict[str, dict[str, int]] = {}
        self._groups: dict[str, GroupRecord | None] = {}

    def group(self, key: str) -> GroupRecord | None:
        """Read a group's record, or None."""
        if key not in self._groups:
            found = self._groups[key] = store.read_record(GroupRecord, self.layout.group_record(key))
            self._positions[key] = {label: place for place, label in enumerate(found.labels)} if found else {}
        return self._groups[key]

    def task(self, key: str, label: str) -> TaskResult | None:
        """Read what came of a task, or None."""
        number = self._element(key, label)
        return None if number is None else self.result_of(key, number).get(label)

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
        result = self.task(output.group, output.label)
        if result is None:
            return output
        if not result.state.good:
            return Broken(result.reason)
        return Known(result.outputs.get(output.port) if result.state is TaskState.COMPLETED else None)

    def _element(self, key: str, label: str) -> int | None:
        group = self.group(key)
        place = self._positions[key].get(label)
        return None if group is None or place is None else place // group.tasks_per_element

    def _read_result(self, key: str, number: int) -> dict[str, TaskResult]:
        found = store.read_record(ElementResult, self.layout.element_result(key, number))
        return found.tasks if found else {}

    def _read_tasks(self, key: str, number: int) -> dict[str, ElementTask]:
        if not self.layout.elements(key).is_file():
            return {}
        return {task.label: task for task in elements.read(self.layout, key, number).tasks}
