"""What is taken of an archive, and what runs: --only, --from, --reuse."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from beeflow.errors import ArchiveError, InputError, TrustError, UsageError
from beeflow.rerun.choice import Choice
from beeflow.states import TaskState, WorkflowState
from beeflow.store import WorkflowDir
from tests.rerun.local import DOCUMENT, Local, first, ran, repacked, state, tasks, text_of
from tests.rerun.test_again import files_with

REUSE = Choice(reuse=True)
OF_EACH = "tasks/*-each/000/000001"


def only(*steps: str, reuse: bool = False) -> Choice:
    return Choice(only=steps, reuse=reuse)


def starting(*steps: str, reuse: bool = False) -> Choice:
    return Choice(from_steps=steps, reuse=reuse)


def again(site: Local, old: WorkflowDir | Path, choice: Choice = REUSE, *settings: str, **request: Any) -> WorkflowDir:
    made = site.rerun(old, choice=choice, settings=settings, **request)
    assert state(made) is WorkflowState.ARCHIVED, [task.reason for task in tasks(made).values()]
    return made


GOOD = "made a\nmade b\nthree\n"

# -- a part ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "runs"),
    [
        (starting("cut"), ["cut", "join"]),
        (starting("each"), ["each[0]", "each[1]", "join"]),
        (starting("join"), ["join"]),
        (starting("each", "cut"), ["cut", "each[0]", "each[1]", "join"]),
        (only("cut"), ["cut"]),
        (only("join"), ["join"]),
        (Choice(("cut",), ("join",)), ["cut", "join"]),
        (only("cut", reuse=True), ["cut", "join"]),
    ],
)
def test_a_part(site: Local, archived: Path, choice: Choice, runs: list[str]) -> None:
    made = again(site, archived, choice)
    assert (ran(made), text_of(made, "all")) == (runs, GOOD)


def test_what_runs_besides_is_said(
    site: Local, archived: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(top: Path) -> None:
        (made,) = top.glob("tasks/*-cut/000/000000/*/*/out/*")
        made.unlink()

    lacking = repacked(archived, tmp_path / "lacking", change)
    made = again(site, lacking, only("join"))
    assert ran(made) == ["cut", "join"]
    (said,) = [each for each in caplog.messages if "runs, too" in each]
    assert said.startswith("step cut runs, too: its output ")
    caplog.clear()
    again(site, archived, only("join"))
    again(site, lacking, Choice(("join",), reuse=True))
    assert not [each for each in caplog.messages if "runs, too" in each]


def test_what_was_taken_says_so_and_nothing_of_how_it_ran(site: Local, other_site: Local, tmp_path: Path) -> None:
    old = first(site)
    kept = tmp_path / "kept.tgz"
    shutil.copyfile(site.archive(old), kept)
    shutil.rmtree(site.top)
    made = again(other_site, kept, starting("join"))
    shown = tasks(made)["each[1]"]
    assert (shown.state, shown.reason, shown.tries) == (TaskState.COMPLETED, f"taken from {old.id}", 0)
    assert {shown.job_id, shown.node, shown.host, shown.started, shown.ended, shown.exit_code, shown.command} == {None}
    outside = [each for each in files_with(str(site.top), made.layout.root) if not each.startswith("provenance/")]
    assert outside == []
    assert not list(made.layout.tasks.glob("*/000/*/*/0/out/*")) or ran(made) == ["join"]


def test_a_step_that_there_is_not(site: Local, archived: Path) -> None:
    with pytest.raises(UsageError, match="nothing: not a step of the workflow; they are cut, each, join"):
        site.begin(archived, choice=only("nothing"))
    assert os.listdir(site.config.workflows_dir) == []


def test_a_rerun_of_a_part_can_be_taken_from(site: Local, archived: Path) -> None:
    second = again(site, archived, starting("join"))
    shutil.rmtree(second.layout.root)
    third = again(site, site.config.bee_archive_dir / f"{second.id}.tgz", only("cut"))
    assert (ran(third), text_of(third, "all")) == (["cut"], GOOD)
    assert tasks(third)["each[0]"].reason == f"taken from {second.id}"
    fourth = again(site, third)
    assert (ran(fourth), text_of(fourth, "all")) == ([], GOOD)


def test_a_step_that_is_to_be_taken_must_take_what_it_took(site: Local) -> None:
    old = first(site)
    with pytest.raises(InputError, match=r"step each: its input word is not what it was .* add --from each"):
        site.begin(old, choice=starting("cut"), settings=("words=[a, x]",))
    with pytest.raises(InputError, match=r"step each: .* add --from each|step cut: .* add --from cut"):
        site.begin(old, choice=starting("join"), settings=("words=[b]",))
    made = again(site, old, starting("cut"), "tail=2")
    assert (ran(made), text_of(made, "all")) == (["cut", "join"], "made a\nmade b\ntwo\nthree\n")
    copy = site.write("copies/in put.txt", "one\ntwo\nthree\n")
    assert ran(again(site, old, starting("join"), f"data={copy}")) == ["join"]


def test_what_did_not_go_well_runs(site: Local) -> None:
    flag = site.write("broken", "")
    text = WIDTHS.replace("[cat]", f"[sh, -c, '[ ! -e {flag} ] && cat \"$@\"', sh]")
    old = site.submit(text, {"names": ["a", "b"]})
    assert state(old) is WorkflowState.ARCHIVED_FAILED
    flag.unlink()
    made = again(site, old, starting("all"))
    assert ran(made) == ["all", "show[0]", "show[1]"]
    again_ = site.rerun(old, choice=REUSE)
    assert ran(again_) == ["all", "show[0]", "show[1]"]
    assert tasks(again_)["list"].reason == f"taken from {old.id}"


# A width that a task decides.
WIDTHS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {names: 'string[]', suffix: {type: string, default: x}}
outputs: {all: {type: File, outputSource: all/o}}
steps:
  list:
    in: {names: names}
    out: [files]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'for n in "$@"; do echo $n > $n.txt; done', sh]
      inputs: {names: {type: 'string[]', inputBinding: {}}}
      outputs: {files: {type: 'File[]', outputBinding: {glob: '*.txt'}}}
  show:
    scatter: f
    in: {f: list/files, suffix: suffix}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [cat]
      inputs: {f: {type: File, inputBinding: {}}, suffix: string}
      outputs: {o: stdout}
  all:
    in: {files: show/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [cat]
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
"""


def test_widths_that_tasks_decide(site: Local) -> None:
    old = site.submit(WIDTHS, {"names": ["a", "b"]})
    made = again(site, old, only("list"))
    assert (ran(made), text_of(made, "all")) == (["list"], "a\nb\n")
    made = again(site, old, starting("all"))
    assert (ran(made), text_of(made, "all")) == (["all"], "a\nb\n")
    assert ran(again(site, old)) == []
    # Of another width, what was made for the old one is not taken.
    made = again(site, old, only("list"), "names=[c, d, e]")
    assert ran(made) == ["list", "show[0]", "show[1]", "show[2]"]
    with pytest.raises(InputError, match="step show: the input suffix is not what it was"):
        site.begin(old, choice=only("list"), settings=("suffix=y",))


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2)])
def test_elements_of_another_size(site: Local, other_site: Local, before: int, after: int) -> None:
    old = site.submit(WIDTHS, {"names": ["a", "b", "c"]}, tasks_per_element=before)
    (other_site.top / "bee.conf").write_text(
        f"[DEFAULT]\nbee_workdir = {other_site.top}/bee\n[slurm]\ntasks_per_element = {after}\n"
    )
    archive = Path(site.archive(old))
    assert ran(again(other_site, archive)) == []
    made = again(other_site, archive, REUSE, "names=[a, x, c]")
    assert (ran(made), text_of(made, "all")) == (["all", "list", "show[0]", "show[1]", "show[2]"], "a\nc\nx\n")


# -- what is affected --------------------------------------------------------------------------------------------------


def test_an_element_of_which_some_tasks_are_taken(site: Local, archived: Path) -> None:
    (site.top / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {site.top}/bee\n[slurm]\ntasks_per_element = 2\n")
    made = again(site, archived, REUSE, "words=[b, x, a, y]")
    assert ran(made) == ["each[1]", "each[3]", "join"]
    assert text_of(made, "all") == "made b\nmade x\nmade a\nmade y\nthree\n"


@pytest.mark.parametrize(
    ("settings", "runs", "text"),
    [
        ((), [], GOOD),
        (("tail=1",), [], GOOD),
        (("note=of no use",), [], GOOD),
        (("tail=2",), ["cut", "join"], "made a\nmade b\ntwo\nthree\n"),
        (("words=[b, a]",), ["join"], "made b\nmade a\nthree\n"),
        (("words=[b, b, c]",), ["each[2]", "join"], "made b\nmade b\nmade c\nthree\n"),
        (("words=[]",), ["join"], "three\n"),
    ],
)
def test_only_what_is_affected(
    site: Local, archived: Path, settings: tuple[str, ...], runs: list[str], text: str
) -> None:
    made = again(site, archived, REUSE, *settings)
    assert (ran(made), text_of(made, "all")) == (runs, text)


@pytest.mark.parametrize(
    ("name", "text", "runs"),
    [
        ("in put.txt", "one\ntwo\nthree\n", []),
        ("in put.txt", "one\ntwo\nTHREE\n", ["cut", "join"]),
        # Its name is part of the command.
        ("other.txt", "one\ntwo\nthree\n", ["cut", "join"]),
    ],
)
@pytest.mark.parametrize("limit_mib", [0, 1])
def test_contents_count_and_names_but_not_places_or_times(
    site: Local, name: str, text: str, runs: list[str], limit_mib: int
) -> None:
    old = first(site, input_copy_limit_mib=limit_mib)
    copy = site.write(f"copies/{name}", text)
    os.utime(copy, (1, 1))
    assert ran(again(site, old, REUSE, f"data={copy}")) == runs


@pytest.mark.parametrize("how", ["written", "replaced by an older one", "replaced by the same"])
@pytest.mark.parametrize("limit_mib", [0, 1])
def test_an_input_that_was_changed_since_is_not_what_the_tasks_took(
    site: Local, caplog: pytest.LogCaptureFixture, limit_mib: int, how: str
) -> None:
    data = site.write("data/in put.txt", "one\ntwo\nthree\n")

    def change() -> None:
        if how == "written":
            data.write_text("one\ntwo\nfour\n")
        else:
            older = site.write(
                "older.txt", "one\ntwo\nother\n" if how == "replaced by an older one" else data.read_text()
            )
            os.utime(older, (1, 1))
            older.rename(data)

    job = {"words": ["a", "b"], "data": {"class": "File", "path": str(data)}}
    old = site.submit(DOCUMENT, job, meanwhile=change, input_copy_limit_mib=limit_mib)
    told = f"{data}: changed at "
    assert [each for each in caplog.messages if each.startswith(told)]
    assert ran(again(site, old, REUSE)) == ["cut", "join"]
    asked = [each for each in caplog.messages if each.startswith(f"{data}: was changed after")]
    assert len(asked) == 1
    other = site.write("other.txt", "1\n")
    again(site, old, REUSE, f"data={other}")
    assert [each for each in caplog.messages if each.startswith(f"{data}: was changed after")] == asked


def without(pattern: str) -> Any:
    def change(top: Path) -> None:
        found = [path for path in top.glob(pattern) if path.is_file()]
        assert found
        for path in found:
            path.unlink()

    return change


def test_what_an_archive_does_not_have_whole_runs(site: Local, archived: Path, tmp_path: Path) -> None:
    kept = repacked(archived, tmp_path / "changed", without("tasks/*-each/000/000001/*/1/out/*"))
    made = again(site, kept)
    assert (ran(made), text_of(made, "all")) == (["each[1]", "join"], GOOD)


def test_what_is_not_what_the_task_made_runs(site: Local, archived: Path, tmp_path: Path) -> None:
    def change(top: Path) -> None:
        (path,) = (path for path in top.glob("tasks/*-each/000/000001/*/1/out/*"))
        path.chmod(0o644)
        path.write_text("MADE b\n")

    kept = repacked(archived, tmp_path / "changed", change)
    for choice, runs in ((REUSE, ["each[1]", "join"]), (starting("join"), ["each[1]", "join"])):
        made = again(site, kept, choice)
        assert (ran(made), text_of(made, "all")) == (runs, GOOD)


def test_an_output_that_is_packed_under_another_name_is_found(site: Local) -> None:
    # join's output is the workflow's: one file, and packed once.
    old = first(site)
    listed = subprocess.run(["tar", "-tzf", site.archive(old)], check=True, capture_output=True, text=True).stdout
    assert not [line for line in listed.splitlines() if "-join/" in line and "/out/" in line and line[-1] != "/"]
    assert ran(again(site, old)) == []


PASSING = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, SubworkflowFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {text: {type: string, default: hello}, also: {type: File, secondaryFiles: [.idx]}, d: Directory}
outputs:
  out: {type: File, outputSource: show/o}
  folder: {type: Directory, outputSource: make/d}
  same: {type: File, outputSource: pass/same}
steps:
  make:
    in: {text: text, also: also, d: d}
    out: [d, f, n]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'mkdir -p d/empty; echo $0 > d/inner; cat $1 > f; echo 3 > n', ]
      inputs:
        text: {type: string, inputBinding: {position: 1}}
        also: {type: File, secondaryFiles: [.idx], inputBinding: {position: 2}}
        d: {type: Directory, inputBinding: {position: 3}}
      outputs:
        d: {type: Directory, outputBinding: {glob: d}}
        f: {type: File, outputBinding: {glob: f}}
        n: {type: int, outputBinding: {glob: n, loadContents: true, outputEval: '$(parseInt(self[0].contents))'}}
  twice:
    in: {n: make/n}
    out: [n]
    run:
      class: ExpressionTool
      inputs: {n: int}
      outputs: {n: int}
      expression: '${return {n: inputs.n * 2};}'
  pass:
    in: {f: make/f, n: twice/n}
    out: [same, o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo passed $0']
      inputs: {f: File, n: {type: int, inputBinding: {}}}
      outputs:
        same: {type: File, outputBinding: {outputEval: '$(inputs.f)'}}
        o: stdout
  show:
    in: {f: pass/same, o: pass/o, n: {source: twice/n, valueFrom: '$(self + 1)'}, d: make/d}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat $1 $2 $3/inner; echo $0', ]
      inputs:
        n: {type: int, inputBinding: {position: 0}}
        f: {type: File, inputBinding: {position: 1}}
        o: {type: File, inputBinding: {position: 2}}
        d: {type: Directory, inputBinding: {position: 3}}
      outputs: {o: stdout}
"""


def passing(site: Local, **record: Any) -> WorkflowDir:
    also = site.write("a/also", "also\n")
    site.write("a/also.idx", "index")
    site.write("a/d/x", "x")
    folder = {"class": "Directory", "path": str(site.top / "a/d")}
    return site.submit(PASSING, {"also": {"class": "File", "path": str(also)}, "d": folder}, **record)


@pytest.mark.parametrize(
    ("choice", "settings", "runs"),
    [
        (REUSE, (), []),
        (REUSE, ("text=bye",), ["make", "pass", "show"]),
        (only("make"), (), ["make"]),
        (only("pass"), (), ["pass"]),
        (starting("pass"), (), ["pass", "show"]),
        (starting("show"), (), ["show"]),
    ],
)
def test_files_that_are_passed_on(site: Local, choice: Choice, settings: tuple[str, ...], runs: list[str]) -> None:
    old = passing(site)
    said = "also\npassed 6\n{}\n7\n"
    assert text_of(old, "out") == said.format("hello")
    made = again(site, old, choice, *settings)
    assert (ran(made), text_of(made, "same")) == (runs, "also\n")
    assert text_of(made, "out") == said.format("bye" if settings else "hello")
    assert sorted(str(each.relative_to(made.layout.outputs)) for each in made.layout.outputs.rglob("d/*")) == [
        *("d/empty", "d/inner"),
    ]
    # And that can be taken again from an archive whose directory is gone.
    shutil.rmtree(made.layout.root)
    third = again(site, site.config.bee_archive_dir / f"{made.id}.tgz", starting("show"))
    assert (ran(third), text_of(third, "same")) == (["show"], "also\n")


@pytest.mark.parametrize(("name", "text"), [("also.idx", "another"), ("d/x", "y"), ("d/y", "")])
def test_secondary_files_and_folders_count(site: Local, name: str, text: str) -> None:
    old = passing(site)
    site.write(f"a/{name}", text)
    settings = (f"also={site.top}/a/also", f"d={site.top}/a/d")
    assert ran(again(site, old, REUSE, *settings)) == ["make", "pass", "show"]


def test_a_folder_that_nobody_recorded_is_not_taken_for_the_same(site: Local) -> None:
    assert ran(again(site, passing(site, input_copy_limit_mib=0))) == ["make", "pass", "show"]
    assert ran(again(site, passing(site), REUSE, f"d={site.top}/a/d", f"also={site.top}/a/also")) == []


# Its output is its input.
SAME = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: "true"
inputs: {f: File}
outputs: {same: {type: File, outputBinding: {outputEval: $(inputs.f)}}}
"""


def test_an_input_that_a_taken_task_passed_on_stays(site: Local) -> None:
    given, copy = site.write("a/x.txt", "x\n"), site.write("b/x.txt", "x\n")
    old = site.submit(SAME, {"f": {"class": "File", "path": str(given)}})
    given.unlink()
    made = again(site, old, REUSE, f"f={copy}")
    assert (ran(made), text_of(made, "same")) == ([], "x\n")


CHANGES = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {REQUIRED}
hints: {HINTED}
baseCommand: [echo, $(runtime.cores)]
inputs: {x: {type: string, default: x}}
outputs: {o: stdout}
"""


@pytest.mark.parametrize(
    ("required", "hinted", "runs"),
    [
        ("", "", []),
        ("WorkReuse: {enableReuse: true}", "", []),
        ("WorkReuse: {enableReuse: false}", "", ["w"]),
        ("", "WorkReuse: {enableReuse: false}", ["w"]),
        ("InlineJavascriptRequirement: {}, WorkReuse: {enableReuse: $(inputs.x == 'y')}", "", ["w"]),
    ],
)
def test_a_tool_may_forbid_it(site: Local, required: str, hinted: str, runs: list[str]) -> None:
    text = CHANGES.replace("REQUIRED", required).replace("HINTED", hinted).replace("{}\nhints: {}\n", "{}\n")
    assert ran(again(site, site.submit(text))) == runs


def test_other_modules_are_other_software(site: Local) -> None:
    init = site.write("init.sh", "module() { :; }\n")
    text = CHANGES.replace("REQUIRED", "").replace("HINTED", "SoftwareRequirement: {packages: [{package: solver}]}")
    conf = f"[DEFAULT]\nbee_workdir = {site.top}/bee\n[modules]\ninit = {init}\nsolver = solver/VERSION\n"
    (site.top / "bee.conf").write_text(conf.replace("VERSION", "1"))
    old = site.submit(text)
    assert ran(again(site, old)) == []
    (site.top / "bee.conf").write_text(conf.replace("VERSION", "2"))
    assert ran(again(site, old)) == ["w"]


def test_what_the_shell_offers_is_software_too(
    site: Local, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LOADEDMODULES", "solver/1")
    old = site.submit(CHANGES.replace("REQUIRED", "").replace("HINTED", ""))
    assert ran(again(site, old)) == []
    monkeypatch.setenv("LOADEDMODULES", "solver/2")
    assert ran(again(site, old)) == ["w"]
    assert "what has no image runs again: other modules are loaded: solver/2; then: solver/1" in caplog.messages
    monkeypatch.setenv("LOADEDMODULES", "solver/1")
    monkeypatch.setenv("PATH", f"{site.top}/bin:{os.environ['PATH']}")
    assert ran(again(site, old)) == ["w"]


def test_variables_that_nobody_recorded_are_not_taken_for_the_same(site: Local) -> None:
    old = site.submit(CHANGES.replace("REQUIRED", "").replace("HINTED", ""))
    conf = f"[DEFAULT]\nbee_workdir = {site.top}/bee\n[task]\npreserve_environment = OMP_*\n"
    (site.top / "bee.conf").write_text(conf)
    assert ran(again(site, old)) == ["w"]


# -- what a stranger's archive may say ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "old", "new"),
    [
        ("tasks/*-each/000/000001/result.json", r'"folder": "tasks/[^"]*"', '"folder": "OUTSIDE"'),
        ("tasks/*-each/000/000001/result.json", r'"folder": "tasks/[^"]*"', '"folder": "../../OUTSIDE"'),
        ("tasks/*-each/000/000001/result.json", r'"folder": "tasks/[^"]*"', '"folder": "cwl"'),
        ("tasks/*-each/000/000001/result.json", r'"location": "tasks/[^"]*"', '"location": "tasks/../../../x"'),
        ("tasks/*-each/000/000001/result.json", r'"location": "tasks/[^"]*"', '"location": "%2Fetc%2Fpasswd"'),
        (f"{OF_EACH}/result.json", r'"folder": "tasks/[^"]*"', '"folder": "tasks"'),
        (f"{OF_EACH}/result.json", r'"folder": "tasks/[^"]*"', '"folder": ""'),
        (f"{OF_EACH}/result.json", r'"folder": "tasks/([^/]*)/[^"]*"', r'"folder": "tasks/\1"'),
        (f"{OF_EACH}/result.json", r'"location": "tasks/[^"]*"', '"location": "."'),
        (f"{OF_EACH}/result.json", r'"location": "tasks/[^"]*"', '"location": "tasks"'),
        (f"{OF_EACH}/result.json", r'"location": "tasks/[^"]*"', '"location": "workflow.json"'),
        (f"{OF_EACH}/result.json", r'("location": "(tasks(/[^"/]*){5})[^"]*")', r'"location": "\2"'),
        ("omitted.json", r"the same file as [^\"]*", "the same file as ../../../x"),
        ("omitted.json", r"the same file as [^\"]*", "the same file as OUTSIDE"),
    ],
)
def test_names_that_lead_out_of_an_archive_are_refused(
    site: Local, archived: Path, tmp_path: Path, pattern: str, old: str, new: str
) -> None:
    outside = tmp_path / "precious"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/file").write_text("x")

    def change(top: Path) -> None:
        (path,) = top.glob(pattern)
        text = path.read_text()
        path.write_text(re.sub(old, new.replace("OUTSIDE", str(outside)), text))
        assert path.read_text() != text

    kept = repacked(archived, tmp_path / "changed", change)
    with pytest.raises(ArchiveError, match="unsafe"):
        site.begin(kept, choice=REUSE, trust=True)
    assert (outside / "sub/file").read_text() == "x"
    assert os.listdir(site.config.workflows_dir) == []


SECRET = "a secret of this host\n"


def pointing(location: str, pattern: str) -> Any:
    """Have a result point elsewhere, with the checksum of what is there."""

    def change(top: Path) -> None:
        (path,) = top.glob(pattern)
        text = re.sub(r'"location": ?"tasks/[^"]*"', f'"location": "{location}"', path.read_text())
        sha1 = hashlib.sha1(SECRET.encode(), usedforsecurity=False).hexdigest()
        path.write_text(re.sub(r'"checksum": ?"[^"]*"', f'"checksum": "sha1${sha1}"', text))

    return change


@pytest.mark.parametrize("pattern", [f"{OF_EACH}/result.json", f"{OF_EACH}/*/tasks.jsonl"])
def test_a_result_that_is_a_file_of_the_host_is_not_taken(
    site: Local, archived: Path, tmp_path: Path, pattern: str
) -> None:
    secret = site.write("secret", SECRET)

    def change(top: Path) -> None:
        pointing(f"file://{secret}", pattern)(top)
        if pattern.endswith("jsonl"):
            # Where there is no result, it counts what the attempts say.
            (path,) = top.glob(f"{OF_EACH}/result.json")
            path.unlink()

    kept = repacked(archived, tmp_path / "changed", change)
    with pytest.raises(TrustError, match=rf"file://{secret}: reads a file or folder of this host") as caught:
        site.begin(kept)
    assert caught.value.exit_code == 81
    for choice in (REUSE, starting("join")):
        made = again(site, kept, choice, trust=True)
        assert (ran(made), text_of(made, "all")) == (["each[1]", "join"], GOOD)


def test_a_result_is_refused_that_names_a_path(site: Local, archived: Path, tmp_path: Path) -> None:
    secret = site.write("secret", SECRET)

    def change(top: Path) -> None:
        (path,) = top.glob(f"{OF_EACH}/result.json")
        path.write_text(re.sub(r'"location": "tasks/[^"]*"', f'"path": "{secret}"', path.read_text()))

    kept = repacked(archived, tmp_path / "changed", change)
    with pytest.raises(TrustError, match=re.escape(str(secret))):
        site.begin(kept)
    with pytest.raises(ArchiveError, match="unsafe"):
        site.begin(kept, choice=REUSE, trust=True)


def test_an_input_that_is_only_referred_to_is_taken_as_long_as_it_is_what_it_was(site: Local) -> None:
    given, copy = site.write("a/x.txt", "x\n"), site.write("b/x.txt", "x\n")
    old = site.submit(SAME, {"f": {"class": "File", "path": str(given)}}, input_copy_limit_mib=0)
    assert ran(again(site, old)) == []
    given.write_text("y\n")
    assert ran(again(site, old, REUSE, f"f={copy}")) == ["w"]
