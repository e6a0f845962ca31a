"""The end of a workflow: true states, outputs in place, the archive, and only then the last word."""

from __future__ import annotations

import errno
import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import locations, staging, store
from beeflow.archiving import Archiver, settle
from beeflow.comparing import parent
from beeflow.driver import Ended
from beeflow.errors import BeeError, SystemFileError, TaskError
from beeflow.graph import Graph
from beeflow.layout import Layout
from beeflow.listing import state_record
from beeflow.models import StateRecord, TaskRecord, TasksRecord, WorkflowRecord
from beeflow.reduction import Reduction
from beeflow.states import TaskState, WorkflowState
from beeflow.values import Broken, Items, Known, Value, broken_of

log = logging.getLogger(__name__)

_RANK = [TaskState.FAILED, TaskState.TIMEOUT, TaskState.OUT_OF_MEMORY, TaskState.NODE_FAIL, TaskState.CANCELLED]


@dataclass
class Epilog:
    """Ends one workflow."""

    layout: Layout
    record: WorkflowRecord
    graph: Graph

    def run(self, ended: Ended) -> StateRecord:
        """Write the final state, then archive; returns the last state. Safe to run again at any point.

        Raises SystemFileError when the disk does not let it.
        """
        try:
            return self.end(ended)
        except OSError as error:
            raise SystemFileError(f"{error.filename or self.layout.root}: {error.strerror or error}") from error

    def end(self, ended: Ended) -> StateRecord:
        """Settle, gather, archive."""
        tasks = Reduction(self.layout, self.record, self.graph, derived=ended.derived).tasks()
        problems = self.gather(ended.plan.outputs)
        state = self.judge(tasks, problems, ended)
        store.write_record(self.layout.final_tasks, TasksRecord(tuple(tasks)))
        store.write_record(self.layout.state, state)
        self.write_metadata(tasks)
        parent.write(self.layout, self.record)
        if not self.record.use_archive:
            return state
        packed = Archiver(self.layout, self.record, self.graph, state, tasks).run()
        return settle(self.layout, state, packed)

    def judge(self, tasks: list[TaskRecord], problems: list[str], ended: Ended) -> StateRecord:
        """Say how the workflow ended, and why."""
        bad = [task for task in tasks if task.state.final and not task.state.good]
        causes = [task for task in bad if task.state in _RANK and task.reason != (ended.stopped or None)]
        causes.sort(key=lambda task: _RANK.index(task.state))
        reason = "; ".join(problems)
        if causes:
            more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
            reason = f"{causes[0].name} {causes[0].state.value}: {causes[0].reason}{more}"
        if ended.cancelled:
            why = (store.read_text(self.layout.cancel) or "").partition(" ")[2].strip()
            return state_record(self.record, WorkflowState.CANCELLED, why or "cancelled by the user")
        state = WorkflowState.FAILED if bad or problems else WorkflowState.COMPLETED
        return state_record(self.record, state, reason)

    def gather(self, outputs: Mapping[str, Value]) -> list[str]:
        """Put the workflow's output files into outputs/ and its output object beside it; returns what went wrong."""
        problems: list[str] = []
        made: dict[str, Any] = {}
        for name, value in outputs.items():
            broken = broken_of(value)
            if isinstance(value, Known):
                made[name] = value.value
            else:
                made[name] = salvaged(value)
                if isinstance(value, Broken) or broken is None:
                    problems.append(f"output {name}: {broken.reason if broken else 'was not made'}")
        updates = any(tool.updates for tool in self.graph.tools.values())
        delivery = Delivery(self.layout.outputs, self.layout.root, may_be_updated=updates)
        placed = {}
        for name, value in made.items():
            try:
                placed[name] = delivery.place(value)
            except (TaskError, OSError) as error:
                if isinstance(error, OSError) and error.errno in _NO_ROOM:
                    raise
                placed[name] = None
                problems.append(f"output {name}: {error}")
        store.write_json(self.layout.output_object, locations.relative(placed, self.layout.root))
        if self.record.outdir:
            problems += self.deliver(Path(self.record.outdir), placed)
        return problems

    def deliver(self, outdir: Path, placed: Mapping[str, Any]) -> list[str]:
        """Copy the outputs to the folder the user named; a problem there does not lose the run."""
        try:
            outdir.mkdir(parents=True, exist_ok=True)
            delivery = Delivery(outdir, self.layout.root, replace_same_name=True)
            delivered = {name: delivery.place(value) for name, value in placed.items()}
            store.write_json(self.layout.delivered, delivered)
        except (OSError, BeeError) as error:
            return [f"--outdir {outdir}: {error}"]
        return []

    def write_metadata(self, tasks: list[TaskRecord]) -> None:
        """Write what the original BEE kept of each task, one file a step."""
        self.layout.metadata.mkdir(exist_ok=True)
        steps: dict[str, list[TaskRecord]] = {}
        for task in tasks:
            steps.setdefault(task.step, []).append(task)
        for number, records in enumerate(steps.values(), 1):
            slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", records[0].step.replace("/", "."))[-60:]
            store.write_json(self.layout.metadata / f"{number:03}-{slug}.json", records)


def salvaged(value: Value) -> Any:
    """Return what there is of an output: of a scatter of which some tasks failed, null in their places; else null."""
    if isinstance(value, Known):
        return value.value
    made = [salvaged(each) for each in value.values] if isinstance(value, Items) else []
    return made if any(each is not None for each in made) else None


# Waiting for room may help; nothing else that a file system says of an output will change.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Delivery:
    """Puts output files into one folder under names that do not clash."""

    def __init__(
        self, folder: Path, root: Path, *, replace_same_name: bool = False, may_be_updated: bool = False
    ) -> None:
        self.folder = folder
        self.root = root
        self.replace = replace_same_name
        # A task's result has the size and checksum from before another task updated the file in place.
        self.may_be_updated = may_be_updated
        self.placed: dict[str, str] = {}
        self.numbers: dict[str, int] = {}

    def place(self, value: Any) -> Any:
        """Copy a value with its files put into the folder; returns it with their new, absolute locations."""
        made = locations.absolute(value, self.root)
        for entry in _tops(made):
            self.place_entry(entry, self.folder)
        return made

    def place_entry(self, entry: dict[str, Any], folder: Path) -> None:
        """Put one File or Directory, and what belongs to it."""
        location = str(entry.get("location", "_:"))
        source = locations.to_path(location)
        name = str(entry.get("basename") or (source.name if source else "file"))
        if "/" in name or name in (".", ".."):
            raise TaskError(f"{name!r} is a path and no name of a file (basename)")
        folder = self.folder_for(entry, folder, name, location)
        target = self.free(folder, name, location)
        if entry["class"] == "File":
            self.put_file(entry, source, target)
            if self.may_be_updated:
                entry.update(size=target.stat().st_size, checksum=checksum(target))
        elif source is not None:
            self.put_tree(source, target)
        else:
            target.mkdir(parents=True, exist_ok=True)
        entry["location"] = locations.to_uri(target)
        entry.pop("contents", None)
        for inner in entry.get("secondaryFiles") or []:
            self.place_entry(inner, folder)
        if entry["class"] == "Directory" and source is None:
            for inner in entry.get("listing") or []:
                self.place_entry(inner, target)
        elif entry["class"] == "Directory":
            entry["listing"] = list_folder(target)

    def put_file(self, entry: dict[str, Any], source: Path | None, target: Path) -> None:
        """Put one file: a hard link to what is ours, else a copy."""
        if source is None and "contents" not in entry:
            raise TaskError(f"output {target.name}: a File at {entry.get('location')!r}, which is no place we can read")
        if source is None:
            target.write_text(str(entry["contents"]), encoding="utf-8")
        elif self.replace:
            staging.replace_tree(source, target)
        else:
            target.unlink(missing_ok=True)
            staging.link_or_copy(str(source), str(target), self.root)
        if not self.replace:
            entry["size"] = target.stat().st_size
            entry["checksum"] = entry.get("checksum") or checksum(target)

    def put_tree(self, source: Path, target: Path) -> None:
        """Put one folder; in our own outputs/ a repeated run puts it anew."""
        if self.replace:
            staging.replace_tree(source, target)
            return
        if target.exists():
            staging.remove_tree(target)
        staging.place_tree(source, target, self.root)

    def free(self, folder: Path, name: str, location: str) -> Path:
        """Find a name that no other output of this workflow has; the same file keeps its name."""
        candidate = folder / name
        while self.placed.get(str(candidate), location) != location:
            number = self.numbers[str(folder / name)] = self.numbers.get(str(folder / name), 1) + 1
            candidate = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
        self.placed[str(candidate)] = location
        return candidate

    def folder_for(self, entry: dict[str, Any], folder: Path, name: str, location: str) -> Path:
        """Choose where a file goes with its secondaryFiles: all under their own names, so that they still match."""
        if not entry.get("secondaryFiles") or self.placed.get(str(folder / name), location) == location:
            return folder
        made = self.free(folder, f"{name}.with", location)
        made.mkdir(exist_ok=True)
        return made


# So deep is a listing: not everybody can read JSON that is nested more. What is below is in the folders themselves.
_LISTED = 40


def list_folder(folder: Path, depth: int = _LISTED) -> list[dict[str, Any]]:
    """List a folder as CWL does, with sizes and checksums; a folder at the end of ``depth`` has no listing."""
    listing: list[dict[str, Any]] = []
    for path in sorted(folder.iterdir()):
        entry: dict[str, Any] = {"location": locations.to_uri(path), "basename": path.name}
        if path.is_dir():
            inner = {"listing": list_folder(path, depth - 1)} if depth > 1 else {}
            listing.append({"class": "Directory", **entry, **inner})
        elif path.is_file():
            listing.append({"class": "File", **entry, "size": path.stat().st_size, "checksum": checksum(path)})
    return listing


def checksum(path: Path) -> str:
    """Return a file's checksum as CWL writes it (CWL v1.2, File: sha1)."""
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return f"sha1${digest.hexdigest()}"


def _tops(value: Any) -> list[dict[str, Any]]:
    """List the File and Directory objects that are not inside another."""
    if isinstance(value, dict):
        if locations.is_entry(value):
            return [value]
        return [entry for inner in value.values() for entry in _tops(inner)]
    if isinstance(value, list):
        return [entry for inner in value for entry in _tops(inner)]
    return []
