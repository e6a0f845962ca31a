"""CWL documents and helpers that several end-to-end tests share."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REPOSITORY, PrivateSlurm

EXAMPLES = REPOSITORY / "etc/examples"
LOOK_S = 1.0

SLEEP_THEN_CAT = """
cwlVersion: v1.2
class: Workflow
inputs: {seconds: {type: int, default: 3}}
outputs: {o: {type: File, outputSource: b/o}}
steps:
  a:
    in: {seconds: seconds}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo x >> "$0.ran"; sleep $1 && echo done', MARKER]
      inputs: {seconds: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  b:
    in: {f: a/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""


def submit(slurm: PrivateSlurm, *argv: str | Path, **kwargs: Any) -> str:
    """Submit and return the id."""
    words = slurm.bee("bee-submit", *argv, **kwargs).stdout.split()
    return words[words.index("is") + 1].rstrip(".")


def query(slurm: PrivateSlurm, workflow_id: str) -> dict[str, Any]:
    """Return bee-query --json."""
    found: dict[str, Any] = json.loads(slurm.bee("bee-query", "--json", workflow_id).stdout)
    return found


def tasks(slurm: PrivateSlurm, workflow_id: str) -> dict[str, dict[str, Any]]:
    """Return the tasks of a workflow by name."""
    return {task["name"]: task for task in query(slurm, workflow_id)["tasks"]}


def changes(folder: Path) -> list[int]:
    """Say when the state, the jobs and the tasks' folders of a workflow last changed."""
    elements = folder.glob("tasks/*/*/*")
    attempts = folder.glob("tasks/*/*/*/*")
    found = []
    for path in (folder / "state.json", folder / "jobs", *elements, *attempts):
        with contextlib.suppress(OSError):
            found.append(path.stat().st_mtime_ns)
    return found


def wait_for_news(folder: Path, seen: list[int], at_least_s: float) -> list[int]:
    """Wait until something happened, or a second, for what only Slurm knows: bee-query takes as much CPU as a task."""
    time.sleep(at_least_s)
    deadline = time.monotonic() + LOOK_S
    while (now := changes(folder)) == seen and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def wait_state(slurm: PrivateSlurm, workflow_id: str, *states: str, timeout_s: float = 60.0) -> dict[str, Any]:
    """Wait until a workflow is in one of these states; fail the test, with its logs, when it is not in time."""
    folder = directory(slurm, workflow_id)
    deadline, seen = time.monotonic() + timeout_s, changes(folder)
    while (found := query(slurm, workflow_id))["state"] not in states:
        if time.monotonic() > deadline:
            log = directory(slurm, workflow_id) / "log/passes.log"
            said = log.read_text() if log.exists() else "no pass has run"
            pytest.fail(f"{workflow_id} is {found['state']}, not {states}: {found['reason']}\n{said}")
        seen = wait_for_news(folder, seen, 0.2)
    return found


def wait_task(
    slurm: PrivateSlurm, workflow_id: str, name: str, *states: str, timeout_s: float = 40.0
) -> dict[str, Any]:
    """Wait until a task is in one of these states."""
    folder = directory(slurm, workflow_id)
    deadline, seen = time.monotonic() + timeout_s, changes(folder)
    while (found := tasks(slurm, workflow_id)[name])["state"] not in states:
        if time.monotonic() > deadline:
            pytest.fail(f"{name} is {found['state']}, not {states}: {found['reason']}")
        seen = wait_for_news(folder, seen, 0.05)
    return found


def directory(slurm: PrivateSlurm, workflow_id: str) -> Path:
    """Return a workflow's directory."""
    return slurm.bee_workdir / "workflows" / workflow_id


def archive(slurm: PrivateSlurm, workflow_id: str) -> Path:
    """Return a workflow's archive."""
    return slurm.bee_workdir / "archives" / f"{workflow_id}.tgz"


def job_id(slurm: PrivateSlurm, workflow_id: str, key: str) -> str:
    """Return the Slurm id of a job of a workflow: "pass.1", "001-a.0"."""
    return (directory(slurm, workflow_id) / "jobs" / f"{key}.id").read_text().strip()


def checksums(value: Any) -> Any:
    """Reduce an output object to what does not depend on where it was made."""
    if isinstance(value, dict):
        if value.get("class") == "File":
            kept = {key: value.get(key) for key in ("class", "basename", "checksum", "size", "format")}
            return {**kept, "secondaryFiles": checksums(value.get("secondaryFiles", []))}
        if value.get("class") == "Directory":
            listing = sorted((checksums(each) for each in value.get("listing", [])), key=json.dumps)
            return {"class": "Directory", "basename": value.get("basename"), "listing": listing}
        return {key: checksums(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [checksums(inner) for inner in value]
    return value
