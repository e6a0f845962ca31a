"""What an archive of a stranger's would reach is named, one by one; what an honest one does is not."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import archived, embedding, store, submit
from beeflow.archive.hashing import sha256_of
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.archive.verifying import Packed
from beeflow.config import Config
from beeflow.cwl import documents
from beeflow.errors import ArchiveError, TrustError
from beeflow.layout import Layout, folders
from beeflow.models import Sidecar
from beeflow.states import WorkflowState
from beeflow.trust import checking, shipped
from beeflow.trust.results import reaching_out
from beeflow.trust.shipped import Shipped

REPOSITORY = Path(__file__).resolve().parents[2]
HONEST = [
    *sorted((REPOSITORY / "etc/examples").glob("*/*.cwl")),
    *sorted((REPOSITORY / "tests/e2e/features").glob("*.cwl")),
]
ELSEWHERE = Path("/nowhere/x.tgz")


def of(**files: Any) -> Shipped:
    """Make what an archive has: contents by the names of records, or of documents (x_cwl)."""
    made = {}
    for name, value in files.items():
        place = {"graph": shipped.GRAPH, "packed": shipped.PACKED_CWL, "job": shipped.JOB, "inputs": shipped.INPUTS}
        key = place.get(name) or (shipped.WORKFLOW if name == "workflow" else f"cwl/documents/{name.replace('_', '.')}")
        made[key] = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Shipped(ELSEWHERE, made, {name: len(data) for name, data in made.items()})


def of_tool(document: dict[str, Any], **fields: Any) -> Shipped:
    """Make one with one tool, that packed.json shows, too."""
    document = {"class": "CommandLineTool", **document}
    return of(graph={"tools": {"step": {"document": document, **fields}}}, packed=document)


def whats(found: Shipped) -> list[str]:
    return [each.what for each in checking.risks(found)]


REQUIREMENT = "requirements"

REACHING: list[tuple[dict[str, Any], str]] = [
    ({"baseCommand": "/home/eve/run.sh"}, "baseCommand: /home/eve/run.sh"),
    ({"baseCommand": ["/data/run", "x"]}, "baseCommand: /data/run"),
    ({"baseCommand": "~/run.sh"}, "baseCommand: ~/run.sh"),
    ({"baseCommand": "../../run.sh"}, "baseCommand: ../../run.sh"),
    ({"baseCommand": "/usr/bin/../../home/eve/x"}, "baseCommand: /usr/bin/../../home/eve/x"),
    ({"arguments": ["/home/eve/run.sh"]}, "arguments: /home/eve/run.sh"),
    ({"baseCommand": ["sh", "/home/eve/run.sh"]}, "arguments: /home/eve/run.sh"),
    ({"baseCommand": "python3", "arguments": [{"valueFrom": "/home/eve/x.py"}]}, "arguments: /home/eve/x.py"),
    ({"baseCommand": "cat", "arguments": ["a/../../../x"]}, "arguments: a/../../../x"),
    ({"stdin": "/etc/passwd"}, "stdin: /etc/passwd"),
    ({"stdout": "/home/bob/.bashrc"}, "stdout: /home/bob/.bashrc"),
    ({"stderr": "../x"}, "stderr: ../x"),
    ({"outputs": [{"outputBinding": {"glob": "/etc/*"}}]}, "glob: /etc/*"),
    ({"outputs": [{"outputBinding": {"glob": ["x", "../*"]}}]}, "glob: ../*"),
    (
        {"requirements": [{"class": "InitialWorkDirRequirement", "listing": [{"entryname": "/x", "entry": "y"}]}]},
        "entryname: /x",
    ),
    (
        {"hints": [{"class": "InitialWorkDirRequirement", "listing": [{"entryname": "a/../../x", "entry": "y"}]}]},
        "entryname: a/../../x",
    ),
    ({"hints": [{"class": "DockerRequirement", "dockerFile": "FROM x\nRUN y"}]}, "dockerFile: FROM x"),
    ({"hints": [{"class": "DockerRequirement", "dockerImport": "http://x/y.tar"}]}, "dockerImport: http://x/y.tar"),
    ({"requirements": [{"class": "DockerRequirement", "dockerLoad": "/x.tar"}]}, "dockerLoad: /x.tar"),
    (
        {"requirements": [{"class": "DockerRequirement", "https://github.com/lanl/BEE#useContainer": "$HOME/x.sqfs"}]},
        "useContainer: $HOME/x.sqfs",
    ),
    (
        {"outputs": [{"type": {"type": "record", "fields": [{"outputBinding": {"glob": "../x"}}]}}]},
        "glob: ../x",
    ),
    ({"outputs": [{"secondaryFiles": [{"pattern": "^^/../../etc/passwd"}]}]}, "secondaryFiles: ^^/../../etc/passwd"),
    ({"inputs": [{"id": "x", "secondaryFiles": ["^../x"]}]}, "secondaryFiles: ^../x"),
    ({"inputs": [{"id": "x", "inputBinding": {"valueFrom": "/home/eve/x.sh"}}]}, "valueFrom: /home/eve/x.sh"),
    (
        {"inputs": [{"type": {"type": "array", "items": "int", "inputBinding": {"prefix": "~/x"}}}]},
        "prefix: ~/x",
    ),
    ({"hints": [{"class": "DockerRequirement", "xuseContainer": "/x.sqfs"}]}, "xuseContainer: /x.sqfs"),
    ({"hints": [{"class": "DockerRequirement", "beeflow:copyContainer": "/x.sqfs"}]}, "copyContainer: /x.sqfs"),
    (
        {"requirements": [{"class": "DockerRequirement", "dockerPull": "a", "dockerOutputDirectory": "/a/../b"}]},
        "dockerOutputDirectory: /a/../b",
    ),
]


@pytest.mark.parametrize(("document", "what"), REACHING)
def test_tools_that_reach_out(document: dict[str, Any], what: str) -> None:
    found = checking.risks(of_tool(document))
    assert [each.what for each in found] == [what]
    assert found[0].where == "cwl/graph.json: step"
    assert found[0].why


def test_what_jobs_are_charged_to() -> None:
    hint = {"class": "https://github.com/lanl/BEE#SlurmRequirement", "partition": "gpu", "timeLimit": 5}
    assert whats(of_tool({"hints": [hint]})) == []
    asking = {**hint, "account": "theirs", "qos": "urgent"}
    assert whats(of_tool({"hints": [asking]})) == [
        "SlurmRequirement: account: theirs",
        "SlurmRequirement: qos: urgent",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"baseCommand": "python3", "arguments": ["-c", "print(1)", "$(inputs.x)", "--out=/dev/null", "/dev/null"]},
        {"baseCommand": "/usr/bin/env", "stdin": "$(inputs.x.path)", "stdout": "a/b"},
        {"baseCommand": "./made.sh", "outputs": [{"outputBinding": {"glob": "*.txt"}}]},
        {"baseCommand": "/opt/in/image", "requirements": [{"class": "DockerRequirement", "dockerPull": "debian"}]},
        {"requirements": [{"class": "InitialWorkDirRequirement", "listing": ["$(inputs.x)", {"entryname": "a/b"}]}]},
        {"requirements": [{"class": "EnvVarRequirement", "envDef": [{"envName": "GREETING", "envValue": "/x"}]}]},
    ],
)
def test_tools_that_do_not(document: dict[str, Any]) -> None:
    assert checking.risks(of_tool(document)) == []


NAMES = (
    "LD_PRELOAD LD_LIBRARY_PATH PATH PYTHONPATH PYTHONSTARTUP BASH_ENV ENV SLURM_CONF SBATCH_WRAP IFS GIT_SSH_COMMAND"
)


@pytest.mark.parametrize("name", [*NAMES.split(), "BASH_FUNC_ls%%", "x y", "", "Ld_Preload"])
@pytest.mark.parametrize("field", ["requirements", "hints"])
def test_variables(name: str, field: str) -> None:
    given = {"envName": name, "envValue": "/x.so"}
    for definitions in ([given], {name: "/x.so"}):
        (found,) = checking.risks(of_tool({field: [{"class": "EnvVarRequirement", "envDef": definitions}]}))
        assert name in found.what


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"srun_options": ["--mpi=pmix", "--task-prolog=/x"]}, "srun_options: --task-prolog=/x"),
        ({"srun_options": ["-n1; rm -rf ~"]}, "srun_options: -n1; rm -rf ~"),
        ({"modules_init": "/home/eve/init.sh"}, "modules_init: /home/eve/init.sh"),
        ({"modules": ["gcc; rm"]}, "modules: gcc; rm"),
        ({"container": {"image": "/x"}}, "container: {'image': '/x'}"),
    ],
)
@pytest.mark.parametrize("hints", [[], [{"class": "x:DockerRequirement", "dockerPull": "debian"}]])
def test_what_the_graph_has_beside_the_document(fields: dict[str, Any], what: str, hints: list[Any]) -> None:
    assert whats(of_tool({"hints": hints}, **fields)) == [what]


@pytest.mark.parametrize(
    "option", ["--wrap=x", "--export=ALL,X=y", "--prolog=/x", "--chdir=/", "-D /", "--qos=$(x)", "x", "--a=`b`"]
)
@pytest.mark.parametrize("field", ["driver_options", "task_options"])
def test_options_of_sbatch(option: str, field: str) -> None:
    found = of(packed={}, workflow={"options": {field: ["--constraint=haswell", "--exclusive", option]}})
    assert whats(found) == [f"{field}: {option}"]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (b"steps: {a: {run: /etc/x.cwl}}", "/etc/x.cwl"),
        (b"steps: {a: {run: ../x.cwl}}", "../x.cwl"),
        (b"steps: {a: {run: 'https://example.org/x.cwl#main'}}", "https://example.org/x.cwl#main"),
        (b"requirements: [{$import: file:///etc/x.yml}]", "file:///etc/x.yml"),
        (b"expressionLib: [{$include: ~/x.js}]", "~/x.js"),
        (b"expressionLib: [{$include: a/%2e%2e/%2e%2e/x.js}]", "a/%2e%2e/%2e%2e/x.js"),
        (b"a: &a {run: /x, b: *a}", "/x"),
        (b"[" * 100_000, "no YAML"),
        (b"%", "no YAML"),
        (b"a: !!python/object/apply:os.system [x]", "no YAML"),
    ],
)
def test_documents_that_refer_to_others(document: bytes, what: str) -> None:
    assert whats(of(packed={}, w_cwl=document)) == [what]


@pytest.mark.parametrize(
    "document", [b"steps: {a: {run: x.cwl}}", b"run: '#main'", b"", b"run: a/../x.cwl", b"{run: {class: x}}"]
)
def test_documents_that_do_not(document: bytes) -> None:
    assert checking.risks(of(packed={}, w_cwl=document)) == []


BOMB = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))]
MERGED = ["m0: &m0 {x: y}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 30))]


@pytest.mark.parametrize(
    "lines",
    [
        [*BOMB, "t: {class: CommandLineTool, baseCommand: *a29}"],
        [*BOMB, "t: {class: CommandLineTool, inputs: {x: {inputBinding: {prefix: *a29}}}}"],
        [*MERGED, "t: {class: CommandLineTool, baseCommand: *m29}"],
        ["t: &t {class: CommandLineTool, baseCommand: [*t]}"],
        ["t: {class: CommandLineTool, baseCommand: [2026-11-27, {2026-11-27: 1, 1: 2, null: 3}]}"],
        ["t: {class: CommandLineTool, inputs: {x: {inputBinding: {prefix: {2026-11-27: x}}}}}"],
        ["t: {class: CommandLineTool, baseCommand: !!binary eA==}", "u: !!set {x, y}", "v: !!omap [a: b]"],
        [f"t: 1{':1' * 900_000}"],
        ["t: {class: CommandLineTool, baseCommand: " + "[" * 500 + "]" * 500 + "}"],
    ],
)
def test_documents_that_are_larger_or_other_than_they_look(lines: list[str]) -> None:
    # So that the commands of the documents are looked at, too.
    packed = {"steps": [{"run": {"$import": "#x"}}]}
    assert checking.risks(of(packed=packed, w_cwl="\n".join(lines).encode())) == []


@pytest.mark.parametrize(
    "document",
    [
        {"requirements": {"EnvVarRequirement": {"envDef": {"LD_PRELOAD": "/x.so"}}}},
        {"hints": {"DockerRequirement": {"dockerFile": "FROM x"}}},
        {"inputs": {"x": {"type": "File"}}},
        {"outputs": {"x": {"type": "File", "outputBinding": {"glob": "/etc/*"}}}},
        {"requirements": [["EnvVarRequirement"]]},
        {"requirements": [{"envDef": {}}]},
        {"hints": "x"},
    ],
)
def test_a_tool_of_another_form_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ArchiveError, match=r"x\.tgz: damaged or unsafe: cwl/graph\.json: the tool 'step' has "):
        checking.risks(of_tool(document))


def test_a_tool_of_two_kinds_is_refused() -> None:
    with pytest.raises(ArchiveError, match="is said to be a 'ExpressionTool' and is a 'CommandLineTool'"):
        checking.risks(of_tool({}, kind="ExpressionTool"))


@pytest.mark.parametrize(
    "document",
    [
        {"requirements": [{"class": "EnvVarRequirement", "envDef": 5}], "arguments": {"x": [{}]}, "baseCommand": {}},
        {"requirements": [{"class": "InitialWorkDirRequirement", "listing": {"x": 1}}], "stdout": [1], "stdin": {}},
        {"outputs": [{"outputBinding": {"glob": {"x": 1}}, "secondaryFiles": 5}], "inputs": [{"id": 7}]},
        {"requirements": [{"class": "DockerRequirement", "dockerPull": {"x": [1]}}]},
    ],
)
def test_what_is_in_no_form_at_all_is_no_bug_of_ours(document: dict[str, Any]) -> None:
    with contextlib.suppress(ArchiveError):
        checking.risks(of_tool(document, modules={"x": 1}, srun_options=5, modules_init=[]))


def file_at(location: str) -> dict[str, Any]:
    return {"x": [{"class": "File", "location": location}]}


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "/etc/passwd", "../x", "inputs/%2e%2e/%2e%2e/x", "http://x/y", "~/x"]
)
def test_inputs_and_defaults_that_are_elsewhere(location: str) -> None:
    assert whats(of(packed={}, job=file_at(location))) == [location]
    assert whats(of(packed={}, graph={"workflow": {"defaults": file_at(location)}})) == [location]
    assert whats(of(packed={}, job={"x": {"class": "File", "path": location}})) == [location]


def test_inputs_that_are_in_the_archive_or_known() -> None:
    record = {"files": [
        {"origin": "/data/a", "kind": "File", "embedded": "inputs/0000/a"},
        {"origin": "/data/b", "kind": "File", "embedded": None, "sha256": "0" * 64},
        {"origin": "/data/c", "kind": "File", "embedded": None, "sha256": None},
        {"origin": "/data/d", "kind": "Directory", "embedded": None, "sha256": None},
        {"origin": "/data/e", "kind": "Directory", "embedded": "inputs/0004/e"},
    ]}  # fmt: skip
    places = [f"file:///data/{name}" for name in ("a", "b", "c", "d", "d/x", "e/x", "e/../../etc/passwd")]
    job = {"x": [{"class": "File", "location": each} for each in [*places, "_:literal", "cwl/files/0000/x"]]}
    assert whats(of(packed={}, job=job, inputs=record)) == [
        f"file:///data/{name}" for name in ("c", "d", "d/x", "e/../../etc/passwd")
    ]


def test_what_is_known_by_a_name_that_nobody_looks_up() -> None:
    record = {"files": [{"origin": "/data/a", "kind": "File", "embedded": "inputs/0000/a"}]}
    for entry in (
        {"class": "https://w3id.org/cwl/cwl#File", "location": "file:///data/a"},
        {"class": "File", "path": "file:///data/a"},
    ):
        assert whats(of(packed={}, job={"x": entry}, inputs=record)) == ["file:///data/a"]


def test_defaults_are_in_the_archive_or_a_risk() -> None:
    record = {"files": [
        {"origin": "/data/a", "kind": "File", "embedded": "inputs/0000/a"},
        {"origin": "/data/b", "kind": "File", "embedded": None, "sha256": "0" * 64},
    ]}  # fmt: skip
    default = {"inputs": [{"id": "x", "default": file_at(f"file:///data/{name}")["x"]} for name in ("a", "b")]}
    assert whats(of(packed=default, inputs=record)) == ["file:///data/b"]
    assert whats(of(packed={}, graph={"workflow": default}, inputs=record)) == ["file:///data/b"]


def test_what_goes_along_with_inputs_of_the_packed_document() -> None:
    packed = {"$graph": [{"class": "Workflow", "inputs": [{"id": "x", "secondaryFiles": [{"pattern": "^/../../x"}]}]}]}
    assert whats(of(packed=packed)) == ["secondaryFiles: ^/../../x"]


def folder_of(top: Path, **files: bytes) -> Shipped:
    """Have documents, by their names without a suffix, read from an unpacked archive."""
    for name, data in {"packed": b"{}", **files}.items():
        path = top / (shipped.PACKED_CWL if name == "packed" else f"{shipped.DOCUMENTS}{name}.cwl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return shipped.of_folder(Packed(ELSEWHERE, "", 0), top)


def test_documents_that_are_too_large_are_not_held(tmp_path: Path) -> None:
    size = shipped.MAX_DOCUMENT
    found = folder_of(tmp_path, large=b"#" * (size + 1), empty=b"")
    assert whats(found) == [f"{size + 1} bytes"]
    found = folder_of(tmp_path, large=b"", **{f"d{number}": b"a:".ljust(size) for number in range(20)})
    assert sum(map(len, found.files.values())) <= shipped.MAX_DOCUMENTS + 10
    assert set(whats(found)) == {f"{size} bytes"}
    assert len(checking.risks(found)) == 20 - shipped.MAX_DOCUMENTS // size


def test_a_record_that_takes_more_memory_than_it_looks() -> None:
    with pytest.raises(ArchiveError, match=r"graph\.json has more than 10000000 values"):
        checking.risks(of(packed={}, graph=b"[" + b"[]," * 6_000_000 + b"[]]"))


def literal(**fields: Any) -> dict[str, Any]:
    return {"x": [{"class": "Directory", "location": "_:1", "listing": [{"class": "File", "contents": "", **fields}]}]}


@pytest.mark.parametrize("name", ["/home/bob/.ssh/authorized_keys", "../x", "a/b", "..", ".", 5])
def test_files_whose_names_lead_elsewhere(name: Any) -> None:
    assert whats(of(packed={}, job=literal(basename=name))) == [f"basename: {name}"]
    defaults = {"workflow": {"defaults": literal(basename=name)}}
    assert whats(of(packed={}, graph=defaults)) == [f"basename: {name}"]
    assert whats(of(packed={}, job=literal(basename="x", dirname="/home/bob"))) == ["dirname: /home/bob"]


def test_files_by_another_name_of_their_class() -> None:
    entry = {"class": "https://w3id.org/cwl/cwl#File", "location": "file:///etc/passwd"}
    assert whats(of(packed={}, job={"x": entry})) == ["file:///etc/passwd"]


@pytest.mark.parametrize("key", ["secondaryFiles", "listing"])
def test_what_belongs_to_a_file_or_folder_needs_no_class(key: str) -> None:
    """cwltool takes it for a File."""
    name = "tasks/000-x/000/000000/result.json"
    beside = {"location": "file:///etc/passwd", "basename": "k"}
    for entry in (beside, {"path": "/etc/passwd"}, [[beside]]):
        value = {"class": "File", "location": "_:1", "basename": "q", "contents": "", key: [entry]}
        assert len(whats(of(packed={}, job={"f": value}))) == 1
        kept = reaching_out(name, json.dumps({"results": {"0": {"outputs": {"o": value}}}}).encode())
        assert len(whats(Shipped(ELSEWHERE, {}, {name: 1}, {name: kept}))) == 2  # packed.json is not there, either
    document = {"hints": [{"class": "Whatever", key: [beside]}]}
    assert "file:///etc/passwd" in whats(of_tool(document))
    honest = [{"class": "File", "location": "_:1", "basename": "x"}, {"pattern": "^.x"}]
    assert whats(of(packed={}, job={"f": {key: honest}})) == []


@pytest.mark.parametrize("location", ["_:x/../../../../etc/passwd", "_:/etc/passwd"])
def test_a_literal_has_no_path(location: str) -> None:
    assert location in whats(of(job={"f": {"class": "File", "location": location}}))


def test_ontologies_of_this_host() -> None:
    schemas = ["https://schema.org/x.rdf", "files/0000/x.rdf", "file:///etc/passwd", "../x"]
    assert whats(of(packed={"$schemas": schemas})) == ["$schemas: file:///etc/passwd", "$schemas: ../x"]


@pytest.mark.parametrize("place", ["/etc", "inputs/../../x", "cwl/graph.json", 5])
def test_inputs_that_claim_another_place(place: Any) -> None:
    record = {"files": [{"origin": "/x", "kind": "File", "embedded": place}]}
    assert whats(of(packed={}, inputs=record)) == [f"embedded: {place}"]


@pytest.mark.parametrize("other", ["/h/./x", "/h//x", "/h/x/", "//h/x", "h/x", "/h/x"])
def test_origins_that_may_be_read_in_two_ways(other: str) -> None:
    record = {"files": [
        {"origin": "/h/x", "kind": "File", "embedded": None, "sha256": "0" * 64},
        {"origin": other, "kind": "File", "embedded": None, "sha256": None},
    ]}  # fmt: skip
    with pytest.raises(ArchiveError, match=r"x\.tgz: unsafe: inputs\.json has"):
        checking.risks(of(packed={}, job=file_at("file:///h/x"), inputs=record))


def test_a_graph_that_runs_something_else_than_is_shown() -> None:
    tool = {"class": "CommandLineTool", "baseCommand": ["echo", "hello"]}
    graph = {"tools": {"a": {"document": tool}, "b": {"document": {**tool, "baseCommand": ["rm", "-rf"]}}}}
    (found,) = checking.risks(of(graph=graph, packed=tool))
    assert (found.where, found.what) == ("cwl/graph.json: b", "another command")
    assert whats(of(graph=graph)) == ["is not there"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b'{"tools": {"x": {}}}'])
def test_a_graph_that_cannot_be_read(data: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"x\.tgz: damaged or unsafe: cwl/graph\.json"):
        checking.risks(of(packed={}, graph=data))


def some(kind: Any, file: Path) -> Any:
    """Make a value of a CWL type."""
    if isinstance(kind, list):
        return some(kind[0], file)
    if isinstance(kind, dict) and kind["type"] == "record":
        return {each["name"].rpartition("/")[2]: some(each["type"], file) for each in kind["fields"]}
    if isinstance(kind, dict):
        return kind["symbols"][0].rpartition("/")[2] if kind["type"] == "enum" else []
    if kind in ("File", "Directory"):
        return {"class": kind, "path": str(file if kind == "File" else file.parent)}
    plain = {"null": None, "boolean": True, "int": 1, "long": 1, "float": 0.5, "double": 0.5}
    return plain.get(kind, "word")


def inputs_for(document: Path, tmp_path: Path, settings: Config) -> Path:
    """Find the inputs that come with a document, or make some."""
    beside = document.with_suffix(".yml")
    if beside.exists():
        return beside
    file, job = tmp_path / "file.txt", tmp_path / "job.json"
    file.write_text("x\n")
    ports = documents.load(str(document), submit.cache_dir(settings)).process.tool["inputs"]
    needed = {each["id"].rpartition("#")[2].rpartition("/")[2]: each["type"] for each in ports if "default" not in each}
    job.write_text(json.dumps({name: some(kind, file) for name, kind in needed.items()}))
    return job


@pytest.mark.parametrize("document", HONEST, ids=lambda path: path.stem)
def test_honest_documents_need_no_trust(document: Path, tmp_path: Path) -> None:
    settings = Config(bee_workdir=tmp_path / "bee", bee_archive_dir=tmp_path / "archives")
    prepared = submit.prepare(submit.Request(str(document), [str(inputs_for(document, tmp_path, settings))]), settings)
    layout = Layout(tmp_path / "workflow")
    for folder in folders(layout):
        folder.mkdir(parents=True)
    embedding.write(layout, prepared.graph, {}, prepared.packed, prepared.sources)
    found = checking.risks(shipped.of_folder(Packed(ELSEWHERE, "", 0), layout.root))
    assert found == []


# -- whose archive it is ----------------------------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "archives").mkdir()
    return Config(bee_workdir=tmp_path / "bee", bee_archive_dir=tmp_path / "archives")


def hostile(config: Config, folder: Path) -> tuple[Packed, Path]:
    """Make the archive's file and its sidecar, and what it was unpacked to."""
    path = folder / "x.tgz"
    path.write_bytes(b"x")
    path.chmod(0o600)
    packed = Packed(path, sha256_of(path), 1)
    beside = Sidecar("x", "n", WorkflowState.ARCHIVED, "", "", packed.sha256, 1)
    store.write_record(path.with_suffix(".json"), beside)
    unpacked = config.bee_archive_dir.parent / "unpacked"
    (unpacked / "cwl").mkdir(parents=True)
    tool = {"class": "CommandLineTool", "baseCommand": "/home/eve/\x1b[31m.sh"}
    (unpacked / "cwl/packed.json").write_text(json.dumps(tool))
    graph = {"tools": {"s": {"document": {**tool, "stdin": "/etc/passwd"}}}}
    (unpacked / "cwl/graph.json").write_text(json.dumps(graph))
    return packed, unpacked


def test_a_strangers_archive_needs_a_word(config: Config, tmp_path: Path) -> None:
    packed, unpacked = hostile(config, tmp_path)
    with pytest.raises(TrustError) as caught:
        checking.check(packed, unpacked, config, trusted=False)
    text = str(caught.value)
    assert caught.value.exit_code == 81
    assert "cwl/graph.json: s: stdin: /etc/passwd: is not in the folder" in text
    assert "baseCommand: /home/eve/" in text
    assert "\x1b" not in text
    checking.check(packed, unpacked, config, trusted=True)


def test_ones_own_archive_does_not(config: Config) -> None:
    packed, unpacked = hostile(config, config.bee_archive_dir)
    checking.check(packed, unpacked, config, trusted=False)
    assert checking.is_own(packed, config)
    assert archived.allowed(packed.path, config.bee_archive_dir) is UNLIMITED


def test_what_is_not_quite_ones_own(config: Config, tmp_path: Path) -> None:
    packed, _ = hostile(config, config.bee_archive_dir)
    assert not checking.is_own(replace(packed, sha256="0" * 64), config)
    packed.path.chmod(0o606)
    assert not checking.is_own(packed, config)
    packed.path.chmod(0o600)
    packed.path.rename(tmp_path / "real")
    packed.path.symlink_to(tmp_path / "real")
    assert not checking.is_own(packed, config)
    packed.path.unlink()
    (tmp_path / "real").rename(packed.path)
    assert checking.is_own(packed, config)
    packed.path.with_suffix(".json").unlink()
    assert not checking.is_own(packed, config)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_is_not_ones_own(config: Config) -> None:
    packed, _ = hostile(config, config.bee_archive_dir)
    os.chown(packed.path, 12345, -1)
    assert not checking.is_own(packed, config)


def test_what_was_copied_into_the_own_folder_is_not_of_ones_own(config: Config) -> None:
    packed, _ = hostile(config, config.bee_archive_dir)
    beside = packed.path.with_suffix(".json")
    assert checking.is_own(packed, config)
    sidecar = store.read_record(Sidecar, beside)
    assert sidecar is not None
    store.write_record(beside, replace(sidecar, imported=True))
    assert not checking.is_own(packed, config)
    assert archived.allowed(packed.path, config.bee_archive_dir) == Limits()


def test_a_class_that_only_looks_like_an_image_hides_nothing() -> None:
    tool = {
        "class": "CommandLineTool",
        "baseCommand": "/home/eve/evil.sh",
        "requirements": [{"class": "x:DockerRequirement", "dockerPull": "debian"}],
    }
    found = checking.risks(of(graph={"tools": {"a": {"document": tool}}}, packed=tool))
    assert any("/home/eve/evil.sh" in each.what for each in found)
