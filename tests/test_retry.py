"""bee-retry on a Slurm in memory: what is kept, what runs again, and that nothing of two attempts is mixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import retry, store, workflow
from beeflow.graph import Link
from beeflow.layout import Layout, folders
from beeflow.listing import state_record
from beeflow.results import dumps_graph
from beeflow.retry import Choice, Retrying
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter
from tests.fakes import RECORD, flow, graph, step
from tests.running import Site
from tests.test_driver import World, wide

LONG_AGO = "2020-01-01T00:00:00.000+00:00"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    made.root.mkdir()
    for folder in folders(made):
        folder.mkdir()
    return made


class Fails:
    """Tasks that make their own name, but for those that fail. ``taken``: what each took."""

    def __init__(self, *names: str, **makes: Any) -> None:
        self.names = set(names)
        self.makes = makes
        self.taken: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, inputs: Mapping[str, Any]) -> Any:
        self.taken[name] = dict(inputs)
        if name in self.names:
            return None
        return self.makes.get(name.partition("[")[0], name)


def begun(world: World, does: Fails) -> Site:
    """Submit a workflow."""
    record = replace(world.record, created=LONG_AGO)
    store.write_record(world.layout.workflow, record)
    store.write_text(world.layout.graph, dumps_graph(world.graph))
    store.write_json(world.layout.job, dict(world.inputs))
    workflow.go(Submitter(world.layout, record, world.scheduler))
    return Site(world, does)


def over(site: Site, state: WorkflowState = WorkflowState.ARCHIVED_FAILED) -> dict[str, str]:
    """Run the workflow to its end, and say that it has ended."""
    states = site.run()
    store.write_record(site.layout.state, state_record(site.world.record, state))
    return states


def again(site: Site, *steps: str, froms: tuple[str, ...] = (), everything: bool = False) -> Retrying:
    site.ran.clear()
    return retry.retry(WorkflowDir(site.layout), site.world.scheduler, Choice(steps, froms, everything))


# -- what runs again ---------------------------------------------------------------------------------------------------


def test_what_failed_runs_again(layout: Layout) -> None:
    does = Fails("s[1]")
    site = begun(wide(layout), does)
    over(site)
    does.names.clear()
    assert again(site) == Retrying(1, 4, 3)
    states = over(site)
    assert set(states.values()) == {"COMPLETED"}
    assert site.ran == {"s[1]": 1, "t[1]": 1, "g": 1}


# -- nothing of two attempts is mixed ----------------------------------------------------------------------------------


def in_subworkflow(layout: Layout, **record: Any) -> World:
    """A subworkflow for each that w makes; an expression gives it what a made, which is known by then."""
    inner = flow(["x", "k"], [step("t", {"x": "x", "k": "k"})], {"out": "t/out"})
    given: dict[str, str | Link] = {"x": "w/out", "k": Link(("a/out",), value_from="k")}
    steps = [step("w"), step("a", {"x": "w/out"}), step("sub", given, scatter=["x"], workflow=inner)]
    world = World(layout, graph(flow([], steps, {"end": "sub/out"})), {}, {"k": lambda inputs: inputs["k"]})
    return replace(world, record=replace(world.record, **record))


def test_what_an_expression_gave_a_subworkflow_is_not_taken_again(layout: Layout) -> None:
    does = Fails(w=["p", "q"], a="old")
    site = begun(in_subworkflow(layout), does)
    over(site)
    does.makes["a"] = "new"
    again(site, froms=("a",))
    over(site)
    assert site.ran == Counter(["a", "sub/t[0]", "sub/t[1]"])
    assert [does.taken[f"sub/t[{number}]"]["k"] for number in (0, 1)] == ["new", "new"]


def test_what_was_broken_in_a_subworkflow_does_not_stop_the_retry(layout: Layout) -> None:
    does = Fails("a", w=["p", "q"])
    site = begun(in_subworkflow(layout, on_error="stop"), does)
    over(site)
    does.names.clear()
    again(site)
    assert set(over(site).values()) == {"COMPLETED"}


def conditional(layout: Layout) -> World:
    """A scatter of which those run that are not greater than what a made."""
    steps = [step("a"), step("c", {"x": "xs", "k": "a/out"}, scatter=["x"], when="is small")]
    given = graph(flow(["xs"], steps, {"all": "c/out"}))
    return World(layout, given, {"xs": [1, 2, 3, 4]}, {"is small": lambda inputs: inputs["x"] <= inputs["k"]})


@pytest.mark.parametrize("tasks_per_element", [1, 2, 3])
def test_what_was_skipped_for_an_old_value_is_judged_anew(layout: Layout, tasks_per_element: int) -> None:
    world = conditional(layout)
    world = replace(world, record=replace(world.record, tasks_per_element=tasks_per_element))
    does = Fails(a=1)
    site = begun(world, does)
    assert over(site) == {"a": "COMPLETED", "c[0]": "COMPLETED", **{f"c[{n}]": "SKIPPED" for n in (1, 2, 3)}}
    for limit in (3, 0, 4):
        does.makes["a"] = limit
        again(site, froms=("a",))
        states = over(site)
        assert [states[f"c[{n}]"] for n in range(4)] == ["COMPLETED"] * limit + ["SKIPPED"] * (4 - limit)
        assert site.ran == Counter(["a", *(f"c[{n}]" for n in range(limit))])


# -- widths that are decided at run time -------------------------------------------------------------------------------


def nested(layout: Layout) -> World:
    """A subworkflow for each x: it lists, and works on each that it listed."""
    inner = flow(["x"], [step("list", {"x": "x"}), step("each", {"y": "list/out"}, scatter=["y"])], {"out": "each/out"})
    outer = flow(["xs"], [step("sub", {"x": "xs"}, scatter=["x"], workflow=inner)], {"end": "sub/out"})
    return World(layout, graph(outer), {"xs": ["p", "q", "r"]}, {})


@pytest.mark.parametrize("tasks_per_element", [1, 2, 3])
@pytest.mark.parametrize("failed", ["sub/list[0]", "sub/list[1]", "sub/list[2]"])
def test_tasks_that_others_come_before_keep_what_they_made(layout: Layout, failed: str, tasks_per_element: int) -> None:
    world = nested(layout)
    world = replace(world, record=replace(world.record, tasks_per_element=tasks_per_element))
    does = Fails(failed, "sub/each[1.1]", "sub/each[2.1]", **{"sub/list": ["u", "v", "w"]})
    site = begun(world, does)
    over(site)
    good = {name for name, state in site.states().items() if state == "COMPLETED"}
    assert len(good) >= 6
    does.names.clear()
    again(site)
    states = over(site)
    assert set(states.values()) == {"COMPLETED"}
    assert site.ran == Counter(states.keys() - good)
    assert site.outputs() == {"end": [[f"sub/each[{i}.{j}]" for j in range(3)] for i in range(3)]}


def decided(layout: Layout) -> World:
    """A scatter over what a makes, another over that, and a gather."""
    steps = [
        step("a"),
        step("s", {"x": "a/out"}, scatter=["x"]),
        step("t", {"x": "s/out"}, scatter=["x"]),
        step("g", {"x": "t/out"}),
    ]
    return World(layout, graph(flow([], steps, {"end": "g/out"})), {}, {})


@pytest.mark.parametrize("tasks_per_element", [1, 2, 3])
def test_a_width_that_changes_from_retry_to_retry(layout: Layout, tasks_per_element: int) -> None:
    world = decided(layout)
    world = replace(world, record=replace(world.record, tasks_per_element=tasks_per_element))
    does = Fails(a=list("pq"))
    site = begun(world, does)
    over(site)
    for width in (5, 1, 0, 4, 3, 6):
        does.makes["a"] = list(range(width))
        again(site, froms=("a",))
        states = over(site)
        names = {*(f"{path}[{n}]" for path in "st" for n in range(width))}
        assert site.ran == Counter({"a", "g"} | names)
        assert states == {**dict.fromkeys({"a", "g"} | (names or {"s", "t"}), "COMPLETED"), **skipped(width)}
        assert does.taken["g"] == {"x": [f"t[{n}]" for n in range(width)]}
    does.names.add("a")
    again(site, froms=("a",))
    assert over(site) == {"a": "FAILED", "s": "DEP_FAIL", "t": "DEP_FAIL", "g": "DEP_FAIL"}


def skipped(width: int) -> dict[str, str]:
    """Say how steps over an empty array end."""
    return {} if width else {"s": "SKIPPED", "t": "SKIPPED"}


@pytest.mark.parametrize("tasks_per_element", [1, 2, 3])
def test_a_step_alone_that_decides_a_width(layout: Layout, tasks_per_element: int) -> None:
    world = decided(layout)
    world = replace(world, record=replace(world.record, tasks_per_element=tasks_per_element))
    does = Fails(a=list("pq"))
    site = begun(world, does)
    over(site)
    # What takes from it is kept, and what there was not yet runs.
    for width, new in ((4, {2, 3}), (3, set()), (6, {3, 4, 5})):
        does.makes["a"] = list(range(width))
        again(site, "a", "g")
        assert set(over(site).values()) == {"COMPLETED"}
        assert site.ran == Counter(["a", "g", *(f"{path}[{n}]" for path in "st" for n in new)])
        assert does.taken["g"] == {"x": [f"t[{n}]" for n in range(width)]}


@pytest.mark.parametrize("tasks_per_element", [1, 2, 3])
def test_a_step_alone_that_decides_what_is_skipped(layout: Layout, tasks_per_element: int) -> None:
    steps = [
        step("a"),
        step("w", {"x": "a/out"}),
        step("c", {"x": "w/out", "k": "a/out"}, scatter=["x"], when="is small"),
    ]
    world = World(
        layout, graph(flow([], steps, {"all": "c/out"})), {}, {"is small": lambda each: each["x"] <= each["k"]}
    )
    world = replace(world, record=replace(world.record, tasks_per_element=tasks_per_element))
    does = Fails(a=1, w=[1, 2, 3])
    site = begun(world, does)
    over(site)
    does.makes["a"] = 2
    again(site, "a")
    assert over(site) == {
        "a": "COMPLETED",
        "w": "COMPLETED",
        "c[0]": "COMPLETED",
        "c[1]": "COMPLETED",
        "c[2]": "SKIPPED",
    }
    assert site.ran == Counter(["a", "c[1]"])


# -- Slurm that forgot -------------------------------------------------------------------------------------------------


def test_ids_that_start_over_are_not_taken_for_those_of_before(layout: Layout) -> None:
    steps = [step("slow"), step("a"), step("s", {"x": "a/out"}, scatter=["x"])]
    world = World(layout, graph(flow([], steps, {"one": "slow/out", "all": "s/out"})), {}, {})
    world.scheduler.next_id = 0
    site = begun(world, Fails(a=["p", "q"]))
    site.asleep = {"slow", "a"}
    site.run_pass()
    before = world.job("slow").id
    # The controller lost its state.
    world.scheduler.jobs.clear()
    world.scheduler.next_id = 0
    again(site)
    site.asleep = {"slow"}
    site.run_pass()
    site.work()
    site.run_pass()
    assert [job.id for job in world.jobs("slow")] == [before]
    site.asleep.clear()
    assert set(over(site).values()) == {"COMPLETED"}
    assert site.ran == Counter(["slow", "a", "s[0]", "s[1]"])
