"""What became of the tasks that no job ran. Pure, but for the results it is given."""

from __future__ import annotations

from beeflow.look import Look
from beeflow.models import TaskResult
from beeflow.plan import ONLY, Group, Plan
from beeflow.states import TaskState
from beeflow.values import Broken

# Results by group key and task label.
Derived = dict[tuple[str, str], TaskResult]

_CANCELLED = TaskResult(TaskState.CANCELLED, reason="the workflow was cancelled")


def derive(look: Look, *, cancelled: bool) -> Derived:
    """Say what became of the tasks that no job ran; nothing is outstanding any more."""
    derived: Derived = {}
    for group in look.plan.groups.values():
        for task in group.tasks:
            if look.results.task(group.key, task.label) is None and task.label not in group.skipped:
                derived[group.key, task.label] = _task(group, task.label, task.broken, cancelled=cancelled)
        if not group.tasks:
            derived[group.key, ONLY] = _empty(look.plan, group, cancelled=cancelled)
    return derived


def _empty(plan: Plan, group: Group, *, cancelled: bool) -> TaskResult:
    """Describe a step without tasks: nothing to do, or what it is in could never begin."""
    for other in plan.groups.values():
        if other.broken and (other is group or group.path.startswith(f"{other.path}/")):
            return TaskResult(TaskState.DEP_FAIL, reason=other.broken)
    if cancelled and (group.unknown or plan.is_open_ended(group)):
        return _CANCELLED
    return TaskResult(TaskState.SKIPPED, reason="there is nothing to run it on")


def _task(group: Group, label: str, broken: Broken | None, *, cancelled: bool) -> TaskResult:
    if cancelled and not group.virtual:
        return _CANCELLED
    if broken:
        return TaskResult(TaskState.DEP_FAIL, reason=broken.reason)
    if label in group.failed:
        return TaskResult(TaskState.FAILED, reason=group.failed[label])
    if cancelled:
        return _CANCELLED
    if group.virtual:
        return TaskResult(TaskState.COMPLETED)
    return TaskResult(TaskState.FAILED, reason="it was never run, and nothing says why: a bug in beeflow")
