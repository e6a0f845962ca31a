"""Reduce a workflow's files to what a user sees: the state of the workflow and of each task.

Nothing here needs cwltool or changes anything. ``queue``: the workflow's jobs as Slurm has them, where somebody asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from beeflow import attempts, models, store
from beeflow.attempts import Progress
from beeflow.graph import EXPRESSION_TOOL, Graph, Step, Workflow
from beeflow.layout import Layout
from beeflow.masking import masked
from beeflow.models import (
    ElementResult,
    GroupRecord,
    Intent,
    TaskRecord,
    TaskResult,
    WorkflowRecord,
)
from beeflow.plan import ONLY, group_keys
from beeflow.scheduler import JobRecord, Known
from beeflow.states import JobState, TaskState

_LIVE = {JobState.RUNNING: TaskState.RUNNING, JobState.COMPLETING: TaskState.RUNNING}

Derived = Mapping[tuple[str, str], TaskResult]


@dataclass(frozen=True)
class Leaf:
    """A step that runs a tool: its path and group key."""

    path: str
    key: str
    step: Step
    virtual: bool
    scattered: bool


def leaves(graph: Graph) -> list[Leaf]:
    """List the steps that run tools, in order."""
    keys = group_keys(graph.workflow)

    def walk(workflow: Workflow, prefix: str, *, scattered: bool) -> Iterator[Leaf]:
        for step in workflow.steps:
            path, here = f"{prefix}{step.name}", scattered or bool(step.scatter)
            if step.workflow:
                yield from walk(step.workflow, f"{path}/", scattered=here)
            else:
                yield Leaf(path, keys[path], step, graph.tools[step.tool or ""].kind == EXPRESSION_TOOL, here)

    return list(walk(graph.workflow, "", scattered=False))


@dataclass
class Reduction:
    """One look at a workflow's files."""

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    queue: Sequence[JobRecord] | None = None
    derived: Derived = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the jobs by the elements they run."""
        self._newest: dict[str, dict[int, Intent]] = {}
        for intent in read_intents(self.layout):
            self._newest.setdefault(intent.group or "", {}).update(dict.fromkeys(numbers_of(intent), intent))
        self._jobs = Known(self.queue or ())
        self._no_job_lives = self.queue is not None and all(job.state.ended for job in self.queue)
        # The tasks of one element come one after the other: its files are read once.
        self._element: tuple[tuple[str, int], Mapping[str, TaskResult]] = (("", 0), {})
        self._progress: tuple[tuple[str, int], Progress] = (("", 0), Progress())

    def tasks(self) -> list[TaskRecord]:
        """Describe every task that is known of; a step whose tasks are not known yet has one, WAITING."""
        return [task for leaf in leaves(self.graph) for task in self._leaf(leaf)]

    def _leaf(self, leaf: Leaf) -> Iterator[TaskRecord]:
        group = store.read_record(GroupRecord, self.layout.group_record(leaf.key))
        if group is None or not group.labels:
            yield self._describe(leaf, None, self.derived.get((leaf.key, ONLY)) or TaskResult(TaskState.WAITING))
            return
        skipped = set(group.skipped)
        for position, label in enumerate(group.labels):
            number = position // group.tasks_per_element
            if label in skipped:
                result = TaskResult(TaskState.SKIPPED, reason="its condition (when) is false")
            else:
                found = self._told_to_end(leaf, number, label) or self._published(leaf.key, number).get(label)
                result = found or self.derived.get((leaf.key, label)) or self._unfinished(leaf, number, label)
            yield self._describe(leaf, label, result)

    def _published(self, key: str, number: int) -> Mapping[str, TaskResult]:
        if self._element[0] != (key, number):
            found = store.read_record(ElementResult, self.layout.element_result(key, number))
            self._element = ((key, number), found.tasks if found else {})
        return self._element[1]

    def _told_to_end(self, leaf: Leaf, number: int, label: str) -> TaskResult | None:
        """Describe a task whose job was requeued or preempted while it ran: that looks like a scancel to it."""
        result = self._published(leaf.key, number).get(label)
        if result is None or result.state is not TaskState.CANCELLED:
            return None
        job = self._jobs.get(*self.job_of(leaf.key, number)) if self.queue else None
        if job is not None and job.state.is_lost:
            return TaskResult(TaskState.NODE_FAIL, f"Slurm: {job.state.value}", job_id=job.shown, node=job.node)
        if job is None or job.state is not JobState.PENDING:
            return None
        return TaskResult(TaskState.PENDING, f"its job was told to end, and runs again: {job.reason}", job_id=job.shown)

    def _unfinished(self, leaf: Leaf, number: int, label: str) -> TaskResult:
        """Describe a task without a published result from what its job left and what Slurm says."""
        if leaf.virtual:
            return TaskResult(TaskState.WAITING)
        job_id, index = self.job_of(leaf.key, number)
        if job_id is None:
            return TaskResult(TaskState.WAITING)
        progress = self._progress_of(leaf.key, number)
        if label in progress.settled:
            return progress.settled[label]
        if progress.lost and self._newest[leaf.key][number].key in progress.lost.jobs:
            # That job is accounted for: the element goes again, and waits to be submitted.
            return TaskResult(TaskState.WAITING)
        shown = job_id if index is None else f"{job_id}_{index}"
        job = self._jobs.get(job_id, index)
        waits = attempts.put_off(progress, label, shown)
        if waits is not None and (job is None or job.state is not JobState.CANCELLED):
            return waits
        if job is not None and job.state.ended:
            return TaskResult(job.state.task_state, reason=f"Slurm: {job.state.value}", job_id=shown, node=job.node)
        running = attempts.running(progress, label)
        if job is None and self._no_job_lives:
            # Of a workflow whose jobs live, Slurm may have been asked just before it was submitted.
            last = running or TaskResult(TaskState.PENDING, job_id=shown)
            return replace(last, reason="Slurm has no job of it any more")
        if running is not None:
            return running
        if job is None or progress.latest is not None:
            return TaskResult(TaskState.PENDING, job_id=shown)
        return TaskResult(_LIVE.get(job.state, TaskState.PENDING), reason=job.reason, job_id=shown, node=job.node)

    def _progress_of(self, key: str, number: int) -> Progress:
        if self._progress[0] != (key, number):
            self._progress = ((key, number), attempts.read(self.layout, key, number))
        return self._progress[1]

    def job_of(self, key: str, number: int) -> tuple[str | None, int | None]:
        """Return the id and array index of the newest job that runs an element."""
        intent = self._newest.get(key, {}).get(number)
        if intent is None:
            return None, None
        text = store.read_text(self.layout.job_id(intent.key))
        return (text.strip() if text else None), number - intent.offset if intent.array else None

    def _describe(self, leaf: Leaf, label: str | None, result: TaskResult) -> TaskRecord:
        """Describe a task, or a step whose tasks are not known (label None)."""
        stderr = self.layout.root / result.stderr if result.stderr else None
        bad = result.state.final and not result.state.good
        return TaskRecord(
            workflow_id=self.record.id,
            task_id=models.task_id(self.record.id, leaf.key, label or ONLY),
            name=leaf.path if label is None or not leaf.scattered else f"{leaf.path}[{label}]",
            step=leaf.path,
            state=result.state,
            inputs=tuple(dict.fromkeys(source for link in leaf.step.inputs.values() for source in link.sources)),
            outputs=tuple(f"{leaf.path}/{port}" for port in leaf.step.outputs),
            command=" ".join(masked(result.command)) or None,
            container_runtime=result.container_runtime,
            container_hash=result.container_hash,
            host=result.host,
            job_id=result.job_id,
            node=result.node,
            exit_code=result.exit_code,
            reason=result.reason,
            started=result.started,
            ended=result.ended,
            elapsed_s=models.seconds_between(result.started, result.ended),
            max_rss_kib=result.max_rss_kib,
            cpu_s=result.cpu_s,
            folder=result.folder,
            stderr_tail=store.tail(stderr) if stderr and bad else (),
            tries=result.tries,
        )


def numbers_of(intent: Intent) -> list[int]:
    """List the elements that a job runs."""
    return [intent.offset + index for index in intent.indices]


def part_of(intent: Intent) -> int:
    """Return which submission of its group an intent is."""
    return int(intent.key.rpartition(".")[2])


def read_intents(layout: Layout) -> list[Intent]:
    """Read the submissions of all groups, each group's in order."""
    found = [store.read_record(Intent, path) for path in list(layout.jobs.glob("[0-9]*.json"))]
    return sorted((each for each in found if each), key=part_of)
