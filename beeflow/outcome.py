"""What became of the tasks that no job ran. Pure, but for the results it is given."""

from __future__ import annotations

from beeflow.look import Halt, Look
from beeflow.models import TaskResult
from beeflow.plan import ONLY, Group, Plan, Task
from beeflow.states import TaskState

# Results by group key and task label.
Derived = dict[tuple[str, str], TaskResult]

_CANCELLED = TaskResult(TaskState.CANCELLED, reason="the workflow was cancelled")


def derive(look: Look, halt: Halt) -> Derived:
    """Say what became of the tasks that no job ran; nothing is outstanding any more."""
    derived: Derived = {}
    unrun = TaskResult(TaskState.CANCELLED, reason=look.stopped) if halt is Halt.STOP else None
    cancelled = halt is Halt.CANCEL
    for group in look.plan.groups.values():
        if not group.tasks or look.results.group(group.key) is None:
            derived[group.key, ONLY] = _empty(look.plan, group, _CANCELLED if cancelled else unrun)
            continue
        for task in group.tasks:
            if look.results.task(group.key, task.label) is None and task.label not in group.skipped:
                derived[group.key, task.label] = (
                    _cancelled(group, task) if cancelled else _blocked(group, task) or _left(group, task, unrun)
                )
    return derived


def _empty(plan: Plan, group: Group, unrun: TaskResult | None) -> TaskResult:
    """Describe a step without tasks: nothing to do, or what it is in could never begin."""
    for other in plan.groups.values():
        if other.broken and (other is group or group.path.startswith(f"{other.path}/")):
            return TaskResult(TaskState.DEP_FAIL, reason=other.broken)
    if unrun and (group.unknown or plan.is_open_ended(group)):
        return unrun
    return TaskResult(TaskState.SKIPPED, reason="there is nothing to run it on")


def _cancelled(group: Group, task: Task) -> TaskResult:
    """Describe a task of a workflow that the user cancelled: only what a pass evaluates itself may have failed."""
    return (_blocked(group, task) if group.virtual else None) or _CANCELLED


def _blocked(group: Group, task: Task) -> TaskResult | None:
    """Say why a task could not run, or None."""
    if task.broken:
        return TaskResult(TaskState.DEP_FAIL, reason=task.broken.reason)
    if task.label in group.failed:
        return TaskResult(TaskState.FAILED, reason=group.failed[task.label])
    return None


def _left(group: Group, task: Task, unrun: TaskResult | None) -> TaskResult:
    """Describe a task that nothing kept from running but, perhaps, the failure of another (``unrun``)."""
    if unrun and (not group.virtual or any(True for _ in task.holes())):
        return unrun
    if group.virtual:
        return TaskResult(TaskState.COMPLETED)
    return TaskResult(TaskState.FAILED, reason="it was never run, and nothing says why: a bug in beeflow")
