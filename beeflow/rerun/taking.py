"""Choose which tasks of a re-execution need not run, for the archive has what they made.

With --reuse: those that are the same as one that ran (beeflow.rerun.fingerprints). With --only and --from alone: all
others than those named, whatever they would make now; but not where the user changed what they take.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import locations, retry
from beeflow.archive.hashing import sha256_of
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.epilog import checksum
from beeflow.errors import ArchiveError, InputError
from beeflow.graph import Graph
from beeflow.masking import may_be_hidden
from beeflow.models import TaskResult, WorkflowRecord
from beeflow.plan import Group, Plan, Task, walk
from beeflow.rerun.choice import Choice
from beeflow.rerun.fingerprints import Contents, UnknownError, key_of, other_environment, why_never
from beeflow.rerun.given import Origins
from beeflow.rerun.old import OldRun, Results, looking_up, task_of
from beeflow.rerun.relocating import Move, moved_location
from beeflow.states import TaskState
from beeflow.values import Known

# What a task is called (beeflow.plan.label_text).
_LABEL = re.compile(r"\d+(\.\d+)*")
_RUNS = "it is among what is to run"


@dataclass
class Taking:
    """One choice. ``graph``, ``job``: of the new run; ``moves``: where files of the old one are now.

    ``results``: what is taken, its files where the archive has them: group key -> label -> result. ``why``: for how
    many tasks of a group why not; ``other_environments``: what of that is to say of the shell.
    """

    old: OldRun
    graph: Graph
    job: Mapping[str, Any]
    record: WorkflowRecord
    choice: Choice
    moves: tuple[Move, ...] = ()
    results: Results = field(default_factory=dict, init=False)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)
    why: dict[str, Counter[str]] = field(default_factory=dict, init=False)
    other_environments: dict[str, None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Name the steps that run; raises UsageError for one that there is not."""
        steps = retry.Choice(self.choice.only, self.choice.from_steps)
        self.chosen = retry.choose(self.graph, steps)
        self._judged: set[tuple[str, str]] = set()
        # What expressions of somebody else's made that is not theirs.
        self.refused: list[str] = []

    def run(self) -> Plan:
        """Decide for every task; returns the graph as it was walked in the end."""
        self.old.restore_same()
        evaluator = CwlEvaluator(self.graph, self.old.root, foreign=self.record.foreign)
        self.refused = evaluator.refused
        while True:
            plan = walk(self.graph, self.job, looking_up(self.results), evaluator)
            before = self._count()
            for group in plan.groups.values():
                if not group.virtual and group.unknown is None:
                    self.decide(group)
            if self._count() == before:
                break
        if not self.choice.reuse:
            self.take_unseen(plan)
        return plan

    def left(self, plan: Plan) -> Plan:
        """Return a plan without the groups all of whose tasks are taken."""
        groups = {key: group for key, group in plan.groups.items() if group.virtual or self.runs(group) != 0}
        return Plan(groups, plan.outputs)

    def runs(self, group: Group) -> int | None:
        """Count the tasks of a group that run; None where their number is not known yet."""
        if group.unknown is not None:
            return None
        taken, skipped = self.results.get(group.key, {}), set(group.skipped)
        return sum(task.label not in taken and task.label not in skipped for task in group.tasks)

    def _count(self) -> int:
        return sum(map(len, self.results.values()))

    def decide(self, group: Group) -> None:
        """Decide for the tasks of a group that can be judged."""
        skipped = set(group.skipped)
        for task in group.tasks:
            if (group.key, task.label) in self._judged or task.label in skipped or task.broken:
                continue
            try:
                found = self.judge(group, task)
            except UnknownError as error:
                self._judged.add((group.key, task.label))
                self.why.setdefault(group.key, Counter())[str(error)] += 1
                continue
            if found is not None:
                self._judged.add((group.key, task.label))
                self.results.setdefault(group.key, {})[task.label] = found
                self.labels[group.key] = tuple(each.label for each in group.tasks)

    def judge(self, group: Group, task: Task) -> TaskResult | None:
        """Find what a task need not make; raises UnknownError that says why it runs. None: not known yet."""
        if group.key in self.chosen:
            raise UnknownError(_RUNS)
        return self.the_same(group, task) if self.choice.reuse else self.kept(group, task)

    # With --reuse.

    def the_same(self, group: Group, task: Task) -> TaskResult | None:
        """Find a task that ran of which this one is the same."""
        if not _is_known(task):
            return None
        tool = self.graph.tools[group.step.tool or ""]
        never = why_never(tool, self.record)
        if never:
            raise UnknownError(never)
        inputs = {name: value.value for name, value in task.inputs.items() if isinstance(value, Known)}
        wanted = key_of(self.here, tool, group.step, inputs, self.record)
        if wanted not in self.ran:
            raise UnknownError("the archive has no task that took the same, with the same tool and software")
        other = other_environment(tool, self.old.record, self.record)
        if other:
            self.other_environments[other] = None
            raise UnknownError(other)
        return self.whole(self.ran[wanted])

    @functools.cached_property
    def ran(self) -> dict[str, TaskResult]:
        """What went well, by what decided it."""
        found = {}
        for group in self.old.plan.groups.values():
            results = self.old.results.get(group.key, {})
            tool = self.old.graph.tools.get(group.step.tool or "")
            if not results or tool is None or why_never(tool, self.old.record):
                continue
            for task in group.tasks:
                result = results.get(task.label)
                if result is None or result.state is not TaskState.COMPLETED or not _is_known(task):
                    continue
                if result.container_hash != (tool.container.sha256 if tool.container else None):
                    continue
                inputs = {name: value.value for name, value in task.inputs.items() if isinstance(value, Known)}
                try:
                    found[key_of(self.there, tool, group.step, inputs, self.old.record)] = result
                except UnknownError:
                    continue
        return found

    @functools.cached_property
    def there(self) -> Contents:
        """What was in the files of the old run."""
        return Contents(self.old.root, self.old.sha256, self.recorded, False, self.old.incomplete)

    @functools.cached_property
    def here(self) -> Contents:
        """What is in the files of the new run."""
        return Contents(self.old.root, self.old.sha256, _read, True, self.old.incomplete)

    def recorded(self, path: Path) -> str:
        """Return the sha256 that a file had which the archive only refers to."""
        origin = self.old.origins.known.get(path)
        if origin is None or origin.sha256 is None or origin.changed:
            raise UnknownError(f"{path}: nobody recorded what was in it")
        return origin.sha256

    # With --only and --from.

    def kept(self, group: Group, task: Task) -> TaskResult:
        """Find what the task made in the old run."""
        old = self.old.groups.get(group.key)
        if old is None or task.label not in self.old.results[group.key]:
            raise UnknownError("the archive has no good result of it")
        self.refuse_changed(group, task)
        if old.labels != tuple(each.label for each in group.tasks):
            raise UnknownError("the step has other tasks than in the archive")
        return self.whole(self.old.results[group.key][task.label])

    def refuse_changed(self, group: Group, task: Task) -> None:
        """Raise InputError for a task that would be taken and takes something else than it took."""
        before = self.old.plan.groups[group.key]
        position = before.positions.get(task.label)
        old = None if position is None else before.tasks[position]
        for name, value in task.inputs.items():
            known = old.inputs.get(name) if old else None
            if isinstance(value, Known) and isinstance(known, Known) and not self.is_same(known.value, value.value):
                raise InputError(
                    f"step {group.path}: its input {name} is not what it was in the archive, and the step is not to "
                    f"run; add --from {group.path}, or have --reuse find out what is affected"
                )

    def is_same(self, old: Any, new: Any) -> bool:
        """True for two values that are equal wherever their files are."""
        if locations.rewritten(old, lambda each: moved_location(each, self.moves)) == new:
            return True
        try:
            same: bool = self.there.value(old) == self.here.value(new)
        except UnknownError:
            return False
        return same

    def take_unseen(self, plan: Plan) -> None:
        """Take what went well in steps whose tasks are not known yet, for when they are those of the archive."""
        for key, results in self.old.results.items():
            group = plan.groups.get(key)
            if group is None or group.unknown is None or key in self.chosen:
                continue
            self.refuse_changed_links(group)
            if not all(_LABEL.fullmatch(label) for label in self.old.groups[key].labels):
                raise ArchiveError(f"step {group.path}: unsafe: a task is named {self.old.groups[key].labels[:9]}")
            for label, result in results.items():
                try:
                    self.results.setdefault(key, {})[label] = self.whole(result)
                except UnknownError as error:
                    self.why.setdefault(key, Counter())[str(error)] += 1
            self.labels[key] = self.old.groups[key].labels

    def refuse_changed_links(self, group: Group) -> None:
        """Raise InputError for a step that may take an input that changed, once its tasks are known."""
        (top,) = [each for each in self.graph.workflow.steps if each.name == group.path.partition("/")[0]]
        for source in sorted({source for link in top.inputs.values() for source in link.sources}):
            changed = source in self.job and not self.is_same(self.old.job.get(source), self.job[source])
            if changed:
                raise InputError(
                    f"step {group.path}: the input {source} is not what it was in the archive, and the step is not to "
                    f"run; add --from {group.path}, or have --reuse find out what is affected"
                )

    # Both.

    def whole(self, result: TaskResult) -> TaskResult:
        """Return a result all of whose files are as the task left them; raises UnknownError for any other."""
        if any(map(may_be_hidden, _texts(result.outputs))):
            raise UnknownError("part of its output may be hidden in the archive, as what looks like a credential is")
        updated = any(tool.updates for tool in self.old.graph.tools.values())
        for entry in locations.entries(result.outputs):
            if "path" in entry or "dirname" in entry:
                raise ArchiveError(f"unsafe: {entry.get('basename')!r}, which a task made, has a path or dirname")
            location = str(entry.get("location") or "_:")
            if location.startswith("_:"):
                continue
            if not locations.is_relative(location):
                self.refuse_unknown(location)
                continue
            path = self.there.path_of(location)
            task_of(locations.unquoted(location))
            if not (path.is_file() if entry["class"] == "File" else path.is_dir()):
                raise UnknownError(f"its output {entry.get('basename')} is not in the archive")
            if entry["class"] == "Directory":
                self.there.folder(path)
                if updated:
                    raise UnknownError(f"its output {entry.get('basename')} may have been updated in place")
            elif checksum(path) != entry.get("checksum"):
                raise UnknownError(f"its output {entry.get('basename')} is not what it was")
        return result

    @functools.cached_property
    def inputs_now(self) -> Origins:
        """The old run's inputs, where they are now."""
        return Origins(self.old.root, self.moves)

    def refuse_unknown(self, location: str) -> None:
        """Raise UnknownError for a file that a task passed on, unless it is an input, and here as it was."""
        path = self.there.path_of(location)
        self.recorded(path)
        problem = self.inputs_now.problem(location)
        if problem:
            raise UnknownError(f"its output {problem}")


def _is_known(task: Task) -> bool:
    return all(isinstance(value, Known) for value in task.inputs.values())


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value, and its keys."""
    if isinstance(value, str):
        yield value
        return
    if isinstance(value, Mapping):
        yield from value
    if isinstance(value, (Mapping, list, tuple)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _read(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror or error}") from error
