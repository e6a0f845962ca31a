"""When two tasks are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow.graph import COMMAND_LINE_TOOL, EXPRESSION_TOOL, Container, Link, Resources, Step, Tool
from beeflow.rerun.fingerprints import Contents, UnknownError, key_of, other_environment, why_never
from tests.fakes import RECORD

IMAGE = Container("Charliecloud", "/images/a", "a", "1" * 64, ("entry",), ("run",))


def tool(container: Container | None = None, resources: Resources | None = None, **document: Any) -> Tool:
    made = {
        "id": "file:///cwl/documents/w.cwl#main/step/run",
        "class": COMMAND_LINE_TOOL,
        "baseCommand": "echo",
        "inputs": [{"id": "file:///cwl/documents/w.cwl#main/step/run/x", "type": "File"}],
        "requirements": [],
        "hints": [],
        **document,
    }
    return Tool(COMMAND_LINE_TOOL, made, {}, ("o",), resources or Resources(), container)


def key(
    given: Tool, location: str = "inputs/0000/x", root: Path = Path("/a"), record: Any = RECORD, **more: Any
) -> str:
    contents = Contents(root, {"inputs/0000/x": "c1", "inputs/0001/x": "c1", "inputs/0002/x": "c2"}, outside, False)
    step = Step("s", {"x": Link(("x",))}, ("o",), tool="s")
    return key_of(
        contents, given, step, {"x": {"class": "File", "location": location, "basename": "x", **more}}, record
    )


def outside(path: Path) -> str:
    raise UnknownError(f"{path}: nobody knows")


SAME = key(tool())


def test_where_things_are_does_not_count() -> None:
    assert key(tool(), "inputs/0001/x", Path("/elsewhere")) == SAME
    assert key(tool(), nameroot="x", size=3, checksum="sha1$0", contents="abc", dirname="/b") == SAME
    other = [{"id": "file:///other.cwl#main/again/run/x", "type": "File"}]
    assert key(tool(id="file:///other.cwl#main/again/run", inputs=other)) == SAME


@pytest.mark.parametrize(
    "given",
    [
        tool(baseCommand="cat"),
        tool(inputs=[{"id": "#y", "type": "File"}]),
        tool(requirements=[{"class": "EnvVarRequirement", "envDef": [{"envName": "A", "envValue": "1"}]}]),
        tool(IMAGE),
        replace(tool(), modules=("solver/2",)),
        replace(tool(), srun_options=("--mpi=pmix",)),
    ],
)
def test_what_decides_what_a_task_makes_counts(given: Tool) -> None:
    assert key(given) != SAME


@pytest.mark.parametrize(
    "own",
    [
        {"class": "https://github.com/beeflow#SlurmRequirement", "partition": "long"},
        {"class": "beeflow:RetryRequirement", "timeout": 2},
    ],
)
def test_how_a_task_runs_does_not_count(own: dict[str, Any]) -> None:
    assert key(tool(hints=[own])) == SAME
    software = {"class": "SoftwareRequirement", "packages": []}
    assert key(tool(hints=[software, own])) == key(tool(hints=[software])) != SAME


def test_contents_and_names_of_files_count() -> None:
    assert key(tool(), "inputs/0002/x") != SAME
    assert key(tool(), basename="y") != SAME
    assert key(tool(), format="http://edamontology.org/format_1929") != SAME
    assert key(tool(), secondaryFiles=[{"class": "File", "location": "inputs/0001/x", "basename": "x.i"}]) != SAME
    literal = key(tool(), "_:1", contents="abc")
    assert key(tool(), "_:2", contents="abc") == literal
    assert key(tool(), "_:2", contents="abd") != literal


@pytest.mark.parametrize(
    ("image", "is_same"),
    [
        (replace(IMAGE, image="/elsewhere/a", name="moved"), True),
        (replace(IMAGE, sha256="2" * 64), False),
        (replace(IMAGE, entrypoint=()), False),
        (replace(IMAGE, default_command=()), False),
        (None, False),
    ],
)
def test_an_image_is_what_is_in_it(image: Container | None, is_same: bool) -> None:
    def required(path: str) -> list[dict[str, str]]:
        return [{"class": "DockerRequirement", "https://github.com/lanl/BEE#useContainer": path}]

    old = key(tool(IMAGE, requirements=required("/images/a")))
    assert (key(tool(image, requirements=required("/elsewhere/a"))) == old) == is_same


def test_what_a_cluster_grants_counts_where_a_command_takes_it() -> None:
    other = replace(RECORD, slurm=replace(RECORD.slurm, cluster_name="other"))
    assert key(tool(), record=other) == SAME
    asks = tool(arguments=["$(runtime.ram)"])
    assert key(asks, record=other) != key(asks)
    enough = replace(asks, resources=Resources(mem_mib=100))
    assert key(enough, record=other) == key(enough)
    careless = replace(other, options=replace(other.options, pass_mem=False))
    assert key(enough, record=careless) != key(enough)


@pytest.mark.parametrize("location", ["inputs/0009/x", "file:///data/x", "https://example.org/x"])
def test_what_cannot_be_told_is_the_same_as_nothing(location: str) -> None:
    with pytest.raises(UnknownError):
        key(tool(), location)
    with pytest.raises(UnknownError, match="its sha256 is not known"):
        key(tool(replace(IMAGE, sha256=None)))


def test_what_is_never_the_same() -> None:
    assert why_never(tool(), RECORD) is None
    assert why_never(replace(tool(), updates=("x",)), RECORD) == "it updates files in place"
    preserving = replace(RECORD, options=replace(RECORD.options, preserve_environment=("OMP_*",)))
    assert "preserve_environment" in (why_never(tool(), preserving) or "")


OLD = replace(RECORD, loaded_modules=("gcc/12", "mpi/4"), path=("/opt/a/bin", "/usr/bin"))


@pytest.mark.parametrize(
    ("here", "why"),
    [
        ({}, None),
        ({"loaded_modules": ("mpi/4", "gcc/12")}, None),
        ({"path": ("/opt/a/bin", "/usr/bin", "/opt/a/bin")}, None),
        ({"loaded_modules": ("gcc/13",)}, "other modules are loaded: gcc/13; then: gcc/12, mpi/4"),
        ({"loaded_modules": ()}, "other modules are loaded: none; then: gcc/12, mpi/4"),
        ({"path": ("/opt/b/bin", "/usr/bin")}, "PATH is another (now also: /opt/b/bin; no more: /opt/a/bin)"),
        ({"path": ("/usr/bin", "/opt/a/bin")}, "PATH is another (in another order)"),
    ],
)
def test_the_software_of_the_host_is_what_the_shell_offers(here: dict[str, Any], why: str | None) -> None:
    new = replace(OLD, **here)
    assert other_environment(tool(), OLD, new) == why
    assert other_environment(tool(IMAGE), OLD, new) is None
    assert other_environment(replace(tool(), kind=EXPRESSION_TOOL), OLD, new) is None


def test_an_archive_of_before_that_does_not_tell_its_path_is_not_compared_by_it() -> None:
    old = replace(OLD, path=())
    assert other_environment(tool(), old, OLD) is None
    assert other_environment(tool(), old, replace(OLD, loaded_modules=())) is not None


def test_path_says_nothing_on_another_cluster() -> None:
    elsewhere = replace(OLD, slurm=replace(OLD.slurm, cluster_name="other"), path=("/usr/bin",))
    assert other_environment(tool(), OLD, elsewhere) is None
    assert other_environment(tool(), OLD, replace(elsewhere, loaded_modules=())) is not None
