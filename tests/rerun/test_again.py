"""A re-execution as a whole: what it starts from, and that nothing of the old run leaks into it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from beeflow import embedding
from beeflow.errors import ArchiveError, IncompleteArchiveError, InputError, NotFoundError, TransitionError, UsageError
from beeflow.models import ArchivePolicy
from beeflow.rerun import again, relocating
from beeflow.rerun.choice import Choice
from beeflow.rerun.request import Request
from beeflow.rerun.sources import open_archive
from beeflow.scheduler import JobOptions, Limits
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.rerun.local import DOCUMENT, Local, first, ran, repacked, state, tasks, text_of


@pytest.fixture
def referring(site: Local) -> WorkflowDir:
    """An archive that only refers to its input file."""
    return first(site, input_copy_limit_mib=0)


def moved_away(found: WorkflowDir, site: Local, top: Path) -> Path:
    """Take the archive out of the site, and the site away."""
    kept = top / "kept.tgz"
    shutil.copyfile(site.archive(found), kept)
    shutil.rmtree(site.top)
    return kept


def files_with(text: str, root: Path) -> list[str]:
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_it_runs_anew_elsewhere_with_nothing_of_the_old_place(site: Local, other_site: Local, tmp_path: Path) -> None:
    old = first(site)
    kept = moved_away(old, site, tmp_path)
    made = other_site.rerun(kept, name="again")
    assert state(made) is WorkflowState.ARCHIVED
    assert text_of(made, "all") == "made a\nmade b\nthree\n"
    assert ran(made) == ["cut", "each[0]", "each[1]", "join"]
    record = made.record()
    assert (record.parent, record.name, record.document) == (old.id, "again", "w.cwl")
    leaking = [name for name in files_with(str(site.top), made.layout.root) if not name.startswith("provenance/")]
    assert leaking == []
    assert [name for name in files_with(old.id, made.layout.root) if not name.startswith("provenance/")] == [
        "comparison.json",
        "state.json",
        "workflow.json",
    ]


def test_what_tells_of_the_old_run_is_kept_and_only_that(site: Local) -> None:
    old = first(site)
    made = site.begin(old, start=False)
    root, kept = made.layout.root, made.layout.root / "provenance"
    assert sorted(os.listdir(root)) == sorted(
        ["control", "cwl", "inputs", "job.json", "jobs", "log", "outputs", "provenance", "tasks", "workflow.json"]
    )
    assert os.listdir(made.layout.control) == ["held"]
    for name in ("jobs", "log", "outputs", "tasks"):
        assert os.listdir(root / name) == []
    assert json.loads((kept / "workflow.json").read_text())["id"] == old.id
    assert {each["job_id"] for each in json.loads((kept / "tasks.json").read_text())["tasks"]} >= {"103"}
    assert json.loads((kept / "rerun.json").read_text())["parent"] == old.id
    assert (kept / "manifest-sha256.txt").is_file()


def test_a_rerun_of_a_rerun_keeps_both(site: Local) -> None:
    old = first(site)
    second = site.rerun(old, settings=("words=[x]",))
    third = site.rerun(second, settings=("tail=2",))
    assert text_of(third, "all") == "made x\ntwo\nthree\n"
    kept = third.layout.root / "provenance"
    assert third.record().parent == second.id
    assert json.loads((kept / "workflow.json").read_text())["id"] == second.id
    assert json.loads((kept / "rerun.json").read_text())["settings"] == ["tail=2"]
    assert json.loads((kept / "provenance/workflow.json").read_text())["id"] == old.id


def test_a_cancelled_workflow_is_executed_again_and_not_cancelled(site: Local) -> None:
    old = first(site, cancelled=True)
    assert state(old) is WorkflowState.ARCHIVED_CANCELLED
    made = site.begin(old, start=False)
    assert os.listdir(made.layout.control) == ["held"]
    assert state(site.rerun(old)) is WorkflowState.ARCHIVED


# -- other inputs ------------------------------------------------------------------------------------------------------


def test_settings(site: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = first(site)
    (tmp_path / "more.txt").write_text("1\n2\n")
    monkeypatch.chdir(tmp_path)
    made = site.rerun(old, settings=("words=[x]", "data=more.txt", "note=null"))
    assert text_of(made, "all") == "made x\n2\n"
    job = json.loads(made.layout.job.read_text())
    assert (job["data"]["location"], job["tail"]) == (f"file://{tmp_path}/more.txt", 1)
    # The input of the archive that it took the place of is not kept.
    assert not made.layout.inputs.exists() or os.listdir(made.layout.inputs) == []


def test_a_credential_that_is_set_is_not_in_the_record_of_it(site: Local) -> None:
    made = site.begin(first(site), settings=("note=curl --token=S3nt1nel x",))
    asked = (made.layout.provenance / "rerun.json").read_text()
    assert json.loads(asked)["settings"] == ["note=curl --token=*** x"]
    assert json.loads(made.layout.job.read_text())["note"] == "curl --token=S3nt1nel x"


def test_an_input_that_is_set_need_not_be_here_as_it_was(referring: WorkflowDir, site: Local) -> None:
    site.write("data/in put.txt", "changed\n")
    other = site.write("other.txt", "other\n")
    made = site.rerun(referring, settings=(f"data={other}",))
    assert text_of(made, "all") == "made a\nmade b\nother\n"


def test_a_file_of_inputs_takes_the_place_of_them_all(referring: WorkflowDir, site: Local) -> None:
    shutil.rmtree(site.top / "data")
    site.write("new/x.txt", "x\n")
    job = site.write("new/job.yml", "words: [q]\ndata: {class: File, path: x.txt}\n")
    made = site.rerun(referring, job_file=str(job), settings=("words=[r]",))
    assert text_of(made, "all") == "made r\nx\n"


TWO = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
stdout: all.txt
inputs:
  a: {type: File, inputBinding: {position: 1}}
  b: {type: File, inputBinding: {position: 2}}
outputs:
  all: stdout
"""


def test_an_input_of_the_same_name_does_not_take_the_place_of_one_that_was_kept(site: Local) -> None:
    job = {name: {"class": "File", "location": f"file://{site.write(f'{name}/x.txt', name)}"} for name in ("a", "b")}
    old = site.submit(TWO, job)
    second = site.rerun(old, settings=(f"b={site.write('c/x.txt', 'c')}",))
    assert text_of(second, "all") == "ac"
    assert text_of(site.rerun(second), "all") == "ac"


LARGE = """
cwlVersion: v1.2
class: Workflow
inputs: {}
outputs: {all: {type: File, outputSource: size/o}}
steps:
  size:
    in: {a: {default: {class: File, location: large.dat}}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [wc, -c]
      inputs: {a: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
"""


@pytest.mark.parametrize("limit_mib", [0, 1000])
def test_a_large_file_that_a_document_names(
    site: Local, tmp_path: Path, caplog: pytest.LogCaptureFixture, limit_mib: int
) -> None:
    large = site.write("given/large.dat", "")
    os.truncate(large, embedding.MAX_DOCUMENT_FILE + 1)
    old = site.submit(LARGE, input_copy_limit_mib=limit_mib)
    now = large.rename(tmp_path / "large.dat")
    if limit_mib:
        made = site.rerun(old)
        assert text_of(made, "all").split()[0] == str(embedding.MAX_DOCUMENT_FILE + 1)
        assert "inputs/0000/large.dat" in made.layout.graph.read_text()
        assert ran(site.rerun(made, choice=Choice(reuse=True))) == []
        return
    site.begin(old, start=False)
    assert [each for each in caplog.messages if f"{large}: not there" in each]
    caplog.clear()
    made = site.rerun(old, moves=(relocating.Move(large, now),))
    assert text_of(made, "all").split()[0] == str(embedding.MAX_DOCUMENT_FILE + 1)
    assert not caplog.messages


FOLDER = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [ls]
inputs: {d: {type: Directory, inputBinding: {}}}
outputs: {all: stdout}
"""


def test_what_cannot_be_packed_of_a_folder_is_told(site: Local) -> None:
    folder = site.write("d/in/x.txt", "x").parent
    (folder / "nowhere").symlink_to("/nowhere")
    (folder / "self").symlink_to("..")
    os.mkfifo(folder.parent / "pipe")
    old = site.submit(FOLDER, {"d": {"class": "Directory", "path": str(folder.parent)}})
    made = site.rerun(old)
    omitted = json.loads((made.layout.provenance / "omitted.json").read_text())
    assert {name: why for name, why in omitted.items() if name.startswith("inputs/")} == {
        "inputs/0000/d/in/nowhere": "a symbolic link to /nowhere",
        "inputs/0000/d/in/self": "a symbolic link to ..",
        "inputs/0000/d/pipe": "not a regular file",
    }
    assert text_of(made, "all") == "in\n"


@pytest.mark.parametrize("name", ["", " "])
def test_a_name_that_is_none(site: Local, archived: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--name: is empty"):
        again.on_site(Request(str(archived), name=name), open_archive(str(archived), site.config), site.config, {})


def test_the_archive_of_another_workflow_under_its_name(site: Local, archived: Path) -> None:
    other = "3fc631bb-93cd-468e-9777-9b00ce9b22fd"
    site.config.bee_archive_dir.mkdir(parents=True)
    path = site.config.bee_archive_dir / f"{other}.tgz"
    shutil.copyfile(archived, path)
    with pytest.raises(ArchiveError, match=f"is the archive of {archived.stem}, not of {other}"):
        open_archive("3fc631bb", site.config)
    assert open_archive(str(path), site.config).description.id == archived.stem


LARGE_INPUT = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [wc, -c]
inputs:
  a: {type: File, inputBinding: {}, default: {class: File, location: large.dat}}
  n: {type: int, default: 1}
outputs: {all: stdout}
"""


def test_a_large_default_is_taken_from_the_archive_with_another_input_set(site: Local, other_site: Local) -> None:
    large = site.write("given/large.dat", "")
    os.truncate(large, embedding.MAX_DOCUMENT_FILE + 1)
    old = site.submit(LARGE_INPUT, input_copy_limit_mib=1000)
    large.unlink()
    made = other_site.rerun(Path(site.archive(old)), settings=("n=2",))
    assert text_of(made, "all").split()[0] == str(embedding.MAX_DOCUMENT_FILE + 1)
    other_site.write("all.yml", "n: 3\n")
    again_made = other_site.rerun(Path(site.archive(old)), job_file=str(other_site.top / "all.yml"))
    assert text_of(again_made, "all").split()[0] == str(embedding.MAX_DOCUMENT_FILE + 1)


def test_a_setting_without_a_value_is_a_slip_of_the_command_line(site: Local, archived: Path) -> None:
    with pytest.raises(UsageError, match=r"--set tail: write INPUT=VALUE\nits inputs are:\n  data: File\n"):
        site.begin(archived, settings=("tail",))
    assert os.listdir(site.config.workflows_dir) == []


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"settings": ("tail=x",)}, "tail takes int"),
        ({"settings": ("data=/nowhere",)}, "/nowhere: no such File"),
        ({"settings": ("words=null",)}, "words takes string"),
        ({"job_file": "missing.yml"}, "no such file of inputs"),
        ({"job_file": "partial.yml"}, "data"),
        ({"job_file": "requiring.yml"}, "change the workflow"),
    ],
)
def test_inputs_that_do_not_fit(
    site: Local, request_: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = first(site)
    monkeypatch.chdir(site.top)
    site.write("partial.yml", "words: [q]\n")
    requirement = "cwl:requirements: [{class: ResourceRequirement, coresMin: 1}]\n"
    site.write("requiring.yml", f"words: [q]\ndata: {{class: File, path: bee.conf}}\n{requirement}")
    before = site.scheduler.next_id
    with pytest.raises(InputError, match=complaint):
        site.begin(old, **request_)
    assert site.scheduler.next_id == before
    assert os.listdir(site.config.workflows_dir) == [old.id]


FITTING = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: "true"
inputs: {d: string, n: {type: int, default: 1}, f: File?, s: {type: File?, secondaryFiles: [.idx]}}
outputs: {}
"""


@pytest.mark.parametrize(
    ("job", "complaint"),
    [
        ("{}", "Missing required input parameter 'd'"),
        ("{d: null}", "Missing required input parameter 'd'"),
        ("{d: x, n: y}", "the 'n' field is not valid"),
        ("{d: x, f: {class: File, path: nothere}}", "nothere: no such File"),
        ("{d: x, f: {class: File, contents: 3}}", "input f: a File whose contents is no text: 3"),
        ("{d: x, s: {class: File, path: bee.conf}}", "Missing required secondary file 'bee.conf.idx'"),
    ],
)
def test_an_error_in_a_file_of_inputs_tells_of_inputs_and_not_of_our_files(
    site: Local, job: str, complaint: str
) -> None:
    old = site.submit(FITTING, {"d": "x"})
    path = site.write("job.yml", job)
    with pytest.raises(InputError) as caught:
        site.begin(old, job_file=str(path))
    said = str(caught.value)
    assert complaint in " ".join(said.split())
    assert said.startswith(str(path)) or f"{path.name}:1:" in said
    assert said.endswith("its inputs are:\n  d: string\n  f: File?\n  n: int?\n  s: File?")
    assert str(site.config.workflows_dir) not in said
    assert "packed" not in said


def test_an_input_that_the_workflow_does_not_have_is_warned_of(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    old = site.submit(FITTING, {"d": "x", "$note": "x"})
    assert not caplog.messages
    path = site.write("job.yml", "{d: x, m: 2}")
    site.begin(old, job_file=str(path))
    assert caplog.messages == [f"{path}: m is no input of the document, and is ignored; its inputs are d, f, n, s"]


# -- files that are only referred to ----------------------------------------------------------------------------------


def test_what_is_missing_is_listed_and_can_be_said_where(
    referring: WorkflowDir, site: Local, other_site: Local, tmp_path: Path
) -> None:
    kept = moved_away(referring, site, tmp_path)
    with pytest.raises(InputError) as caught:
        other_site.begin(kept)
    assert f"input data: {site.top}/data/in put.txt: not there (14 bytes)" in str(caught.value)
    assert "--map OLD=NEW" in str(caught.value)
    assert os.listdir(other_site.config.workflows_dir) == []
    there = other_site.write("datasets/in put.txt", "one\ntwo\nthree\n")
    moves = (relocating.parse(f"{site.top}/data={there.parent}"),)
    made = other_site.rerun(kept, moves=moves)
    assert text_of(made, "all") == "made a\nmade b\nthree\n"
    assert files_with(str(site.top), made.layout.root / "cwl") == []


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [("one\ntwo\nthreE\n", "its sha256 differs"), ("one\n", "4 bytes instead of 14")],
)
def test_another_file_is_not_taken_for_it(referring: WorkflowDir, site: Local, contents: str, complaint: str) -> None:
    there = site.write("moved.txt", contents)
    moves = (relocating.parse(f"{site.top}/data/in put.txt={there}"),)
    with pytest.raises(InputError, match=complaint):
        site.begin(referring, moves=moves)


def test_what_is_longer_than_it_says_is_not_read_to_its_end(
    referring: WorkflowDir, other_site: Local, tmp_path: Path
) -> None:
    endless = "/proc/self/pagemap"

    def change(top: Path) -> None:
        record = json.loads((top / "inputs.json").read_text())
        record["files"][0].update(origin=endless, size=0)
        (top / "inputs.json").write_text(json.dumps(record))
        job = json.loads((top / "job.json").read_text())
        job["data"]["location"] = f"file://{endless}"
        (top / "job.json").write_text(json.dumps(job))

    kept = repacked(other_site.archive(referring), tmp_path / "changed", change)
    with pytest.raises(InputError, match="its sha256 differs"):
        other_site.begin(kept)


def test_an_input_that_should_be_in_the_archive_and_is_not(site: Local, other_site: Local, tmp_path: Path) -> None:
    def change(top: Path) -> None:
        (path,) = (path for path in top.glob("inputs/*/*") if path.is_file())
        path.unlink()
        job = json.loads((top / "job.json").read_text())
        job["also"] = {"class": "File", "location": "cwl/files/0000/gone.txt"}
        (top / "job.json").write_text(json.dumps(job))

    kept = repacked(site.archive(first(site)), tmp_path / "changed", change)
    with pytest.raises(IncompleteArchiveError) as caught:
        other_site.begin(kept)
    assert caught.value.exit_code == 79
    assert "input data: inputs/0000/in put.txt\n" in str(caught.value)
    assert "input also: cwl/files/0000/gone.txt\n" in str(caught.value)
    assert os.listdir(other_site.config.workflows_dir) == []
    assert other_site.scheduler.jobs == {}
    here = other_site.write("here.txt", "1\n")
    with pytest.raises(IncompleteArchiveError, match=r"not:\n  input also"):
        other_site.begin(kept, settings=(f"data={here}",))


def test_the_longest_prefix_counts_and_only_whole_names() -> None:
    moves = [relocating.parse(each) for each in ("/a=/x", "/a/d/../b/=/y", "/a/b/c.txt=/z.txt")]
    given = ["/a/1", "/a/b/1", "/a/bc/1", "/a/b/c.txt", "/ab/1"]
    assert [str(relocating.moved(Path(each), moves)) for each in given] == [
        *("/x/1", "/y/1", "/x/bc/1", "/z.txt", "/ab/1"),
    ]


@pytest.mark.parametrize("text", ["/a", "a=/b", "=/b", "/a="])
def test_a_move_that_makes_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="OLD=NEW"):
        relocating.parse(text)


# -- what is no archive ------------------------------------------------------------------------------------------------


def test_a_workflow_without_an_archive(site: Local) -> None:
    old = first(site, use_archive=False)
    with pytest.raises(TransitionError, match="has no archive of its end: it is Completed"):
        open_archive(old.id[:8], site.config)
    with pytest.raises(NotFoundError, match="no workflow has an id"):
        open_archive("ffffffff", site.config)
    with pytest.raises(NotFoundError, match="no such archive"):
        open_archive(str(site.top / "x.tgz"), site.config)
    with pytest.raises(ArchiveError, match="a folder, not an archive"):
        open_archive(str(site.top), site.config)


def test_a_failed_workflow_is_executed_again(site: Local) -> None:
    flag = site.top / "broken"
    text = DOCUMENT.replace("baseCommand: [tail]", f"baseCommand: [sh, -c, '[ ! -e {flag} ] && tail \"$@\"', sh]")
    flag.touch()
    job = {"words": ["a"], "data": {"class": "File", "path": str(site.write("x.txt", "x\n"))}}
    old = site.submit(text, job)
    assert state(old) is WorkflowState.ARCHIVED_FAILED
    flag.unlink()
    made = site.rerun(old)
    assert state(made) is WorkflowState.ARCHIVED
    assert all(task.reason == "" for task in tasks(made).values())


ASKING = """
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {beeflow: "https://github.com/lanl/BEE#"}
hints: {beeflow:SlurmRequirement: {partition: gpu}}
baseCommand: "true"
inputs: {}
outputs: []
"""


def asked(of: Local, found: WorkflowDir) -> list[JobOptions]:
    jobs = [job for job in of.scheduler.jobs.values() if job.request.name.startswith(found.record().nonce)]
    return [job.request.options for job in jobs if not job.request.name.endswith("-pass")]


def partitions(of: Local, found: WorkflowDir) -> list[str]:
    return [each.partition for each in asked(of, found)]


def test_what_a_step_asks_of_slurm_is_in_its_document_alone(site: Local, other_site: Local) -> None:
    old = site.submit(ASKING)
    assert partitions(site, old) == ["gpu"]

    def change(top: Path) -> None:
        path = top / "cwl/graph.json"
        graph = json.loads(path.read_text())
        for tool in graph["tools"].values():
            tool["step_options"] = {"account": "forged", "partition": "forged"}
        path.write_text(json.dumps(graph))

    made = other_site.rerun(repacked(site.archive(old), site.top / "changed", change))
    assert partitions(other_site, made) == ["gpu"]
    assert "forged" not in made.layout.graph.read_text()


def test_what_a_step_asks_of_another_cluster_is_not_asked_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in a re-execution of that, for the document still says it; but where it was submitted first it counts."""
    first_site, other = Local(tmp_path / "a"), Local(tmp_path / "b", "[slurm]\npartition = here\n")
    other.scheduler.limits = lambda: Limits("other", "22.05.8", 1001, 10000)  # type: ignore[method-assign]
    document = ASKING.replace("partition: gpu", "account: a, partition: gpu, qos: q, reservation: r, timeLimit: '7'")
    old = first_site.submit(document)
    found = old
    for _ in range(2):
        caplog.clear()
        found = other.rerun(found, trust=True)
        (options,) = asked(other, found)
        assert (options.account, options.partition, options.qos, options.reservation) == ("", "here", "", "")
        assert options.time_limit.total_seconds() == 7 * 60
        (said,) = [each.getMessage() for each in caplog.records if "SlurmRequirement" in each.getMessage()]
        assert "step w" in said
        assert "account, partition, qos and reservation" in said
        assert "cluster fake" in said
    caplog.clear()
    assert partitions(first_site, first_site.rerun(found, trust=True)) == ["gpu"]
    assert "SlurmRequirement" not in caplog.text


NAMES = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: ls
inputs: {d: {type: Directory, inputBinding: {}}}
outputs: {o: stdout}
"""


@pytest.mark.parametrize(("gone", "new"), [("b", None), (None, "c"), ("b", "c")])
def test_another_folder_is_not_taken_for_it_though_its_files_are_empty(
    site: Local, gone: str | None, new: str | None
) -> None:
    for name in "ab":
        site.write(f"data/{name}", "")
    job = {"d": {"class": "Directory", "path": str(site.top / "data")}}
    old = site.submit(NAMES, job, archive=ArchivePolicy(inputs="reference"))
    site.begin(old, start=False)
    if gone:
        (site.top / "data" / gone).unlink()
    if new:
        site.write(f"data/{new}", "")
    with pytest.raises(InputError, match=f"data: not the same Directory: {new} was" if new else "data/b: No such file"):
        site.begin(old)


def test_whoever_takes_what_no_archive_tells_of_is_told(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    unused = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {f: File}, outputs: []}"
    path = site.write("data/f", "1")
    old = site.submit(unused, {"f": {"class": "File", "path": str(path)}}, meanwhile=path.unlink)
    assert state(old) is WorkflowState.ARCHIVED
    with pytest.raises(InputError, match="data/f: not there"):
        site.begin(old)
    path.write_text("something else")
    caplog.clear()
    site.begin(old)
    assert caplog.messages == [f"{path}: the archive does not tell what was in it: it is taken as it is here"]
    caplog.clear()
    site.begin(old, settings=(f"f={site.write('other', '2')}",))
    assert caplog.messages == []
