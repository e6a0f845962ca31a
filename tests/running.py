"""A Slurm in memory that also runs the jobs: what tasks make is said by a Python function."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from beeflow import codec, elements, models, store
from beeflow.driver import Driver, Ended
from beeflow.layout import Layout
from beeflow.models import Attempt, ElementResult, TaskResult
from beeflow.reduction import Reduction
from beeflow.results import Results, step_at
from beeflow.runner.history import History
from beeflow.runner.main import earlier
from beeflow.scheduler import Dependency
from beeflow.states import JobState, TaskState
from beeflow.submission import Submitter, claim, pass_key, pass_number
from beeflow.values import broken_of, from_json, known, outputs_of, simplify
from tests.fakes import FakeEvaluator, FakeJob, KilledError
from tests.test_driver import World

# What a task makes on its port "out"; None: it fails.
Does = Callable[[str, Mapping[str, Any]], Any]

_PENDING, _DONE, _FAILED = JobState.PENDING, JobState.COMPLETED, JobState.FAILED


@dataclass
class Site:
    """Runs a world's jobs in the order of their ids. ``ran``: how often each task did; ``passes``: how many came.

    ``asleep``: steps whose jobs stay pending.
    """

    world: World
    does: Does
    ran: Counter[str] = field(default_factory=Counter)
    ended: Ended | None = None
    passes: int = 0
    asleep: set[str] = field(default_factory=set)

    @property
    def layout(self) -> Layout:
        return self.world.layout

    def run(self, most: int = 60) -> dict[str, str]:
        """Run everything until the workflow has ended; returns its tasks' states."""
        self.ended = None
        for _ in range(most):
            self.work()
            if self.run_pass():
                assert self.ended is not None
                self.forget_passes()
                return self.states()
        raise AssertionError(f"not ended after {most} passes")

    def states(self) -> dict[str, str]:
        derived = self.ended.derived if self.ended else {}
        record = self.world.record
        tasks = Reduction(self.layout, record, self.world.graph, self.world.scheduler.query(), derived=derived).tasks()
        return {task.name: task.state.value for task in tasks}

    def outputs(self) -> dict[str, Any]:
        assert self.ended is not None
        return {name: known(value) for name, value in self.ended.plan.outputs.items()}

    def live_passes(self) -> list[FakeJob]:
        return [job for job in self.world.scheduler.named("-pass") if not job.states[None][0].ended]

    def run_pass(self) -> bool:
        """Run the pass that is due; True when the workflow has ended."""
        for job in self.live_passes():
            if any(self.has_failed(each) for each in job.dependency.by_type.get("afterok", ())):
                self.world.scheduler.end(job.id, JobState.CANCELLED, "DependencyNeverSatisfied")
        ready = [job for job in self.live_passes() if not job.held and self.is_ready(job)]
        assert ready, "no pass is to come: the workflow hangs"
        job, world = ready[0], self.world
        try:
            self.ended = self.drive(job)
        except KilledError:
            world.scheduler.end(job.id, _FAILED)
            raise
        self.passes += 1
        world.scheduler.end(job.id, _DONE)
        return self.ended is not None

    def drive(self, job: FakeJob) -> Ended | None:
        """Do what a pass does (beeflow.passes), but for ending the workflow."""
        (key,) = job.request.script_args
        world, number = self.world, pass_number(key)
        if not claim(self.layout, key, job.id):
            return None
        submitter = Submitter(self.layout, world.record, world.scheduler)
        successor = submitter.submit_pass(number + 1, Dependency({"afterany": (job.id,)}, singleton=True))
        tools = FakeEvaluator(world.functions)
        driver = Driver(self.layout, world.record, world.graph, world.inputs, tools, submitter, pause_s=0.0)
        return driver.run(successor)

    def forget_passes(self) -> None:
        for job in self.live_passes():
            world = self.world
            world.scheduler.cancel(world.record.job_name(pass_key(1)), [job.id])

    def is_ready(self, job: FakeJob) -> bool:
        wanted = job.dependency
        if wanted.any_of:
            failed = (self.has_failed(each) for each in wanted.or_failed)
            return any(self.has_ended(each) for each in wanted.any_of) or any(failed)
        return all(self.has_ended(each) for ids in wanted.by_type.values() for each in ids)

    def has_failed(self, job_id: str) -> bool:
        job = self.world.scheduler.jobs.get(job_id)
        return job is not None and any(state.ended and state is not _DONE for state, _ in job.states.values())

    def has_ended(self, job_id: str) -> bool:
        job = self.world.scheduler.jobs.get(job_id)
        return job is None or all(state.ended for state, _ in job.states.values())

    def work(self) -> None:
        """Run the task jobs that can, until none can."""
        while any(self.try_job(job) for job in list(self.world.scheduler.jobs.values())):
            pass

    def try_job(self, job: FakeJob) -> bool:
        if job.request.name.endswith("-pass") or job.request.script_args[0].partition(".")[0] in self.asleep_keys():
            return False
        todo = [index for index, (state, _) in job.states.items() if state is _PENDING and index not in job.held]
        done = [index for index in todo if self.try_element(job, index)]
        return bool(done)

    def asleep_keys(self) -> set[str]:
        return {self.world.key(path) for path in self.asleep}

    def try_element(self, job: FakeJob, index: int | None) -> bool:
        jobs = self.world.scheduler.jobs
        for kind, ids in job.dependency.by_type.items():
            for each in ids:
                before = jobs.get(each)
                if before is None:
                    continue
                states = [before.states[index][0]] if kind == "aftercorr" and index in before.states else None
                states = states or [state for state, _ in before.states.values()]
                if not all(state.ended for state in states):
                    return False
                if kind in ("afterok", "aftercorr") and any(state is not _DONE for state in states):
                    job.states[index] = (JobState.CANCELLED, "DependencyNeverSatisfied")
                    return True
        job.states[index] = (self.element(job, index), "None")
        return True

    def element(self, job: FakeJob, index: int | None) -> JobState:
        """Run an element as beeflow.runner does."""
        key, _, offset = job.request.script_args[0].rpartition(":")
        group, number = key.rpartition(".")[0], int(offset) + (index or 0)
        assert self.layout.run(group).exists()
        shown = job.id if index is None else f"{job.id}_{index}"
        folder = self.layout.element(group, number)
        me: Any = SimpleNamespace(element_id=shown, restart_count=0)
        settled = earlier(str(folder), me, History(str(folder), me))
        if settled is None:
            return _DONE
        attempt = folder / f"{shown}.0"
        attempt.mkdir(parents=True)
        about = Attempt(job.id, index, 0, "node7", "host7", 1, models.now())
        store.write_record(attempt / "started.json", about)
        results = {label: codec.from_json(TaskResult, each) for label, each in settled.items()}
        lines = []
        seen = Results(self.layout, self.world.graph, FakeEvaluator(self.world.functions), passes_said=True)
        for task in elements.read(self.layout, group, number).tasks:
            if task.label in results:
                continue
            inputs = {name: simplify(from_json(value), seen.lookup) for name, value in task.inputs.items()}
            if any(broken_of(value) or any(True for _ in outputs_of(value)) for value in inputs.values()):
                continue
            values = {name: known(each) for name, each in inputs.items()}
            results[task.label] = self.task(group, task.label, values, evaluated=task.evaluated)
            lines.append({"begin": task.label, "at": models.now()})
            lines.append({"end": task.label, "result": codec.to_json(results[task.label])})
        (attempt / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if results:
            store.publish_record(self.layout.element_result(group, number), ElementResult(results))
        good = [each.state.good for each in results.values()]
        return _DONE if (all(good) if self.world.record.stops_on_error else any(good)) else _FAILED

    def task(self, group: str, label: str, inputs: Mapping[str, Any], *, evaluated: bool) -> TaskResult:
        found = seen_group(self.layout, group)
        step, evaluator = step_at(self.world.graph.workflow, found.path), FakeEvaluator(self.world.functions)
        if not evaluated:
            inputs = evaluator.step_inputs(step, inputs)
            if step.when and not evaluator.condition(step, inputs):
                return TaskResult(TaskState.SKIPPED, "its condition (when) is false")
        name = f"{found.path}[{label}]" if found.scattered else found.path
        self.ran[name] += 1
        made = self.does(name, inputs)
        if made is None:
            return TaskResult(TaskState.FAILED, "exit code 3")
        return TaskResult(TaskState.COMPLETED, outputs={"out": made})


def seen_group(layout: Layout, key: str) -> models.GroupRecord:
    found = store.read_record(models.GroupRecord, layout.group_record(key))
    assert found is not None
    return found
