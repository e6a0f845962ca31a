"""What an input object may say beside inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beeflow.cwl import documents, job_order
from beeflow.errors import InputError

TOOL = "{cwlVersion: VERSION, class: CommandLineTool, id: tool, baseCommand: env, inputs: [], outputs: []}"


def load(folder: Path, job: str, version: str = "v1.2") -> list[dict[str, Any]]:
    """Load a job file for a tool; returns its overrides."""
    (folder / "tool.cwl").write_text(TOOL.replace("VERSION", version))
    (folder / "job.yml").write_text(job)
    overrides: list[Any] = []
    document = documents.load(str(folder / "tool.cwl"), folder / "cache")
    assert job_order.load(document, [str(folder / "job.yml")], overrides) == {}
    return overrides


@pytest.mark.parametrize(
    "job",
    [
        "cwl:requirements: [{class: EnvVarRequirement, envDef: [{envName: A, envValue: b}]}]",
        "cwl:requirements: [{class: EnvVarRequirement, envDef: {A: b}}]",
        "cwl:requirements: {EnvVarRequirement: {envDef: {A: b}}}",
    ],
    ids=["lists", "map-of-variables", "maps"],
)
def test_requirements_may_be_written_as_in_a_document(tmp_path: Path, job: str) -> None:
    (override,) = load(tmp_path, job)
    (requirement,) = override["requirements"]
    assert requirement["class"] == "EnvVarRequirement"
    assert [(each["envName"], each["envValue"]) for each in requirement["envDef"]] == [("A", "b")]


def test_requirements_are_not_of_v1_0(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"v1\.1"):
        load(tmp_path, "cwl:requirements: []", "v1.0")


def test_what_is_nested_too_deep_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"job\.yml: nested too deep"):
        load(tmp_path, f"x: {'[' * 500}{']' * 500}")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('{class: File, contents: "", basename: "a\\0b"}', r"basename is no name: 'a\\x00b'"),
        ("{class: File, location: 5}", "location is no name: 5"),
        ("{class: Directory, basename: x, listing: [{location: y}]}", "listing with what is no File"),
    ],
)
def test_what_no_task_could_take_is_told(tmp_path: Path, value: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"job\.yml:1:1: input x: .*{why}"):
        load(tmp_path, f"x: {value}")
