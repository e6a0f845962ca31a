"""What passes do for tasks that are tried again, on a scheduler in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from beeflow import models, store
from beeflow.graph import RetryPolicy
from beeflow.group_jobs import MAX_SUBMISSIONS
from beeflow.layout import Layout
from beeflow.models import Attempt
from beeflow.reduction import Reduction
from beeflow.scheduler import Dependency
from beeflow.states import JobState, TaskState
from tests.fakes import RECORD
from tests.test_driver import World, begin, chain, chunked, elements_of, end, offset_of, publish, wide
from tests.test_driver import layout as layout


def given(world: World, **policy: Any) -> World:
    """Have all tools of a workflow tried again like this."""
    tools = {name: replace(tool, retry=RetryPolicy(**policy)) for name, tool in world.graph.tools.items()}
    world.graph = replace(world.graph, tools=tools)
    return world


def attempt(
    world: World, path: str, number: int, *entries: dict[str, Any], restart: int = 0, mem_mib: int | None = 100
) -> None:
    """Write what an attempt of a step's newest job left in its log."""
    job = world.jobs(path)[-1]
    index = None if job.request.array is None else number - offset_of(job)
    shown = job.id if index is None else f"{job.id}_{index}"
    folder = world.layout.element(world.key(path), number) / f"{shown}.{restart}"
    folder.mkdir(parents=True)
    started = Attempt(job.id, index, restart, "node7", "host7", 1, models.now(), mem_mib)
    store.write_record(folder / "started.json", started)
    (folder / "tasks.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def again(label: str, reason: str = "waits for try 2 of 3: the command ended with exit code 75") -> dict[str, Any]:
    return {"again": label, "cause": "temporary_fail", "reason": reason}


def test_what_a_runner_could_not_have_requeued_is_submitted_again(layout: Layout) -> None:
    world = given(chain(layout), temporary_fail=2)
    world.run()
    attempt(world, "a", 0, begin("0"), again("0"))
    world.scheduler.end(world.job("a").id, JobState.FAILED)
    # Slurm drops what waits for the good end of the first.
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    assert world.run() is None
    assert (len(world.jobs("a")), len(world.jobs("b"))) == (2, 2)
    assert world.jobs("b")[-1].dependency == Dependency({"afterok": (world.jobs("a")[-1].id,)})
    world.scheduler.end(world.jobs("a")[-1].id, JobState.CANCELLED)
    tasks = world.final_tasks(world.go_on())
    assert tasks["a"] == (
        "CANCELLED",
        "waits for try 2 of 3: the command ended with exit code 75; but the job ended; Slurm: CANCELLED",
    )


def test_a_task_whose_job_slurm_runs_again_is_pending_though_its_runner_was_told_to_end(layout: Layout) -> None:
    world = given(chunked(layout))
    world.run()
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.CANCELLED)
    states = world.jobs("s")[0].states
    for state, expected in [(JobState.PENDING, "PENDING"), (JobState.CANCELLED, "CANCELLED")]:
        states[next(iter(states))] = (state, "BeginTime")
        jobs = world.scheduler.query()
        shown = {task.name: task.state.value for task in Reduction(layout, RECORD, world.graph, jobs).tasks()}
        assert (shown["s[0]"], shown["s[1]"]) == ("COMPLETED", expected)


def test_a_task_that_waits_for_another_try_is_pending_and_says_why(layout: Layout) -> None:
    world = given(chunked(layout), temporary_fail=2)
    world.run()
    attempt(world, "s", 0, begin("0"), end("0"), begin("1"), again("1"), begin("2"))
    shown = {task.name: task for task in Reduction(layout, RECORD, world.graph).tasks()}
    waits = shown["s[1]"]
    assert (waits.state, waits.tries) == (TaskState.PENDING, 1)
    assert waits.reason == "waits for try 2 of 3: the command ended with exit code 75"
    assert [shown[f"s[{number}]"].state.value for number in (0, 2)] == ["COMPLETED", "RUNNING"]
    attempt(world, "s", 0, begin("1"), restart=1)
    shown = {task.name: task for task in Reduction(layout, RECORD, world.graph).tasks()}
    assert (shown["s[1]"].state, shown["s[1]"].tries) == (TaskState.RUNNING, 2)


@pytest.mark.parametrize("state", [JobState.NODE_FAIL, JobState.BOOT_FAIL, JobState.PREEMPTED])
def test_what_a_node_took_with_it_goes_again_so_often(layout: Layout, state: JobState) -> None:
    world = given(chain(layout), node_fail=2)
    world.run()
    for count in range(1, 4):
        assert len(world.jobs("a")) == count
        attempt(world, "a", 0, begin("0"))
        world.scheduler.end(world.jobs("a")[-1].id, state)
        world.run()
    assert len(world.jobs("a")) == 3
    result = world.result("a")
    assert (result.state, result.tries) == (TaskState.NODE_FAIL, 3)


def test_a_node_that_fails_before_anything_begins_is_tried_so_often_too(layout: Layout) -> None:
    world = given(chain(layout), node_fail=2)
    world.run()
    for count in range(1, 4):
        assert len(world.jobs("a")) == count
        world.scheduler.end(world.jobs("a")[-1].id, JobState.BOOT_FAIL)
        world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (3, TaskState.NODE_FAIL)


def test_what_ran_out_of_memory_gets_more_and_only_that(layout: Layout) -> None:
    world = given(chunked(layout), out_of_memory=2, memory_factor=1.5)
    world.run()
    assert world.job("s").request.options.mem_mib is None
    attempt(world, "s", 0, begin("0"), end("0"), begin("1"))
    # The other element's job was lost before task 4 had its chance: that needs no more.
    attempt(world, "s", 1, begin("3"), end("3"))
    world.scheduler.end(world.job("s").id, JobState.OUT_OF_MEMORY, "None", {0})
    world.scheduler.end(world.job("s").id, JobState.FAILED, "None", {1})
    world.run()
    found = {job.request.options.mem_mib: elements_of(job) for job in world.jobs("s")[1:]}
    assert found == {150: [0], None: [1]}
    shown = {task.name: task for task in Reduction(layout, RECORD, world.graph).tasks()}
    assert shown["s[1]"].reason == "waits for try 2 of 3: the job ended as OUT_OF_MEMORY"


def test_memory_grows_with_each_try(layout: Layout) -> None:
    world = given(chain(layout), out_of_memory=2, memory_factor=1.5)
    world.run()
    for mem_mib in (100, 150, 225):
        job = world.jobs("a")[-1]
        assert job.request.options.mem_mib in (None, mem_mib)
        attempt(world, "a", 0, begin("0"), mem_mib=mem_mib)
        world.scheduler.end(job.id, JobState.OUT_OF_MEMORY)
        world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (3, TaskState.OUT_OF_MEMORY)


def test_how_much_more_memory_must_be_known(layout: Layout) -> None:
    world = given(chain(layout), out_of_memory=2)
    world.run()
    attempt(world, "a", 0, begin("0"), mem_mib=None)
    world.scheduler.end(world.job("a").id, JobState.OUT_OF_MEMORY)
    world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (1, TaskState.OUT_OF_MEMORY)


def test_what_a_time_limit_ended_gets_more_time(layout: Layout) -> None:
    world = given(chain(layout), timeout=1, timeout_factor=3.0)
    world.run()
    attempt(world, "a", 0, begin("0"))
    world.scheduler.end(world.job("a").id, JobState.TIMEOUT)
    world.run()
    assert [job.request.options.time_limit for job in world.jobs("a")] == [timedelta(hours=1), timedelta(hours=3)]
    attempt(world, "a", 0, begin("0"), {"cut": "0"})
    world.scheduler.end(world.jobs("a")[-1].id, JobState.TIMEOUT)
    # It was cut short, which is no try of its own: it goes again, and has the time that it had.
    world.run()
    assert world.jobs("a")[-1].request.options.time_limit == timedelta(hours=3)
    attempt(world, "a", 0, begin("0"))
    world.scheduler.end(world.jobs("a")[-1].id, JobState.TIMEOUT)
    world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (3, TaskState.TIMEOUT)
    assert world.result("a").reason == "the job ended without a result: Slurm: TIMEOUT"


def test_what_slurm_raised_in_place_stays_raised(layout: Layout) -> None:
    world = given(chain(layout), node_fail=1)
    world.run()
    again = {"again": "0", "cause": "timeout", "reason": "waits for try 2 of 2: time limit of 3600 s"}
    attempt(world, "a", 0, begin("0"), again, {"raised": {"time_limit_s": 7200, "mem_mib": 300}})
    attempt(world, "a", 0, begin("0"), restart=1)
    world.scheduler.end(world.job("a").id, JobState.NODE_FAIL)
    world.run()
    options = world.jobs("a")[-1].request.options
    assert (options.time_limit, options.mem_mib) == (timedelta(hours=2), 300)


def test_a_cancelled_job_is_never_tried_again(layout: Layout) -> None:
    world = given(chain(layout), node_fail=3, temporary_fail=3, timeout=3, out_of_memory=3)
    world.run()
    attempt(world, "a", 0, begin("0"))
    world.scheduler.end(world.job("a").id, JobState.CANCELLED)
    world.run()
    assert (len(world.jobs("a")), world.result("a").state) == (1, TaskState.CANCELLED)


def test_what_was_told_to_end_and_is_requeued_has_not_ended(layout: Layout) -> None:
    world = given(chunked(layout), node_fail=3)
    world.run()
    job = world.job("s")
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.CANCELLED, _2=TaskState.CANCELLED)
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    world.scheduler.end(job.id, JobState.COMPLETED, "None", {1})
    world.scheduler.requeue(f"{job.id}_0")
    assert world.run() is None
    layout.element_result(world.key("s"), 0).unlink()
    publish(world, "s", 0, **{f"_{label}": TaskState.COMPLETED for label in "012"})
    world.scheduler.end(job.id, JobState.COMPLETED)
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}
    assert len(world.jobs("s")) == 1


@pytest.mark.parametrize("state", [JobState.PREEMPTED, JobState.NODE_FAIL])
def test_what_was_told_to_end_by_a_preemption_goes_again_so_often(layout: Layout, state: JobState) -> None:
    world = given(chunked(layout), node_fail=1)
    world.run()
    publish(world, "s", 1, **{f"_{label}": TaskState.COMPLETED for label in "345"})
    world.scheduler.end(world.job("s").id, JobState.COMPLETED, "None", {1})
    attempt(world, "s", 0, begin("0"), end("0"), begin("1"), end("1", TaskState.CANCELLED))
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.CANCELLED, _2=TaskState.CANCELLED)
    world.scheduler.end(world.job("s").id, state, "None", {0})
    shown = {task.name: task for task in Reduction(layout, RECORD, world.graph, world.scheduler.query()).tasks()}
    assert (shown["s[1]"].state, shown["s[1]"].reason) == (TaskState.NODE_FAIL, f"Slurm: {state.value}")
    assert world.run() is None
    assert elements_of(world.jobs("s")[-1]) == [0]
    shown = {task.name: task for task in Reduction(layout, RECORD, world.graph, world.scheduler.query()).tasks()}
    assert shown["s[1]"].reason == f"waits for try 2 of 2: the job ended as {state.value}"
    assert [shown[f"s[{number}]"].state.value for number in (0, 2)] == ["COMPLETED", "PENDING"]
    # And once more: that is too often for the task that began in both, not for the one that never did.
    attempt(world, "s", 0, begin("1"), end("1", TaskState.CANCELLED))
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.CANCELLED, _2=TaskState.CANCELLED)
    world.scheduler.end(world.jobs("s")[-1].id, state)
    assert world.run() is None
    attempt(world, "s", 0, begin("2"), end("2"))
    publish(world, "s", 0, _0=TaskState.COMPLETED, _1=TaskState.NODE_FAIL, _2=TaskState.COMPLETED)
    world.scheduler.end(world.jobs("s")[-1].id, JobState.COMPLETED)
    ended = {name: state for name, (state, _) in world.final_tasks(world.go_on()).items() if name.startswith("s[")}
    assert ended == {f"s[{number}]": "COMPLETED" for number in (0, 2, 3, 4, 5)} | {"s[1]": "NODE_FAIL"}
    assert len(world.jobs("s")) == 3


def drop(world: World) -> None:
    """Cancel, as Slurm does, what waits for a good end that never comes."""
    ended = {job.id for job in world.jobs("a") if job.states[None][0] not in (JobState.PENDING, JobState.COMPLETED)}
    for job in world.jobs("b"):
        if ended.intersection(job.dependency.by_type.get("afterok", ())):
            world.scheduler.end(job.id, JobState.CANCELLED, "DependencyNeverSatisfied")


@pytest.mark.parametrize("state", [JobState.PREEMPTED, JobState.NODE_FAIL])
def test_what_waits_for_a_task_is_submitted_as_often_as_that_dies(layout: Layout, state: JobState) -> None:
    world = given(chain(layout), node_fail=8)
    world.run()
    for count in range(2, MAX_SUBMISSIONS + 4):
        attempt(world, "a", 0, begin("0"), end("0", TaskState.CANCELLED))
        publish(world, "a", 0, _0=TaskState.CANCELLED)
        world.scheduler.end(world.jobs("a")[-1].id, state)
        drop(world)
        assert world.run() is None
        # Both at once, the one behind the other.
        assert (len(world.jobs("a")), len(world.jobs("b"))) == (count, count)
        assert world.jobs("b")[-1].dependency == Dependency({"afterok": (world.jobs("a")[-1].id,)})
    publish(world, "a", 0, _0=TaskState.COMPLETED)
    world.scheduler.end(world.jobs("a")[-1].id, JobState.COMPLETED)
    world.finish("b", 6)
    assert {state for state, _ in world.final_tasks(world.go_on()).values()} == {"COMPLETED"}


def test_an_element_cancelled_by_hand_does_not_have_others_wait_for_dead_jobs(layout: Layout) -> None:
    world = given(wide(layout), node_fail=3)
    world.run()
    publish(world, "s", 2, _2=TaskState.CANCELLED)
    publish(world, "s", 1, _1=TaskState.COMPLETED)
    attempt(world, "s", 0, begin("0"))
    for number, state in enumerate((JobState.NODE_FAIL, JobState.COMPLETED, JobState.CANCELLED)):
        world.scheduler.end(world.job("s").id, state, "", {number})
    world.scheduler.end(world.job("t").id, JobState.CANCELLED, "DependencyNeverSatisfied", {0, 2})
    assert world.run() is None
    assert elements_of(world.jobs("s")[-1]) == [0]
    assert elements_of(world.jobs("t")[-1]) == [0]
    assert world.jobs("t")[-1].dependency == Dependency({"aftercorr": (world.jobs("s")[-1].id,)})


def test_accounting_tells_of_a_preemption_that_slurm_has_forgotten(layout: Layout) -> None:
    world = given(chain(layout), node_fail=1)
    slurm = replace(world.record.slurm, accounting=True)
    world.record = replace(world.record, slurm=slurm)
    world.run()
    attempt(world, "a", 0, begin("0"), end("0", TaskState.CANCELLED))
    publish(world, "a", 0, _0=TaskState.CANCELLED)
    job = world.job("a")
    world.scheduler.end(job.id, JobState.PREEMPTED)
    world.scheduler.past = [each for each in world.scheduler.query() if each.job_id == job.id]
    world.scheduler.forget(job.id)
    assert world.run() is None
    assert world.scheduler.histories == 1
    assert [each.id != job.id for each in world.jobs("a")] == [True]


def test_what_a_preemption_ended_does_not_stop_a_workflow(layout: Layout) -> None:
    world = given(chain(layout), node_fail=1)
    world.record = replace(world.record, on_error=models.ON_ERROR_STOP)
    world.run()
    attempt(world, "a", 0, begin("0"), end("0", TaskState.CANCELLED))
    publish(world, "a", 0, _0=TaskState.CANCELLED)
    world.scheduler.end(world.job("a").id, JobState.PREEMPTED)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    assert world.run() is None
    assert (len(world.jobs("a")), len(world.jobs("b"))) == (2, 2)


def test_what_was_told_to_end_and_has_ended_is_cancelled(layout: Layout) -> None:
    world = given(chain(layout), node_fail=3)
    world.run()
    publish(world, "a", 0, _0=TaskState.CANCELLED)
    for path in "ab":
        world.scheduler.end(world.job(path).id, JobState.CANCELLED)
    assert world.final_tasks(world.go_on())["a"][0] == "CANCELLED"
