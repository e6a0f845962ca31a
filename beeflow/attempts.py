"""What the attempts at an element left before any of them published its result.

A runner writes a line when a task begins and one when it has ended, so that a job that dies in the middle of an
element keeps what it finished.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import codec, store
from beeflow.layout import Layout
from beeflow.models import Attempt, Lost, TaskResult
from beeflow.states import TaskState


@dataclass
class Progress:
    """How far an element came. ``ended``: label -> result; ``begun``: label -> when, of tasks that have not ended.

    ``jobs``: the jobs that made a task begin, as Slurm shows them ("12_3"). ``latest``: the newest attempt.
    """

    ended: dict[str, TaskResult] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    latest: Attempt | None = None
    lost: Lost | None = None

    @property
    def settled(self) -> dict[str, TaskResult]:
        """What is known of tasks: as they ended, or as they were lost with their job."""
        return {**(self.lost.tasks if self.lost else {}), **self.ended}


def read(layout: Layout, key: str, number: int) -> Progress:
    """Read the progress of an element."""
    progress = Progress(lost=store.read_record(Lost, layout.lost(key, number)))
    found = [(store.read_record(Attempt, path), path) for path in layout.element(key, number).glob("*/started.json")]
    attempts = sorted(((each, path) for each, path in found if each), key=lambda pair: pair[0].started)
    for attempt, path in attempts:
        progress.latest = attempt
        _read_log(progress, attempt, path.with_name("tasks.jsonl"))
    return progress


def _read_log(progress: Progress, attempt: Attempt, path: Path) -> None:
    for line in (store.read_text(path) or "").splitlines():
        entry = _parse(line)
        if "begin" in entry:
            progress.jobs.add(attempt.element_id)
            progress.begun[entry["begin"]] = entry["at"]
        elif "end" in entry:
            progress.begun.pop(entry["end"], None)
            progress.ended[entry["end"]] = codec.from_json(TaskResult, entry["result"])


def _parse(line: str) -> dict[str, Any]:
    """Read one line; the last may have been cut when the runner was killed."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def running(progress: Progress, label: str) -> TaskResult | None:
    """Describe a task that began and has not ended; None when it has not begun."""
    attempt = progress.latest
    if attempt is None or label not in progress.begun:
        return None
    return TaskResult(
        TaskState.RUNNING,
        job_id=attempt.element_id,
        node=attempt.node,
        host=attempt.host,
        started=progress.begun[label],
    )
