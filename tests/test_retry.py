"""bee-retry on a Slurm in memory: what is kept, what runs again, and that nothing of two attempts is mixed."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import control, retry, store, workflow
from beeflow.graph import Link
from beeflow.layout import Layout, folders
from beeflow.listing import state_record
from beeflow.models import Retried
from beeflow.results import dumps_graph
from beeflow.retry import Choice, Retrying
from beeflow.states import Command, JobState, WorkflowState
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter
from tests.fakes import RECORD, KilledError, flow, graph, step
from tests.running import Site
from tests.test_control import shown
from tests.test_driver import World, wide

LONG_AGO = "2020-01-01T00:00:00.000+00:00"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / RECORD.id)
    made.root.mkdir()
    for folder in folders(made):
        folder.mkdir()
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(control, "LOOK_PAUSE_S", 0.0)


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


def again(site: Site, *steps: str, **choice: Any) -> Retrying:
    """Give the command; from here on it is counted what runs."""
    site.ran.clear()
    return give(site, *steps, **choice)


def give(site: Site, *steps: str, froms: tuple[str, ...] = (), everything: bool = False) -> Retrying:
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


def test_what_is_left_in_slurm_of_what_is_over_is_cancelled(layout: Layout) -> None:
    """As when slurmctld lost its state, so that all seemed lost, and a node is drained: nobody but we would end it."""
    does = Fails("s[1]")
    site = begun(wide(layout), does)
    over(site)
    does.names.clear()
    left = site.world.jobs("g")[0]
    left.states = {None: (JobState.PENDING, "Nodes required for job are DOWN, DRAINED")}
    again(site)
    assert left.states[None][0] is JobState.CANCELLED
    assert set(over(site).values()) == {"COMPLETED"}


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


# -- the end before its time -----------------------------------------------------------------------------------------


def chunk_that_failed(layout: Layout, **record: Any) -> Site:
    """A retry of a scatter, two tasks an element, one of which failed; and of a step beside it that fails at once."""
    steps = [step("f"), step("s", {"x": "xs"}, scatter=["x"])]
    world = World(layout, graph(flow(["xs"], steps, {"all": "s/out"})), {"xs": [1, 2]}, {})
    world = replace(world, record=replace(world.record, tasks_per_element=2, **record))
    site = begun(world, Fails("s[1]", "f"))
    site.asleep = {"f"}
    site.run_pass()
    site.work()
    site.asleep.clear()
    over(site)
    again(site)
    return site


def test_what_was_kept_is_not_cancelled_with_the_rest(layout: Layout) -> None:
    site = chunk_that_failed(layout)
    control.perform_one(Command.CANCEL, WorkflowDir(layout), lambda _: site.world.scheduler)
    assert over(site) == {"f": "CANCELLED", "s[0]": "COMPLETED", "s[1]": "CANCELLED"}
    site.does.names.clear()  # type: ignore[attr-defined]
    assert again(site) == Retrying(2, 1, 2)
    assert set(over(site).values()) == {"COMPLETED"}
    assert site.ran == Counter(["f", "s[1]"])


@pytest.mark.parametrize("max_jobs", [0, 1])
def test_what_was_not_begun_again_did_not_fail_again(layout: Layout, max_jobs: int) -> None:
    site = chunk_that_failed(layout, on_error="stop")
    site.world.record = replace(site.world.record, max_jobs=max_jobs)
    site.asleep = {"s"}
    assert over(site) == {"f": "FAILED", "s[0]": "COMPLETED", "s[1]": "CANCELLED"}
    assert site.ran == Counter(["f"])


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


# -- states, windows and versions ------------------------------------------------------------------------------------


def test_the_next_pass_does_not_wait_for_jobs_of_before(layout: Layout) -> None:
    world = wide(layout, 12)
    world = replace(world, record=replace(world.record, max_jobs=4))
    site = begun(world, Fails())
    over(site)
    before = set(world.scheduler.jobs)
    again(site, everything=True)
    site.run_pass()
    (_, awaited) = world.scheduler.relinked[-1]
    assert awaited.any_of
    assert not before & set(awaited.any_of)
    site.work()
    assert set(over(site).values()) == {"COMPLETED"}
    assert set(site.ran.values()) == {1}


def test_what_is_to_run_again_is_not_shown_as_it_ended(layout: Layout) -> None:
    does = Fails("s[1]")
    site = begun(wide(layout), does)
    over(site)
    again(site)
    site.ended = None
    waiting = dict.fromkeys(["s[1]", "t[1]", "g"], "WAITING")
    good = dict.fromkeys(["s[0]", "s[2]", "t[0]", "t[2]"], "COMPLETED")
    assert site.states() == {**good, **waiting}


def test_what_could_not_be_archived_is_stalled_and_goes_on(layout: Layout) -> None:
    does = Fails("s[1]")
    site = begun(wide(layout), does)
    over(site, WorkflowState.FAILED)
    assert shown(site.world) is WorkflowState.STALLED
    does.names.clear()
    assert again(site) == Retrying(1, 4, 3)
    assert set(over(site).values()) == {"COMPLETED"}


def test_what_ended_while_it_was_paused_goes_on(layout: Layout) -> None:
    does = Fails("g")
    site = begun(wide(layout), does)
    site.asleep = {"g"}
    site.run_pass()
    site.work()
    site.world.job("g").states[None] = (JobState.RUNNING, "None")
    control.perform_one(Command.PAUSE, WorkflowDir(layout), lambda _: site.world.scheduler)
    site.world.job("g").states[None] = (JobState.PENDING, "None")
    site.asleep.clear()
    over(site)
    does.names.clear()
    again(site)
    assert shown(site.world) is WorkflowState.PENDING
    assert set(over(site).values()) == {"COMPLETED"}


@pytest.mark.parametrize(
    ("before", "archive", "expected"),
    [
        (None, None, 1),
        (None, f"{RECORD.id}.tgz", 1),
        (Retried(1, LONG_AGO, done=True), f"{RECORD.id}.v2.tgz", 2),
        (Retried(1, LONG_AGO, done=False), f"{RECORD.id}.tgz", 1),
        # Killed, and then bee-start went on: its archive has the number.
        (Retried(1, LONG_AGO, done=False), f"{RECORD.id}.v2.tgz", 2),
        # Killed as it was about to say that the workflow has not ended.
        (Retried(1, LONG_AGO, done=True), f"{RECORD.id}.tgz", 1),
        (Retried(1, LONG_AGO, done=True), None, 2),
        (Retried(1, LONG_AGO, done=False), None, 1),
    ],
)
def test_of_each_version_there_is_one_archive(
    layout: Layout, before: Retried | None, archive: str | None, expected: int
) -> None:
    if before:
        store.write_record(layout.retry, before)
    ended = state_record(RECORD, WorkflowState.ARCHIVED_FAILED if archive else WorkflowState.RUNNING)
    store.write_record(layout.state, replace(ended, archive=archive and f"/archives/{archive}"))
    assert retry.generation(WorkflowDir(layout)) == expected


# -- killed anywhere -------------------------------------------------------------------------------------------------


class Death:
    """Dies before the nth call that changes a file system, and then at every further one."""

    CALLS = ("replace", "rename", "link", "unlink", "mkdir", "rmdir")

    def __init__(self, patch: pytest.MonkeyPatch, lives: int) -> None:
        self.lives = lives
        self.sleeps = False
        for name in self.CALLS:
            patch.setattr(os, name, self.deadly(getattr(os, name)))

    def deadly(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **options: Any) -> Any:
            self.lives -= 0 if self.sleeps else 1
            if self.lives < 0:
                raise KilledError
            return call(*given, **options)

        return made


def copied(site: Site, top: Path) -> Site:
    """Copy a workflow and its Slurm."""
    shutil.copytree(site.layout.root, top / RECORD.id)
    world = replace(site.world, layout=Layout(top / RECORD.id), scheduler=copy.deepcopy(site.world.scheduler))
    return Site(world, site.does)


def deaths(site: Site, top: Path, patch: pytest.MonkeyPatch, **choice: Any) -> Iterator[tuple[int, Site]]:
    """Yield copies of a workflow in which bee-retry, or a pass after it, died: at every point there is."""
    for lives in range(2000):
        other = copied(site, top / str(lives))
        with patch.context() as deadly:
            death = Death(deadly, lives)
            with contextlib.suppress(KilledError):
                again(other, **choice)
                while not other.run_pass():
                    death.sleeps = True
                    other.work()
                    death.sleeps = False
        if death.lives >= 0:
            return
        yield lives, other
        shutil.rmtree(top / str(lives))
    raise AssertionError("it does not end")


def go_on(site: Site, **choice: Any) -> None:
    """Do what a user can after a command that was killed: again or, once the workflow is not over, bee-start."""
    state = WorkflowDir(site.layout).state()
    passes = site.live_passes()
    if state is not None and state.state.final:
        give(site, **choice)
    elif not passes or any(job.held for job in passes):
        control.perform_one(Command.START, WorkflowDir(site.layout), lambda _: site.world.scheduler)


def test_a_retry_that_is_killed_anywhere_goes_on(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = wide(layout)
    does = Fails("s[1]", "s[2]")
    site = begun(replace(world, record=replace(world.record, tasks_per_element=2, max_jobs=2)), does)
    over(site)
    does.names.clear()
    for lives, other in deaths(site, tmp_path / "copies", monkeypatch):
        go_on(other)
        assert set(over(other).values()) == {"COMPLETED"}, lives
        assert other.ran == Counter(["s[1]", "s[2]", "t[1]", "t[2]", "g"]), lives
    assert lives > 50


def test_a_retry_in_which_tasks_move_may_be_killed_anywhere(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = Fails("sub/list[0]", "sub/each[2.1]", **{"sub/list": ["u", "v"]})
    world = nested(layout)
    site = begun(replace(world, record=replace(world.record, tasks_per_element=3)), does)
    over(site)
    does.names.clear()
    for lives, other in deaths(site, tmp_path / "copies", monkeypatch):
        go_on(other)
        assert set(over(other).values()) == {"COMPLETED"}, lives
        assert other.ran == Counter(["sub/list[0]", "sub/each[0.0]", "sub/each[0.1]", "sub/each[2.1]"]), lives


def test_a_retry_of_all_that_follows_may_be_killed_anywhere(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = Fails(a=list("pqr"))
    site = begun(decided(layout), does)
    over(site)
    does.makes["a"] = list("uv")
    for lives, other in deaths(site, tmp_path / "copies", monkeypatch, froms=("a",)):
        go_on(other, froms=("a",))
        assert set(over(other).values()) == {"COMPLETED"}, lives
        assert other.ran == Counter(["a", "s[0]", "s[1]", "t[0]", "t[1]", "g"]), lives
        assert does.taken["g"] == {"x": ["t[0]", "t[1]"]}
