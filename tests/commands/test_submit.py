"""bee-submit refuses what is wrong before it asks Slurm or writes anything, with file and line where there is one."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from beeflow import cli
from beeflow.commands import cwl_runner, submit
from beeflow.workdir import MARK

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  f: {type: File, inputBinding: {position: 1}}
  n: {type: int, default: 1}
outputs: {o: stdout}
"""
FOLDER_TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: ls
inputs: {d: Directory?, dd: "Directory[]?"}
outputs: []
"""


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the command a bee.conf of its own and a place to stand in; no Slurm is there."""
    (tmp_path / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {tmp_path / 'bee'}\n")
    monkeypatch.setenv("BEE_CONFIG", str(tmp_path / "bee.conf"))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    (tmp_path / "tool.cwl").write_text(TOOL)
    (tmp_path / "folder.cwl").write_text(FOLDER_TOOL)
    (tmp_path / "in.txt").write_text("x\n")
    (tmp_path / "in\udcff.txt").write_text("x\n")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*argv: str) -> int:
    """Run bee-submit as a program does."""
    return cli.guarded(submit.main, argv)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on stderr."""
    return capsys.readouterr().err


def left_behind(workdir: Path) -> list[str]:
    """List what was written, but for the schema cache."""
    kept = {"cache", MARK}
    return [name for name in os.listdir(workdir / "bee") if name not in kept] if (workdir / "bee").exists() else []


EXTENSION = "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n"

DOCUMENTS = [
    ("no such document", None, 65, "no such CWL document"),
    ("not YAML", "a: [", 65, "bad.cwl"),
    ("a list", "[1, 2]", 65, "mapping"),
    ("no version", "class: CommandLineTool\ninputs: []\noutputs: []\n", 65, "cwlVersion"),
    ("unknown field", TOOL + "nonsense: 1\n", 65, "bad.cwl:8:1"),
    ("wrong type", TOOL.replace("type: int", "type: integer"), 65, "bad.cwl:6"),
    ("an Operation", "cwlVersion: v1.2\nclass: Operation\ninputs: []\noutputs: []\n", 33, "Operation"),
    ("an extension", EXTENSION + TOOL + "requirements: {'cwltool:ShmSize': {shmSize: 1m}}\n", 33, "ShmSize"),
    ("software", TOOL + "requirements: {SoftwareRequirement: {packages: {x: {}}}}\n", 33, "software x; say"),
    ("an image", TOOL + "requirements: {DockerRequirement: {dockerPull: 'no.such/image:1'}}\n", 33, "no.such/image:1"),
]


@pytest.mark.parametrize(("text", "code", "words"), [case[1:] for case in DOCUMENTS], ids=[c[0] for c in DOCUMENTS])
def test_documents(workdir: Path, capsys: pytest.CaptureFixture[str], text: str | None, code: int, words: str) -> None:
    if text is not None:
        (workdir / "bad.cwl").write_text(text)
    assert run("bad.cwl", "--f", "in.txt") == code
    assert words in said(capsys)
    assert left_behind(workdir) == []


INPUTS = [
    ("missing input", {}, "Missing required input parameter 'f'"),
    ("missing file", {"f": {"class": "File", "path": "nowhere.txt"}}, "nowhere.txt: no such File"),
    ("a folder", {"f": {"class": "File", "path": "folder"}}, "a Directory, not a File"),
    ("wrong type", {"f": {"class": "File", "path": "in.txt"}, "n": "many"}, "n"),
    ("not UTF-8", {"f": {"class": "File", "location": "in%FF.txt"}}, "in\\xff.txt: its name is not UTF-8"),
    ("far away", {"f": {"class": "File", "location": "https://example.org/x"}}, "example.org"),
]


@pytest.mark.parametrize(("job", "words"), [case[1:] for case in INPUTS], ids=[case[0] for case in INPUTS])
def test_inputs(workdir: Path, capsys: pytest.CaptureFixture[str], job: object, words: str) -> None:
    (workdir / "job.json").write_text(json.dumps(job, indent=1))
    assert run("tool.cwl", "job.json") == 66
    message = said(capsys)
    assert words in message
    assert "job.json" in message
    assert left_behind(workdir) == []


def test_a_missing_file_is_told_with_its_line(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workdir / "job.yml").write_text("n: 3\nf:\n  class: File\n  path: nowhere.txt\n")
    assert run("tool.cwl", "job.yml") == 66
    assert "job.yml:2:1: input f:" in said(capsys)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["tool.cwl", "nowhere.yml"], 66, "no such file of inputs"),
        (["tool.cwl", "--f", "in.txt", "--no-such-input", "1"], 66, "--no-such-input"),
        (["tool.cwl", "--f", "in.txt", "--n", "many"], 66, "many"),
        (["tool.cwl", "--f", ""], 66, "argument --f: an empty path is no File; leave it out for none"),
        (["folder.cwl", "--d", ""], 66, "argument --d: an empty path is no Directory"),
        (["folder.cwl", "--dd", "folder", "--dd", ""], 66, "argument --dd: an empty path is no Directory"),
        (["tool.cwl", "--f", "in\udcff.txt"], 66, "in\\xff.txt: its name is not UTF-8"),
        (["tool.cwl", "--f", "in.txt", "--wait"], 2, "stand before the document"),
        (["--time", "soon", "tool.cwl"], 2, "soon"),
        (["--mail-type", "END,NED", "tool.cwl"], 2, "--mail-type: 'NED' is none of BEGIN, END, FAIL, ALL, NONE"),
        (["--outdir", "in.txt", "tool.cwl", "--f", "in.txt"], 74, "/in.txt is not a folder"),
        (["--outdir", "in.txt/new/out", "tool.cwl", "--f", "in.txt"], 74, "/in.txt is not a folder"),
    ],
)
def test_command_lines(
    workdir: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, words: str
) -> None:
    assert run(*argv) == code
    assert words in said(capsys)
    assert left_behind(workdir) == []


def test_mail_types_are_taken_in_any_case() -> None:
    made = argparse.ArgumentParser()
    cli.add_sbatch_options(made)
    assert made.parse_args(["--mail-type", "begin,End"]).mail_type == "BEGIN,END"


def test_the_standard_runner_says_where_nothing_can_go(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.guarded(cwl_runner.main, ["--outdir", "in.txt", "tool.cwl", "--f", "in.txt"]) == 1
    assert "/in.txt is not a folder" in said(capsys)
    assert left_behind(workdir) == []


def test_a_scatter_over_arrays_of_different_lengths(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workdir / "bad.cwl").write_text(
        """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {a: {type: 'int[]', default: [1, 2]}, b: {type: 'int[]', default: [1]}}
outputs: []
steps:
  add:
    scatter: [a, b]
    scatterMethod: dotproduct
    in: {a: a, b: b}
    out: []
    run: {class: CommandLineTool, baseCommand: 'true', inputs: {a: int, b: int}, outputs: []}
"""
    )
    assert run("bad.cwl") in (66, 69)
    assert left_behind(workdir) == []


def test_no_slurm_is_told_with_the_remedy(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if any(path.exists() for path in submit_sites()):
        pytest.skip("this host has a site's Slurm")
    assert run("tool.cwl", "--f", "in.txt") == 69
    assert "bee-slurm up" in said(capsys)
    assert left_behind(workdir) == []


def submit_sites() -> tuple[Path, ...]:
    """Return where a site's slurm.conf would be."""
    from beeflow.scheduler.target import SITE_CONFS

    return SITE_CONFS
