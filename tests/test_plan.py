from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from beeflow.errors import DocumentError, InputError, TaskError
from beeflow.graph import Graph, Link
from beeflow.plan import Group, Plan, group_keys, label_text, walk
from beeflow.values import Broken, Items, Known, Output, Value
from tests.fakes import FakeEvaluator, Function, flow, graph, link, step

Made = Mapping[tuple[str, str], Any]


def plan(
    given: Graph,
    inputs: Mapping[str, Any] | None = None,
    made: Made | None = None,
    **functions: Function,
) -> Plan:
    """Walk a graph; ``made``: (step path, label) -> what its port "out" is, a Broken, or the whole object."""
    paths = {key: path for path, key in group_keys(given.workflow).items()}
    known = made or {}

    def lookup(output: Output) -> Value:
        found = known.get((paths[output.group], output.label), output)
        if isinstance(found, (Known, Broken, Output, Items)):
            return found
        return Known(found)

    return walk(given, inputs or {}, lookup, FakeEvaluator(functions))


def group(found: Plan, path: str) -> Group:
    """Find a group by its step's path."""
    (one,) = [each for each in found.groups.values() if each.path == path]
    return one


def labels(found: Plan, path: str) -> list[str]:
    """List a group's tasks."""
    return [task.label for task in group(found, path).tasks]


def inputs_of(found: Plan, path: str, port: str = "x") -> list[Any]:
    """List what a group's tasks take; a hole as "path[label]"."""

    def shown(value: Value) -> Any:
        if isinstance(value, Known):
            return value.value
        if isinstance(value, Output):
            return f"{found.groups[value.group].path}[{value.label}]"
        if isinstance(value, (Items)):
            return [shown(each) for each in value.values]
        return value

    return [shown(task.inputs[port]) for task in group(found, path).tasks]


def producers(found: Plan, path: str) -> set[str]:
    """Name the steps a group waits for."""
    return {found.groups[key].path for key in found.producers(group(found, path))}


def fail(_: Mapping[str, Any]) -> Any:
    """Stand for an expression that fails."""
    raise TaskError("ReferenceError: x is not defined")


# -- chains -----------------------------------------------------------------------------------------------------------


def test_a_chain_is_one_task_a_step_each_taking_from_the_one_before() -> None:
    found = plan(graph(flow(["x"], [step("a", {"x": "x"}), step("b", {"x": "a/out"})], {"end": "b/out"})), {"x": 5})
    assert inputs_of(found, "a") == [5]
    assert inputs_of(found, "b") == ["a[0]"]
    assert producers(found, "a") == set()
    assert producers(found, "b") == {"a"}
    assert found.outputs == {"end": Output(group(found, "b").key, "0", "out")}


def test_an_input_that_is_not_given_is_null() -> None:
    assert inputs_of(plan(graph(flow(["x"], [step("a", {"x": "x"})]))), "a") == [None]


def test_a_step_input_without_source_is_null_or_its_default() -> None:
    found = plan(graph(flow([], [step("a", {"x": Link(), "y": Link(default=4)})])))
    assert (inputs_of(found, "a", "x"), inputs_of(found, "a", "y")) == ([None], [4])


def test_what_was_made_flows_on_to_the_outputs() -> None:
    given = graph(flow([], [step("a"), step("b", {"x": "a/out"})], {"end": "b/out", "first": "a/out"}))
    found = plan(given, made={("a", "0"): 1, ("b", "0"): 2})
    assert inputs_of(found, "b") == [1]
    assert found.outputs == {"end": Known(2), "first": Known(1)}
    assert producers(found, "b") == set()


def test_a_failed_step_breaks_what_takes_from_it_and_nothing_else() -> None:
    given = graph(
        flow(
            [],
            [step("a"), step("b", {"x": "a/out"}), step("c", {"x": "b/out"}), step("other")],
            {"end": "c/out", "fine": "other/out"},
        )
    )
    found = plan(given, made={("a", "0"): Broken("a FAILED: why"), ("other", "0"): 1})
    assert [group(found, path).tasks[0].broken for path in "bc"] == [Broken("a FAILED: why")] * 2
    assert group(found, "other").tasks[0].broken is None
    assert found.outputs == {"end": Broken("a FAILED: why"), "fine": Known(1)}


# -- scatter ----------------------------------------------------------------------------------------------------------


def two(method: str, a: list[Any], b: list[Any]) -> Plan:
    """Scatter over two inputs and gather."""
    scattered = step("s", {"x": "a", "y": "b"}, scatter=["x", "y"], method=method)
    return plan(graph(flow(["a", "b"], [scattered, step("g", {"x": "s/out"})])), {"a": a, "b": b})


def test_dotproduct() -> None:
    found = two("dotproduct", [1, 2], ["p", "q"])
    assert labels(found, "s") == ["0", "1"]
    assert (inputs_of(found, "s", "x"), inputs_of(found, "s", "y")) == ([1, 2], ["p", "q"])
    assert inputs_of(found, "g") == [["s[0]", "s[1]"]]


@pytest.mark.parametrize(
    ("method", "gathered"),
    [
        ("flat_crossproduct", ["s[0]", "s[1]", "s[2]", "s[3]", "s[4]", "s[5]"]),
        ("nested_crossproduct", [["s[0]", "s[1]", "s[2]"], ["s[3]", "s[4]", "s[5]"]]),
    ],
)
def test_crossproducts_vary_the_last_input_fastest(method: str, gathered: list[Any]) -> None:
    found = two(method, [1, 2], ["p", "q", "r"])
    assert inputs_of(found, "s", "x") == [1, 1, 1, 2, 2, 2]
    assert inputs_of(found, "s", "y") == ["p", "q", "r"] * 2
    assert labels(found, "s") == ["0", "1", "2", "3", "4", "5"]
    assert inputs_of(found, "g") == [gathered]


def test_a_scatter_of_more_tasks_than_anybody_means() -> None:
    many = list(range(10_000))
    found = two("flat_crossproduct", many, many)
    assert group(found, "s").broken == "step s: its scatter makes more than 1000000 tasks"


def test_scatters_in_a_scatter_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beeflow.plan.MAX_TASKS", 20)
    inner = flow(["x"], [step("s", {"x": "x"}, scatter=["x"])], {"out": "s/out"})
    outer = step("o", {"x": "a"}, scatter=["x"], workflow=inner)
    for width, broken in ((4, None), (5, "step o/s: its scatter makes more than 20 tasks")):
        found = plan(graph(flow(["a"], [outer])), {"a": [[0] * 4] * width})
        assert group(found, "o/s").broken == broken


def test_nested_crossproduct_of_three() -> None:
    scattered = step("s", dict.fromkeys("xyz", "a"), scatter=["x", "y", "z"], method="nested_crossproduct")
    found = plan(graph(flow(["a"], [scattered, step("g", {"x": "s/out"})])), {"a": [1, 2]})
    numbers = iter(range(8))
    assert inputs_of(found, "g") == [[[[f"s[{next(numbers)}]" for _ in "ab"] for _ in "ab"] for _ in "ab"]]


@pytest.mark.parametrize(
    ("method", "a", "b", "gathered"),
    [
        ("dotproduct", [], [], []),
        ("flat_crossproduct", [], ["p"], []),
        ("flat_crossproduct", [1, 2], [], []),
        ("nested_crossproduct", [], ["p", "q"], []),
        # An empty inner array for each outer element (CWL v1.2 Workflow, scatterMethod).
        ("nested_crossproduct", [1, 2], [], [[], []]),
    ],
)
def test_an_empty_scatter_is_folded_without_a_task(method: str, a: list[Any], b: list[Any], gathered: Any) -> None:
    found = two(method, a, b)
    assert labels(found, "s") == []
    assert inputs_of(found, "g") == [gathered]
    assert producers(found, "g") == set()


@pytest.mark.parametrize(
    ("a", "b", "complaint"), [([1, 2], ["p"], r"step s: .*x: 2, y: 1"), (None, [], "step s, input x")]
)
def test_a_scatter_that_cannot_be_names_the_step_and_the_inputs(a: Any, b: Any, complaint: str) -> None:
    try:
        said = group(two("dotproduct", a, b), "s").broken or ""
    except (DocumentError, InputError) as error:
        said = str(error)
    assert re.search(complaint, said)


def test_inputs_that_are_not_scattered_go_to_every_task() -> None:
    found = plan(graph(flow(["a", "b"], [step("s", {"x": "a", "y": "b"}, scatter=["x"])])), {"a": [1, 2], "b": [7, 8]})
    assert inputs_of(found, "s", "y") == [[7, 8], [7, 8]]


def test_width_comes_from_an_upstream_scatter_before_that_has_run() -> None:
    steps = [step("s", {"x": "a"}, scatter=["x"]), step("t", {"x": "s/out"}, scatter=["x"])]
    found = plan(graph(flow(["a"], steps)), {"a": [1, 2, 3]})
    assert inputs_of(found, "t") == ["s[0]", "s[1]", "s[2]"]
    assert group(found, "t").unknown is None


def test_unknown_width_waits_for_what_decides_it_and_passes_on_one_hole() -> None:
    steps = [
        step("a"),
        step("s", {"x": "a/out"}, scatter=["x"]),
        step("g", {"x": "s/out"}),
        step("t", {"x": "s/out"}, scatter=["x"]),
    ]
    found = plan(graph(flow([], steps, {"end": "s/out"})))
    assert group(found, "s").unknown == [Output(group(found, "a").key, "0", "out")]
    assert labels(found, "s") == labels(found, "t") == []
    assert producers(found, "s") == {"a"}
    assert inputs_of(found, "g") == ["s[*]"]
    assert [hole.group for hole in group(found, "t").unknown or []] == [group(found, "s").key]
    assert isinstance(found.outputs["end"], Output)


def test_a_width_becomes_known() -> None:
    steps = [step("a"), step("s", {"x": "a/out"}, scatter=["x"]), step("t", {"x": "s/out"}, scatter=["x"])]
    found = plan(graph(flow([], steps)), made={("a", "0"): ["p", "q"]})
    assert inputs_of(found, "s") == ["p", "q"]
    assert inputs_of(found, "t") == ["s[0]", "s[1]"]


def test_one_failed_element_breaks_its_own_partner_and_a_gather_only() -> None:
    steps = [
        step("s", {"x": "a"}, scatter=["x"]),
        step("t", {"x": "s/out"}, scatter=["x"]),
        step("g", {"x": "s/out"}),
    ]
    found = plan(graph(flow(["a"], steps)), {"a": [1, 2, 3]}, made={("s", "1"): Broken("why")})
    assert [task.broken for task in group(found, "t").tasks] == [None, Broken("why"), None]
    assert group(found, "g").tasks[0].broken == Broken("why")
    assert group(found, "t").broken is None


def test_a_width_that_will_never_be_known_breaks_the_whole_step() -> None:
    steps = [step("a"), step("s", {"x": "a/out"}, scatter=["x"]), step("g", {"x": "s/out"})]
    found = plan(graph(flow([], steps, {"end": "s/out"})), made={("a", "0"): Broken("why")})
    assert (group(found, "s").broken, group(found, "s").unknown, labels(found, "s")) == ("why", None, [])
    assert group(found, "g").tasks[0].broken == Broken("why")
    assert found.outputs["end"] == Broken("why")


def test_a_default_does_not_hide_a_width_that_is_known() -> None:
    # An array that has elements is not null: the default cannot apply, so there is nothing to wait for.
    steps = [
        step("s", {"x": "a"}, scatter=["x"]),
        step("t", {"x": Link(("s/out",), default=[])}, scatter=["x"]),
    ]
    found = plan(graph(flow(["a"], steps)), {"a": [1, 2]})
    assert group(found, "t").unknown is None
    assert inputs_of(found, "t") == ["s[0]", "s[1]"]


# -- subworkflows -----------------------------------------------------------------------------------------------------


def nested(**outer: Any) -> Graph:
    """A workflow whose step "sub" runs a chain of two."""
    inner = flow(["x"], [step("p", {"x": "x"}), step("q", {"x": "p/out"})], {"out": "q/out"})
    return graph(
        flow(["a"], [step("sub", {"x": "a"}, workflow=inner, **outer), step("g", {"x": "sub/out"})], {"end": "sub/out"})
    )


def test_a_subworkflow_is_its_steps() -> None:
    found = plan(nested(), {"a": 1})
    assert inputs_of(found, "sub/p") == [1]
    assert inputs_of(found, "sub/q") == ["sub/p[0]"]
    assert inputs_of(found, "g") == ["sub/q[0]"]
    assert producers(found, "g") == {"sub/q"}
    assert group(found, "sub").virtual


def test_a_scattered_subworkflow_is_one_group_a_step() -> None:
    found = plan(nested(scatter=["x"]), {"a": [1, 2, 3]})
    assert inputs_of(found, "sub/p") == [1, 2, 3]
    assert inputs_of(found, "sub/q") == [f"sub/p[{i}]" for i in range(3)]
    assert inputs_of(found, "g") == [["sub/q[0]", "sub/q[1]", "sub/q[2]"]]
    assert found.is_element_wise(group(found, "sub/q"), group(found, "sub/p").key)


def test_a_scattered_subworkflow_of_no_width() -> None:
    found = plan(nested(scatter=["x"]), {"a": []})
    assert labels(found, "sub/p") == labels(found, "sub/q") == []
    assert inputs_of(found, "g") == [[]]


def test_a_scattered_subworkflow_of_unknown_width_plans_nothing_inside() -> None:
    inner = flow(["x"], [step("p", {"x": "x"})], {"out": "p/out"})
    given = graph(flow([], [step("a"), step("sub", {"x": "a/out"}, workflow=inner, scatter=["x"])]))
    found = plan(given)
    assert group(found, "sub").unknown == [Output(group(found, "a").key, "0", "out")]
    assert labels(found, "sub/p") == []


def test_scatter_inside_a_scattered_subworkflow_may_be_ragged_and_empty() -> None:
    inner = flow(["xs"], [step("p", {"x": "xs"}, scatter=["x"])], {"out": "p/out"})
    given = graph(flow(["a"], [step("sub", {"xs": "a"}, workflow=inner, scatter=["xs"]), step("g", {"x": "sub/out"})]))
    found = plan(given, {"a": [[1, 2], [], [3]]})
    assert labels(found, "sub/p") == ["0.0", "0.1", "2.0"]
    assert inputs_of(found, "sub/p") == [1, 2, 3]
    assert inputs_of(found, "g") == [[["sub/p[0.0]", "sub/p[0.1]"], [], ["sub/p[2.0]"]]]


def test_a_scope_whose_width_will_never_be_known_does_not_break_its_neighbours() -> None:
    inner = flow(["x"], [step("p", {"x": "x"}), step("q", {"x": "p/out"}, scatter=["x"])], {"out": "q/out"})
    given = graph(flow(["a"], [step("sub", {"x": "a"}, workflow=inner, scatter=["x"])], {"end": "sub/out"}))
    made = {("sub/p", "0"): Broken("why"), ("sub/p", "1"): [7], ("sub/q", "1.0"): "done"}
    found = plan(given, {"a": [1, 2]}, made)
    assert labels(found, "sub/q") == ["1.0"]
    assert found.outputs["end"] == Items((Broken("why"), Known(["done"])))


def test_a_null_given_to_a_subworkflow_takes_its_default() -> None:
    inner = flow(["x", "y"], [step("p", {"x": "x", "y": "y"})], {"out": "p/out"}, {"x": 11, "y": 12})
    found = plan(graph(flow(["a"], [step("sub", {"x": "a"}, workflow=inner)])))
    assert (inputs_of(found, "sub/p", "x"), inputs_of(found, "sub/p", "y")) == ([11], [12])


def test_an_expression_on_a_subworkflow_step_is_evaluated_once_its_sources_are_made() -> None:
    inner = flow(["x"], [step("p", {"x": "x"})], {"out": "p/out"})
    sub = step("sub", {"x": Link(("a/out",), value_from="double")}, workflow=inner)
    given = graph(flow([], [step("a"), sub]))
    pending = plan(given, double=lambda values: values["x"] * 2)
    assert producers(pending, "sub/p") == {"a"}
    found = plan(given, made={("a", "0"): 4}, double=lambda values: values["x"] * 2)
    assert inputs_of(found, "sub/p") == [8]


def test_an_expression_that_fails_on_a_subworkflow_step_breaks_what_is_inside() -> None:
    inner = flow(["x"], [step("p", {"x": "x"})], {"out": "p/out"})
    sub = step("sub", {"x": Link(("a",), value_from="bad")}, workflow=inner)
    found = plan(graph(flow(["a"], [sub], {"end": "sub/out"})), {"a": 1}, bad=fail)
    broken = group(found, "sub/p").tasks[0].broken
    assert broken is not None
    assert broken.reason == "sub: ReferenceError: x is not defined"
    assert found.outputs["end"] == broken


@pytest.mark.parametrize("runs", [True, False])
def test_a_condition_holds_for_a_whole_subworkflow(runs: bool) -> None:
    found = plan(nested(when="go"), {"a": 1}, go=lambda values: runs)
    tasks = [task.label for task in group(found, "sub/p").tasks if task.label not in group(found, "sub/p").skipped]
    assert tasks == (["0"] if runs else [])
    if not runs:
        assert found.outputs["end"] == Known(None)


# -- when, pickValue, linkMerge ---------------------------------------------------------------------------------------


def conditional(source: str = "x") -> Graph:
    return graph(
        flow(
            ["x"],
            [step("a", {"x": "x"}), step("c", {"x": source}, when="big"), step("d", {"x": "c/out"})],
            {"end": "c/out"},
        )
    )


def test_a_condition_that_is_false_skips_without_a_job() -> None:
    found = plan(conditional(), {"x": 1}, big=lambda values: values["x"] > 5)
    assert group(found, "c").skipped == ["0"]
    assert found.outputs["end"] == Known(None)
    assert inputs_of(found, "d") == [None]


def test_a_condition_that_is_true_takes_a_job() -> None:
    found = plan(conditional(), {"x": 9}, big=lambda values: values["x"] > 5)
    assert group(found, "c").skipped == []
    assert inputs_of(found, "d") == ["c[0]"]


def test_a_condition_that_cannot_be_decided_yet_is_left_to_the_task() -> None:
    def never(_: Mapping[str, Any]) -> Any:
        raise AssertionError("evaluated too early")

    found = plan(conditional("a/out"), {"x": 1}, big=never)
    assert group(found, "c").skipped == []
    assert inputs_of(found, "d") == ["c[0]"]
    assert plan(conditional("a/out"), {"x": 1}, {("a", "0"): 3}, big=lambda values: values["x"] > 5).outputs == {
        "end": Known(None)
    }


def test_a_condition_that_fails_breaks_the_step() -> None:
    found = plan(conditional(), {"x": 1}, big=fail)
    assert found.outputs["end"] == Broken("c: ReferenceError: x is not defined")


def test_a_scattered_condition_skips_single_tasks() -> None:
    given = graph(flow(["a"], [step("s", {"x": "a"}, scatter=["x"], when="big")], {"end": "s/out"}))
    found = plan(given, {"a": [1, 9, 2]}, {("s", "1"): "nine"}, big=lambda values: values["x"] > 5)
    assert group(found, "s").skipped == ["0", "2"]
    assert found.outputs["end"] == Known([None, "nine", None])


def test_a_task_with_a_failed_source_is_not_skipped_but_broken() -> None:
    found = plan(conditional("a/out"), {"x": 1}, {("a", "0"): Broken("why")}, big=lambda values: False)
    assert group(found, "c").skipped == []
    assert found.outputs["end"] == Broken("why")


@pytest.mark.parametrize(
    ("first", "second", "pick", "end"),
    [
        (1, 2, "first_non_null", Known(1)),
        (None, 2, "first_non_null", Known(2)),
        (None, 2, "the_only_non_null", Known(2)),
        (None, 2, "all_non_null", Known([2])),
        (Broken("why"), 2, "first_non_null", Broken("why")),
        (None, Broken("why"), "all_non_null", Broken("why")),
    ],
)
def test_pick_value_of_two_branches(first: Any, second: Any, pick: str, end: Value) -> None:
    picked = Link(("a/out", "b/out"), "merge_nested", pick)
    given = graph(flow([], [step("a"), step("b")], {"end": picked}))
    assert plan(given, made={("a", "0"): first, ("b", "0"): second}).outputs["end"] == end


@pytest.mark.parametrize("pick", ["first_non_null", "the_only_non_null"])
def test_pick_value_of_nothing_breaks(pick: str) -> None:
    given = graph(flow([], [step("a"), step("b")], {"end": Link(("a/out", "b/out"), "merge_nested", pick)}))
    assert isinstance(plan(given, made={("a", "0"): None, ("b", "0"): None}).outputs["end"], Broken)


def test_merge_flattened_of_two_scatters_keeps_the_order_of_the_sources() -> None:
    steps = [
        step("s", {"x": "a"}, scatter=["x"]),
        step("t", {"x": "b"}, scatter=["x"]),
        step("u", {"x": Link(("t/out", "s/out", "b"), "merge_flattened")}, scatter=["x"]),
    ]
    found = plan(graph(flow(["a", "b"], steps)), {"a": [1, 2], "b": [3]})
    assert inputs_of(found, "u") == ["t[0]", "s[0]", "s[1]", 3]
    assert producers(found, "u") == {"s", "t"}


# -- ExpressionTools --------------------------------------------------------------------------------------------------


def with_expression() -> Graph:
    steps = [step("a"), step("e", {"x": "a/out"}), step("b", {"x": "e/out"})]
    return graph(flow([], steps, {"end": "e/out"}), expressions=["e"])


def test_producers_are_found_through_what_never_is_a_job() -> None:
    found = plan(with_expression())
    assert group(found, "e").virtual
    assert inputs_of(found, "b") == ["e[0]"]
    assert producers(found, "b") == {"a"}


def test_an_expression_tool_is_evaluated_once_its_inputs_are_made() -> None:
    found = plan(with_expression(), made={("a", "0"): 4}, e=lambda values: {"out": values["x"] + 1})
    assert inputs_of(found, "b") == [5]
    assert found.outputs["end"] == Known(5)
    assert producers(found, "b") == set()


def test_an_expression_tool_that_fails_breaks_its_consumers() -> None:
    found = plan(with_expression(), made={("a", "0"): 4}, e=fail)
    assert found.outputs["end"] == Broken("e: ReferenceError: x is not defined")
    assert group(found, "b").tasks[0].broken is not None


def test_an_expression_tool_may_leave_an_output_out() -> None:
    assert plan(with_expression(), made={("a", "0"): 4}, e=lambda values: {}).outputs["end"] == Known(None)


# -- element by element -----------------------------------------------------------------------------------------------


def element_wise(**inputs: str | Link) -> bool:
    """Say whether a scattered step over the output of "s" is element-wise, with more inputs given."""
    steps = [
        step("one"),
        step("s", {"x": "a"}, scatter=["x"]),
        step("r", {"x": "a"}, scatter=["x"]),
        step("t", {"x": "s/out", **inputs}, scatter=["x", *(["z"] if "z" in inputs else [])]),
    ]
    found = plan(graph(flow(["a"], steps)), {"a": [1, 2, 3]})
    return found.is_element_wise(group(found, "t"), group(found, "s").key)


def test_a_scatter_over_a_scatter_is_element_wise() -> None:
    assert element_wise()
    assert element_wise(y="a")
    assert element_wise(y="one/out")
    assert element_wise(z="r/out")


def test_a_gather_beside_it_is_not_element_wise() -> None:
    assert not element_wise(y="s/out")


def test_another_order_is_not_element_wise() -> None:
    merged = Link(("b/out", "s/out"), "merge_flattened")
    steps = [
        step("b", {"x": "c"}, scatter=["x"]),
        step("s", {"x": "a"}, scatter=["x"]),
        step("t", {"x": merged}, scatter=["x"]),
        step("n", {"x": "s/out", "y": "a"}, scatter=["x", "y"], method="flat_crossproduct"),
    ]
    found = plan(graph(flow(["a", "c"], steps)), {"a": [1, 2], "c": [3]})
    key = group(found, "s").key
    assert not found.is_element_wise(group(found, "t"), key)
    assert not found.is_element_wise(group(found, "n"), key)


def test_single_tasks_and_tasks_behind_expressions_are_not_element_wise() -> None:
    chain = plan(graph(flow([], [step("a"), step("b", {"x": "a/out"})])))
    assert not chain.is_element_wise(group(chain, "b"), group(chain, "a").key)
    steps = [
        step("s", {"x": "a"}, scatter=["x"]),
        step("e", {"x": "s/out"}, scatter=["x"]),
        step("t", {"x": "s/out", "y": "e/out"}, scatter=["x", "y"]),
    ]
    found = plan(graph(flow(["a"], steps), expressions=["e"]), {"a": [1, 2]})
    assert not found.is_element_wise(group(found, "t"), group(found, "s").key)
    assert producers(found, "t") == {"s"}


# -- names ------------------------------------------------------------------------------------------------------------


def odd_names() -> Graph:
    inner = flow([], [step("deep step"), step("a")])
    steps = [step("a"), step("ä/../\n$(x)"), step("-" * 200), step("sub", workflow=inner), step("A")]
    return graph(flow([], steps))


def test_group_keys_are_safe_file_names_and_differ() -> None:
    keys = list(group_keys(odd_names().workflow).values())
    assert len({key.lower() for key in keys}) == len(keys) == 7
    for key in keys:
        assert re.fullmatch(r"[0-9]{3}-[A-Za-z0-9_.-]{1,60}", key)


def test_group_keys_are_stable_and_in_order() -> None:
    keys = group_keys(odd_names().workflow)
    assert keys == group_keys(odd_names().workflow)
    assert [keys["a"], keys["sub"], keys["sub/a"]] == ["001-a", "004-sub", "006-sub.a"]
    assert list(keys.values()) == sorted(keys.values())


def test_a_walk_has_a_group_for_every_key() -> None:
    found = plan(odd_names())
    assert set(found.groups) == set(group_keys(odd_names().workflow).values())


@pytest.mark.parametrize(("label", "text"), [((), "0"), ((3,), "3"), ((3, 0), "3.0")])
def test_label_text(label: tuple[int, ...], text: str) -> None:
    assert label_text(label) == text


def test_link_helper_keeps_links() -> None:
    assert link(Link(("x",))) == link("x")
