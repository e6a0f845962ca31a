"""What tools require, from the document to the command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from beeflow import config, site
from beeflow.command import COPY, UPDATE, Command, Folders
from beeflow.cwl import compiler, documents, prepare
from beeflow.errors import DocumentError, TaskError, UnsupportedError
from beeflow.graph import Graph, Resources, RetryPolicy, StepOptions, Tool
from beeflow.models import SubmitOptions
from beeflow.scheduler.options import task_options


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parse the schemas once."""
    return tmp_path_factory.mktemp("schemas")


PORTS = "inputs: {n: {type: int, default: 3}}\noutputs: []"


def load(
    cache: Path, folder: Path, requirements: str, *, version: str = "v1.2", rest: str = "", inputs: str = PORTS
) -> Tool:
    """Compile a tool with these requirements (YAML lines)."""
    document = folder / "tool.cwl"
    document.write_text(
        f"cwlVersion: {version}\n"
        '$namespaces: {cwltool: "http://commonwl.org/cwltool#"}\n'
        "class: CommandLineTool\nbaseCommand: solve\n"
        f"{inputs}\n{requirements}\n{rest}\n"
    )
    (tool,) = compiler.compile_graph(documents.load(str(document), cache)).tools.values()
    return tool


def command_of(tool: Tool, folder: Path, granted: prepare.Granted | None = None, **inputs: Any) -> Command:
    """Prepare a task of a tool."""
    return prepare.prepare(tool, inputs, folder, Folders(str(folder / "task")), granted or prepare.Granted()).command


def required(text: str) -> str:
    return f"requirements: {{{text}}}"


@pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
def test_mpi_is_tasks_of_a_job_and_srun_before_the_command(cache: Path, tmp_path: Path, version: str) -> None:
    tool = load(cache, tmp_path, required("'cwltool:MPIRequirement': {processes: 4}"), version=version)
    assert tool.resources == Resources(ntasks=4)
    tool = replace(tool, srun_options=("--mpi=pmix",))
    command = command_of(tool, tmp_path, prepare.Granted(cores=2), n=1)
    assert command.argv == ("solve",)
    assert command.launcher == (
        "srun", "--ntasks=4", "--cpus-per-task=2", "--kill-on-bad-exit=1", "--export=ALL", "--mpi=pmix"
    )  # fmt: skip


def test_mpi_by_an_expression_is_known_with_the_inputs(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, required("'cwltool:MPIRequirement': {processes: $(inputs.n)}"))
    assert tool.resources is None
    assert prepare.resources(tool, {"n": 6}, tmp_path).ntasks == 6
    assert "--ntasks=6" in command_of(tool, tmp_path, n=6).launcher


@pytest.mark.parametrize("number", [0, -1])
def test_mpi_with_no_ranks_is_refused(cache: Path, tmp_path: Path, number: int) -> None:
    with pytest.raises(DocumentError, match=r"tool\.cwl: MPIRequirement: processes"):
        load(cache, tmp_path, required(f"'cwltool:MPIRequirement': {{processes: {number}}}"))
    tool = load(cache, tmp_path, required("'cwltool:MPIRequirement': {processes: $(inputs.n)}"))
    with pytest.raises(TaskError, match="is not a number from 1 on"):
        prepare.resources(tool, {"n": number}, tmp_path)


def test_mpi_as_a_hint_is_met(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, "hints: {'cwltool:MPIRequirement': {processes: 2}}")
    assert tool.resources == Resources(ntasks=2)


CUDA = "'cwltool:CUDARequirement': {cudaVersionMin: '11.4', cudaComputeCapability: '3.0'"


@pytest.mark.parametrize(("counts", "gpus"), [("", 1), (", cudaDeviceCountMin: 2", 2), (", cudaDeviceCountMax: 3", 3)])
def test_cuda_is_gpus_of_a_job(cache: Path, tmp_path: Path, counts: str, gpus: int) -> None:
    tool = load(cache, tmp_path, required(f"{CUDA}{counts}}}"), rest="arguments: [$(runtime.cudaDeviceCount)]")
    assert tool.resources == Resources(gpus=gpus)
    assert command_of(tool, tmp_path).argv[1:] == (str(gpus),)
    assert command_of(tool, tmp_path, prepare.Granted(gpus=7)).argv[1:] == ("7",)
    assert "CUDA_VISIBLE_DEVICES" in command_of(tool, tmp_path).inherit


def test_cuda_by_an_expression(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, required(f"{CUDA}, cudaDeviceCountMin: $(inputs.n)}}"))
    assert tool.resources is None
    assert prepare.resources(tool, {"n": 2}, tmp_path).gpus == 2


def test_cuda_as_a_hint_asks_for_nothing(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, f"hints: {{{CUDA}}}}}", rest="arguments: [$(runtime.cudaDeviceCount)]")
    assert tool.resources == Resources()
    assert command_of(tool, tmp_path).argv[1:] == ("0",)


def test_runtime_is_what_was_granted(cache: Path, tmp_path: Path) -> None:
    words = "[$(runtime.cores), $(runtime.ram), $(runtime.tmpdirSize), $(runtime.outdirSize)]"
    asked = required("ResourceRequirement: {coresMin: 2, ramMin: 100, tmpdirMin: 10, outdirMin: 20}")
    tool = load(cache, tmp_path, asked, rest=f"arguments: {words}")
    assert tool.resources == Resources(cpus_per_task=2, mem_mib=100, tmp_mib=30)
    assert command_of(tool, tmp_path).argv[1:] == ("2", "100", "10", "20")
    assert command_of(tool, tmp_path, prepare.Granted(4, 512)).argv[1:] == ("4", "512", "10", "20")


@pytest.mark.parametrize("value", ["true", "false", "$(inputs.n == 3)", "$(inputs.n == 4)"])
def test_network_access_and_work_reuse_are_accepted(cache: Path, tmp_path: Path, value: str) -> None:
    text = f"InlineJavascriptRequirement: {{}}, NetworkAccess: {{networkAccess: {value}}}"
    tool = load(cache, tmp_path, required(f"{text}, WorkReuse: {{enableReuse: {value}}}"))
    assert command_of(tool, tmp_path, n=3).argv == ("solve",)


def test_network_access_must_be_true_or_false(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, required("NetworkAccess: {networkAccess: $(inputs.n)}"))
    with pytest.raises(TaskError, match="networkAccess"):
        command_of(tool, tmp_path, n=3)


def test_other_extensions_are_refused_by_name(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Secrets"):
        load(cache, tmp_path, required("'cwltool:Secrets': {secrets: []}"))


def test_a_site_says_how_srun_starts_ranks_whatever_the_last_one_said(cache: Path, tmp_path: Path) -> None:
    settings = config.load({"HOME": str(tmp_path)})
    there = config.override(settings, srun_options=("--mpi=pmi2",))
    tool = load(cache, tmp_path, required("'cwltool:MPIRequirement': {processes: 4}"))
    graph = Graph({"a": tool}, None, "v1.2")  # type: ignore[arg-type]
    moved = site.resolve(graph, there)
    assert moved.tools["a"].srun_options == ("--mpi=pmi2",)
    assert site.resolve(moved, settings).tools["a"].srun_options == ()


WRITER = """
inputs: {a: File, b: File, n: {type: int, default: 1}}
outputs: {o: {type: File, outputBinding: {glob: mine}}}
"""
IN_PLACE = "InplaceUpdateRequirement: {inplaceUpdate: true}"


def entry(path: Path) -> dict[str, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("data")
    return {"class": "File", "location": path.as_uri(), "basename": path.name}


def workdir(listing: str) -> str:
    return f"InitialWorkDirRequirement: {{listing: {listing}}}, InlineJavascriptRequirement: {{}}"


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        ("[{entry: $(inputs.a), writable: true}]", ("a",)),
        ("[{entry: $(inputs.a), entryname: $(inputs.b.basename), writable: true}]", ("a", "b")),
        ("[{entry: \"$(inputs['a'])\", writable: true}, {entry: $(inputs.b)}]", ("a",)),
        ("[$(inputs.a)]", ()),
        ("[{entry: some text, entryname: x, writable: true}]", ()),
        ("'${return [{entry: inputs.b, writable: true}];}'", ("b",)),
        ("'${var i = inputs; return [{entry: i.b, writable: true}];}'", ("a", "b", "n")),
    ],
)
def test_the_inputs_that_a_tool_may_update(cache: Path, tmp_path: Path, listing: str, names: tuple[str, ...]) -> None:
    plain = load(cache, tmp_path, required(workdir(listing)), inputs=WRITER)
    assert plain.updates == ()
    assert load(cache, tmp_path, required(f"{workdir(listing)}, {IN_PLACE}"), inputs=WRITER).updates == names


def test_what_a_task_made_is_updated_and_the_users_own_is_copied(cache: Path, tmp_path: Path) -> None:
    listing = "[{entry: $(inputs.a), entryname: mine, writable: true}, {entry: $(inputs.b), writable: true}]"
    ours, theirs = entry(tmp_path / "w/tasks/001-m/out/a"), entry(tmp_path / "home/b")
    folders = Folders(str(tmp_path / "w/tasks/002-w/000/000000/7.0/0"))
    for requirement, action in (
        (required(f"{workdir(listing)}, {IN_PLACE}"), UPDATE),
        (required(workdir(listing)), COPY),
        (f"{required(workdir(listing))}\nhints: {{{IN_PLACE}}}", COPY),
    ):
        tool = load(cache, tmp_path, requirement, inputs=WRITER)
        made = prepare.prepare(tool, {"a": ours, "b": theirs}, tmp_path / "w", folders, prepare.Granted())
        assert [stage.action for stage in made.command.stage] == [action, COPY]
    assert made.command.stage[0].source == str(tmp_path / "w/tasks/001-m/out/a")


def test_the_output_is_the_updated_file_itself(cache: Path, tmp_path: Path) -> None:
    listing = "[{entry: $(inputs.a), entryname: mine, writable: true}]"
    tool = load(cache, tmp_path, required(f"{workdir(listing)}, {IN_PLACE}"), inputs=WRITER)
    given = {name: entry(tmp_path / "tasks/001-m/out" / name) for name in "ab"}
    folders = Folders(str(tmp_path / "tasks/002-w/000/000000/7.0/0"))
    made = prepare.prepare(tool, given, tmp_path, folders, prepare.Granted())
    (stage,) = made.command.stage
    assert stage.older == str(tmp_path / "tasks/002-w/000/000000/older/0/0")
    entry(Path(folders.out) / "mine")
    assert made.collect(0)["o"]["location"] == "tasks/001-m/out/a"
    assert made.collect(0)["o"]["basename"] == "mine"


SOFTWARE = "SoftwareRequirement: {packages: {SamTools: {version: ['1.16', '1.17']}, bwa: {}}}"


def at(tool: Tool, **packages: tuple[str, ...]) -> Tool:
    """Resolve a tool where the site has these packages ("_" is a "/")."""
    known = {name.replace("_", "/", 1).replace("_", "."): words for name, words in packages.items()}
    settings = replace(config.load({"HOME": "/h"}), modules=config.ModulesConfig("/init", known))
    return site.resolve(Graph({"a": tool}, None, "v1.2"), settings).tools["a"]  # type: ignore[arg-type]


def test_software_is_what_the_site_loads_for_it(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, required(SOFTWARE))
    assert at(tool, samtools_1_17=("bio", "sam/17"), samtools=("sam",), bwa=("bwa",)).modules == (
        "bio", "sam/17", "bwa"
    )  # fmt: skip
    found = at(tool, samtools=("sam",), bwa=("bwa",))
    assert (found.modules, found.modules_init) == (("sam", "bwa"), "/init")
    command = command_of(found, tmp_path)
    assert (command.modules, command.modules_init) == (("sam", "bwa"), "/init")


def test_software_that_the_site_does_not_know_is_refused_by_name(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, required(SOFTWARE))
    with pytest.raises(
        UnsupportedError, match=r"step a: requires the software SamTools 1\.16 or 1\.17; say in bee\.conf"
    ):
        at(tool, samtools_1_18=("sam",), bwa=("bwa",))


def test_software_as_a_hint_is_loaded_where_it_is_known(cache: Path, tmp_path: Path) -> None:
    tool = load(cache, tmp_path, f"hints: {{{SOFTWARE}}}")
    assert at(tool, bwa=("bwa",)).modules == ("bwa",)
    assert at(tool).modules == ()
    # An archive's graph has what the other site loaded.
    assert at(at(tool, bwa=("bwa",))).modules_init == ""


RETRY = "hints: {'beeflow:RetryRequirement': {temporary_fail: 2, wait_s: 0.5}}"
SPACE = '$namespaces: {beeflow: "https://github.com/lanl/BEE#"}'


def resolved(document: Path, cache: Path, conf: str = "") -> Graph:
    """Compile a document for a site with this bee.conf."""
    path = document.with_name("bee.conf")
    path.write_text(conf)
    graph = compiler.compile_graph(documents.load(str(document), cache))
    return site.resolve(graph, config.read(path, {"HOME": str(document.parent)}))


def a_tool(folder: Path, *lines: str) -> Path:
    document = folder / "tool.cwl"
    text = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: solve\ninputs: []\noutputs: []\n"
    document.write_text(text + "\n".join(lines))
    return document


@pytest.mark.parametrize("lines", [(RETRY,), (RETRY, SPACE)])
def test_a_hint_says_how_often_instead_of_bee_conf(cache: Path, tmp_path: Path, lines: tuple[str, ...]) -> None:
    conf = "[retry]\ntemporary_fail = 7\ntimeout = 1\n"
    (tool,) = resolved(a_tool(tmp_path, *lines), cache, conf).tools.values()
    assert tool.retry == RetryPolicy(node_fail=3, temporary_fail=2, timeout=1, wait_s=0.5)
    (tool,) = resolved(a_tool(tmp_path), cache, conf).tools.values()
    assert tool.retry == RetryPolicy(node_fail=3, temporary_fail=7, timeout=1)


def test_the_hint_of_a_step_comes_before_that_of_the_workflow(cache: Path, tmp_path: Path) -> None:
    a_tool(tmp_path)
    document = tmp_path / "flow.cwl"
    document.write_text(
        f"cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\n{SPACE}\n"
        "hints: {'beeflow:RetryRequirement': {timeout: 1}}\n"
        "steps:\n  a: {in: [], out: [], run: tool.cwl}\n"
        "  b: {in: [], out: [], run: tool.cwl, hints: {'beeflow:RetryRequirement': {timeout: 2}}}\n"
    )
    tools = resolved(document, cache).tools
    assert (tools["a"].retry.timeout, tools["b"].retry.timeout) == (1, 2)


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("{temporary_fail: many}", "temporary_fail: 'many' is not a whole number"),
        ("{timeout_factor: 0.5}", "timeout_factor: '0.5' is not a number from 1 on"),
        ("{tries: 3}", "unknown key 'tries'; known are node_fail, "),
    ],
)
def test_a_hint_that_makes_no_sense_is_refused(cache: Path, tmp_path: Path, says: str, complaint: str) -> None:
    document = a_tool(tmp_path, SPACE, f"hints: {{'beeflow:RetryRequirement': {says}}}")
    with pytest.raises(DocumentError, match=f"step tool: RetryRequirement: {complaint}"):
        resolved(document, cache)


@pytest.mark.parametrize("space", ["", SPACE])
def test_as_a_requirement_it_is_refused_with_advice(cache: Path, tmp_path: Path, space: str) -> None:
    document = a_tool(tmp_path, space, RETRY.replace("hints", "requirements"))
    with pytest.raises(DocumentError, match="RetryRequirement goes under hints"):
        resolved(document, cache)


SLURM = "hints: {'beeflow:SlurmRequirement': {partition: gpu, timeLimit: '1:30:00'}}"


def test_a_step_says_what_its_own_jobs_are_submitted_with(cache: Path, tmp_path: Path) -> None:
    a_tool(tmp_path)
    document = tmp_path / "flow.cwl"
    document.write_text(
        f"cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\n{SPACE}\n"
        "hints: {'beeflow:SlurmRequirement': {account: a}}\n"
        f"steps:\n  a: {{in: [], out: [], run: tool.cwl}}\n  b: {{in: [], out: [], run: tool.cwl, {SLURM}}}\n"
    )
    tools = resolved(document, cache).tools
    assert tools["a"].step_options == StepOptions(account="a")
    assert tools["b"].step_options == StepOptions(partition="gpu", time_limit_s=5400)
    options = SubmitOptions(3600, 60, account="mine", partition="batch", qos="q", reservation="r")
    made = task_options(options, Resources(2, time_limit_s=10), tools["b"].step_options)
    assert (made.account, made.partition, made.qos, made.reservation) == ("mine", "gpu", "q", "r")
    assert made.time_limit.total_seconds() == 5400


def test_options_and_variables_of_sbatch_count_more_than_a_step(cache: Path, tmp_path: Path) -> None:
    graph = compiler.compile_graph(documents.load(str(a_tool(tmp_path, SPACE, SLURM)), cache))
    settings = config.load({"HOME": str(tmp_path)})
    (tool,) = site.resolve(graph, config.override(settings, partition="theirs", qos=None)).tools.values()
    assert tool.step_options == StepOptions(time_limit_s=5400)
    (tool,) = site.resolve(graph, config.override(settings, time_limit=timedelta(minutes=1))).tools.values()
    assert tool.step_options == StepOptions(partition="gpu")


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ("{partition: 'a b'}", "partition: 'a b' is no name that Slurm has"),
        ("{account: '--wrap=x'}", "account: '--wrap=x' is no name that Slurm has"),
        ("{qos: '$(inputs.x)'}", "qos: '[$].inputs.x.' is no name that Slurm has"),
        ("{timeLimit: soon}", "timeLimit: 'soon' is not a time limit"),
        ("{account: }", "account: has no value; give one"),
        ("{account: [a, b]}", "account: takes one value, no list"),
        ("{partition: {name: x}}", "partition: takes one value, no mapping"),
        ("{wrap: x}", "unknown key 'wrap'; known are account, partition, qos, reservation, timeLimit"),
    ],
)
def test_what_slurm_is_not_to_be_asked_is_refused(cache: Path, tmp_path: Path, says: str, complaint: str) -> None:
    document = a_tool(tmp_path, SPACE, f"hints: {{'beeflow:SlurmRequirement': {says}}}")
    with pytest.raises(DocumentError, match=f"step tool: SlurmRequirement: {complaint}"):
        resolved(document, cache)


@pytest.mark.parametrize("space", ["", SPACE])
def test_a_hint_of_ours_that_nobody_knows_is_said(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, space: str
) -> None:
    resolved(a_tool(tmp_path, space, "hints: {'beeflow:RetyrRequirement': {timeout: 1}, 'x:Other': {}}"), cache)
    (said,) = (each for each in caplog.messages if "hint" in each)
    assert said == (
        "the hint beeflow:RetyrRequirement is ignored: those that are known are RetryRequirement, SlurmRequirement"
    )


@pytest.mark.parametrize("hint", ["Foo", "x:beeflow"])
def test_a_hint_of_others_is_not_taken_for_ours_by_where_the_document_is(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, hint: str
) -> None:
    folder = tmp_path / "beeflow/lanl/BEE"
    folder.mkdir(parents=True)
    resolved(a_tool(folder, '$namespaces: {x: "https://example.org/lanl/BEE#"}', f"hints: {{'{hint}': {{}}}}"), cache)
    assert not [each for each in caplog.messages if "hint beeflow:" in each]


def test_cwltool_runs_a_document_with_the_hint(tmp_path: Path) -> None:
    document = a_tool(tmp_path, SPACE, RETRY)
    document.write_text(document.read_text().replace("solve", "'true'"))
    argv = [sys.executable, "-m", "cwltool", "--quiet", "--outdir", str(tmp_path / "out"), str(document)]
    assert subprocess.run(argv, check=False, capture_output=True, timeout=120).returncode == 0


def test_what_is_passed_on_is_looked_up_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not each output among all inputs: there may be 10,000 of both."""
    ports = "inputs: {fs: 'File[]'}\noutputs: {o: {type: 'File[]', outputBinding: {outputEval: $(inputs.fs)}}}"
    tool = load(cache, tmp_path, "", inputs=ports)
    given = [tmp_path / f"in/{number}" for number in range(100)]
    given[0].parent.mkdir()
    for each in given:
        each.touch()
    files = [{"class": "File", "location": each.as_uri()} for each in given]
    folders = Folders(str(tmp_path / "task"))
    Path(folders.out).mkdir(parents=True)
    prepared = prepare.prepare(tool, {"fs": files}, tmp_path, folders, prepare.Granted())
    real, asked = os.path.realpath, []

    def realpath(path: Any, **how: Any) -> Any:
        asked.append(path)
        return real(path, **how)

    monkeypatch.setattr(os.path, "realpath", realpath)
    assert [each["location"] for each in prepared.collect(0)["o"]] == [f"in/{number}" for number in range(100)]
    assert len(asked) < 10 * len(given)
