"""Have a workflow that failed, was cancelled or stalled go on in place: what went well is kept, the rest runs again.

What says how a task ended is put aside under the number of the retry; its attempts' folders stay where they are, for
the kept results are in them. Killed anywhere and given again, it goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import attempts, staging, store, workflow
from beeflow.actions import current_state, is_being_cancelled, refusal, unless_removed
from beeflow.errors import BeeError, TransitionError, UsageError
from beeflow.graph import Graph, Workflow
from beeflow.group_jobs import GroupJobs
from beeflow.holding import Holding, Wishes
from beeflow.layout import Layout, split_archive_name
from beeflow.listing import over_or_held
from beeflow.locking import LockedError
from beeflow.models import GroupRecord, Lost, Retried, TaskResult, now
from beeflow.plan import group_keys
from beeflow.reduction import Leaf, leaves
from beeflow.results import read_graph
from beeflow.scheduler import Scheduler
from beeflow.states import Command, WorkflowState
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter

# The job of the last pass ends a moment after it said that the workflow has.
LAST_JOB_S = 20.0
_PAUSE_S = 0.5
_LOCK_S = 10.0


@dataclass(frozen=True)
class Choice:
    """What runs again though it went well: these steps alone; these and all that takes from them; everything."""

    steps: tuple[str, ...] = ()
    from_steps: tuple[str, ...] = ()
    everything: bool = False

    @property
    def is_empty(self) -> bool:
        """True when only what did not go well is to run."""
        return not (self.steps or self.from_steps or self.everything)


@dataclass(frozen=True)
class Retrying:
    """What a retry does. ``kept`` and ``again``: how many tasks. ``cancelled``: by another command, meanwhile."""

    generation: int
    kept: int
    again: int
    cancelled: bool = False


def retry(found: WorkflowDir, scheduler: Scheduler, choice: Choice) -> Retrying:
    """Clear what is to run again, and drive the workflow.

    Raises TransitionError, also where another retry is at it; UsageError, SlurmError, NotFoundError.
    """
    with unless_removed(found):
        # Before anybody is waited for: what is wished from here on is wished of the workflow as this makes it.
        known = Wishes.read(found.layout)
        submitter = Submitter(found.layout, found.record(), scheduler)
        with alone(found, submitter):
            retried = clear(found, submitter, choice, known)
            drive(found, submitter)
        return replace(retried, cancelled=found.layout.cancel.exists())


@contextlib.contextmanager
def alone(found: WorkflowDir, submitter: Submitter) -> Iterator[None]:
    """Keep others from retrying a workflow: until Slurm has a job of it, it looks as if nobody had it go on."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(submitter.lock(found.layout.retry_lock).held(_LOCK_S))
        except LockedError as error:
            raise LockedError(f"workflow {found.id} is just being retried: {error}") from error
        yield


def clear(found: WorkflowDir, submitter: Submitter, choice: Choice, known: Wishes) -> Retrying:
    """Clear what is to run again. ``known``: what was wished before."""
    graph = read_graph(found.layout)
    chosen = choose(graph, choice)
    with submitter.lock(found.layout.lock).held(_LOCK_S):
        check(found, submitter, choice)
        jobs = GroupJobs(found.layout, submitter)
        return Retry(found.layout, graph, jobs, chosen, generation(found), known).run()


def drive(found: WorkflowDir, submitter: Submitter) -> None:
    """Have a pass come."""
    try:
        workflow.go(submitter)
    except BeeError as error:
        raise type(error)(f"{error}\nall is ready; when Slurm answers again: bee-start {found.id}") from error


def choose(graph: Graph, choice: Choice) -> frozenset[str]:
    """Name the groups all of whose tasks run again; raises UsageError for a step that there is not."""
    known = leaves(graph)
    for name in (*choice.steps, *choice.from_steps):
        if not any(is_below(leaf.path, name) for leaf in known):
            raise UsageError(f"{name}: not a step of the workflow; they are {', '.join(leaf.path for leaf in known)}")
    paths = set(after(graph.workflow, "", choice.from_steps))
    alone = {leaf.path for leaf in known for name in choice.steps if is_below(leaf.path, name)}
    return frozenset(leaf.key for leaf in known if choice.everything or leaf.path in paths | alone)


def is_below(path: str, step: str) -> bool:
    """True for a step itself and for those of the subworkflow that it runs."""
    return path == step or path.startswith(f"{step}/")


def after(graph: Workflow, prefix: str, begun: Collection[str], *, whole: bool = False) -> Iterator[str]:
    """Yield the paths of the steps that run tools, of those in ``begun`` and all that takes from one of them."""
    dirty: set[str] = set()
    for step in graph.steps:
        path = f"{prefix}{step.name}"
        taken = {source for link in step.inputs.values() for source in link.sources}
        touched = whole or path in begun or not dirty.isdisjoint(taken) or not dirty.isdisjoint(step.after)
        if step.workflow:
            found = list(after(step.workflow, f"{path}/", begun, whole=touched))
        else:
            found = [path] if touched else []
        if found:
            dirty |= {path, *(f"{step.name}/{port}" for port in step.outputs)}
        yield from found


def check(found: WorkflowDir, submitter: Submitter, choice: Choice) -> None:
    """Raise TransitionError unless the workflow has ended or has no job left."""
    record = submitter.record
    state = current_state(found, record)
    over = found.state()
    ended = over is not None and over.state.final
    live = live_jobs(submitter, over=ended)
    if live:
        word, what = state.value, f"cancel it first, or wait: bee-cancel {found.id}"
        if is_being_cancelled(found, state):
            word, what = "being cancelled", f"wait for its end, see: bee-query {found.id}"
        raise TransitionError(f"workflow {found.id} is {word}, and its job {live[0]} has not ended; {what}")
    if not over_or_held(found, record, over):
        state = WorkflowState.STALLED
    if not Command.RETRY.allowed(state):
        raise refusal(Command.RETRY, found, state)
    if not Command.RETRY.changes(state) and choice.is_empty:
        raise TransitionError(
            f"workflow {found.id} is {state.value}: nothing of it failed; say what is to run again: "
            "--step, --from or --force-rerun"
        )


def live_jobs(submitter: Submitter, *, over: bool) -> list[str]:
    """List the workflow's jobs that have not ended.

    ``over``: it is over, so what is pending has nothing to do and is cancelled (jobs on nodes that are drained, when
    slurmctld lost its state), and the job of the last pass is waited for a while.
    """
    deadline = time.monotonic() + LAST_JOB_S
    while True:
        live = [job for job in submitter.ours(submitter.queue()) if not job.state.ended]
        for job in live if over else ():
            if job.pending:
                submitter.scheduler.cancel(job.name, [job.shown])
        if not live or not over or time.monotonic() > deadline:
            return sorted({job.job_id for job in live})
        time.sleep(_PAUSE_S)
        submitter.asked = None


def generation(found: WorkflowDir) -> int:
    """Number this retry: one that was killed before it had cleared the workflow's end goes on."""
    over = found.state()
    if over is not None and over.archive:
        # Of each version there is one archive, also where bee-start went on with what a killed retry had begun.
        return split_archive_name(Path(over.archive).stem)[1]
    before = store.read_record(Retried, found.layout.retry)
    if before is None:
        return 1
    return before.generation + (1 if before.done else 0)


@dataclass
class Retry:
    """One retry of one workflow.

    ``chosen``: the groups all of whose tasks run again; ``known``: what was wished before, which it ends.
    """

    layout: Layout
    graph: Graph
    jobs: GroupJobs
    chosen: frozenset[str]
    generation: int
    known: Wishes

    def run(self) -> Retrying:
        """Put aside what is to run again, then the end of the workflow."""
        self.refuse_updates()
        store.write_record(self.layout.retry, Retried(self.generation, now(), done=False))
        # A workflow may have ended while it was paused; who retries it wants it to go on.
        Holding(self.jobs.submitter).forget(self.known)
        kept = again = 0
        for key in group_keys(self.graph.workflow).values():
            group = store.read_record(GroupRecord, self.layout.group_record(key))
            if group and group.virtual:
                # What passes evaluated themselves, subworkflows' inputs too: they do so again.
                self.layout.group_record(key).unlink()
                staging.remove_tree(self.layout.group(key))
                continue
            store.remove(self.layout.moved(key))
            for good, rest in self.group(group) if group else ():
                kept, again = kept + good, again + rest
        self.clear()
        store.write_record(self.layout.retry, Retried(self.generation, now(), done=True))
        # Last: until now the workflow is over.
        self.layout.state.unlink(missing_ok=True)
        return Retrying(self.generation, kept, again)

    def refuse_updates(self) -> None:
        """Raise TransitionError where a task would take a file that it has updated in place."""
        for leaf in leaves(self.graph):
            if self.graph.tools[leaf.step.tool or ""].updates and self.would_run_again(leaf):
                raise TransitionError(
                    f"step {leaf.path} updates files in place, and those that it took are no longer what they were: "
                    "it cannot run again here; run the whole workflow anew with: bee-rerun"
                )

    def would_run_again(self, leaf: Leaf) -> bool:
        """True when a task of a step began, and is not kept."""
        group = store.read_record(GroupRecord, self.layout.group_record(leaf.key))
        if group is None or not any(self.layout.group(leaf.key).glob("*/*/*/started*.json")):
            return False
        return any(self.split(group, number)[1] for number in range(group.elements))

    def group(self, group: GroupRecord) -> Iterator[tuple[int, int]]:
        """Clear the elements of a group of which something is to run again; yield how many tasks are kept and not."""
        for number in range(group.elements):
            kept, again = self.split(group, number)
            # A task that was skipped for what another made then is not to stay so.
            if again or group.key in self.chosen:
                lost = Lost(self.jobs.known_keys(group.key, number), kept)
                attempts.put_aside(self.layout, group.key, number, lost)
                # The description has what was known when it was written: what failed then may be made now.
                self.layout.run(group.key).unlink(missing_ok=True)
            yield len(kept), len(again)

    def split(self, group: GroupRecord, number: int) -> tuple[dict[str, TaskResult], list[str]]:
        """Say which results of an element are kept, and which of its tasks run again."""
        known = attempts.known(self.layout, group.key, number)
        kept = {label: each for label, each in known.items() if each.state.good and group.key not in self.chosen}
        return kept, [label for label in group.labels_of(number) if not (label in kept or label in group.skipped)]

    def clear(self) -> None:
        """Remove what said how the workflow ended; the archive has it."""
        layout = self.layout
        for path in (layout.failures, layout.final_tasks, layout.output_object, layout.delivered):
            path.unlink(missing_ok=True)
        for folder in (layout.outputs, layout.metadata):
            if folder.exists():
                staging.remove_tree(folder)
        layout.outputs.mkdir(exist_ok=True)
