"""What must hold of a workflow that is over, however it was disturbed."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beeflow import store
from beeflow.archive import hashing, verifying
from beeflow.errors import BeeError
from beeflow.layout import Layout
from beeflow.models import Intent, Sidecar
from tests.chaos import workload
from tests.chaos.workload import Said

if TYPE_CHECKING:
    from tests.chaos.run import Run

TASKS = {
    **{f"{step}[{number}]": "COMPLETED" for step in ("first", "second") for number in range(workload.WIDTH)},
    **{f"third[{number}]": "COMPLETED" for number in range(len(workload.NAMES))},
    **dict.fromkeys(("count", "kept", "gather"), "COMPLETED"),
    "skipped": "SKIPPED",
}
# A task ends a moment before its runner notes it.
SLACK_S = 1.0


def problems(run: Run) -> Iterator[str]:
    """Yield all that does not hold."""
    layout = run.workflow.layout
    said = list(run.workload.said())
    outputs = workload.read_outputs(layout.root)
    yield from states(run)
    yield from same_outputs(outputs)
    yield from whole_tasks(outputs, said)
    yield from once(layout, outputs, said)
    yield from known_jobs(run, layout, said)
    yield from whole_files(layout)
    for path in sorted((run.place.disk / "archives").iterdir()):
        yield from archived(run, path)


def states(run: Run) -> Iterator[str]:
    """The workflow and all its tasks are said to have ended well."""
    told = run.query()
    if told["state"] != "Archived":
        yield f"bee-query says {told['state']}"
    found = {task["name"]: task["state"] for task in told["tasks"]}
    if found != TASKS:
        yield f"tasks: {sorted(set(found.items()) ^ set(TASKS.items()))}"


def same_outputs(outputs: dict[str, Any]) -> Iterator[str]:
    """The outputs are those of an undisturbed run, but for nonces."""
    found = workload.without_nonces(outputs)
    if found != expected():
        yield f"outputs: {found}"


def expected() -> dict[str, Any]:
    """Return the labels in the outputs, line by line."""
    firsts = [f"first.{number}" for number in range(workload.WIDTH)]
    seconds = [line for first in firsts for line in (f"second.{first}", first, first)]
    thirds = [line for name in workload.NAMES for line in (name, "count")]
    return {
        "all": ["gather", *seconds, *thirds, "kept", "count", *firsts],
        "firsts": [[first] for first in firsts],
        "thirds": [[name] for name in workload.NAMES],
        "unmade": None,
    }


def whole_tasks(outputs: dict[str, Any], said: list[Said]) -> Iterator[str]:
    """Each task's outputs are of one attempt, which began and ended."""
    found: dict[str, set[str]] = defaultdict(set)
    for label, nonce in workload.nonces(outputs):
        found[label].add(nonce)
    ran = {(each.what, each.label, each.nonce) for each in said}
    for label, made in found.items():
        if len(made) > 1:
            yield f"{label}: outputs of {len(made)} attempts are mixed"
        for nonce in made:
            for what in ("begin", "end"):
                if (what, label, nonce) not in ran:
                    yield f"{label}: its outputs are of an attempt that did not {what}"


def once(layout: Layout, outputs: dict[str, Any], said: list[Said]) -> Iterator[str]:
    """No attempt began, and then a task, after the attempt whose outputs are taken had ended."""
    taken = dict(workload.nonces(outputs))
    ends = {each.label: each.at for each in said if each.what == "end" and taken.get(each.label) == each.nonce}
    for each in said:
        end = ends.get(each.label)
        if each.what == "begin" and end is not None and each.at > end + SLACK_S:
            attempt = Path(each.folder).parent.parent
            if attempt_began(attempt) > end + SLACK_S:
                yield f"{each.label} ran again after its good end, in {attempt.relative_to(layout.root)}"


def attempt_began(attempt: Path) -> float:
    """Return when an attempt at an element began; 0 when it did not say."""
    for path in attempt.glob("started*.json"):
        return datetime.fromisoformat(json.loads(path.read_text())["started"]).timestamp()
    return 0.0


def known_jobs(run: Run, layout: Layout, said: list[Said]) -> Iterator[str]:
    """No job did anything that the record does not have."""
    intents = [store.read_record(Intent, path) for path in layout.jobs.glob("*.json")]
    ids: dict[str, set[str]] = defaultdict(set)
    for intent in intents:
        if intent is not None:
            ids[intent.group or "pass"].add((store.read_text(layout.job_id(intent.key)) or "").strip())
    for each in said:
        group, job_id = re.search(r"/tasks/([^/]+)/\d+/\d+/(\d+)[_.]", each.folder).groups()  # type: ignore[union-attr]
        if job_id not in ids[group]:
            yield f"job {job_id} ran {each.label}, and jobs/ does not have it"
    passes = (store.read_text(layout.log / "passes.log") or "").splitlines()
    began = {found.groups() for line in passes if (found := re.search(r"job (\d+): (pass\.\d+) of workflow", line))}
    idle = {found.group(1) for line in passes if (found := re.search(r"job (\d+): another job is pass", line))}
    for job_id, key in began:
        if store.read_text(layout.job_id(key)) != f"{job_id}\n" and job_id not in idle:
            yield f"job {job_id} ran as {key}, and jobs/ does not have it"
    everyone = set().union(*ids.values())
    logs = "\n".join(path.read_text(errors="replace") for path in layout.tasks.glob("*/slurm/*.log"))
    for job in run.place.ended_jobs(run.workflow.record().nonce):
        has_said = job.job_id in idle or f"job {job.job_id}: another job already runs" in logs
        if job.job_id not in everyone and job.state == "COMPLETED" and not has_said and not run.disk_was_full:
            yield f"job {job.job_id} ({job.name}) ended well, is not in jobs/, and does not say that it did nothing"


def whole_files(layout: Layout) -> Iterator[str]:
    """No file of ours is half written."""
    for path in sorted(layout.root.rglob("*")):
        ours = path.is_file() and "out" not in path.relative_to(layout.root).parts and not path.name.startswith(".")
        if ours and path.suffix == ".json" and not is_json(path.read_text()):
            yield f"{path.relative_to(layout.root)} is damaged"
        if ours and path.suffix == ".id" and not re.fullmatch(r"\d+\n", path.read_text()):
            yield f"{path.relative_to(layout.root)} is damaged"


def is_json(text: str) -> bool:
    """True for JSON text."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def archived(run: Run, path: Path) -> Iterator[str]:
    """An archive is whole, by our own word and by sha256sum's."""
    if path.name.startswith("."):
        yield f"{path.name} is left in the archive folder"
    elif path.suffix == ".json":
        sidecar = store.read_record(Sidecar, path)
        if sidecar is None or sidecar.sha256 != hashing.sha256_of(path.with_suffix(".tgz")):
            yield f"{path.name} does not tell of its archive"
    else:
        try:
            verifying.verify(path, run.id)
        except BeeError as error:
            yield str(error)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["tar", "-xzf", path, "-C", folder], check=True)
            argv = ["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"]
            done = subprocess.run(argv, check=False, cwd=f"{folder}/{run.id}", capture_output=True, text=True)
            if done.returncode != 0:
                yield f"{path.name}: sha256sum: {done.stdout}{done.stderr}"
