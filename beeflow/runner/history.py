"""What earlier attempts at an element left: results that nobody published yet, and how often each task was tried."""

from __future__ import annotations

import os

from beeflow.runner import records
from beeflow.runner.job import Job
from beeflow.tries import NODE_FAIL, Tally

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any


class History:
    """The earlier attempts at an element. ``ended``: label -> result, of the tasks that are settled.

    ``idle``: how often this job was restarted before a task began. ``given_up``: the jobs that passes saw end, and
    submitted the element again for.
    """

    def __init__(self, folder: str, job: Job) -> None:
        self.ended: dict[str, Any] = {}
        self.tally = Tally()
        self.idle = job.restart_count
        lost = records.read(f"{folder}/lost.json") or {"tasks": {}}
        for name in sorted(os.listdir(folder), key=_age) if os.path.isdir(folder) else ():
            entries = entries_of(f"{folder}/{name}/tasks.jsonl")
            self.tally.read(entries)
            for entry in entries:
                if again := entry.get("begin") or entry.get("doubt"):
                    # How it ended is told no more: that try is followed by another, or may not be true.
                    self.ended.pop(again, None)
                elif "end" in entry and entry["result"]["state"] == "CANCELLED":
                    # Not by a scancel, or this job would not be there.
                    self.ended.pop(entry["end"], None)
                elif "end" in entry:
                    self.ended[entry["end"]] = entry["result"]
            if name.startswith(f"{job.element_id}.") and any("begin" in entry for entry in entries):
                self.idle -= 1
        self.tally.read_lost(lost)
        self.ended = {**lost["tasks"], **self.ended}
        self.given_up: list[str] = lost.get("jobs", [])

    def why_given_up(self, label: str, policy: dict[str, Any]) -> str | None:
        """Say why a task is not tried again after its node failed, its job was preempted or requeued; None: it is."""
        if NODE_FAIL not in policy:
            return None
        limit = f"[retry] node_fail = {policy[NODE_FAIL]}"
        lost = self.tally.used(label, NODE_FAIL)
        if lost > policy[NODE_FAIL]:
            return f"its node failed, or its job was preempted or requeued, {lost} times while it ran; {limit}"
        if self.idle > policy[NODE_FAIL]:
            return f"its job was restarted {self.idle} times before a task began; {limit}"
        return None


def _age(name: str) -> list[int]:
    """Sort attempts by job, element, restart; files come first."""
    parts = name.replace("_", ".").split(".")
    return [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []


def entries_of(path: str) -> list[dict[str, Any]]:
    """Read the log of an attempt, which need not be there."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            lines = [line for line in stream if line.strip()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    entries = []
    for line in lines:
        try:
            entries.append(records.loads(line))
        except ValueError:
            continue  # the last line was cut when the runner was killed
    return entries
