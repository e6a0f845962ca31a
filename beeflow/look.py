"""What one look at a workflow's files found: the plan, the results, and what has yet to end."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from beeflow.plan import Group, Plan, Task
from beeflow.results import Results


class Halt(enum.Enum):
    """Whether a workflow goes on; with STOP what runs may finish."""

    NO = enum.auto()
    STOP = enum.auto()
    CANCEL = enum.auto()


@dataclass
class Look:
    """One look. ``outstanding``: group key -> ids of jobs that have yet to end, and of how many elements each;
    ``elements``: these, by job, as Slurm shows them.

    ``waiting``: groups that cannot be submitted yet. ``held_back``: groups that can, but for a limit or a refusal;
    ``refused``: group key -> why. ``full``: Slurm takes no more jobs for now. ``doubt``: Slurm did not answer, ask it
    later. ``changed``: look again. ``stopped``: why nothing more is to begin (--on-error stop). ``paused``: the user
    wants nothing to begin for now, so what could be submitted waits.
    """

    plan: Plan
    results: Results
    outstanding: dict[str, Counter[str]] = field(default_factory=dict)
    elements: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    waiting: list[Group] = field(default_factory=list)
    held_back: set[str] = field(default_factory=set)
    full: bool = False
    doubt: bool = False
    changed: bool = False
    paused: bool = False
    stopped: str = ""
    _skipped: dict[str, frozenset[str]] = field(default_factory=dict)

    def wait_for(self, key: str, job_id: str, shown: str) -> None:
        """Note a job, or an element of an array, that has yet to end. ``shown``: as Slurm shows it."""
        self.outstanding.setdefault(key, Counter())[job_id] += 1
        self.elements.setdefault(job_id, []).append(shown)

    @property
    def live(self) -> Counter[str]:
        """Count the elements that have yet to end, by job."""
        return sum(self.outstanding.values(), Counter())

    def is_open(self, group: Group, number: int) -> bool:
        """True when an element may still give a result."""
        return bool(self.open_tasks(group, number))

    def open_tasks(self, group: Group, number: int) -> list[Task]:
        """List the tasks of an element that may still give a result."""
        return [task for task in group.tasks_of(number) if self._is_task_open(group, task)]

    def _is_task_open(self, group: Group, task: Task) -> bool:
        if task.label in self.skipped(group) or task.label in group.failed or task.broken:
            return False
        return self.results.task(group.key, task.label) is None

    def skipped(self, group: Group) -> frozenset[str]:
        """Return the labels of the tasks that need not run."""
        if group.key not in self._skipped:
            self._skipped[group.key] = frozenset(group.skipped)
        return self._skipped[group.key]

    def count_open(self, group: Group) -> int:
        """Count the elements that may still give a result."""
        return sum(self.is_open(group, number) for number in range(group.elements))

    def has_open(self, group: Group) -> bool:
        """True when any element may still give a result."""
        return any(self.is_open(group, number) for number in range(group.elements))

    def has_failed(self, group: Group) -> bool:
        """True when a task of the group has failed already: afterok could never be satisfied."""
        found = (self.results.task(group.key, task.label) for task in group.tasks)
        return any(result is not None and not result.state.good for result in found)

    def first_failure(self) -> str | None:
        """Name a task that failed, or None."""
        for group in self.plan.groups.values():
            if group.broken:
                return group.path
            for task in group.tasks:
                result = self.results.task(group.key, task.label)
                bad = task.broken or task.label in group.failed
                if bad or (result is not None and not result.state.good):
                    return f"{group.path}[{task.label}]" if group.scattered else group.path
        return None
