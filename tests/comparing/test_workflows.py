from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from beeflow.comparing import surroundings, workflows
from beeflow.comparing.values import Values
from beeflow.comparing.verdicts import Item, Verdict
from beeflow.graph import Container, Graph, Link, Step, Workflow
from tests.comparing.made import graph, tool
from tests.comparing.test_values import Told
from tests.fakes import RECORD

VALUES = Values(Told(), Told(), named=False)


def changed(a: Graph, b: Graph) -> list[str]:
    """Where two workflows differ."""
    return [each.where for item in workflows.compare(a, b, VALUES) for each in item.differences]


def only_step(made: Graph, **fields: Any) -> Graph:
    """The same workflow with another step."""
    (step,) = made.workflow.steps
    return replace(made, workflow=replace(made.workflow, steps=(replace(step, **fields),)))


def test_where_documents_are_does_not_matter() -> None:
    assert changed(graph(), graph(tool(home="bob"))) == []


def test_order_and_words_for_people_do_not_matter() -> None:
    other = tool(label="says", doc="says what it is told")
    other.document["requirements"].reverse()
    assert changed(graph(), graph(other)) == []


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"baseCommand": ["echo", "-e"]}, "say.run.baseCommand[1]"),
        ({"requirements": [{"class": "NetworkAccess"}]}, "say.run.requirements.ResourceRequirement"),
        ({"hints": [{"class": "NetworkAccess"}]}, "say.run.hints.NetworkAccess"),
        ({"stdout": "o"}, "say.run.stdout"),
        ({"inputs": [{"id": "#word", "type": "string"}]}, "say.run.inputs.#word"),
    ],
)
def test_a_tool_differs(fields: dict[str, Any], where: str) -> None:
    assert where in changed(graph(), graph(tool(**fields)))


def test_ids_in_defaults_are_values() -> None:
    one, two = ([{"id": "file:///f#word", "type": "Any", "default": {"id": each}}] for each in (1, 2))
    assert changed(graph(tool(inputs=one)), graph(tool(inputs=two))) == ["say.run.inputs.word.default.id"]


def test_a_step_differs() -> None:
    assert changed(graph(), only_step(graph(), when="$(inputs.x)")) == ["say.when"]
    assert changed(graph(), only_step(graph(), inputs={"word": Link(("other",))})) == ["say.inputs.word.sources[0]"]


def test_steps_come_and_go() -> None:
    found = workflows.compare(graph(), only_step(graph(), name="tell"), VALUES)
    assert [(item.name, item.verdict) for item in found] == [
        ("(workflow)", Verdict.IDENTICAL),
        ("say", Verdict.MISSING),
        ("tell", Verdict.EXTRA),
    ]


def test_steps_of_subworkflows_have_paths() -> None:
    def nested(command: str) -> Graph:
        inner = graph(tool(baseCommand=[command]))
        outer = Step("outer", {}, ("o",), workflow=inner.workflow)
        return replace(inner, workflow=Workflow((), (outer,), {}))

    assert changed(nested("a"), nested("b")) == ["outer/say.run.baseCommand[0]"]


def image(**fields: Any) -> Graph:
    made = Container(**{"runtime": "charliecloud", "image": "/i", "name": "i", **fields})
    return graph(replace(tool(), container=made))


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (image(), image(image="/elsewhere"), Verdict.IDENTICAL),
        (image(), image(name="j"), Verdict.DIFFERS),
        (image(sha256="1" * 64), image(sha256="1" * 64, name="j"), Verdict.IDENTICAL),
        (image(sha256="1" * 64), image(sha256="2" * 64), Verdict.DIFFERS),
        (image(), graph(), Verdict.MISSING),
        (graph(), image(), Verdict.EXTRA),
    ],
)
def test_images(a: Graph, b: Graph, verdict: Verdict) -> None:
    (found,) = workflows.images(a, b)
    assert found.verdict is verdict


def test_no_images() -> None:
    assert workflows.images(graph(), graph()) == ()


def test_surroundings_are_nested_json() -> None:
    def around(**environment: Any) -> dict[str, Any]:
        return surroundings.describe(RECORD, {"version": 1, **environment}, graph())

    def items(a: dict[str, Any], b: dict[str, Any]) -> list[Item]:
        return [item for item in surroundings.compare(a, b, VALUES) if item.differences]

    assert items(around(), around()) == []
    one, two = around(os={"kernel": "6.1", "name": "x"}, modules=["gcc"]), around(os={"kernel": "6.2", "name": "x"})
    assert [(item.name, item.verdict.value) for item in items(one, two)] == [
        ("environment.os.kernel", "differs"),
        ("environment.modules", "missing"),
    ]
    other = replace(RECORD, id="another", host="another", options=replace(RECORD.options, account="a"))
    assert [item.name for item in items(around(), surroundings.describe(other, {}, graph()))] == ["options.account"]
