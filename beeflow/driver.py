"""One pass over a workflow: plan, submit what is ready, settle what ended; nothing outstanding -> the epilog.

Idempotent: killed anywhere and run again, it goes on. It reads and writes files and talks to Slurm; it never waits
for a job.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from beeflow import elements, scripts, store, values
from beeflow.errors import SlurmError, SubmissionError
from beeflow.graph import Graph, Resources
from beeflow.layout import Layout
from beeflow.listing import state_record
from beeflow.models import (
    ElementResult,
    ElementSpec,
    ElementTask,
    GroupRecord,
    Intent,
    StateRecord,
    TaskResult,
    WorkflowRecord,
    now,
)
from beeflow.plan import ONLY, Evaluator, Group, Plan, walk
from beeflow.reduction import latest_attempt
from beeflow.results import Results
from beeflow.scheduler import Dependency, JobRecord, JobRequest, Scheduler
from beeflow.scheduler.options import task_options, time_limit_s
from beeflow.states import JobState, TaskState, WorkflowState
from beeflow.submission import Submitter

log = logging.getLogger(__name__)

# A task that Slurm dropped though its inputs are good (DependencyNeverSatisfied) is submitted again, this often.
MAX_SUBMISSIONS = 4
# sbatch and scontrol take a dependency of at most 131 kB (seen on Slurm 22.05.8).
MAX_DEPENDENCY_CHARS = 100_000
# How long a pass stays when Slurm does not answer, so that the next one does not ask at once again.
DOUBT_PAUSE_S = 15.0


class Tools(Evaluator, Protocol):
    """What a pass needs of CWL."""

    def resources(self, tool_id: str, inputs: Mapping[str, Any]) -> Resources:
        """Evaluate a tool's resources for given inputs."""
        ...


Derived = dict[tuple[str, str], TaskResult]


@dataclass(frozen=True)
class Ended:
    """What a pass found when nothing is outstanding. ``derived``: results that no task wrote."""

    plan: Plan
    derived: Derived
    cancelled: bool


@dataclass
class _Look:
    """What one look at the files found. ``outstanding``: group key -> ids of jobs that have yet to end."""

    plan: Plan
    results: Results
    outstanding: dict[str, set[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    waiting: list[Group] = field(default_factory=list)
    doubt: bool = False
    changed: bool = False

    def wait_for(self, key: str, job_id: str) -> None:
        self.outstanding.setdefault(key, set()).add(job_id)


@dataclass
class Driver:
    """A pass over one workflow."""

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    inputs: Mapping[str, Any]
    tools: Tools
    submitter: Submitter
    pause_s: float = DOUBT_PAUSE_S
    fresh: set[str] = field(default_factory=set)

    @property
    def scheduler(self) -> Scheduler:
        """Slurm."""
        return self.submitter.scheduler

    @property
    def cancelled(self) -> bool:
        """True once the user cancelled, also while this pass runs."""
        return self.layout.cancel.exists()

    def run(self, successor: str | None) -> Ended | None:
        """Do one pass; returns what ended when nothing is outstanding, else None with the successor relinked."""
        if store.read_record(StateRecord, self.layout.state) is None:
            store.write_record(self.layout.state, state_record(self.record, WorkflowState.RUNNING))
        again = False
        while True:
            look = self.look()
            if look.doubt:
                time.sleep(self.pause_s)
                return None
            if look.changed and not again:
                again = True
                continue
            if look.outstanding:
                if successor:
                    self.relink(successor, look)
                return None
            if not look.changed:
                return Ended(look.plan, self.derive(look), self.cancelled)

    def look(self) -> _Look:
        """Plan, submit what is ready, settle what ended."""
        results = Results(self.layout, self.graph, self.tools)
        look = _Look(walk(self.graph, self.inputs, results.lookup, self.tools), results)
        for group in look.plan.groups.values():
            if group.unknown or look.plan.is_open_ended(group):
                look.waiting.append(group)
            elif group.tasks:
                self.keep(group)
                if not group.virtual and not self.cancelled:
                    self.submit_group(look, group)
        for group in look.plan.groups.values():
            if not group.virtual and group.unknown is None:
                self.settle_group(look, group)
        if not look.outstanding and not look.doubt:
            self.settle_refused(look)
        return look

    def keep(self, group: Group) -> None:
        """Write what the group's tasks are; their inputs once, for they may hold holes that only now are filled."""
        record = GroupRecord(
            key=group.key,
            path=group.path,
            virtual=group.virtual,
            labels=tuple(task.label for task in group.tasks),
            skipped=tuple(group.skipped),
            broken=group.broken,
            scattered=group.scattered,
            time_limit_s=0 if group.virtual else self.time_limit_s(group),
        )
        known = store.read_record(GroupRecord, self.layout.group_record(group.key))
        if known == record:
            return
        if known is None:
            self.layout.group_log(group.key).mkdir(parents=True, exist_ok=True)
            specs = [
                ElementSpec((ElementTask(task.label, {n: values.to_json(v) for n, v in task.inputs.items()}),))
                for task in group.tasks
            ]
            elements.write(self.layout, group.key, specs)
        store.write_record(self.layout.group_record(group.key), record)

    def time_limit_s(self, group: Group) -> int:
        """Return the time limit of the group's jobs as far as it is known when the group is."""
        tool = self.graph.tools[group.step.tool or ""]
        return time_limit_s(self.record.options, tool.resources or Resources())

    # -- submitting ---------------------------------------------------------------------------------------------

    def submit_group(self, look: _Look, group: Group) -> None:
        """Submit the group's elements that can run and have not been submitted."""
        numbers = self.to_submit(look, group)
        if not numbers:
            return
        resources = self.resources(group)
        dependencies = self.producers_ready(look, group)
        if resources is None or dependencies is None:
            look.waiting.append(group)
            return
        try:
            for part, indices in self.parts(group, numbers):
                self.submit_part(look, group, part, indices, resources, dependencies)
        except SubmissionError as error:
            look.refused[group.key] = str(error)
        except SlurmError as error:
            log.warning("%s: %s", group.key, error)
            look.doubt = True

    def to_submit(self, look: _Look, group: Group) -> list[int]:
        """List the elements without a result and without a job that can still give one."""
        settled = [each for each in self.intents(group.key) if self.submitter.known_id(each.key)]
        submitted = {number for intent in settled for number in _numbers(intent)}
        again = self.dropped(group) if submitted and len(self.intents(group.key)) < MAX_SUBMISSIONS else set()
        return [
            number
            for number, task in enumerate(group.tasks)
            if (number not in submitted or number in again)
            and not task.broken
            and task.label not in group.skipped
            and task.label not in group.failed
            and look.results.task(group.key, task.label) is None
        ]

    def resources(self, group: Group) -> Resources | None:
        """Work out what the group's jobs ask for: the most that any task needs. None: not known yet."""
        tool_id = group.step.tool or ""
        static = self.graph.tools[tool_id].resources
        if static is not None:
            return static
        if any(True for task in group.tasks for _ in task.holes()):
            return None
        each = [
            self.tools.resources(
                tool_id,
                self.tools.step_inputs(group.step, {name: values.known(v) for name, v in task.inputs.items()}),
            )
            for task in group.tasks
            if not task.broken
        ]
        return _most(each)

    def producers_ready(self, look: _Look, group: Group) -> list[str] | None:
        """Return the producers that have yet to end; None while one of them is not submitted itself."""
        unfinished = []
        for key in sorted(look.plan.producers(group)):
            producer = look.plan.groups[key]
            if producer.unknown or key in look.refused or self.to_submit(look, producer):
                return None
            if any(self.is_open(look, producer, number) for number in range(len(producer.tasks))):
                unfinished.append(key)
        return unfinished

    def is_open(self, look: _Look, group: Group, number: int) -> bool:
        """True when an element may still give a result."""
        task = group.tasks[number]
        if task.broken or task.label in group.skipped or task.label in group.failed:
            return False
        return look.results.task(group.key, task.label) is None

    def parts(self, group: Group, numbers: list[int]) -> Iterator[tuple[int, list[int]]]:
        """Cut elements into arrays that fit MaxArraySize (the greatest index is one less)."""
        known = self.intents(group.key)
        for intent in known:
            # An sbatch we know no answer of: again the same, so that its job is found if there is one.
            if self.submitter.known_id(intent.key) is None and set(_numbers(intent)) & set(numbers):
                yield int(intent.key.rpartition(".")[2]), _numbers(intent)
                numbers = [number for number in numbers if number not in _numbers(intent)]
        first = len(known)
        size = max(1, self.record.slurm.max_array_size)
        for part, start in enumerate(range(0, len(numbers), size)):
            yield first + part, numbers[start : start + size]

    def submit_part(
        self,
        look: _Look,
        group: Group,
        part: int,
        numbers: list[int],
        resources: Resources,
        producers: list[str],
    ) -> None:
        """Make one sbatch: an array, or a plain job where the step has one task."""
        key = f"{group.key}.{part}"
        is_array = len(group.tasks) > 1
        offset = numbers[0]
        indices = tuple(number - offset for number in numbers)
        intent = Intent(key, self.record.job_name(key), now(), (), group.key, offset, indices, is_array)
        log_name = "%a.log" if is_array else "0.log"
        request = JobRequest(
            name=intent.job_name,
            script=self.script(group.key),
            chdir=self.layout.root,
            output=self.layout.group_log(group.key) / f"{part}.{log_name}",
            options=task_options(self.record.options, resources),
            array=indices if is_array else None,
            dependency=self.dependency(look, group, producers, numbers),
            script_args=(f"{key}:{offset}",),
        )
        job_id = self.submitter.submit(intent, request)
        self.fresh.add(key)
        look.wait_for(group.key, job_id)

    def dependency(self, look: _Look, group: Group, producers: list[str], numbers: list[int]) -> Dependency:
        """Say what the group waits for: element by element where the arrays match, else all of the producer."""
        by_type: dict[str, list[str]] = {}
        for key in producers:
            producer = look.plan.groups[key]
            for intent in self.open_intents(look, producer):
                job_id = self.submitter.known_id(intent.key) or ""
                if intent.array and look.plan.is_element_wise(group, key):
                    if list(_numbers(intent)) == numbers:
                        by_type.setdefault("aftercorr", []).append(job_id)
                        continue
                    if not set(_numbers(intent)) & set(numbers):
                        continue
                kind = "afterany" if self.has_failed(look, producer) else "afterok"
                by_type.setdefault(kind, []).append(job_id)
        return Dependency({kind: tuple(ids) for kind, ids in by_type.items()})

    def open_intents(self, look: _Look, group: Group) -> list[Intent]:
        """List the group's jobs that may still give a result."""
        return [
            intent
            for intent in self.intents(group.key)
            if any(self.is_open(look, group, number) for number in _numbers(intent))
        ]

    def has_failed(self, look: _Look, group: Group) -> bool:
        """True when a task of the group has failed already: afterok could never be satisfied."""
        found = (look.results.task(group.key, task.label) for task in group.tasks)
        return any(result is not None and not result.state.good for result in found)

    def script(self, key: str) -> Any:
        """Write the batch script of a group's jobs."""
        path = self.layout.group_script(key)
        if not path.exists():
            text = scripts.render("task.sh", workflow_dir=str(self.layout.root), group=key)
            store.write_text(path, text)
        return path

    def intents(self, key: str) -> list[Intent]:
        """List the submissions of a group, in order."""
        found = [store.read_record(Intent, path) for path in self.layout.jobs.glob(f"{key}.*.json")]
        return sorted((each for each in found if each), key=lambda each: int(each.key.rpartition(".")[2]))

    # -- settling -----------------------------------------------------------------------------------------------

    def settle_group(self, look: _Look, group: Group) -> None:
        """Find out about each element that was submitted and has no result."""
        newest = {number: intent for intent in self.intents(group.key) for number in _numbers(intent)}
        for number, intent in newest.items():
            if not self.is_open(look, group, number):
                continue
            job_id = self.submitter.known_id(intent.key)
            if job_id is None:
                continue
            if intent.key in self.fresh and not self.cancelled:
                look.wait_for(group.key, job_id)
            else:
                self.settle_element(look, group, number, intent, job_id)

    def settle_element(self, look: _Look, group: Group, number: int, intent: Intent, job_id: str) -> None:
        """Ask Slurm about one element: still there, or lost without a result."""
        job = self.job(job_id, number - intent.offset if intent.array else None)
        if job is not None and not job.state.ended:
            if not self.cancelled:
                look.wait_for(group.key, job_id)
            else:
                self.cancel_job(look, group, intent, job)
            return
        if self.cancelled and latest_attempt(self.layout, group.key, number) is None:
            return
        if self.was_dropped(job) and len(self.intents(group.key)) < MAX_SUBMISSIONS and not self.cancelled:
            look.changed = True
            return
        self.publish_lost(group, number, job_id, intent, job)
        look.changed = True

    def job(self, job_id: str, index: int | None) -> JobRecord | None:
        """Find a job, or an element of an array, in the one squeue of this pass."""
        return next(
            (job for job in self.submitter.queue() if job.job_id == job_id and job.array_task_id == index), None
        )

    def cancel_job(self, look: _Look, group: Group, intent: Intent, job: JobRecord) -> None:
        """Cancel a job of a cancelled workflow; one that runs has yet to end."""
        shown = job.job_id if job.array_task_id is None else f"{job.job_id}_{job.array_task_id}"
        self.scheduler.cancel(intent.job_name, [shown])
        if job.state is not JobState.PENDING:
            look.wait_for(group.key, job.job_id)

    def was_dropped(self, job: JobRecord | None) -> bool:
        """True when Slurm itself cancelled a pending job because of what it waited for."""
        return job is not None and job.state is JobState.CANCELLED and job.reason == "DependencyNeverSatisfied"

    def dropped(self, group: Group) -> set[int]:
        """List the elements whose newest job Slurm dropped."""
        if self.submitter.asked is None:
            return set()
        newest = {number: intent for intent in self.intents(group.key) for number in _numbers(intent)}
        return {
            number
            for number, intent in newest.items()
            if intent.key not in self.fresh
            and self.was_dropped(
                self.job(self.submitter.known_id(intent.key) or "", number - intent.offset if intent.array else None)
            )
        }

    def publish_lost(self, group: Group, number: int, job_id: str, intent: Intent, job: JobRecord | None) -> None:
        """Write the result that a job which ended did not."""
        attempt = latest_attempt(self.layout, group.key, number)
        index = number - intent.offset
        log_path = self.layout.group_log(group.key) / f"{intent.key.rpartition('.')[2]}.{index}.log"
        # An element that was cancelled alone, before it began, is not even shown as such (seen on Slurm 22.05.8).
        unknown = TaskState.FAILED if attempt else TaskState.CANCELLED
        state = job.state.task_state if job else unknown
        began = "" if attempt else "before it started; "
        word = job.state.value if job else "no longer known"
        result = TaskResult(
            state=state,
            reason=f"the job ended without a result: {began}Slurm: {word}",
            job_id=f"{job_id}_{index}" if intent.array else job_id,
            node=attempt.node if attempt else (job.node if job else None),
            host=attempt.host if attempt else None,
            started=attempt.started if attempt else None,
            ended=now(),
            stderr=str(log_path.relative_to(self.layout.root)),
        )
        path = self.layout.element_result(group.key, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.publish_record(path, ElementResult({group.tasks[number].label: result}))

    def settle_refused(self, look: _Look) -> None:
        """Take a refusal for good when no job of ours lives that it could have been waiting for."""
        for key, reason in look.refused.items():
            group = look.plan.groups[key]
            for number in self.to_submit(look, group):
                path = self.layout.element_result(key, number)
                path.parent.mkdir(parents=True, exist_ok=True)
                result = TaskResult(TaskState.FAILED, reason=f"not submitted: {reason}", ended=now())
                store.publish_record(path, ElementResult({group.tasks[number].label: result}))
            look.changed = True

    # -- ending -------------------------------------------------------------------------------------------------

    def relink(self, successor: str, look: _Look) -> None:
        """Have the next pass wait for what must end next: the producers of an unknown width, else everything."""
        ids = sorted({job_id for ids in look.outstanding.values() for job_id in ids}, key=int)
        for group in look.waiting:
            producers = look.plan.producers(group) & set(look.outstanding)
            if producers:
                ids = sorted({job_id for key in producers for job_id in look.outstanding[key]}, key=int)
                break
        while sum(len(job_id) + 1 for job_id in ids) > MAX_DEPENDENCY_CHARS:
            # The pass after finds the rest unfinished and waits for it in turn.
            ids = ids[len(ids) // 2 :]
        dependency = Dependency({"afterany": tuple(ids)}, singleton=True)
        try:
            self.scheduler.relink(successor, dependency)
        except SlurmError as error:
            # Somebody cancelled the pending pass: there must be another.
            log.warning("pass %s cannot be relinked: %s", successor, error)
            self.submitter.submit_pass(self.submitter.last_pass() + 1, dependency)

    def derive(self, look: _Look) -> Derived:
        """Say what became of the tasks that no job ran."""
        derived: Derived = {}
        for group in look.plan.groups.values():
            for task in group.tasks:
                if look.results.task(group.key, task.label) is None and task.label not in group.skipped:
                    derived[group.key, task.label] = self.derive_task(group, task.label, task.broken)
            if not group.tasks:
                derived[group.key, ONLY] = self.derive_empty(look.plan, group)
        return derived

    def derive_empty(self, plan: Plan, group: Group) -> TaskResult:
        """Say what became of a step without tasks: nothing to do, or what it is in could never begin."""
        for other in plan.groups.values():
            if other.broken and (other is group or group.path.startswith(f"{other.path}/")):
                return TaskResult(TaskState.DEP_FAIL, reason=other.broken)
        if self.cancelled and (group.unknown or plan.is_open_ended(group)):
            return TaskResult(TaskState.CANCELLED, reason="the workflow was cancelled")
        return TaskResult(TaskState.SKIPPED, reason="there is nothing to run it on")

    def derive_task(self, group: Group, label: str, broken: values.Broken | None) -> TaskResult:
        """Say what became of one task that no job ran."""
        if self.cancelled and not group.virtual:
            return TaskResult(TaskState.CANCELLED, reason="the workflow was cancelled")
        if broken:
            return TaskResult(TaskState.DEP_FAIL, reason=broken.reason)
        if label in group.failed:
            return TaskResult(TaskState.FAILED, reason=group.failed[label])
        if self.cancelled:
            return TaskResult(TaskState.CANCELLED, reason="the workflow was cancelled")
        return TaskResult(TaskState.COMPLETED)


def _numbers(intent: Intent) -> list[int]:
    """List the elements that a job runs."""
    return [intent.offset + index for index in intent.indices]


def _most(each: list[Resources]) -> Resources:
    """Return resources that suffice for all."""

    def most(name: str) -> Any:
        given = [getattr(one, name) for one in each if getattr(one, name) is not None]
        return max(given) if given else None

    return Resources(
        cpus_per_task=most("cpus_per_task") or 1,
        mem_mib=most("mem_mib"),
        tmp_mib=most("tmp_mib"),
        time_limit_s=most("time_limit_s"),
    )
