"""Write down what a step's tasks are, and submit those that are ready: one sbatch a step, or one a window."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from beeflow import codec, elements, regrouping, scripts, store, values, windows
from beeflow.errors import SlurmError, SubmissionError, TaskError
from beeflow.graph import Graph, Resources
from beeflow.group_jobs import GroupJobs
from beeflow.layout import Layout
from beeflow.look import Look
from beeflow.models import GroupRecord, Intent, WorkflowRecord, now
from beeflow.plan import Evaluator, Group, Plan, choose_tasks_per_element
from beeflow.reduction import numbers_of, part_of
from beeflow.scheduler import Dependency, JobOptions, JobRequest, QueueFullError, SubmitLimitError
from beeflow.scheduler.options import task_options, time_limit_s

log = logging.getLogger(__name__)

# So many expressions in JavaScript a pass evaluates for one step.
MANY = 50


class Tools(Evaluator, Protocol):
    """What a pass needs of CWL."""

    def resources(self, tool_id: str, inputs: Mapping[str, Any]) -> Resources:
        """Evaluate a tool's resources for given inputs."""
        ...

    def run_facts(self, plan: Plan, group: Group) -> dict[str, Any]:
        """Describe a group's step for the runner on the node."""
        ...


@dataclass
class Groups:
    """The groups of one workflow, as one pass submits them. ``room``: how many more elements it may submit."""

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    tools: Tools
    jobs: GroupJobs
    may_submit: bool = True
    room: int = field(default=0, init=False)

    @property
    def limit(self) -> int:
        """How many elements of the workflow may be in the queue."""
        return windows.limit(self.record.max_jobs, self.record.slurm.max_job_count)

    def count_room(self, look: Look, groups: list[Group]) -> int:
        """Count how many more elements may be submitted. ``groups``: those whose tasks are known."""
        groups = [group for group in groups if not group.virtual]
        if sum(group.elements for group in groups) <= self.limit:
            return self.limit
        live = sum(look.count_open(group) - len(self.to_submit(look, group)) for group in groups)
        return max(0, self.limit - live)

    def keep(self, look: Look, group: Group) -> None:
        """Write what the group's tasks are."""
        known = store.read_record(GroupRecord, self.layout.group_record(group.key))
        group.tasks_per_element = known.tasks_per_element if known else self.tasks_per_element(group)
        record = GroupRecord(
            key=group.key,
            path=group.path,
            virtual=group.virtual,
            labels=tuple(task.label for task in group.tasks),
            skipped=tuple(group.skipped),
            tasks_per_element=group.tasks_per_element,
            broken=group.broken,
            scattered=group.scattered,
            time_limit_s=0 if group.virtual else self.time_limit_s(group),
        )
        if known == record:
            return
        if known is None and not group.virtual and regrouping.take(self.layout, record):
            look.changed = True
        if group.virtual and (known is None or known.labels != record.labels):
            self.layout.group(group.key).mkdir(parents=True, exist_ok=True)
            elements.write(self.layout, group, look.skipped(group), look.plan.element_of, {})
        if known is None or group.virtual:
            self.layout.group_log(group.key).mkdir(parents=True, exist_ok=True)
            store.write_record(self.layout.group_record(group.key), record)
        else:
            regrouping.regroup(self.layout, self.jobs, known, record)
            look.results.forget(group.key)

    def tasks_per_element(self, group: Group) -> int:
        """Return how many tasks of a group share an element."""
        if group.virtual:
            return 1
        return choose_tasks_per_element(
            len(group.tasks), self.record.tasks_per_element, self.record.slurm.max_array_size
        )

    def time_limit_s(self, group: Group) -> int:
        """Return the time limit of the group's jobs as far as it is known when the group is."""
        tool = self.graph.tools[group.step.tool or ""]
        return time_limit_s(self.record.options, tool.resources or Resources(), tool.step_options)

    def submit_group(self, look: Look, group: Group) -> None:
        """Submit the group's elements that can run and have not been submitted."""
        numbers = self.to_submit(look, group)
        if not numbers:
            return
        resources = self.resources(group)
        dependencies = self.producers_ready(look, group)
        if resources is None or dependencies is None or not self.may_submit:
            look.waiting.append(group)
            return
        # Working out the resources may have shown that some cannot run.
        numbers = [number for number in numbers if look.is_open(group, number)]
        if self.room <= 0 and not self.jobs.in_doubt(group.key):
            look.held_back.add(group.key)
            return
        self.describe(look, group, resources)
        own = self.graph.tools[group.step.tool or ""].step_options
        try:
            for (time_limit_s, mem_mib), some in self.jobs.needs(group.key, numbers).items():
                options = raised(task_options(self.record.options, resources, own), time_limit_s, mem_mib)
                self.submit_numbers(look, group, some, options, dependencies)
        except SubmissionError as error:
            look.refused[group.key] = str(error)
            look.held_back.add(group.key)
            self.jobs.forget(group.key)
        except QueueFullError as error:
            log.warning("%s: %s", group.key, error)
            look.full, self.room = True, 0
            look.held_back.add(group.key)
            self.jobs.forget(group.key)
        except SlurmError as error:
            log.warning("%s: %s", group.key, error)
            look.doubt = True
            self.jobs.forget(group.key)

    def describe(self, look: Look, group: Group, resources: Resources) -> None:
        """Write what the runner on the node needs to know of the step and its tasks, before the first of them goes."""
        if self.jobs.intents(group.key) and self.layout.run(group.key).exists():
            return
        skipped = look.skipped(group)
        elements.write(self.layout, group, skipped, look.plan.element_of, self.evaluated(group, skipped))
        facts = {
            "version": codec.VERSION,
            "group": group.key,
            "step": group.path,
            "time_limit_s": self.time_limit_s(group),
            "fs_settle_s": self.record.fs_settle_s,
            "stops_on_error": self.record.stops_on_error,
            "preserve_environment": list(self.record.options.preserve_environment),
            "cores": resources.cpus_per_task,
            "mem_mib": resources.mem_mib,
            "retry": codec.to_json(self.graph.tools[group.step.tool or ""].retry),
            **self.tools.run_facts(look.plan, group),
        }
        store.write_json(self.layout.run(group.key), facts)

    def evaluated(self, group: Group, skipped: Collection[str]) -> dict[str, dict[str, Any]]:
        """Evaluate the expressions of the step for the tasks whose inputs are known: label -> inputs.

        What takes JavaScript is left to the nodes where there are many: it is slow, and they are many too.
        """
        step = group.step
        if not (step.when or step.has_expressions) or (step.has_javascript and len(group.tasks) > MANY):
            return {}
        made = {}
        for task in group.tasks:
            if task.label not in skipped and all(isinstance(value, values.Known) for value in task.inputs.values()):
                with contextlib.suppress(TaskError):  # the task itself will say so
                    given = {name: values.known(value) for name, value in task.inputs.items()}
                    made[task.label] = self.tools.step_inputs(step, given)
        return made

    def to_submit(self, look: Look, group: Group) -> list[int]:
        """List the elements without a result and without a job that can still give one."""
        submitted = self.jobs.submitted(group.key)
        submitted -= self.jobs.dropped(group.key) if submitted else set()
        numbers = [number for number in range(group.elements) if look.is_open(group, number)]
        again = self.jobs.accounted(group.key, submitted.intersection(numbers))
        return [number for number in numbers if number not in submitted or number in again]

    def resources(self, group: Group) -> Resources | None:
        """Work out what the group's jobs ask for: the most that any task needs. None: not known yet."""
        tool_id = group.step.tool or ""
        static = self.graph.tools[tool_id].resources
        if static is not None:
            return static
        if any(True for task in group.tasks for _ in task.holes()):
            return None
        each = []
        for task in group.tasks:
            if not task.broken and task.label not in group.skipped:
                given = {name: values.known(value) for name, value in task.inputs.items()}
                try:
                    each.append(self.tools.resources(tool_id, self.tools.step_inputs(group.step, given)))
                except TaskError as error:
                    group.failed[task.label] = str(error)
        return _most(each)

    def producers_ready(self, look: Look, group: Group) -> list[str] | None:
        """Return the producers that have yet to end; None while one is not submitted, or has a dead job to settle."""
        unfinished = []
        for key in sorted(look.plan.producers(group)):
            producer = look.plan.groups[key]
            if producer.unknown or key in look.refused or self.to_submit(look, producer):
                return None
            numbers = (each for each in range(producer.elements) if look.is_open(producer, each))
            if self.jobs.has_ended(key, numbers):
                # Its job died: once that is settled there is another to wait for.
                return None
            if look.has_open(producer):
                unfinished.append(key)
        return unfinished

    def submit_numbers(
        self, look: Look, group: Group, numbers: list[int], options: JobOptions, producers: list[str]
    ) -> None:
        """Submit the elements of a group that there is room for."""
        for intent in self.jobs.in_doubt(group.key):
            # An sbatch we know no answer of: again the same, so that its job is found if there is one.
            again = numbers_of(intent)
            if set(again) & set(numbers):
                try:
                    self.submit_part(look, group, part_of(intent), again, options, producers)
                except SubmitLimitError:
                    # There was no job, and so many are not taken: they are cut anew.
                    self.jobs.forget(group.key)
                else:
                    numbers = [number for number in numbers if number not in again]
        if len(numbers) > self.room:
            look.held_back.add(group.key)
        for part in windows.arrays(numbers, self.room, self.limit, self.record.slurm.max_array_size):
            if not self.submit_some(look, group, part, options, producers):
                look.held_back.add(group.key)
                return

    def submit_some(
        self, look: Look, group: Group, numbers: list[int], options: JobOptions, producers: list[str]
    ) -> bool:
        """Submit an array, or as much of it as Slurm takes; False when that is not all."""
        some = numbers
        while True:
            try:
                self.submit_part(look, group, self.jobs.next_part(group.key), some, options, producers)
            except SubmitLimitError as error:
                log.warning("%s: %d elements: %s", group.key, len(some), error)
                look.full, self.room = True, 0
                if len(some) == 1:
                    raise
                some = some[: len(some) // 2]
            else:
                return len(some) == len(numbers)

    def submit_part(
        self,
        look: Look,
        group: Group,
        part: int,
        numbers: list[int],
        options: JobOptions,
        producers: list[str],
    ) -> None:
        """Make one sbatch: an array, or a plain job where the step has one task."""
        key = f"{group.key}.{part}"
        is_array = group.elements > 1
        offset = numbers[0]
        indices = tuple(number - offset for number in numbers)
        intent = Intent(key, self.record.job_name(key), now(), (), group.key, offset, indices, is_array)
        log_name = "%a.log" if is_array else "0.log"
        request = JobRequest(
            name=intent.job_name,
            script=self.script(group.key),
            chdir=self.layout.root,
            output=self.layout.group_log(group.key) / f"{part}.{log_name}",
            options=options,
            array=indices if is_array else None,
            dependency=self.dependency(look, group, producers, numbers),
            script_args=(f"{key}:{offset}",),
        )
        self.jobs.submitter.submit(intent, request)
        self.jobs.note(intent)
        self.room -= len(numbers)

    def dependency(self, look: Look, group: Group, producers: list[str], numbers: list[int]) -> Dependency:
        """Say what the group waits for: element by element where the arrays match, else all of the producer."""
        by_type: dict[str, list[str]] = {}
        for key in producers:
            producer = look.plan.groups[key]
            for intent in self.open_intents(look, producer):
                job_id = self.jobs.known_id(intent) or ""
                if intent.array and look.plan.is_element_wise(group, key):
                    if numbers_of(intent) == numbers:
                        by_type.setdefault("aftercorr", []).append(job_id)
                        continue
                    if not set(numbers_of(intent)) & set(numbers):
                        continue
                kind = "afterany" if key in group.after or look.has_failed(producer) else "afterok"
                by_type.setdefault(kind, []).append(job_id)
        return Dependency({kind: tuple(ids) for kind, ids in by_type.items()})

    def open_intents(self, look: Look, group: Group) -> list[Intent]:
        """List the group's jobs that may still give a result: of each element's submissions only the newest."""
        newest = self.jobs.newest(group.key)
        live = {intent.key for number, intent in newest.items() if look.is_open(group, number)}
        return [intent for intent in self.jobs.intents(group.key) if intent.key in live]

    def script(self, key: str) -> Path:
        """Write the batch script of a group's jobs."""
        path = self.layout.group_script(key)
        if not path.exists():
            text = scripts.render("task.sh", workflow_dir=str(self.layout.root), group=key)
            store.write_text(path, text)
        return path


def raised(options: JobOptions, time_limit_s: int, mem_mib: int) -> JobOptions:
    """Return options with so much time and memory, where that is more than they have."""
    return replace(
        options,
        time_limit=max(options.time_limit, timedelta(seconds=time_limit_s)),
        mem_mib=max(options.mem_mib or 0, mem_mib) or None,
    )


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
        ntasks=most("ntasks"),
        gpus=most("gpus"),
    )
