"""Run the array element that Slurm's environment names.

runner/__main__.py WORKFLOW_DIR GROUP KEY:OFFSET. Claims the job's id, resolves inputs, stages, runs, collects, and
publishes one result file. Never decides that a dependency failed: a pass does. Exit code 0 when any task of the
element made something, else 1.

With "sweep" as another argument: kill what a runner that was killed left running. The kernel kills the commands
themselves with their runner; but what these started is only Slurm's to kill where it tracks processes by cgroup.
"""

from __future__ import annotations

import os
from _signal import SIGKILL

from beeflow.errors import BeeError, SystemFileError
from beeflow.runner import records
from beeflow.runner.element import EXIT_FAILED, Element
from beeflow.runner.history import History, entries_of
from beeflow.runner.holes import GOOD
from beeflow.runner.job import Job

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

_INDEX_WIDTH = 21  # beeflow.elements: the digits and the end of a line


def main(argv: list[str]) -> int:
    """Run an element; returns the exit code."""
    try:
        return sweep(*argv[:3]) if argv[3:] else run(*argv)
    except (BeeError, OSError) as error:
        os.write(2, f"error: {error}\n".encode(errors="surrogateescape"))
        return EXIT_FAILED


def run(root: str, group: str, key_and_offset: str) -> int:
    """Run an element, if this job is the one to do so."""
    key, _, offset = key_and_offset.partition(":")
    job = Job()
    if not claim(root, key, job.id):
        os.write(1, f"job {job.id}: another job already runs {key}; nothing to do\n".encode())
        return 0
    number = int(offset) + (job.array_task_id or 0)
    record = records.read(f"{root}/tasks/{group}/run.json")
    if record is None:
        raise SystemFileError(f"{root}: not a workflow directory with group {group}")
    element = Element(root, record, number, job)
    if {key, job.element_id}.intersection(element.again.history.given_up):
        # Somebody requeued a job that had ended.
        os.write(1, f"job {job.element_id}: another job was submitted in its place; nothing to do\n".encode())
        return 0
    settled = earlier(element.folder, job, element.again.history)
    specs = tasks_of(root, group, number)
    if settled is None:
        return 0
    element.interrupt.listen()
    return element.run(specs, settled)


def sweep(root: str, group: str, key_and_offset: str) -> int:
    """Kill the groups of the commands that this job's attempts began and did not see end."""
    job = Job()
    number = int(key_and_offset.rpartition(":")[2]) + (job.array_task_id or 0)
    folder = f"{root}/tasks/{group}/{number // 1000:03}/{number:06}"
    running: dict[str, int] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        for entry in entries_of(f"{folder}/{name}/tasks.jsonl") if name.startswith(f"{job.element_id}.") else ():
            if "pid" in entry:
                running[entry["run"]] = entry["pid"]
            running.pop(entry.get("end", ""), None)
    for pid in running.values():
        try:
            os.killpg(pid, SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    return 0


def claim(root: str, key: str, job_id: str) -> bool:
    """Link the job's own id, the job's first act; False when another submission of the same job was first."""
    path = f"{root}/jobs/{key}.id"
    # Mostly the submitter was first.
    known = _text(path)
    if known is None:
        if records.publish(path, job_id + "\n"):
            return True
        known = _text(path)
    return (known or "").strip() == job_id


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def earlier(folder: str, job: Job, history: History) -> dict[str, Any] | None:
    """Read what earlier attempts settled: label -> result. None when the element has a good result.

    A bad result is set aside: this job is there to try again.
    """
    found = records.read(f"{folder}/result.json")
    if found is not None:
        good = {label: task for label, task in found["tasks"].items() if task["state"] in GOOD}
        if good and len(good) == len(found["tasks"]):
            return None
        os.replace(f"{folder}/result.json", f"{folder}/result.before-{job.element_id}.{job.restart_count}.json")
        return good
    return history.ended


def tasks_of(root: str, group: str, number: int) -> list[dict[str, Any]]:
    """Read what the element runs (beeflow.elements)."""
    folder = f"{root}/tasks/{group}"
    with open(f"{folder}/elements.index", "rb") as index:
        index.seek(number * _INDEX_WIDTH)
        offset = int(index.read(_INDEX_WIDTH))
    with open(f"{folder}/elements.jsonl", "rb") as lines:
        lines.seek(offset)
        line = records.loads(lines.readline().decode())
    shared = records.read(f"{folder}/shared.json") or {}
    return [{**task, "inputs": {**shared, **task["inputs"]}} for task in line["tasks"]]
