"""Passes over small workflows on a scheduler in memory; what tasks would write is written by hand."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from beeflow import models, store, successor
from beeflow.driver import Driver, Ended
from beeflow.errors import SystemFileError, TaskError, TransitionError
from beeflow.graph import Graph, Link
from beeflow.group_jobs import MAX_SUBMISSIONS
from beeflow.layout import Layout, folders
from beeflow.models import (
    Attempt,
    ElementResult,
    GroupRecord,
    StateRecord,
    TaskResult,
    WorkflowRecord,
)
from beeflow.plan import group_keys
from beeflow.reduction import Reduction
from beeflow.scheduler import Dependency, JobRecord
from beeflow.states import JobState, TaskState, WorkflowState
from beeflow.submission import Submitter
from beeflow.values import Known
from tests import fakes
from tests.fakes import RECORD, FakeEvaluator, FakeScheduler, Function, KilledError, flow, graph, step


@dataclass
class World:
    """One workflow, its Slurm, and what happens in it."""

    layout: Layout
    graph: Graph
    inputs: Mapping[str, Any]
    functions: Mapping[str, Function]
    record: WorkflowRecord = RECORD
    scheduler: FakeScheduler = field(default_factory=FakeScheduler)
    passes: int = 0
    successor: str = ""
    looks_again_s: tuple[float, ...] = ()

    def run(self) -> Ended | None:
        """Run one pass, as a new process would; its successor is submitted first."""
        self.passes += 1
        submitter = Submitter(self.layout, self.record, self.scheduler)
        self.successor = submitter.submit_pass(self.passes + 1, Dependency(singleton=True))
        tools = FakeEvaluator(self.functions)
        driver = Driver(self.layout, self.record, self.graph, self.inputs, tools, submitter, pause_s=0.0)
        driver.looks_again_s = self.looks_again_s
        return driver.run(self.successor)

    def go_on(self, most: int = 6) -> Ended:
        """Run passes until the workflow has ended."""
        for _ in range(most):
            ended = self.run()
            if ended:
                return ended
        raise AssertionError(f"not ended after {most} passes")

    def key(self, path: str) -> str:
        return group_keys(self.graph.workflow)[path]

    def jobs(self, path: str) -> list[fakes.FakeJob]:
        """List the jobs of a step, in order."""
        number = self.key(path).partition("-")[0]
        return [job for job in self.scheduler.jobs.values() if job.request.name.startswith(f"{RECORD.nonce}-{number}.")]

    def job(self, path: str) -> fakes.FakeJob:
        (job,) = self.jobs(path)
        return job

    def finish(self, path: str, *outs: Any, state: TaskState = TaskState.COMPLETED, first: int = 0) -> None:
        """Write the results of a step's tasks from the first on, and end their jobs. ``outs``: their port "out"."""
        key = self.key(path)
        group = store.read_record(GroupRecord, self.layout.group_record(key))
        assert group is not None
        for number, out in enumerate(outs or (None,), first):
            result = TaskResult(state, "" if state.good else "exit code 3", outputs={"out": out})
            place = self.layout.element_result(key, number)
            place.parent.mkdir(parents=True, exist_ok=True)
            store.publish_record(place, ElementResult({group.labels[number]: result}))
            ended = JobState.COMPLETED if state.good else JobState.FAILED
            for job in self.jobs(path):
                self.scheduler.end(job.id, ended, "None", {number - offset_of(job), None} & set(job.states))

    def result(self, path: str, number: int = 0) -> TaskResult:
        found = store.read_record(ElementResult, self.layout.element_result(self.key(path), number))
        assert found is not None
        return next(iter(found.tasks.values()))

    def begin(self, path: str, number: int = 0) -> None:
        """Write what an attempt that began leaves."""
        folder = self.layout.element(self.key(path), number) / "1.0"
        folder.mkdir(parents=True)
        job = self.job(path)
        index = None if job.request.array is None else number - offset_of(job)
        store.write_record(folder / "started.json", Attempt(job.id, index, 0, "node7", "host7", 1, models.now()))
        store.write_text(folder / "tasks.jsonl", json.dumps(begin(str(number))) + "\n")

    def final_tasks(self, ended: Ended) -> dict[str, tuple[str, str]]:
        """Reduce as the epilog does: task name -> state and reason."""
        tasks = Reduction(self.layout, self.record, self.graph, derived=ended.derived).tasks()
        return {task.name: (task.state.value, task.reason) for task in tasks}


def offset_of(job: fakes.FakeJob) -> int:
    """Read which element array index 0 of a job runs."""
    return int(job.request.script_args[0].rpartition(":")[2])


def elements_of(job: fakes.FakeJob) -> list[int]:
    """List the elements that a job runs."""
    return [offset_of(job) + index for index in job.request.array or (0,)]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    made.root.mkdir()
    for folder in folders(made):
        folder.mkdir()
    return made


def chain(layout: Layout) -> World:
    """Two steps, one after the other."""
    given = graph(flow(["x"], [step("a", {"x": "x"}), step("b", {"x": "a/out"})], {"end": "b/out"}))
    return World(layout, given, {"x": 1}, {})


def wide(layout: Layout, width: int = 3) -> World:
    """A scatter, a scatter over that, and a gather."""
    steps = [
        step("s", {"x": "xs"}, scatter=["x"]),
        step("t", {"x": "s/out"}, scatter=["x"]),
        step("g", {"x": "t/out"}),
    ]
    return World(layout, graph(flow(["xs"], steps, {"end": "g/out"})), {"xs": list(range(width))}, {})


def unknown(layout: Layout, **functions: Function) -> World:
    """A scatter over what a step makes, beside a slow step that has nothing to do with it."""
    steps = [step("a"), step("slow"), step("s", {"x": "a/out"}, scatter=["x"]), step("g", {"x": "s/out"})]
    return World(layout, graph(flow([], steps, {"end": "g/out"})), {}, functions)


# -- submitting -------------------------------------------------------------------------------------------------------


def test_one_pass_submits_a_known_graph_whole(layout: Layout) -> None:
    world = wide(layout)
    assert world.run() is None
    s, t, g = world.job("s"), world.job("t"), world.job("g")
    assert [list(job.request.array or "") for job in (s, t, g)] == [[0, 1, 2], [0, 1, 2], []]
    assert g.request.array is None
    assert s.dependency == Dependency()
    assert t.dependency == Dependency({"aftercorr": (s.id,)})
    assert g.dependency == Dependency({"afterok": (t.id,)})
    assert world.scheduler.queries == 0


def test_each_job_runs_its_own_part(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    for path in "stg":
        key = world.key(path)
        job = world.job(path)
        assert job.request.script_args == (f"{key}.0:0",)
        assert job.request.script == layout.group_script(key)
        assert layout.group_script(key).exists()
        assert job.request.output.parent.is_dir()
        assert layout.job_id(f"{key}.0").read_text().strip() == job.id


def test_the_successor_waits_for_all_that_is_outstanding(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    ids = tuple(world.job(path).id for path in "stg")
    assert world.scheduler.relinked == [(world.successor, Dependency({"afterany": ids}, singleton=True))]


def test_where_a_width_is_unknown_the_successor_waits_for_what_decides_it(layout: Layout) -> None:
    world = unknown(layout)
    world.run()
    assert world.jobs("s") == world.jobs("g") == []
    assert world.job("slow").dependency == Dependency()
    assert world.scheduler.relinked == [
        (world.successor, Dependency({"afterany": (world.job("a").id,)}, singleton=True))
    ]
    world.finish("a", [5, 6])
    assert world.run() is None
    assert list(world.job("s").states) == [0, 1]
    assert world.job("s").dependency == Dependency()
    assert world.job("g").dependency == Dependency({"afterok": (world.job("s").id,)})


def two_scatters(layout: Layout) -> World:
    """Two scatters that have nothing to do with each other, over what two steps each make, and a gather of both."""
    steps = [step(name) for name in ("a", "b", "c", "slow")]
    steps += [
        step("s", {"x": "a/out", "y": "b/out"}, scatter=["x", "y"]),
        step("t", {"x": "c/out"}, scatter=["x"]),
        step("g", {"x": "s/out", "y": "t/out", "z": "slow/out"}),
    ]
    return World(layout, graph(flow([], steps, {"end": "g/out"})), {}, {})


def test_the_first_of_several_widths_that_can_be_known_wakes_the_next_pass(layout: Layout) -> None:
    world = two_scatters(layout)
    world.run()
    a, b, c, slow = (world.job(path).id for path in ("a", "b", "c", "slow"))
    # Of two that must both end, the one that was submitted last; never the one that decides nothing.
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(b, c))
    world.finish("b", [1])
    world.run()
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(a, c))
    world.finish("c", [1, 2])
    world.run()
    assert len(world.job("t").states) == 2
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (a,)}, singleton=True)
    world.finish("a", [1])
    world.run()
    ids = (slow, world.job("t").id, world.job("s").id, world.job("g").id)
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": ids}, singleton=True)


def test_a_width_that_takes_less_is_known_first(layout: Layout) -> None:
    steps = [step("a"), step("b"), step("s", {"x": "a/out", "y": "b/out"}, scatter=["x", "y"])]
    steps += [step("t", {"x": "a/out"}, scatter=["x"]), step("u", {"x": "t/out", "y": "b/out"}, scatter=["x", "y"])]
    world = World(layout, graph(flow([], steps)), {}, {})
    world.run()
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.job("a").id,)}, singleton=True)


def test_a_dependency_fits_sbatch(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(successor, "MAX_DEPENDENCY_CHARS", 20)
    world = wide(layout, 7)
    world.record = replace(RECORD, slurm=replace(RECORD.slurm, max_array_size=1), tasks_per_element=1)
    world.run()
    (_, relinked) = world.scheduler.relinked[-1]
    newest = tuple(job.id for job in world.scheduler.jobs.values())[-len(relinked.by_type["afterany"]) :]
    assert relinked == Dependency({"afterany": newest}, singleton=True)
    assert 2 <= len(newest) <= 5


def test_a_pass_run_again_submits_nothing_twice(layout: Layout) -> None:
    world = wide(layout)
    for _ in range(3):
        assert world.run() is None
    assert [len(world.jobs(path)) for path in "stg"] == [1, 1, 1]
    # Every pass relinks its own successor.
    assert len({job_id for job_id, _ in world.scheduler.relinked}) == 3


def test_a_workflow_that_completes(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    world.finish("s", 1, 2, 3)
    world.finish("t", 4, 5, 6)
    world.finish("g", 7)
    ended = world.run()
    assert ended is not None
    assert (ended.derived, ended.cancelled) == ({}, False)
    assert str(ended.plan.outputs["end"]) == "Known(value=7)"
    assert {state for state, _ in world.final_tasks(ended).values()} == {"COMPLETED"}


def test_the_state_says_running_from_the_first_pass_on(layout: Layout) -> None:
    world = chain(layout)
    world.run()
    state = store.read_record(StateRecord, layout.state)
    assert state is not None
    assert state.state is WorkflowState.RUNNING


def test_arrays_fit_max_array_size(layout: Layout) -> None:
    world = wide(layout, 25)
    world.record = replace(RECORD, slurm=replace(RECORD.slurm, max_array_size=10), tasks_per_element=1)
    world.run()
    for path in "st":
        assert [max(job.request.array or ()) for job in world.jobs(path)] == [9, 9, 4]
        assert [offset_of(job) for job in world.jobs(path)] == [0, 10, 20]
    assert [job.dependency for job in world.jobs("t")] == [
        Dependency({"aftercorr": (job.id,)}) for job in world.jobs("s")
    ]
    assert world.job("g").dependency == Dependency({"afterok": tuple(job.id for job in world.jobs("t"))})


def test_resources_that_depend_on_inputs_are_worked_out_by_the_pass(layout: Layout) -> None:
    steps = [step("a"), step("b", {"x": "a/out"})]
    world = World(layout, graph(flow([], steps), dynamic=["b"]), {}, {"b": lambda inputs: inputs["x"] * 2})
    world.run()
    assert world.jobs("b") == []
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.job("a").id,)}, singleton=True)
    world.finish("a", 4)
    world.run()
    assert world.job("b").request.options.cpus_per_task == 8


def test_an_empty_scatter_takes_no_job(layout: Layout) -> None:
    world = wide(layout, 0)
    world.run()
    assert world.jobs("s") == world.jobs("t") == []
    assert world.job("g").dependency == Dependency()
    world.finish("g", 0)
    ended = world.go_on()
    # There is nothing that waits in a workflow that has ended.
    assert {state for state, _ in world.final_tasks(ended).values()} <= {"COMPLETED", "SKIPPED"}


def test_a_condition_that_is_false_takes_no_job(layout: Layout) -> None:
    given = graph(
        flow(["xs"], [step("s", {"x": "xs"}, scatter=["x"], when="big"), step("t", {"x": "s/out"}, scatter=["x"])])
    )
    world = World(layout, given, {"xs": [1, 9, 2]}, {"big": lambda values: values["x"] > 5})
    world.run()
    assert elements_of(world.job("s")) == [1]
    # Not aftercorr: elements 0 and 2 have no partner, and would wait for all of it.
    assert elements_of(world.job("t")) == [0, 1, 2]
    assert world.job("t").dependency == Dependency({"afterok": (world.job("s").id,)})
    world.finish("s", "nine", first=1)
    world.finish("t", 1, 2, 3)
    ended = world.go_on()
    assert [state for state, _ in world.final_tasks(ended).values()] == ["SKIPPED", "COMPLETED", "SKIPPED"] + [
        "COMPLETED"
    ] * 3


# -- killed in between ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [fakes.KILLED, fakes.NO_ANSWER, fakes.LOST_ANSWER, fakes.UNREACHABLE])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_pass_that_did_not_hear_of_an_sbatch_is_made_good_by_the_next(
    layout: Layout, fault: str, before: int
) -> None:
    world = wide(layout)
    world.scheduler.faults = [""] * before + [fault]
    try:
        assert world.run() is None
    except KilledError:
        assert fault == fakes.KILLED
    for _ in range(3):
        world.run()
    assert [len(world.jobs(path)) for path in "stg"] == [1, 1, 1]
    s, t, g = (world.job(path) for path in "stg")
    assert t.dependency == Dependency({"aftercorr": (s.id,)})
    assert g.dependency == Dependency({"afterok": (t.id,)})
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (s.id, t.id, g.id)}, singleton=True)


@pytest.mark.parametrize("fault", [fakes.NO_ANSWER, fakes.LOST_ANSWER, fakes.UNREACHABLE])
@pytest.mark.parametrize("before", [1, 2, 3])
def test_a_pass_whose_successor_may_not_submit_looks_again_itself(layout: Layout, fault: str, before: int) -> None:
    world = wide(layout)
    world.looks_again_s = (0.0, 0.0)
    world.scheduler.faults = [""] * before + [fault, fault]
    assert world.run() is None
    assert [len(world.jobs(path)) for path in "stg"] == [1, 1, 1]
    s, t, g = (world.job(path) for path in "stg")
    assert world.scheduler.relinked == [(world.successor, Dependency({"afterany": (s.id, t.id, g.id)}, singleton=True))]


def test_a_pass_killed_before_its_first_record_starts_over(layout: Layout) -> None:
    world = chain(layout)
    (layout.tasks / world.key("a") / "slurm").mkdir(parents=True)
    (layout.tasks / world.key("a") / "elements.jsonl").write_text("half a li")
    world.run()
    assert len(world.jobs("a")) == 1
    assert layout.elements_index(world.key("a")).exists()


def test_in_doubt_nothing_is_taken_for_ended(layout: Layout) -> None:
    world = chain(layout)
    world.scheduler.faults = ["", fakes.NO_ANSWER]
    assert world.run() is None
    assert not layout.element_result(world.key("a"), 0).exists()


# -- failures ---------------------------------------------------------------------------------------------------------


def test_what_depends_on_a_failed_task_is_dep_fail(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    world.finish("s", 1, first=0)
    world.finish("s", None, first=1, state=TaskState.FAILED)
    world.finish("s", 3, first=2)
    world.finish("t", 4, first=0)
    world.finish("t", 6, first=2)
    for path, index in (("t", 1), ("g", None)):
        world.scheduler.end(world.job(path).id, JobState.CANCELLED, "DependencyNeverSatisfied", [index])
    ended = world.go_on()
    tasks = world.final_tasks(ended)
    assert {name: state for name, (state, _) in tasks.items()} == {
        "s[0]": "COMPLETED",
        "s[1]": "FAILED",
        "s[2]": "COMPLETED",
        "t[0]": "COMPLETED",
        "t[1]": "DEP_FAIL",
        "t[2]": "COMPLETED",
        "g": "DEP_FAIL",
    }
    assert all("s[1] FAILED" in tasks[name][1] for name in ("t[1]", "g"))
    # A pass derives it: no task or pass writes it.
    assert not layout.element_result(world.key("g"), 0).exists()
    assert [len(world.jobs(path)) for path in "stg"] == [1, 1, 1]


def test_a_failure_does_not_stop_what_does_not_depend_on_it(layout: Layout) -> None:
    world = unknown(layout)
    world.run()
    world.finish("a", state=TaskState.FAILED)
    assert world.run() is None
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.job("slow").id,)}, singleton=True)
    world.finish("slow", 1)
    tasks = world.final_tasks(world.go_on())
    assert {name: state for name, (state, _) in tasks.items()} == {
        "a": "FAILED",
        "slow": "COMPLETED",
        "s": "DEP_FAIL",
        "g": "DEP_FAIL",
    }


def ragged(layout: Layout) -> World:
    """A scattered subworkflow: p makes an array, q scatters over it, r gathers."""
    inner = flow(
        ["x"],
        [step("p", {"x": "x"}), step("q", {"x": "p/out"}, scatter=["x"]), step("r", {"x": "q/out"})],
        {"out": "r/out"},
    )
    given = graph(flow(["xs"], [step("sub", {"x": "xs"}, workflow=inner, scatter=["x"])], {"end": "sub/out"}))
    return World(layout, given, {"xs": [0, 1]}, {})


def test_one_failed_instance_of_a_subworkflow_does_not_stop_the_others(layout: Layout) -> None:
    world = ragged(layout)
    world.run()
    world.finish("sub/p", None, state=TaskState.FAILED)
    world.finish("sub/p", [7, 8], first=1)
    world.run()
    assert list(world.job("sub/q").states) == [0, 1]
    world.finish("sub/q", 17, 18)
    world.run()
    world.finish("sub/r", "done", first=1)
    tasks = world.final_tasks(world.go_on())
    states = ["FAILED", "COMPLETED", "COMPLETED", "COMPLETED", "DEP_FAIL", "COMPLETED"]
    assert [state for state, _ in tasks.values()] == states


def test_the_instances_of_a_subworkflow_are_named_alike(layout: Layout) -> None:
    world = ragged(layout)
    world.run()
    tasks = Reduction(layout, RECORD, world.graph).tasks()
    assert [task.name for task in tasks if task.step == "sub/p"] == ["sub/p[0]", "sub/p[1]"]


def test_nothing_waits_inside_a_subworkflow_that_could_never_begin(layout: Layout) -> None:
    inner = flow(["x"], [step("p", {"x": "x"})], {"out": "p/out"})
    steps = [step("a"), step("sub", {"x": "a/out"}, workflow=inner, scatter=["x"])]
    world = World(layout, graph(flow([], steps, {"end": "sub/out"})), {}, {})
    world.run()
    world.finish("a", state=TaskState.FAILED)
    states = {state for state, _ in world.final_tasks(world.go_on()).values()}
    assert states == {"FAILED", "DEP_FAIL"}


@pytest.mark.parametrize("out", [None, 3, "text"])
def test_a_scatter_over_what_turns_out_to_be_no_array_fails_the_step_not_the_pass(layout: Layout, out: Any) -> None:
    world = unknown(layout)
    world.run()
    world.finish("slow", 1)
    world.finish("a", out)
    tasks = world.final_tasks(world.go_on())
    assert tasks["s"][0] in ("FAILED", "DEP_FAIL")
    assert "array" in tasks["s"][1]
    assert tasks["g"][0] == "DEP_FAIL"


def test_arrays_that_turn_out_to_differ_in_length_fail_the_step_not_the_pass(layout: Layout) -> None:
    steps = [step("a"), step("b"), step("s", {"x": "a/out", "y": "b/out"}, scatter=["x", "y"])]
    world = World(layout, graph(flow([], steps)), {}, {})
    world.run()
    world.finish("a", [1, 2])
    world.finish("b", [1])
    tasks = world.final_tasks(world.go_on())
    assert tasks["s"][0] in ("FAILED", "DEP_FAIL")
    assert "dotproduct" in tasks["s"][1]


def test_a_condition_that_fails_for_one_task_leaves_the_others(layout: Layout) -> None:
    def odd(values: Mapping[str, Any]) -> bool:
        if values["x"] == 1:
            raise TaskError("ReferenceError: y is not defined")
        return True

    given = graph(flow(["xs"], [step("s", {"x": "xs"}, scatter=["x"], when="odd")]))
    world = World(layout, given, {"xs": [0, 1, 2]}, {"odd": odd})
    world.run()
    assert list(world.job("s").states) == [0, 2]
    world.finish("s", "zero")
    world.finish("s", "two", first=2)
    tasks = world.final_tasks(world.go_on())
    assert [tasks[f"s[{number}]"][0] for number in range(3)] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert "ReferenceError" in tasks["s[1]"][1]


def test_an_expression_that_fails_is_told(layout: Layout) -> None:
    def fail(_: Mapping[str, Any]) -> Any:
        raise TaskError("ReferenceError: y is not defined")

    steps = [step("a"), step("e", {"x": "a/out"}), step("b", {"x": "e/out"})]
    world = World(layout, graph(flow([], steps), expressions=["e"]), {}, {"e": fail})
    world.run()
    world.finish("a", 1)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    tasks = world.final_tasks(world.go_on())
    assert tasks["a"][0] == "COMPLETED"
    assert tasks["e"] == ("FAILED", "ReferenceError: y is not defined")
    assert tasks["b"][0] == "DEP_FAIL"


# -- --on-error stop --------------------------------------------------------------------------------------------------


def stopping(world: World, **changes: Any) -> World:
    """Have the workflow stop at its first failure."""
    world.record = replace(world.record, on_error=models.ON_ERROR_STOP, **changes)
    return world


def test_a_pass_that_waits_for_good_ends_has_one_behind_it(layout: Layout) -> None:
    world = stopping(wide(layout))
    for _ in range(2):
        world.run()
        # Slurm tells of an array as such that it failed only when all of it has ended.
        ids = (*(f"{world.job(path).id}_{index}" for path in "st" for index in range(3)), world.job("g").id)
        assert world.scheduler.relinked[-1] == (world.successor, Dependency({"afterok": ids}, singleton=True))
        # Slurm cancels the successor when a job fails: the pass behind it comes at once.
        after = Dependency({"afterany": (world.successor,)}, singleton=True)
        (last,) = (job for job in world.scheduler.jobs.values() if job.dependency == after)
        assert last.request.name == RECORD.job_name("pass.9")
        # It is older than the tasks, so that it need not wait until all of them have begun.
        assert int(last.id) < min(map(int, (world.job(path).id for path in "stg"))) or world.passes > 1


def test_where_elements_are_too_many_to_name_their_jobs_are(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    world = stopping(wide(layout))
    monkeypatch.setattr(successor, "MAX_DEPENDENCY_CHARS", 20)
    world.run()
    ids = tuple(world.job(path).id for path in "stg")
    assert world.scheduler.relinked[-1] == (world.successor, Dependency({"afterok": ids}, singleton=True))


def test_where_a_width_is_unknown_an_element_that_fails_wakes_the_pass_too(layout: Layout) -> None:
    steps = [step("c"), step("s", {"x": "xs"}, scatter=["x"]), step("g", {"x": "c/out"}, scatter=["x"])]
    world = stopping(World(layout, graph(flow(["xs"], steps)), {"xs": [0, 1]}, {}))
    world.run()
    c, s = world.job("c").id, world.job("s").id
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(c,), or_failed=(f"{s}_0", f"{s}_1"))


def test_stop_lets_what_runs_finish_and_starts_nothing_else(layout: Layout) -> None:
    steps = [step("s", {"x": "xs"}, scatter=["x"]), step("t", {"x": "s/out"}, scatter=["x"]), step("u")]
    given = graph(flow(["xs"], [*steps, step("v", {"x": "u/out"})], {"end": "v/out"}))
    world = stopping(World(layout, given, {"xs": [0, 1, 2, 3]}, {}))
    world.run()
    world.finish("s", 1)
    world.finish("s", None, first=1, state=TaskState.FAILED)
    s, u = world.job("s"), world.job("u")
    s.states[2] = (JobState.RUNNING, "")
    world.begin("s", 2)
    assert world.run() is None
    assert {shown for _, shown in world.scheduler.cancelled} == {s.id, u.id, *(world.job(path).id for path in "tv")}
    assert [state for state, _ in s.states.values()] == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.RUNNING,
        JobState.CANCELLED,
    ]
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (s.id,)}, singleton=True)
    world.finish("s", 3, first=2)
    ended = world.go_on()
    reason = "not run: s[1] failed, and --on-error is stop"
    assert (ended.cancelled, ended.stopped) == (False, reason)
    tasks = world.final_tasks(ended)
    assert {name: state for name, (state, _) in tasks.items()} == {
        "s[0]": "COMPLETED",
        "s[1]": "FAILED",
        "s[2]": "COMPLETED",
        "s[3]": "CANCELLED",
        "t[0]": "CANCELLED",
        "t[1]": "DEP_FAIL",
        "t[2]": "CANCELLED",
        "t[3]": "CANCELLED",
        "u": "CANCELLED",
        "v": "CANCELLED",
    }
    assert {why for state, why in tasks.values() if state == "CANCELLED"} == {reason}


def test_where_a_width_is_unknown_any_failure_wakes_the_pass_too(layout: Layout) -> None:
    world = stopping(unknown(layout))
    world.run()
    a, slow = world.job("a"), world.job("slow")
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(a.id,), or_failed=(slow.id,))
    world.finish("slow", state=TaskState.FAILED)
    tasks = world.final_tasks(world.go_on())
    assert {name: state for name, (state, _) in tasks.items()} == {
        "a": "CANCELLED",
        "slow": "FAILED",
        "s": "CANCELLED",
        "g": "CANCELLED",
    }


def test_what_a_pass_submitted_before_it_saw_the_failure_is_cancelled(layout: Layout) -> None:
    steps = [step("a"), step("b"), step("s", {"x": "a/out"}, scatter=["x"])]
    world = stopping(World(layout, graph(flow([], steps)), {}, {}))
    world.run()
    world.finish("a", [1, 2])
    world.scheduler.end(world.job("b").id, JobState.NODE_FAIL)
    assert world.run() is None
    assert {state for state, _ in world.job("s").states.values()} == {JobState.CANCELLED}
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.job("s").id,)}, singleton=True)
    tasks = world.final_tasks(world.go_on())
    assert [tasks[name][0] for name in ("b", "s[0]", "s[1]")] == ["NODE_FAIL", "CANCELLED", "CANCELLED"]


def test_an_expression_that_fails_stops_the_workflow(layout: Layout) -> None:
    def fail(_: Mapping[str, Any]) -> Any:
        raise TaskError("ReferenceError: y is not defined")

    steps = [step("a"), step("e", {"x": "a/out"}), step("b", {"x": "a/out"}), step("c", {"x": "e/out"})]
    world = stopping(World(layout, graph(flow([], steps), expressions=["e"]), {}, {"e": fail}))
    world.run()
    world.finish("a", 1)
    tasks = world.final_tasks(world.go_on())
    assert {name: state for name, (state, _) in tasks.items()} == {
        "a": "COMPLETED",
        "e": "FAILED",
        "b": "CANCELLED",
        "c": "DEP_FAIL",
    }


def test_a_pass_without_successor_comes_when_all_has_ended(layout: Layout) -> None:
    world = stopping(chain(layout), drive="here")
    world.run()
    ids = tuple(world.job(path).id for path in "ab")
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": ids}, singleton=True)
    assert len(world.scheduler.jobs) == 3


def test_a_workflow_without_failure_does_not_stop(layout: Layout) -> None:
    world = stopping(chain(layout))
    world.run()
    world.finish("a", 1)
    world.finish("b", 2)
    ended = world.run()
    assert ended is not None
    assert (ended.derived, ended.stopped, world.scheduler.queries) == ({}, "", 0)


# -- refused ----------------------------------------------------------------------------------------------------------


def test_a_refusal_while_jobs_of_ours_live_is_waited_out(layout: Layout) -> None:
    world = unknown(layout)
    world.scheduler.faults = ["", "", fakes.REFUSED]
    assert world.run() is None
    assert [len(world.jobs(path)) for path in ("a", "slow")] == [1, 0]
    assert world.scheduler.relinked == [
        (world.successor, Dependency({"afterany": (world.job("a").id,)}, singleton=True))
    ]
    assert not layout.element_result(world.key("slow"), 0).exists()
    world.finish("a", [])
    world.run()
    assert len(world.jobs("slow")) == 1


def test_a_refusal_with_nothing_to_wait_for_is_final_and_in_slurms_words(layout: Layout) -> None:
    world = chain(layout)
    world.scheduler.faults = ["", fakes.REFUSED, fakes.REFUSED, fakes.REFUSED]
    ended = world.run()
    assert ended is not None
    tasks = world.final_tasks(ended)
    assert tasks["a"][0] == "FAILED"
    assert "Invalid account or account/partition combination specified" in tasks["a"][1]
    assert tasks["b"][0] == "DEP_FAIL"
    assert world.jobs("a") == world.jobs("b") == []


# -- limits -----------------------------------------------------------------------------------------------------------


def limited(world: World, **changes: Any) -> World:
    """Set limits of a workflow, and give every task an element of its own."""
    world.record = replace(world.record, tasks_per_element=1, **changes)
    return world


def finish_in_order(world: World, path: str, most: int = 30, *, wake: bool = True) -> int:
    """End the jobs of a step one after the other, with a pass after each that a pass waits for; returns the passes."""
    passes, ended = 0, 0
    while ended < len(world.jobs(path)):
        job = world.jobs(path)[ended]
        ended += 1
        world.finish(path, *elements_of(job), first=elements_of(job)[0])
        awaited = world.scheduler.jobs[world.successor].dependency
        if job.id in {*awaited.any_of, *awaited.by_type.get("afterany", ())} and wake:
            assert passes < most
            passes += 1
            world.run()
    return passes


@pytest.mark.parametrize("most", [1, 7, 30, 59])
def test_no_more_elements_than_allowed_are_in_the_queue(layout: Layout, most: int) -> None:
    world = limited(wide(layout, 60), max_jobs=most)
    seen = []
    world.scheduler.on_accept = lambda *_: seen.append(
        sum(world.scheduler.count_live(f"{RECORD.nonce}-00{number}") for number in (1, 2, 3))
    )
    world.run()
    finish_in_order(world, "s", most=70)
    finish_in_order(world, "t", most=70)
    finish_in_order(world, "g")
    assert max(seen) <= most
    for path in "st":
        assert sorted(each for job in world.jobs(path) for each in elements_of(job)) == list(range(60))
        # About two arrays a window.
        assert len(world.jobs(path)) <= 3 * -(-60 // most)
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}


def test_a_window_is_two_arrays_and_either_brings_more(layout: Layout) -> None:
    world = limited(wide(layout, 20), max_jobs=8)
    world.run()
    first, second = world.jobs("s")
    assert [elements_of(first), elements_of(second)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    # What takes from a step that is not submitted as a whole waits too.
    assert world.jobs("t") == world.jobs("g") == []
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(first.id, second.id))
    world.finish("s", 0, 1, 2, 3)
    world.finish("s", 4, first=4)
    world.run()
    third, fourth = world.jobs("s")[2:]
    assert [elements_of(third), elements_of(fourth)] == [[8, 9, 10, 11], [12]]
    # The oldest has only three left to run: that it ends means little.
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(third.id, fourth.id))


def test_windows_and_widths_wake_the_next_pass_each(layout: Layout) -> None:
    steps = [step("a"), step("s", {"x": "xs"}, scatter=["x"]), step("t", {"x": "a/out"}, scatter=["x"])]
    world = limited(World(layout, graph(flow(["xs"], steps)), {"xs": list(range(30))}, {}), max_jobs=11)
    world.run()
    a, (first, second) = world.job("a"), world.jobs("s")
    assert (len(first.states), len(second.states)) == (6, 4)
    assert world.scheduler.relinked[-1][1] == Dependency(any_of=(a.id, first.id, second.id))


def test_half_of_max_job_count_is_left_to_others(layout: Layout) -> None:
    world = limited(wide(layout, 60), slurm=replace(RECORD.slurm, max_job_count=40))
    world.run()
    assert [len(job.states) for job in world.jobs("s")] == [10, 10]


def test_an_index_is_below_max_array_size_also_where_elements_are_missing(layout: Layout) -> None:
    world = limited(wide(layout, 12), slurm=replace(RECORD.slurm, max_array_size=5))
    world.run()
    world.finish("s", *range(12))
    for job in world.jobs("t"):
        indices = [index for index in job.states if offset_of(job) + (index or 0) in (1, 7, 11)]
        world.scheduler.end(job.id, JobState.CANCELLED, "DependencyNeverSatisfied", indices)
    world.run()
    again = world.jobs("t")[3:]
    assert [elements_of(job) for job in again] == [[1], [7, 11]]
    assert all(max(job.request.array or ()) < 5 for job in again)


def test_a_submit_limit_is_met_by_fewer_elements(layout: Layout) -> None:
    world = limited(wide(layout, 60))
    world.scheduler.max_submitted = 20
    world.run()
    # The pass after and 15 of 60: the half of the half.
    assert [len(job.states) for job in world.jobs("s")] == [15]
    assert world.jobs("t") == []
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.jobs("s")[0].id,)}, singleton=True)
    world.scheduler.end(world.successor, JobState.COMPLETED)
    finish_all(world, "stg")
    assert sorted(each for job in world.jobs("s") for each in elements_of(job)) == list(range(60))
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}


def finish_all(world: World, paths: str) -> None:
    """End what is submitted, pass after pass, until all is; each pass's own job ends with it."""
    for _ in range(30):
        for path in paths:
            for job in world.jobs(path):
                if not next(iter(job.states.values()))[0].ended:
                    world.finish(path, *elements_of(job), first=elements_of(job)[0])
        if all(world.jobs(path) for path in paths) and not world.scheduler.count_live():
            return
        world.run()
        world.scheduler.end(world.successor, JobState.COMPLETED)
    raise AssertionError(world.scheduler.count_live())


def test_a_limit_that_not_even_one_job_meets_is_final(layout: Layout) -> None:
    world = limited(wide(layout, 4))
    world.scheduler.max_submitted = 1
    ended = world.run()
    assert ended is not None
    tasks = world.final_tasks(ended)
    assert tasks["s[0]"][0] == "FAILED"
    assert "not submitted: Slurm says: AssocMaxSubmitJobLimit" in tasks["s[3]"][1]
    assert tasks["g"][0] == "DEP_FAIL"


def test_a_full_queue_is_asked_again_later(layout: Layout) -> None:
    world = wide(layout)
    world.scheduler.faults = ["", fakes.FULL]
    assert world.run() is None
    assert world.jobs("s") == world.jobs("t") == []
    assert world.scheduler.relinked == []
    world.run()
    assert [len(world.jobs(path)) for path in "stg"] == [1, 1, 1]


def test_a_full_queue_is_waited_for_behind_jobs_of_ours(layout: Layout) -> None:
    world = unknown(layout)
    world.scheduler.faults = ["", "", fakes.FULL]
    world.run()
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (world.job("a").id,)}, singleton=True)
    assert world.jobs("slow") == []


def test_elements_in_doubt_that_a_limit_refuses_are_cut_anew(layout: Layout) -> None:
    world = limited(wide(layout, 8))
    world.scheduler.faults = ["", fakes.NO_ANSWER]
    world.run()
    world.scheduler.max_submitted = 2 + 5
    world.run()
    assert [elements_of(job) for job in world.jobs("s")] == [[0, 1, 2, 3]]


# -- lost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slurm", "state", "word"),
    [
        (None, TaskState.FAILED, "no longer known"),
        (JobState.FAILED, TaskState.FAILED, "FAILED"),
        (JobState.COMPLETED, TaskState.FAILED, "COMPLETED"),
        (JobState.TIMEOUT, TaskState.TIMEOUT, "TIMEOUT"),
        (JobState.OUT_OF_MEMORY, TaskState.OUT_OF_MEMORY, "OUT_OF_MEMORY"),
        (JobState.NODE_FAIL, TaskState.NODE_FAIL, "NODE_FAIL"),
        (JobState.CANCELLED, TaskState.CANCELLED, "CANCELLED"),
    ],
)
def test_a_job_that_ended_without_a_result_gets_one(
    layout: Layout, slurm: JobState | None, state: TaskState, word: str
) -> None:
    world = chain(layout)
    world.record = replace(RECORD, fs_settle_s=0.1)
    world.run()
    job = world.job("a")
    world.begin("a")
    (layout.group_log(world.key("a")) / "0.0.log").write_text("first\nslurmstepd: error: Detected 1 oom_kill event\n")
    if slurm:
        world.scheduler.end(job.id, slurm)
    else:
        world.scheduler.forget(job.id)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    tasks = world.final_tasks(world.go_on())
    result = world.result("a")
    assert (result.state, result.job_id, result.node) == (state, job.id, "node7")
    assert word in result.reason
    # Slurm's own last words are in the job's log, which the result names.
    assert result.stderr is not None
    assert "oom_kill" in result.reason + (layout.root / result.stderr).read_text()
    assert tasks["b"][0] == "DEP_FAIL"
    assert f"a {state.value}" in tasks["b"][1]
    assert world.jobs("a") == ([job] if slurm else [])


def test_one_lost_element_does_not_hurt_its_neighbours(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    world.scheduler.end(world.job("s").id, JobState.NODE_FAIL, "", [1])
    assert world.run() is None
    assert world.result("s", 1).job_id == f"{world.job('s').id}_1"
    assert not layout.element_result(world.key("s"), 0).exists()
    assert len(world.jobs("s")) == 1


class CancelledByName(FakeScheduler):
    """Shows as one record without an index what waited of an array that was cancelled by its name."""

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        """Return one record a job, and one an element that began."""
        found = super().query(names)
        rest = [each for each in found if each.state is JobState.CANCELLED and each.reason == "Resources"]
        return [*(each for each in found if each not in rest), *{replace(each, array_task_id=None) for each in rest}]


def test_what_waited_of_an_array_that_was_cancelled_by_its_name_was_cancelled(layout: Layout) -> None:
    world = wide(layout)
    world.scheduler = CancelledByName()
    world.run()
    world.finish("s", 1)
    world.scheduler.end(world.job("s").id, JobState.CANCELLED, "Resources", [1, 2])
    tasks = Reduction(layout, RECORD, world.graph, world.scheduler.query()).tasks()
    assert [task.state.value for task in tasks if task.step == "s"] == ["COMPLETED", "CANCELLED", "CANCELLED"]
    world.scheduler.end(world.job("t").id, JobState.CANCELLED, "DependencyNeverSatisfied", [1, 2])
    world.run()
    assert world.result("s", 1).reason == "the job ended without a result: before it started; Slurm: CANCELLED"
    assert world.result("s", 2).state is TaskState.CANCELLED
    assert len(world.jobs("t")) == 1


def test_that_slurm_has_no_job_of_a_task_any_more_is_said_of_it(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    world.begin("s", 1)
    tasks = Reduction(layout, RECORD, world.graph, []).tasks()
    assert {(task.state.value, task.reason) for task in tasks if task.step in "st"} == {
        ("RUNNING", "Slurm has no job of it any more"),
        ("PENDING", "Slurm has no job of it any more"),
    }
    assert "no job" not in str(Reduction(layout, RECORD, world.graph).tasks())


def test_a_job_that_slurm_requeued_is_waited_for(layout: Layout) -> None:
    world = chain(layout)
    world.run()
    world.begin("a")
    world.scheduler.jobs[world.job("a").id].states = {None: (JobState.REQUEUED, "")}
    assert world.run() is None
    assert not layout.element_result(world.key("a"), 0).exists()


def test_what_slurm_dropped_though_its_inputs_are_good_is_submitted_again(layout: Layout) -> None:
    world = chain(layout)
    world.run()
    world.finish("a", 5)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    assert world.run() is None
    first, second = world.jobs("b")
    assert second.dependency == Dependency()
    assert world.scheduler.relinked[-1][1] == Dependency({"afterany": (second.id,)}, singleton=True)
    world.finish("b", 6)
    assert world.final_tasks(world.go_on())["b"] == ("COMPLETED", "")
    assert first.id != second.id


def test_dropped_elements_only_are_submitted_again(layout: Layout) -> None:
    world = wide(layout, 5)
    world.run()
    world.finish("s", *range(5))
    world.finish("t", 0, 1)
    world.scheduler.end(world.job("t").id, JobState.CANCELLED, "DependencyNeverSatisfied", [2, 4])
    world.run()
    old, new = world.jobs("t")
    assert elements_of(new) == [2, 4]
    assert old.states[3][0] is JobState.PENDING


@pytest.mark.parametrize("asked", [False, True])
def test_what_slurm_drops_again_and_again_is_given_up(layout: Layout, asked: bool) -> None:
    world = chain(layout)
    world.run()
    world.finish("a", 5)
    for _ in range(MAX_SUBMISSIONS + 2):
        world.scheduler.end(world.jobs("b")[-1].id, JobState.CANCELLED, "DependencyNeverSatisfied")
        if asked:
            # The successor's submission is in doubt: the queue is known before the plan is.
            intent = layout.intent(f"pass.{world.passes + 2}")
            intent.write_text(layout.intent("pass.2").read_text().replace("pass.2", f"pass.{world.passes + 2}"))
        ended = world.run()
        if ended:
            break
    assert len(world.jobs("b")) == MAX_SUBMISSIONS
    assert world.result("b").state is TaskState.CANCELLED


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_a_cancelled_workflow_submits_nothing_and_ends(layout: Layout) -> None:
    world = wide(layout)
    layout.cancel.write_text("")
    ended = world.run()
    assert ended is not None
    assert ended.cancelled
    assert world.jobs("s") == []
    assert {state for state, _ in world.final_tasks(ended).values()} == {"CANCELLED"}


def test_cancel_takes_what_waits_and_waits_for_what_runs(layout: Layout) -> None:
    world = wide(layout)
    world.run()
    world.finish("s", 1)
    world.scheduler.jobs[world.job("s").id].states[1] = (JobState.RUNNING, "")
    world.begin("s", 1)
    layout.cancel.write_text("")
    assert world.run() is None
    s = world.job("s")
    assert world.scheduler.relinked[-1] == (world.successor, Dependency({"afterany": (s.id,)}, singleton=True))
    shown = {job_id for _, job_id in world.scheduler.cancelled}
    assert {f"{s.id}_1", f"{s.id}_2", world.job("g").id} <= shown
    assert f"{s.id}_0" not in shown
    world.finish("s", None, first=1, state=TaskState.CANCELLED)
    tasks = world.final_tasks(world.go_on())
    assert [tasks[name][0] for name in ("s[0]", "s[1]", "s[2]", "t[0]", "g")] == [
        "COMPLETED",
        "CANCELLED",
        "CANCELLED",
        "CANCELLED",
        "CANCELLED",
    ]


def test_cancel_ends_although_a_submission_is_in_doubt(layout: Layout) -> None:
    world = chain(layout)
    world.scheduler.faults = ["", fakes.NO_ANSWER]
    world.run()
    layout.cancel.write_text("")
    assert world.go_on().cancelled


# -- any order --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("s", "slow"), ("slow", "s")])
def test_passes_may_come_at_any_time(layout: Layout, order: tuple[str, ...]) -> None:
    world = unknown(layout)
    world.run()
    world.finish("a", [1, 2])
    for path in order:
        world.run()
        world.finish(path, *range(2 if path == "s" else 1))
    world.run()
    world.finish("g", "end")
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}
    assert [len(world.jobs(path)) for path in ("a", "slow", "s", "g")] == [1, 1, 1, 1]


def test_a_link_with_a_default_does_not_delay_a_scatter(layout: Layout) -> None:
    steps = [step("s", {"x": "xs"}, scatter=["x"]), step("t", {"x": Link(("s/out",), default=[])}, scatter=["x"])]
    world = World(layout, graph(flow(["xs"], steps)), {"xs": [1, 2]}, {})
    world.run()
    assert world.job("t").dependency == Dependency({"aftercorr": (world.job("s").id,)})


def test_a_wide_step_has_several_tasks_an_element(layout: Layout) -> None:
    world = wide(layout, 25)
    world.record = replace(RECORD, slurm=replace(RECORD.slurm, max_array_size=11))
    world.run()
    assert [elements_of(job) for path in "st" for job in world.jobs(path)] == [list(range(9))] * 2
    (second,) = world.jobs("t")
    assert set(second.request.dependency.by_type) == {"aftercorr"}


def progress(world: World, path: str, number: int, *entries: dict[str, Any]) -> None:
    """Write what an attempt at an element of several tasks left in its log."""
    job = world.jobs(path)[-1]
    index = number - offset_of(job)
    folder = world.layout.element(world.key(path), number) / f"{job.id}_{index}.0"
    folder.mkdir(parents=True)
    store.write_record(folder / "started.json", Attempt(job.id, index, 0, "node7", "host7", 1, models.now()))
    (folder / "tasks.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries) + '{"end": "cut')


def begin(label: str) -> dict[str, Any]:
    return {"begin": label, "at": models.now()}


def end(label: str, state: TaskState = TaskState.COMPLETED) -> dict[str, Any]:
    return {"end": label, "result": {"state": state.value, "outputs": {"out": label}}}


def chunked(layout: Layout) -> World:
    """A scatter of six tasks, three an element."""
    given = graph(flow(["xs"], [step("s", {"x": "xs"}, scatter=["x"])], {"end": "s/out"}))
    return World(layout, given, {"xs": list(range(6))}, {}, replace(RECORD, tasks_per_element=3))


@pytest.mark.parametrize("state", [JobState.NODE_FAIL, JobState.OUT_OF_MEMORY, JobState.FAILED])
def test_an_element_whose_job_died_keeps_what_it_finished_and_goes_again(layout: Layout, state: JobState) -> None:
    world = chunked(layout)
    world.run()
    first = world.job("s")
    progress(world, "s", 0, begin("0"), end("0"), begin("1"))
    progress(world, "s", 1, begin("3"), end("3"), begin("4"), end("4"), begin("5"), end("5", TaskState.FAILED))
    world.scheduler.end(first.id, state, "None", {0, 1})
    assert world.run() is None
    again = world.jobs("s")[-1]
    assert (again is not first, elements_of(again)) == (True, [0])
    lost = store.read_record(models.Lost, layout.lost(world.key("s"), 0))
    assert lost is not None
    assert {label: task.state for label, task in lost.tasks.items()} == {
        "0": TaskState.COMPLETED,
        "1": state.task_state,
    }
    result = store.read_record(ElementResult, layout.element_result(world.key("s"), 1))
    assert result is not None
    assert {label: task.state.value for label, task in result.tasks.items()} == {
        "3": "COMPLETED",
        "4": "COMPLETED",
        "5": "FAILED",
    }
    # The last task kills its job, too: nothing is left to run.
    progress(world, "s", 0, begin("2"))
    world.scheduler.end(again.id, state, "None", set(again.states))
    ended = world.go_on()
    states = {name: found for name, (found, _) in world.final_tasks(ended).items()}
    assert states == {
        "s[0]": "COMPLETED",
        "s[1]": state.task_state.value,
        "s[2]": state.task_state.value,
        "s[3]": "COMPLETED",
        "s[4]": "COMPLETED",
        "s[5]": "FAILED",
    }
    assert len(world.jobs("s")) == 2


def test_an_element_that_was_cancelled_in_slurm_does_not_go_again(layout: Layout) -> None:
    world = chunked(layout)
    world.run()
    progress(world, "s", 0, begin("0"), end("0"), begin("1"))
    world.scheduler.end(world.job("s").id, JobState.CANCELLED, "None", {0, 1})
    tasks = world.final_tasks(world.go_on())
    assert [found for found, _ in tasks.values()] == ["COMPLETED", *["CANCELLED"] * 5]


def test_a_task_that_the_elements_time_limit_cut_short_goes_again(layout: Layout) -> None:
    world = chunked(layout)
    world.run()
    late = {"begin": "1", "at": (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()}
    progress(world, "s", 0, begin("0"), end("0"), late)
    progress(world, "s", 1, begin("3"))
    world.scheduler.end(world.job("s").id, JobState.TIMEOUT, "None", {0, 1})
    world.run()
    lost = [store.read_record(models.Lost, layout.lost(world.key("s"), number)) for number in (0, 1)]
    assert [sorted(each.tasks) for each in lost if each] == [["0"], ["3"]]
    assert elements_of(world.jobs("s")[-1]) == [0, 1]


# -- a pass ends ------------------------------------------------------------------------------------------------------


@pytest.fixture
def _in_time() -> Iterator[None]:
    """Fail a test whose pass does not end."""

    def late(*_: object) -> None:
        raise TimeoutError("the pass did not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def publish(world: World, path: str, number: int, **states: TaskState) -> None:
    """Write the result of an element: _<label> -> state."""
    place = world.layout.element_result(world.key(path), number)
    place.parent.mkdir(parents=True, exist_ok=True)
    tasks = {name[1:]: TaskResult(state, "its own words", outputs={"out": name}) for name, state in states.items()}
    store.publish_record(place, ElementResult(tasks))


@pytest.mark.parametrize("first", [0, 1])
def test_a_step_inside_of_which_only_some_instances_are_known_waits_for_the_others(layout: Layout, first: int) -> None:
    deep = flow(["y"], [step("k", {"y": "y"})], {"out": "k/out"})
    each = step("each", {"y": "list/out"}, scatter=["y"], workflow=deep)
    inner = flow(["x"], [step("list", {"x": "x"}), each], {"out": "each/out"})
    steps = [
        step("w"),
        step("s", {"x": "w/out"}, scatter=["x"]),
        step("sub", {"x": "xs"}, scatter=["x"], workflow=inner),
    ]
    world = World(layout, graph(flow(["xs"], steps, {"one": "sub/out", "other": "s/out"})), {"xs": [1, 2]}, {})
    world.run()
    # A pass comes because of w while one list is made and the other is not.
    world.finish("w", [1])
    world.finish("sub/list", ["u", "v"], first=first)
    world.run()
    assert world.jobs("s")
    assert world.jobs("sub/each/k") == []
    world.finish("sub/list", ["u", "v"], first=1 - first)
    world.run()
    assert elements_of(world.job("sub/each/k")) == [0, 1, 2, 3]
    assert len(layout.elements(world.key("sub/each/k")).read_text().splitlines()) == 4
    world.finish("s", 1)
    world.finish("sub/each/k", *"abcd")
    ended = world.go_on()
    assert {state for state, _ in world.final_tasks(ended).values()} == {"COMPLETED"}
    assert ended.plan.outputs["one"] == Known([["a", "b"], ["c", "d"]])


@pytest.mark.parametrize("fault", [fakes.NO_ANSWER, fakes.LOST_ANSWER, fakes.UNREACHABLE, fakes.FULL, fakes.KILLED])
@pytest.mark.parametrize("died", [False, True])
def test_a_task_that_is_submitted_again_without_an_answer_is_not_lost(layout: Layout, fault: str, died: bool) -> None:
    world = chunked(layout)
    world.run()
    first = world.job("s")
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    if died:
        progress(world, "s", 0, begin("0"), end("0"))
    world.scheduler.end(first.id, JobState.CANCELLED, "DependencyNeverSatisfied", {0})
    if died:
        world.scheduler.jobs[first.id].states[0] = (JobState.NODE_FAIL, "None")
    world.scheduler.faults = ["", fault]
    with contextlib.suppress(KilledError):
        assert world.run() is None
    assert world.run() is None
    again = world.jobs("s")[1:]
    assert [elements_of(job) for job in again] == [[0]]
    publish(world, "s", 0, **{f"_{label}": TaskState.COMPLETED for label in "012"})
    world.scheduler.end(again[0].id, JobState.COMPLETED)
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize("slurm", [JobState.COMPLETED, JobState.FAILED, JobState.NODE_FAIL, JobState.CANCELLED, None])
@pytest.mark.parametrize("began", [False, True])
def test_a_result_that_lacks_a_task_is_completed(layout: Layout, slurm: JobState | None, began: bool) -> None:
    world = chunked(layout)
    world.run()
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.FAILED)
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    if began:
        progress(world, "s", 0, begin("0"), begin("2"))
    job = world.job("s")
    if slurm:
        world.scheduler.end(job.id, slurm, "None", set(job.states))
    else:
        world.scheduler.forget(job.id)
    tasks = world.final_tasks(world.go_on())
    states = [state for state, _ in tasks.values()]
    expected = slurm.task_state if slurm else (TaskState.FAILED if began else TaskState.CANCELLED)
    assert states == ["COMPLETED", "FAILED", expected.value, "COMPLETED", "COMPLETED", "COMPLETED"]
    assert tasks["s[1]"][1] == "its own words"
    assert "the job ended without a result" in tasks["s[2]"][1]
    assert len(world.scheduler.named(".0")) == (1 if slurm else 0)


def test_a_second_look_of_a_pass_settles_nothing_anew(layout: Layout) -> None:
    world = chain(layout)
    world.run()
    world.finish("a", 5)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    submitter = Submitter(layout, RECORD, world.scheduler)
    driver = Driver(layout, RECORD, world.graph, {"x": 1}, FakeEvaluator(), submitter, may_submit=False)
    # It is to be submitted again, and this pass may not.
    assert [driver.look().changed for _ in range(3)] == [True, False, False]
    with pytest.raises(TransitionError):
        driver.run(None)


@dataclass
class Cancelled(FakeScheduler):
    """A Slurm whose user cancels the workflow while a pass asks."""

    flag: Path = Path()

    def query(self, names: Sequence[str] | None = None) -> list[JobRecord]:
        self.flag.write_text("")
        return super().query(names)


@pytest.mark.usefixtures("_in_time")
def test_what_was_to_go_again_when_the_user_cancels_keeps_what_it_finished(layout: Layout) -> None:
    world = chunked(layout)
    world.scheduler = Cancelled(flag=layout.cancel)
    world.run()
    progress(world, "s", 0, begin("0"), end("0"), begin("1"))
    world.scheduler.end(world.job("s").id, JobState.NODE_FAIL, "None", {0, 1})
    tasks = world.final_tasks(world.go_on())
    assert [state for state, _ in tasks.values()][:3] == ["COMPLETED", "NODE_FAIL", "NODE_FAIL"]
    assert len(world.jobs("s")) == 1


def test_a_pass_waits_once_for_results_that_show_late(layout: Layout) -> None:
    world = wide(layout, 4)
    world.record = replace(RECORD, fs_settle_s=2.0)
    world.run()
    world.scheduler.end(world.job("s").id, JobState.COMPLETED)
    began = time.monotonic()
    world.run()
    assert 2 <= time.monotonic() - began < 5
    assert {world.result("s", number).state for number in range(4)} == {TaskState.FAILED}


def test_results_that_show_late_are_taken(layout: Layout) -> None:
    world = wide(layout, 2)
    world.record = replace(RECORD, fs_settle_s=20.0)
    world.run()
    world.scheduler.end(world.job("s").id, JobState.COMPLETED)
    late = threading.Timer(1.5, world.finish, ("s", 1, 2))
    late.start()
    world.run()
    late.join()
    assert {world.result("s", number).state for number in range(2)} == {TaskState.COMPLETED}


# -- jobs that died early, and what attempts left ---------------------------------------------------------------------


def in_turn(layout: Layout) -> World:
    """Two steps, of which the first has its result when the test says so."""
    world = chain(layout)
    world.run()
    return world


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize("slurm", [JobState.FAILED, JobState.NODE_FAIL, JobState.OUT_OF_MEMORY, JobState.TIMEOUT])
def test_a_consumer_that_died_before_it_made_a_folder_is_settled(layout: Layout, slurm: JobState) -> None:
    world = in_turn(layout)
    world.finish("a", 5)
    world.scheduler.end(world.job("b").id, slurm, "None")
    tasks = world.final_tasks(world.go_on())
    assert tasks["b"] == (
        slurm.task_state.value,
        f"the job ended without a result: before it started; Slurm: {slurm.value}",
    )
    assert len(world.jobs("b")) == 1


@pytest.mark.usefixtures("_in_time")
def test_a_consumer_that_died_before_what_it_takes_was_made_goes_again_so_often_and_no_more(layout: Layout) -> None:
    world = in_turn(layout)
    for count in range(1, MAX_SUBMISSIONS):
        world.scheduler.end(world.jobs("b")[-1].id, JobState.FAILED, "None")
        assert world.run() is None
        # Its own folder was never made.
        assert layout.lost(world.key("b"), 0).exists()
        assert len(world.jobs("b")) == count + 1
        assert world.jobs("b")[-1].dependency == Dependency({"afterok": (world.job("a").id,)})
    world.scheduler.end(world.jobs("b")[-1].id, JobState.FAILED, "None")
    world.run()
    assert len(world.jobs("b")) == MAX_SUBMISSIONS
    assert world.result("b").state is TaskState.FAILED
    world.finish("a", 5)
    assert world.final_tasks(world.go_on())["b"][0] == "FAILED"


def test_an_element_that_died_before_it_began_goes_again_whole(layout: Layout) -> None:
    steps = [step("s", {"x": "xs"}, scatter=["x"]), step("t", {"x": "s/out"}, scatter=["x"])]
    world = World(layout, graph(flow(["xs"], steps)), {"xs": [0, 1]}, {}, replace(RECORD, tasks_per_element=2))
    world.run()
    publish(world, "s", 0, _0=TaskState.COMPLETED)
    world.scheduler.end(world.job("t").id, JobState.FAILED, "None")
    world.run()
    lost = store.read_record(models.Lost, layout.lost(world.key("t"), 0))
    assert lost is not None
    assert lost.tasks == {}
    assert len(world.jobs("t")) == 2


@pytest.mark.usefixtures("_in_time")
def test_what_did_not_see_its_inputs_goes_again_so_often_and_no_more(layout: Layout) -> None:
    world = in_turn(layout)
    world.finish("a", 5)
    for count in range(1, MAX_SUBMISSIONS + 1):
        assert len(world.jobs("b")) == count
        alone(world, "b", {"late": "0"})
        world.scheduler.end(world.jobs("b")[-1].id, JobState.FAILED, "None")
        ended = world.run()
    assert ended is not None
    assert world.final_tasks(ended)["b"] == (
        "FAILED",
        "the job did not see the result of a step that it takes from; Slurm: FAILED",
    )


def alone(world: World, path: str, *entries: dict[str, Any], started: str | None = None) -> Path:
    """Write what an attempt at the only element of a step left; returns its started.json."""
    job = world.jobs(path)[-1]
    folder = world.layout.element(world.key(path), 0) / f"{job.id}.0"
    folder.mkdir(parents=True)
    attempt = Attempt(job.id, None, 0, "node7", "host7", 1, started or models.now())
    store.write_record(folder / "started.json", attempt)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder / "started.json"


def ago(**time: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(**time)).isoformat()


def test_the_first_task_to_begin_is_never_late(layout: Layout) -> None:
    world = in_turn(layout)
    alone(world, "a", {"begin": "0", "at": ago(hours=1)}, started=ago(hours=2))
    world.scheduler.end(world.job("a").id, JobState.TIMEOUT)
    world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (1, TaskState.TIMEOUT)


CUT = [{"begin": "0", "at": ago(hours=2)}, end("0"), {"begin": "1", "at": ago(hours=1)}]


@pytest.mark.usefixtures("_in_time")
@pytest.mark.parametrize(
    ("slurm", "entries"),
    [
        (JobState.TIMEOUT, CUT),
        (JobState.TIMEOUT, [*CUT, {"cut": "1"}]),
        (JobState.FAILED, [*CUT, {"cut": "1"}]),
        (None, [*CUT, {"cut": "1"}]),
    ],
)
def test_a_task_that_is_cut_short_again_and_again_timed_out(
    layout: Layout, slurm: JobState | None, entries: list[dict[str, Any]]
) -> None:
    world = chunked(layout)
    world.run()
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    for count in range(1, MAX_SUBMISSIONS + 1):
        assert len(world.jobs("s")) == count
        job = world.jobs("s")[-1]
        progress(world, "s", 0, *entries)
        world.scheduler.end(job.id, slurm or JobState.TIMEOUT, "None", set(job.states))
        if slurm is None:
            # Slurm forgets after MinJobAge.
            job.states.clear()
        assert world.run() is None
    # Task 2 has yet to have its chance.
    progress(world, "s", 0, begin("2"), end("2"))
    world.scheduler.end(world.jobs("s")[-1].id, JobState.FAILED)
    tasks = world.final_tasks(world.go_on())
    assert [tasks[f"s[{number}]"][0] for number in range(3)] == ["COMPLETED", "TIMEOUT", "COMPLETED"]
    assert len(world.jobs("s")) == MAX_SUBMISSIONS + 1


def test_slurm_knows_better_than_the_runner_that_a_job_was_cancelled(layout: Layout) -> None:
    world = chunked(layout)
    world.run()
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    progress(world, "s", 0, *CUT, {"cut": "1"})
    world.scheduler.end(world.job("s").id, JobState.CANCELLED, "None", {0, 1})
    tasks = world.final_tasks(world.go_on())
    assert [tasks[f"s[{number}]"][0] for number in range(3)] == ["COMPLETED", "CANCELLED", "CANCELLED"]
    assert tasks["s[1]"][1] == "the job ended without a result: Slurm: CANCELLED"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 1, "pid": "x"}'])
def test_what_an_attempt_says_of_itself_may_be_damaged(layout: Layout, text: str) -> None:
    world = chunked(layout)
    world.run()
    first = world.job("s")
    progress(world, "s", 0, begin("0"), end("0"), begin("1"))
    (started,) = layout.element(world.key("s"), 0).glob("*/started.json")
    started.write_text(text)
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    world.scheduler.end(first.id, JobState.NODE_FAIL, "None", {0, 1})
    assert world.run() is None
    lost = store.read_record(models.Lost, layout.lost(world.key("s"), 0))
    assert lost is not None
    assert lost.jobs == (f"{world.key('s')}.0",)
    assert {label: task.state.value for label, task in lost.tasks.items()} == {"0": "COMPLETED", "1": "NODE_FAIL"}
    assert elements_of(world.jobs("s")[-1]) == [0]


def test_a_damaged_file_in_a_folder_of_another_name_is_still_an_error(layout: Layout) -> None:
    world = in_turn(layout)
    folder = layout.element(world.key("a"), 0) / "odd"
    folder.mkdir(parents=True)
    (folder / "started.json").write_text("")
    world.scheduler.end(world.job("a").id, JobState.FAILED)
    with pytest.raises(SystemFileError, match=r"odd/started\.json: damaged"):
        world.run()
