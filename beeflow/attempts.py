"""What the attempts at an element left before any of them published its result.

A runner writes a line when a task begins and one when it has ended, so that a job that dies in the middle of an
element keeps what it finished.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from beeflow import codec, store
from beeflow.errors import SystemFileError
from beeflow.layout import Layout
from beeflow.models import Attempt, ElementResult, Lost, Retried, TaskResult
from beeflow.states import TaskState
from beeflow.tries import Tally

# What an attempt's folder is called (beeflow.runner.job): the job as Slurm shows it, and how often it was restarted.
_FOLDER = re.compile(r"(\d+)(?:_(\d+))?\.(\d+)(?:\.\d+)?")


@dataclass
class Progress:
    """How far an element came. ``ended``: label -> result; ``begun``: label -> when, of tasks that have not ended.

    ``tries``: label -> the jobs that it began in, as Slurm shows them ("12_3"). ``cut``: labels of tasks that a time
    limit ended before they had their own. ``late``: of those that did not see their inputs. ``latest``: the newest
    attempt; ``first``: when the first task began in the newest attempt that any began in. ``tally``: what each task was
    tried again for.
    """

    ended: dict[str, TaskResult] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    tries: dict[str, set[str]] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    first: str | None = None
    latest: Attempt | None = None
    lost: Lost | None = None
    tally: Tally = field(default_factory=Tally)

    @property
    def settled(self) -> dict[str, TaskResult]:
        """What is known of tasks: as they ended, or as they were lost with their job."""
        return {**(self.lost.tasks if self.lost else {}), **self.ended}

    @property
    def jobs(self) -> set[str]:
        """The jobs that made a task begin."""
        return set().union(*self.tries.values())


def read(layout: Layout, key: str, number: int) -> Progress:
    """Read the progress of an element."""
    progress = Progress(lost=store.read_record(Lost, layout.lost(key, number)))
    found = [(_attempt(path), path) for path in layout.element(key, number).glob("*/started.json")]
    attempts = sorted(((each, path) for each, path in found if each), key=lambda pair: pair[0].started)
    for attempt, path in attempts:
        progress.latest = attempt
        _read_log(progress, attempt, path.with_name("tasks.jsonl"))
    if progress.lost:
        progress.tally.read_lost(codec.to_json(progress.lost))
    return progress


def _attempt(path: Path) -> Attempt | None:
    """Read what an attempt says of itself; where that is damaged (a full disk), what its folder says."""
    try:
        return store.read_record(Attempt, path)
    except SystemFileError:
        named = _FOLDER.fullmatch(path.parent.name)
        if named is None:
            raise
        job_id, index, restarts = named.groups()
        changed = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="milliseconds")
        return Attempt(job_id, None if index is None else int(index), int(restarts), "", "", 0, changed)


def _read_log(progress: Progress, attempt: Attempt, path: Path) -> None:
    entries = [_parse(line) for line in (store.read_text(path) or "").splitlines()]
    progress.tally.read(entries)
    progress.first = next((entry["at"] for entry in entries if "begin" in entry), progress.first)
    for entry in entries:
        if "begin" in entry:
            label = entry["begin"]
            progress.tries.setdefault(label, set()).add(attempt.element_id)
            progress.begun[label] = entry["at"]
            progress.ended.pop(label, None)
            progress.cut.discard(label)
            progress.late.discard(label)
        elif "end" in entry:
            progress.begun.pop(entry["end"], None)
            progress.ended[entry["end"]] = codec.from_json(TaskResult, entry["result"])
        elif "doubt" in entry:
            # With a full disk the line before may not be whole.
            result = progress.ended.pop(entry["doubt"], None)
            progress.begun[entry["doubt"]] = (result and result.started) or attempt.started
        elif "again" in entry:
            progress.begun.pop(entry["again"], None)
        elif "cut" in entry:
            progress.cut.add(entry["cut"])
        elif "late" in entry:
            progress.late.add(entry["late"])


def _parse(line: str) -> dict[str, Any]:
    """Read one line; the last may have been cut when the runner was killed."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def known(layout: Layout, key: str, number: int) -> Mapping[str, TaskResult]:
    """Read what is known of an element's tasks: label -> result."""
    result = store.read_record(ElementResult, layout.element_result(key, number))
    return result.tasks if result else read(layout, key, number).settled


def put_aside(layout: Layout, key: str, number: int, lost: Lost) -> None:
    """Have an element go again: ``lost`` is all that is kept, how its tasks ended gets the number of the retry."""
    folder, path = layout.element(key, number), layout.lost(key, number)
    if lost.jobs or lost.tasks or path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store.write_record(path, lost)
    retried = store.read_record(Retried, layout.retry)
    suffix = f".retry-{retried.generation if retried else 0}"
    for each in [layout.element_result(key, number), *folder.glob("*/tasks.jsonl"), *folder.glob("*/started.json")]:
        if each.exists():
            os.replace(each, each.with_suffix(suffix + each.suffix))


def doubt_cancelled(layout: Layout, key: str, number: int) -> None:
    """Say in the logs of an element that its tasks that were cancelled did not end by that: their job died."""
    for path in layout.element(key, number).glob("*/tasks.jsonl"):
        text = store.read_text(path) or ""
        ended = dict[str, str]()
        for entry in map(_parse, text.splitlines()):
            if again := entry.get("begin") or entry.get("doubt"):
                ended.pop(again, None)
            elif "end" in entry:
                ended[entry["end"]] = entry["result"]["state"]
        lines = [json.dumps({"doubt": label}) + "\n" for label, state in ended.items() if state == TaskState.CANCELLED]
        if lines:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(("" if text.endswith("\n") else "\n") + "".join(lines))


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
        tries=progress.tally.begins[label],
    )


def put_off(progress: Progress, label: str, job_id: str) -> TaskResult | None:
    """Describe a task that waits for another try; None for any other."""
    reason = progress.tally.put_off.get(label)
    if reason is None:
        return None
    return TaskResult(TaskState.PENDING, reason, job_id=job_id, tries=progress.tally.begins.get(label, 1))
