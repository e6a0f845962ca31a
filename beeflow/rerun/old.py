"""The run that an archive is of: what its tasks took, and what they made."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beeflow import locations, regrouping, staging, store
from beeflow.archive import manifest
from beeflow.archive.contents import SAME_AS
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import ArchiveError
from beeflow.graph import Graph
from beeflow.layout import MANIFEST, OMITTED, Layout
from beeflow.models import GroupRecord, TaskResult, WorkflowRecord
from beeflow.plan import Plan, walk
from beeflow.reduction import leaves
from beeflow.rerun.given import Origins
from beeflow.states import TaskState
from beeflow.values import Broken, Known, Output, Value

_PASSED_ON = (("inputs",), ("cwl",))
# tasks/GROUP/000/000000/ATTEMPT/LABEL, tasks/GROUP/taken/000/000000/LABEL (beeflow.layout)
_DEPTH = 6

Results = dict[str, dict[str, TaskResult]]


@dataclass
class OldRun:
    """An unpacked archive. ``root``: its folder; ``graph``: as the old site ran it."""

    root: Path
    record: WorkflowRecord
    graph: Graph

    @functools.cached_property
    def layout(self) -> Layout:
        """The paths in it."""
        return Layout(self.root)

    @functools.cached_property
    def sha256(self) -> dict[str, str]:
        """What every file has in it that is as the tasks took or left it: name -> sha256."""
        vouched = manifest.parse(store.read_text(self.root / MANIFEST) or "")
        doubtful = {each.embedded for each in self.origins.known.values() if each.changed and each.embedded}
        # inputs/NNNN/NAME, a file or a folder (beeflow.inputs): what the tasks took of it, nobody knows.
        sure = {name: each for name, each in vouched.items() if "/".join(name.split("/")[:3]) not in doubtful}
        return {**sure, **{name: sure[same] for name, same in self.same.items() if same in sure}}

    @functools.cached_property
    def origins(self) -> Origins:
        """Where the old run's inputs were."""
        return Origins(self.root)

    @functools.cached_property
    def job(self) -> dict[str, Any]:
        """The input object, what is embedded relative to the archive."""
        made: dict[str, Any] = locations.rewritten(store.read_json(self.layout.job), self.origins.place)
        return made

    @functools.cached_property
    def groups(self) -> dict[str, GroupRecord]:
        """The steps that had tasks: group key -> record."""
        found = (store.read_record(GroupRecord, self.layout.group_record(leaf.key)) for leaf in leaves(self.graph))
        return {each.key: each for each in found if each is not None and not each.virtual}

    @functools.cached_property
    def results(self) -> Results:
        """What went well: group key -> label -> result, its files where the archive has them."""
        return {key: dict(self._good(group)) for key, group in self.groups.items()}

    def _good(self, group: GroupRecord) -> list[tuple[str, TaskResult]]:
        known = regrouping.results(self.layout, group)
        return [
            (label, replace(each, outputs=locations.rewritten(each.outputs, self.origins.place)))
            for label, each in known.items()
            if each.state.good
        ]

    @functools.cached_property
    def plan(self) -> Plan:
        """The graph as it was walked in the end."""
        evaluator = CwlEvaluator(self.graph, self.root, foreign=self.record.foreign)
        return walk(self.graph, self.job, looking_up(self.results), evaluator)

    @functools.cached_property
    def same(self) -> dict[str, str]:
        """Files that are packed under another name, which had the same inode: name -> that name."""
        return {name: same for name, why in self._omitted.items() if (same := _same_file(why))}

    @functools.cached_property
    def incomplete(self) -> tuple[str, ...]:
        """Name what could not be packed."""
        return tuple(name for name in self._omitted if name not in self.same)

    @functools.cached_property
    def _omitted(self) -> dict[str, str]:
        path = self.root / OMITTED
        found = store.read_json(path) if path.exists() else {}
        return {str(name): str(why) for name, why in found.items()}

    def restore_same(self) -> None:
        """Give the files that are packed under another name their own."""
        for name, same in self.same.items():
            source, target = inside(self.root, same), inside(self.root, name)
            if source.is_file() and not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                staging.make_read_only(source.parent)
                staging.link_or_copy(str(source), str(target), self.root)


def inside(root: Path, name: str | Path) -> Path:
    """Return a path that an archive names, of its own; raises ArchiveError for one that leads out of it."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ArchiveError(f"unsafe: it names a file of its own as {str(name)!r}")
    return root / name


def task_of(path: Path) -> Path | None:
    """Return the folder of the task that made a file; None for an input or a document's file, which it passed on.

    Raises ArchiveError for what is neither.
    """
    if path.parts[:1] in _PASSED_ON:
        return None
    folder = Path(*path.parts[:_DEPTH])
    if folder == path or not is_task_folder(folder):
        raise ArchiveError(f"unsafe: it names {str(path)!r} as what a task made")
    return folder


def is_task_folder(path: Path) -> bool:
    """True for a path that a task's folder may have."""
    return len(path.parts) == _DEPTH and path.parts[0] == "tasks"


def _same_file(why: str) -> str | None:
    return why.removeprefix(SAME_AS) if why.startswith(SAME_AS) else None


def looking_up(results: Results) -> Callable[[Output], Value]:
    """Say what tasks have made, from these results."""

    def lookup(output: Output) -> Value:
        result = results.get(output.group, {}).get(output.label)
        if result is None:
            return output
        if not result.state.good:
            return Broken(f"{output.group} {result.state.value}")
        return Known(result.outputs.get(output.port) if result.state is TaskState.COMPLETED else None)

    return lookup
