"""Records to text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from beeflow.models import Cleaned, Summary, TaskRecord
from beeflow.states import TaskState
from beeflow.terminal import escaped

NAME_WIDTH = 60
# No file is larger.
_MAX_SIZE = 1 << 63


def one_line(text: str, width: int = NAME_WIDTH) -> str:
    """Make user text safe for one table cell: no line breaks or control characters, not too long."""
    shown = escaped(text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def duration(seconds: float | None) -> str:
    """Write a duration as 1.2s, 2:03 or 1:02:03."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Write a number of bytes as 512 B, 3.5 KiB or 1.2 GiB."""
    if count < 1024:
        return f"{count} B"
    if count >= _MAX_SIZE:
        return f"over {_MAX_SIZE >> 60} EiB"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def render_workflows(summaries: Sequence[Summary]) -> str:
    """Write the table of bee-list: Name, ID, Status."""
    rows = [(one_line(each.name), each.id, each.state.value) for each in summaries]
    return tabulate(rows, headers=("Name", "ID", "Status"), disable_numparse=True)


def render_places(found: Sequence[tuple[Summary, str | None]]) -> str:
    """Write the table of bee-list of several hosts (None: this one); what is the same on several is one line."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for each, host in found:
        rows.setdefault((one_line(each.name), each.id, each.state.value), []).append(one_line(host or "here"))
    lines = [(*row, ", ".join(hosts)) for row, hosts in rows.items()]
    return tabulate(lines, headers=("Name", "ID", "Status", "Host"), disable_numparse=True)


def age(seconds: float) -> str:
    """Write an age in its greatest unit: 41 days, 5 hours, 12 minutes."""
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}s"
    return f"{int(seconds // 60)} minutes"


def render_cleaned(done: Sequence[Cleaned], *, dry_run: bool) -> str:
    """Write what bee-clean did, or would do, and the sum of it."""
    rows = [
        (each.action, each.id, one_line(each.name, 40), each.state, age(each.age_s), "" if dry_run else size(each.size))
        for each in done
    ]
    headers = ("Would be" if dry_run else "Action", "ID", "Name", "Status", "Age", "Freed")[: 5 if dry_run else 6]
    table = tabulate([row[: len(headers)] for row in rows], headers=headers, disable_numparse=True)
    counts = ", ".join(
        f"{sum(each.action == word for each in done)} {word}" for word in dict.fromkeys(r[0] for r in rows)
    )
    if dry_run:
        return f"{table}\n\nwould be done: {counts}; nothing was (--dry-run)"
    return f"{table}\n\n{counts}; {size(sum(each.size for each in done))} freed"


def render_tasks(tasks: Sequence[TaskRecord]) -> str:
    """Write the table of bee-query, and below it why what failed did."""
    rows = [
        (
            one_line(task.name, 40),
            task.state.value,
            one_line(task.job_id or ""),
            one_line(task.node or ""),
            duration(task.elapsed_s),
        )
        for task in tasks
    ]
    table = tabulate(rows, headers=("Task", "State", "Job id", "Node", "Elapsed"), disable_numparse=True)
    return "\n".join([table, *_reasons(tasks)])


def _reasons(tasks: Sequence[TaskRecord]) -> list[str]:
    lines: list[str] = []
    for task in tasks:
        is_waiting = task.state in (TaskState.PENDING, TaskState.WAITING, TaskState.RUNNING)
        if not task.reason or task.state is TaskState.SKIPPED or (is_waiting and task.reason == "None"):
            continue
        lines += ["", f"{one_line(task.name)} {task.state.value}: {one_line(task.reason, 1000)}"]
        lines += [f"    {one_line(line, 200)}" for line in task.stderr_tail]
    return lines


def render_counts(tasks: Sequence[TaskRecord]) -> str:
    """Write progress on one line: each step with its state, or how many of its tasks are done."""
    steps: dict[str, list[TaskState]] = {}
    for task in tasks:
        steps.setdefault(task.step, []).append(task.state)
    parts = []
    for step, states in steps.items():
        if len(states) == 1:
            parts.append(f"{one_line(step, 30)} {states[0].value}")
        else:
            done = sum(state.final for state in states)
            bad = sum(state.final and not state.good for state in states)
            parts.append(f"{one_line(step, 30)} {done}/{len(states)}" + (f" ({bad} failed)" if bad else ""))
    return "  ".join(parts)
