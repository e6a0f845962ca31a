"""What must wait for what because a step updates a file in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from beeflow.errors import DocumentError
from beeflow.graph import Graph, Link, Step, Workflow
from beeflow.ordering import ordered
from beeflow.plan import group_keys, walk
from tests.fakes import FakeEvaluator, flow, graph, step


def made(workflow: Workflow, *writers: str, expressions: Sequence[str] = (), loads: Sequence[str] = ()) -> Graph:
    """Make a graph whose ``writers`` update their input "x"."""
    plain = graph(workflow, expressions=expressions)
    tools = {
        name: replace(tool, updates=("x",) if name in writers else (), loads=name in loads)
        for name, tool in plain.tools.items()
    }
    return ordered(replace(plain, tools=tools))


def after(found: Graph, workflow: Workflow | None = None, path: str = "") -> dict[str, tuple[str, ...]]:
    """List who must follow whom."""
    named: dict[str, tuple[str, ...]] = {}
    for each in (workflow or found.workflow).steps:
        if each.after:
            named[f"{path}{each.name}"] = each.after
        if each.workflow:
            named.update(after(found, each.workflow, f"{path}{each.name}/"))
    return named


MAKE = step("make")
WRITE = step("write", {"x": "make/out"})


def top(*steps: Step, inputs: Sequence[str] = ()) -> Workflow:
    return flow(inputs, (MAKE, *steps))


def test_a_graph_without_updates_is_left_alone() -> None:
    plain = graph(top(WRITE, step("read", {"x": "make/out"})))
    assert ordered(plain) is plain


def test_a_writer_follows_who_reads_what_it_updates() -> None:
    readers = [step(name, {"x": "make/out"}) for name in ("read", "zread")]
    assert after(made(top(*readers, WRITE), "write")) == {"write": ("read", "zread")}


def test_who_takes_the_writers_output_is_behind_it_anyway() -> None:
    assert after(made(top(WRITE, step("read", {"x": "write/out", "old": "make/out"})), "write")) == {}


def test_who_reads_the_old_name_behind_the_writer_follows_it() -> None:
    link = step("between", {"y": "write/out"})
    found = made(top(WRITE, link, step("read", {"x": "make/out", "wait": "between/out"})), "write")
    # The output of the writer is the file itself, so who takes that comes first.
    assert after(found) == {"read": ("write",)}


def test_the_users_own_file_is_copied_so_nobody_waits() -> None:
    workflow = flow(["f"], [step("write", {"x": "f"}), step("read", {"x": "f"})])
    assert after(made(workflow, "write")) == {}


def test_a_second_writer_follows_readers_of_the_first_ones_output_and_of_the_old_name() -> None:
    second = step("zwrite", {"x": "write/out"})
    old, new = step("read_old", {"x": "make/out"}), step("read_new", {"x": "write/out"})
    assert after(made(top(old, WRITE, new, second), "write", "zwrite")) == {
        "write": ("read_old",),
        "zwrite": ("read_new", "read_old"),
    }


def test_two_writers_of_one_file_are_refused() -> None:
    with pytest.raises(DocumentError, match="steps write and zwrite: both update one file in place"):
        made(top(WRITE, step("zwrite", {"x": "make/out"})), "write", "zwrite")


def test_a_file_is_followed_through_expressions_and_subworkflows() -> None:
    inner = flow(["f"], [step("deep", {"x": "f"})], {"g": "deep/out"})
    passing = step("pass", {"x": "make/out"})
    sub = step("sub", {"f": "pass/out"}, outputs=["g"], workflow=inner)
    found = made(top(passing, step("read", {"x": "make/out"}), sub), "deep", expressions=["pass"])
    assert after(found) == {"sub/deep": ("read",)}
    reading = made(top(passing, WRITE, sub), "write", expressions=["pass"])
    assert after(reading) == {"write": ("sub/deep",)}


def test_a_subworkflow_that_waits_for_the_writer_reads_behind_it() -> None:
    inner = flow(["f", "go"], [step("deep", {"x": "f"})], {"g": "deep/out"})
    sub = step("sub", {"f": "make/out", "go": "write/out"}, outputs=["g"], workflow=inner, when="go")
    assert after(made(top(WRITE, sub), "write")) == {"sub/deep": ("write",)}


def test_an_expression_may_look_only_behind_the_writer() -> None:
    looking = step("look", {"x": "make/out", "wait": "write/out"})
    assert after(made(top(WRITE, looking), "write", expressions=["look"], loads=["look"])) == {}
    with pytest.raises(DocumentError, match=r"step look: it looks into what step write updates in place"):
        made(top(WRITE, step("look", {"x": "make/out"})), "write", expressions=["look"], loads=["look"])
    # One that only passes files on reads nothing.
    assert after(made(top(WRITE, step("look", {"x": "make/out"})), "write", expressions=["look"])) == {}


@pytest.mark.parametrize(
    ("scatter", "method", "refused"),
    [
        (["x"], None, False),
        (["n"], None, True),
        (["x", "n"], "dotproduct", False),
        (["x", "n"], "flat_crossproduct", True),
    ],
)
def test_a_scattered_writer_has_a_file_of_its_own_for_each_task(
    scatter: list[str], method: str | None, *, refused: bool
) -> None:
    maker = step("make", {"n": "n"}, scatter=["n"]) if "x" in scatter else MAKE
    writer = step("write", {"x": "make/out", "n": "n"}, scatter=scatter, method=method)
    workflow = flow(["n"], [maker, writer])
    if refused:
        with pytest.raises(DocumentError, match="step write: it is scattered, and all its tasks would update one file"):
            made(workflow, "write")
    else:
        assert after(made(workflow, "write")) == {}


def test_in_a_scattered_subworkflow_every_instance_has_its_own_file_or_not() -> None:
    def outer(source: str) -> Workflow:
        own = step("own", {"n": "n"})
        inner = flow(["n", "f"], [own, step("write", {"x": source})], {"g": "write/out"})
        return top(step("sub", {"n": "n", "f": "make/out"}, scatter=["n"], outputs=["g"], workflow=inner), inputs=["n"])

    assert after(made(outer("own/out"), "write")) == {}
    with pytest.raises(DocumentError, match="step sub/write: it is scattered"):
        made(outer("f"), "write")


def test_a_valuefrom_may_pass_any_input_on() -> None:
    reader = step("read", {"x": Link((), value_from="$(inputs.y)"), "y": "make/out"})
    assert after(made(top(reader, WRITE), "write")) == {"write": ("read",)}


def test_the_plan_makes_a_group_wait_and_never_element_by_element() -> None:
    maker = step("make", {"n": "n"}, scatter=["n"])
    reader = step("read", {"x": "make/out"}, scatter=["x"])
    found = made(flow(["n"], [maker, reader, step("write", {"x": "make/out"}, scatter=["x"])]), "write")
    plan = walk(found, {"n": [1, 2]}, lambda output: output, FakeEvaluator())
    keys = group_keys(found.workflow)
    group = plan.groups[keys["write"]]
    assert plan.producers(group) == {keys["make"], keys["read"]}
    assert plan.is_element_wise(group, keys["make"])
    assert not plan.is_element_wise(group, keys["read"])
