"""What the crate in an archive says, and what roc-validator says of it."""

from __future__ import annotations

import errno
import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from beeflow.archive import packing
from beeflow.archive.contents import Source
from beeflow.archive.description import Referenced
from beeflow.archive.packing import Member
from beeflow.crate.payload import Payload
from beeflow.crate.zipping import write_zip
from beeflow.errors import ArchiveError
from beeflow.inputs import InputFile
from beeflow.layout import CRATE, DESCRIPTION, MANIFEST
from beeflow.models import REFERENCE, ArchivePolicy
from beeflow.states import WorkflowState
from tests import roc
from tests.crates import ENDED, STARTED, Crate, as_list, folder_of, make, written

FORMAT = "http://edamontology.org/format_2330"
EVERYTHING = """
cwlVersion: v1.2
class: Workflow
doc: Words, and more.
$namespaces: {s: "http://schema.org/", beeflow: "https://github.com/lanl/BEE#"}
s:license: https://spdx.org/licenses/MIT
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs:
  words: string[]
  text: {type: File, doc: the text, secondaryFiles: [.idx], format: "http://edamontology.org/format_2330"}
  folder: Directory
  flag: {type: boolean, default: false}
  kind: {type: [{type: enum, symbols: [big, small]}, "null"]}
  options: {type: {type: record, fields: [{name: a, type: int}, {name: b, type: File}]}}
outputs:
  all: {type: "File[]", outputSource: outer/o}
  never: {type: File?, outputSource: maybe/o}
  made: {type: Directory, outputSource: mk/d}
  note: {type: File, outputSource: mk/note}
steps:
  maybe: {when: $(inputs.flag), in: {flag: flag, f: text}, out: [o], run: tool.cwl}
  mk:
    in: {d: folder, options: options}
    out: [d, note]
    run:
      class: CommandLineTool
      label: make things
      hints:
        DockerRequirement: {"beeflow:useContainer": IMAGE}
        SoftwareRequirement: {packages: {samtools: {version: ["1.9"], specs: ["https://www.htslib.org/"]}}}
      baseCommand: make
      inputs: {d: Directory, options: Any}
      outputs: {d: {type: Directory, outputBinding: {glob: d}}, note: stdout}
  outer:
    scatter: word
    in: {word: words, text: text}
    out: [o]
    run:
      class: Workflow
      inputs: {word: string, text: File}
      outputs: {o: {type: File, outputSource: two/o}}
      steps:
        one:
          in: {w: word}
          out: [o]
          run: {class: CommandLineTool, baseCommand: echo, inputs: {w: string}, outputs: {o: stdout}}
        two: {in: {f: one/o}, out: [o], run: tool.cwl}
"""
TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {f: {type: File, inputBinding: {position: 1}}}
outputs: {o: stdout}
"""
FAILING = """
cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: {f: File}
outputs: {o: {type: File, outputSource: after/o}}
steps:
  good: {in: {f: f}, out: [o], run: tool.cwl}
  bad: {in: {f: f}, out: [o], run: tool.cwl}
  after:
    in: {f: bad/o}
    out: [o]
    run:
      class: Workflow
      inputs: {f: File}
      outputs: {o: {type: File, outputSource: inner/o}}
      steps: {inner: {in: {f: f}, out: [o], run: tool.cwl}}
"""
ODD = "a b\nü#?&%20;\\:'\"<>.txt"


def makes(path: str, inputs: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """Make what the tools above would."""
    if path == "bad":
        return None
    if path == "mk":
        (folder / "d" / "in" / "empty").mkdir(parents=True)
        written(folder / "d" / "in" / ODD)
        written(folder / "d" / "other.csv")
        note = {"class": "File", "location": "_:note", "basename": "note.txt", "contents": "noted"}
        return {"d": folder_of(folder / "d"), "note": note}
    return {"o": written(folder / "o.txt", f"{path}: {inputs.get('w')}\n")}


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("crates")
    (made / "image").mkdir()
    (made / "image" / "etc").write_text("x")
    (made / "everything.cwl").write_text(EVERYTHING.replace("IMAGE", str(made / "image")))
    (made / "tool.cwl").write_text(TOOL)
    (made / "failing.cwl").write_text(FAILING)
    return made


def file_at(path: Path) -> dict[str, Any]:
    return {"class": "File", "path": str(path)}


@pytest.fixture(scope="module")
def everything(top: Path) -> Crate:
    given = top / "given"
    for name in ("text.txt", "text.txt.idx", "dir/in/x", "dir/y", "big"):
        written(given / name, name)
    (given / "big").chmod(0o644)
    os.truncate(given / "big", 2 << 20)
    beside = {"format": FORMAT, "secondaryFiles": [file_at(given / "text.txt.idx")]}
    text = file_at(given / "text.txt") | beside
    folder = {"class": "Directory", "path": str(given / "dir")}
    job = {
        "words": ["alpha", "beta"],
        "text": text,
        "folder": folder,
        "kind": "big",
        "options": {"a": 1, "b": file_at(given / "big")},
    }
    functions = {"$(inputs.flag)": lambda values: values["flag"]}
    return make(top / "everything", top / "everything.cwl", job, makes, functions, copy_limit_mib=1)


@pytest.fixture(scope="module")
def failing(top: Path) -> Crate:
    written(top / "x.txt")
    return make(top / "failing", top / "failing.cwl", {"f": file_at(top / "x.txt")}, makes)


@pytest.fixture(scope="module")
def tool(top: Path) -> Crate:
    written(top / "x.txt")
    return make(top / "tool", top / "tool.cwl", {"f": file_at(top / "x.txt")}, makes)


@pytest.fixture(scope="module")
def slim(top: Path) -> Crate:
    """One whose inputs and outputs are only referred to."""
    written(top / "x.txt")
    policy = ArchivePolicy(inputs=REFERENCE, outputs=REFERENCE)
    return make(top / "slim", top / "tool.cwl", {"f": file_at(top / "x.txt")}, makes, policy=policy)


@pytest.fixture(scope="module")
def nothing(top: Path) -> Crate:
    written(top / "x.txt")
    return make(top / "nothing", top / "failing.cwl", {"f": file_at(top / "x.txt")}, makes, cancelled=True)


def test_roc_validator_finds_nothing_that_is_required_and_missing(
    everything: Crate, failing: Crate, tool: Crate, slim: Crate, nothing: Crate, tmp_path: Path
) -> None:
    """One test for all: starting the validator takes longer than most crates."""
    zipped = write_zip(everything.archive, tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / CRATE).write_bytes((tool.folder / CRATE).read_bytes())
    crates = [everything.folder, zipped, failing.folder, tool.folder, slim.folder, broken]
    found = roc.problems(crates, tmp_path / "cache")
    # A crate without its files, so that the rest of the test can fail.
    assert any("does not include the Data Entity 'outputs/o.txt'" in each for each in found.pop(str(broken)))
    assert found == {str(each): [] for each in crates[:-1]}
    assert roc.problems([nothing.folder], tmp_path / "cache", roc.WITHOUT_TASKS) == {str(nothing.folder): []}


def references(value: Any) -> Iterator[str]:
    """List what an entity refers to."""
    if isinstance(value, dict):
        yield from [value["@id"]] if set(value) == {"@id"} else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("name", ["everything", "failing", "tool", "slim", "nothing"])
def test_all_that_is_referred_to_is_there(name: str, request: pytest.FixtureRequest) -> None:
    crate: Crate = request.getfixturevalue(name)
    for entity in crate.entities.values():
        for each in references({key: value for key, value in entity.items() if key != "@id"}):
            assert each in crate.entities or each.startswith("https://"), f"{each} of {entity['@id']}"


@pytest.mark.parametrize("name", ["everything", "failing", "tool", "slim", "nothing"])
def test_files_have_the_manifests_sums(name: str, request: pytest.FixtureRequest) -> None:
    crate: Crate = request.getfixturevalue(name)
    files = [each for each in crate.of_type("File") if "://" not in each["@id"]]
    by_sum = {hashlib.sha256(path.read_bytes()).hexdigest() for path in crate.folder.rglob("*") if path.is_file()}
    assert files
    for each in files:
        assert each["sha256"] in by_sum
        assert int(each["contentSize"]) >= 0
        assert "/" in as_list(each["encodingFormat"])[0]


def test_the_run_as_a_whole(everything: Crate) -> None:
    (main,) = everything.follow(everything.root, "mainEntity")
    assert main["@id"] == "cwl/documents/everything.cwl"
    run = everything.entities["#run"]
    assert run["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert "error" not in run
    assert {each["name"] for each in everything.follow(main, "input")} == {
        "words",
        "text",
        "folder",
        "flag",
        "kind",
        "options",
    }
    results = [each["@id"] for each in everything.follow(run, "result")]
    assert results == ["outputs/o.txt", "outputs/o_2.txt", "outputs/d/", "outputs/note.txt"]
    assert everything.entities["outputs/o_2.txt"]["alternateName"] == "o.txt"
    assert [each["@id"] for each in everything.follow(everything.root, "license")] == ["https://spdx.org/licenses/MIT"]
    assert everything.root["description"].startswith("Words, and more.")


def test_types_of_parameters(everything: Crate) -> None:
    def of(name: str) -> dict[str, Any]:
        found = dict(everything.entities[f"#input/{name}"])
        del found["@id"], found["@type"], found["name"]
        return found

    assert of("words") == {"additionalType": "Text", "multipleValues": "True", "valueRequired": "True"}
    assert of("text") == {
        "additionalType": ["File", "Collection"],
        "description": "the text",
        "encodingFormat": FORMAT,
        "valueRequired": "True",
    }
    assert of("folder") == {"additionalType": "Dataset", "valueRequired": "True"}
    assert of("flag") == {"additionalType": "Boolean", "valueRequired": "False", "defaultValue": "False"}
    assert of("kind") == {"additionalType": "Text", "valuePattern": "big|small", "valueRequired": "False"}
    assert of("options") == {"additionalType": "PropertyValue", "multipleValues": "True", "valueRequired": "True"}


def test_a_task_tells_its_command_times_job_image_and_usage(everything: Crate) -> None:
    action = everything.named("CreateAction", "Run of mk")
    assert action["description"] == "do it 'for 0' --password '***' (on node node7)"
    assert (action["startTime"], action["endTime"]) == (STARTED, ENDED)
    assert everything.follow(action, "identifier")[0]["value"] == "7"
    (image,) = everything.follow(action, "containerImage")
    assert image["name"] == "image"
    assert len(image["sha256"]) == 64
    usage = {each["name"]: each["value"] for each in everything.follow(action, "resourceUsage")}
    assert usage == {"maxRss": "2048", "cpuTime": "0.25", "exitCode": "0"}
    (instrument,) = everything.follow(action, "instrument")
    assert instrument["name"] == "make things"
    (software,) = everything.follow(instrument, "softwareRequirements")
    assert (software["name"], software["softwareVersion"]) == ("samtools", "1.9")
    assert "containerImage" not in everything.named("CreateAction", "Run of outer/one[0]")


def test_results_of_one_task_are_the_objects_of_the_next(everything: Crate) -> None:
    one = everything.named("CreateAction", "Run of outer/one[1]")
    two = everything.named("CreateAction", "Run of outer/two[1]")
    assert one["result"] == two["object"]
    (word,) = everything.follow(one, "object")
    assert (word["name"], word["value"]) == ("w", "beta")
    (made,) = everything.follow(one, "result")
    assert [each["@id"] for each in everything.follow(made, "exampleOfWork")] == [
        "#output/outer/one/o",
        "#input/outer/two/f",
    ]
    outer = everything.named("CreateAction", "Run of outer[1]")
    assert outer["object"] == one["object"]
    assert outer["result"] == two["result"]


def test_steps_and_the_engine(everything: Crate) -> None:
    (engine,) = everything.of_type("OrganizeAction")
    controlled = {each["name"]: as_list(each["object"]) for each in everything.follow(engine, "object")}
    assert {name: len(actions) for name, actions in controlled.items()} == {
        "Run of step mk": 1,
        "Run of step outer": 2,
        "Run of step outer/one": 2,
        "Run of step outer/two": 2,
    }
    assert everything.follow(engine, "result") == [everything.entities["#run"]]


def test_a_skipped_step_has_no_action(everything: Crate) -> None:
    assert everything.entities["#step/maybe"]["workExample"] == {"@id": "#tool/maybe"}
    (main,) = everything.follow(everything.root, "mainEntity")
    assert {"@id": "#tool/maybe"} not in main["hasPart"]
    assert not [each for each in everything.of_type("CreateAction") if "maybe" in each["name"]]


def test_folders_odd_names_and_literals(everything: Crate) -> None:
    made = everything.entities["outputs/d/"]
    inside = everything.follow(made, "hasPart")
    assert [each["name"] for each in inside] == [ODD, "other.csv"]
    assert inside[0]["@id"] == "outputs/d/in/a%20b%0A%C3%BC%23%3F%26%2520%3B%5C%3A%27%22%3C%3E.txt"
    assert inside[1]["encodingFormat"] == "text/csv"
    # The task's own folder has no file any more that is not packed as an output.
    assert everything.follow(everything.named("CreateAction", "Run of mk"), "result")[0] is made
    literals = [each["text"] for each in everything.entities.values() if "text" in each]
    assert literals == ["noted"]


def test_files_that_belong_together(everything: Crate) -> None:
    (text,) = everything.of_type("Collection")
    main, beside = everything.follow(text, "hasPart")
    assert (main["name"], beside["name"]) == ("text.txt", "text.txt.idx")
    assert everything.follow(text, "mainEntity") == [main]
    assert main["encodingFormat"] == ["text/plain", FORMAT]
    assert {"@id": text["@id"]} in everything.root["mentions"]
    assert {"@id": "#input/text"} in as_list(text["exampleOfWork"])


def test_what_is_only_referred_to_is_no_path_in_the_crate(everything: Crate) -> None:
    (big,) = [each for each in everything.of_type("File") if "://" in each["@id"]]
    assert big["@id"].startswith("file:///")
    assert big["contentSize"] == str(2 << 20)
    assert "Not in the archive" in big["description"]
    assert {"@id": big["@id"]} in everything.root["hasPart"]
    records = {each["name"]: each for each in everything.of_type("PropertyValue")}
    assert records["options/a"]["value"] == "1"


def test_inputs_and_outputs_left_out_by_policy(slim: Crate) -> None:
    run = slim.entities["#run"]
    for each in (*slim.follow(run, "object"), *slim.follow(run, "result")):
        assert each["@id"].startswith("file:///")
        assert len(each["sha256"]) == 64
    assert run["result"] == slim.named("CreateAction", "Run of tool")["result"]


def test_outputs_that_the_archive_only_refers_to(tmp_path: Path) -> None:
    members = {"outputs/d/kept": Member("1" * 64, 1)}
    left = {
        name: Referenced(name, f"/w/{name}", "File", 2, "2" * 64, "too large") for name in ("outputs/x", "outputs/d/y")
    }
    payload = Payload(tmp_path, members, {"tasks/x": "the same file as outputs/x"}, {}, left, "host1")
    assert payload.place("outputs/x", "File") == payload.place("tasks/x", "File") == "file:///w/outputs/x"
    assert payload.place("outputs/z", "File") is None
    (x,) = payload.entities("file:///w/outputs/x", {})
    assert (x["contentSize"], x["sha256"]) == ("2", "2" * 64)
    folder, kept, y = payload.entities(payload.place("outputs/d", "Directory") or "", {})
    assert folder["hasPart"] == [{"@id": kept["@id"]}, {"@id": y["@id"]}]
    assert y["@id"] == "file:///w/outputs/d/y"


def test_a_folder_that_the_archive_only_refers_to(tmp_path: Path) -> None:
    left = {"inputs/0/d/x": Referenced("inputs/0/d/x", "/data/d/x", "File", 2, "2" * 64, "too large")}
    payload = Payload(tmp_path, {}, {}, {"/data/d": InputFile("/data/d", "Directory", 2)}, left, "host1")
    folder, x = payload.entities(payload.place("file:///data/d", "Directory") or "", {})
    assert (folder["@id"], folder["@type"]) == ("file:///data/d/", "Dataset")
    assert folder["hasPart"] == {"@id": "file:///data/d/x"} == {"@id": x["@id"]}


def test_a_failure(failing: Crate) -> None:
    assert failing.state.state is WorkflowState.ARCHIVED_FAILED
    bad = failing.named("CreateAction", "Run of bad")
    assert bad["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert bad["error"] == "FAILED: the command ended with exit code 3, token=***\nalas"
    logs = [each for each in failing.of_type("File") if each.get("about") == {"@id": bad["@id"]}]
    assert [each["name"] for each in logs] == ["stderr"]
    assert failing.named("ControlAction", "Run of step bad")["error"] == "1 of 1 tasks did not complete"
    assert failing.named("CreateAction", "Run of good")["actionStatus"].endswith("CompletedActionStatus")
    assert failing.entities["#run"]["error"].startswith("bad FAILED")
    # Nothing in it ran, so it would be a workflow without parts.
    assert "#step/after" not in failing.entities
    assert failing.root["license"] == {"@id": "#license"}


def test_a_tool_is_a_workflow_of_one_step(tool: Crate) -> None:
    (main,) = tool.follow(tool.root, "mainEntity")
    assert main["@id"] == "cwl/documents/tool.cwl"
    (step,) = tool.follow(main, "step")
    (part,) = tool.follow(main, "hasPart")
    assert step["workExample"] == {"@id": part["@id"]}
    assert part["additionalType"] == "CommandLineTool"


def test_a_run_without_tasks_claims_no_provenance(nothing: Crate) -> None:
    assert nothing.state.state is WorkflowState.ARCHIVED_CANCELLED
    profiles = {each["name"] for each in nothing.follow(nothing.root, "conformsTo")}
    assert profiles == {"Process Run Crate", "Workflow Run Crate", "Workflow RO-Crate"}
    assert nothing.entities["#run"]["error"] == "changed my mind"
    assert not nothing.of_type("OrganizeAction")


def test_the_crate_is_the_last_file_but_the_manifest(everything: Crate) -> None:
    names = [line.partition("  ")[2] for line in (everything.folder / MANIFEST).read_text().splitlines()]
    assert names[-1] == CRATE


def test_a_zip_has_all_of_the_archive_without_its_top(everything: Crate, tmp_path: Path) -> None:
    path = write_zip(everything.archive, tmp_path)
    assert path.read_bytes() == write_zip(everything.archive, tmp_path / "other.zip").read_bytes()
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        zipped.extractall(tmp_path / "out")
    there = {
        each.relative_to(everything.folder): each.read_bytes() if each.is_file() else None
        for each in everything.folder.rglob("*")
    }
    back = {
        each.relative_to(tmp_path / "out"): each.read_bytes() if each.is_file() else None
        for each in (tmp_path / "out").rglob("*")
    }
    assert back == there


@pytest.mark.parametrize(
    ("mtime", "told"),
    [
        (0, (1980, 1, 1, 0, 0, 0)),
        (8**11 - 1, (2107, 12, 31, 23, 59, 58)),
        (1700000000, (2023, 11, 14, 22, 13, 20)),
    ],
)
def test_a_zip_tells_times_as_far_as_it_can(
    tool: Crate, tmp_path: Path, mtime: int, told: tuple[int, int, int, int, int, int]
) -> None:
    (tmp_path / "file").write_text("x")
    os.utime(tmp_path / "file", (mtime, mtime))
    top = tool.archive.name.removesuffix(".tgz")
    record = Source(DESCRIPTION, str(tool.folder / DESCRIPTION))
    sources = [record, Source("file", str(tmp_path / "file")), Source("ro-crate-metadata.json", None, b"{}")]
    with zipfile.ZipFile(write_zip(packing.pack(top, sources, tmp_path).path, tmp_path / "made.zip")) as zipped:
        assert zipped.getinfo("file").date_time == told


@pytest.mark.parametrize("has_links", [True, False])
def test_a_zip_never_overwrites_and_leaves_nothing_behind(
    tool: Crate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:

        def refuse(*_: Any) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    path = write_zip(tool.archive, tmp_path)
    path.write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="there already"):
        write_zip(tool.archive, tmp_path)
    damaged = tmp_path / "damaged.tgz"
    damaged.write_bytes(tool.archive.read_bytes()[:-50])
    with pytest.raises(ArchiveError, match="damaged"):
        write_zip(damaged, tmp_path)
    assert path.read_bytes() == b"mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([path.name, damaged.name])


def test_a_time_that_a_zip_cannot_tell(top: Path, tmp_path: Path) -> None:
    def nothing_made(path: str, inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        return {"o": None}

    late = tmp_path / "x.txt"
    written(late)
    os.utime(late, (5_000_000_000, 5_000_000_000))
    crate = make(top / "late", top / "tool.cwl", {"f": file_at(late)}, nothing_made)
    with zipfile.ZipFile(write_zip(crate.archive, tmp_path)) as zipped:
        assert zipped.getinfo("inputs/0000/x.txt").date_time[0] == 2107


def test_text_that_is_none_is_still_json(top: Path) -> None:
    def odd(path: str, inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        return {"o": written(folder / "a\udcff.txt")}

    written(top / "x.txt")
    crate = make(top / "odd", top / "tool.cwl", {"f": file_at(top / "x.txt")}, odd)
    (made,) = crate.follow(crate.entities["#run"], "result")
    assert made["@id"] == "outputs/a%FF.txt"
    assert made["name"] == "a\N{REPLACEMENT CHARACTER}.txt"
    with pytest.raises(ArchiveError, match="no text"):
        write_zip(crate.archive, top)
    assert not list(top.glob("*.zip"))
