"""The main job on a real Slurm: submit, walk, archive, list, query, copy, re-execute."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import EXAMPLES, archive, directory, job_id, query, submit, tasks, wait_state

pytestmark = pytest.mark.e2e


def unpack(slurm: PrivateSlurm, found: str, folder: Path) -> None:
    """Unpack an archive as anyone would."""
    subprocess.run(["tar", "-xzf", archive(slurm, found), "-C", folder], check=True)


def test_a_workflow_runs_archives_and_leaves_nothing_on_the_login_node(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = submit(slurm, "--name", "first", EXAMPLES / "diamond/diamond.cwl", EXAMPLES / "diamond/diamond.yml")
    # Those of this test's Slurm: others run tests on this host, too.
    mine = f"SLURM_CONF={slurm.env['SLURM_CONF']}"
    listed = [line for line in slurm.slurm("ps", "-eww", "-o", "args", "e").splitlines() if mine in line]
    assert [line for line in listed if "beeflow.commands" in line] == []
    assert any("slurmctld" in line for line in listed)
    wait_state(slurm, found, "Archived")
    assert {name: task["state"] for name, task in tasks(slurm, found).items()} == dict.fromkeys(
        ("cat", "grep_a", "grep_b", "tar"), "COMPLETED"
    )
    unpack(slurm, found, tmp_path)
    top = tmp_path / found
    assert [each.name for each in tmp_path.iterdir()] == [found]
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "manifest-sha256.txt"], cwd=top, check=True)
    listed_files = (top / "manifest-sha256.txt").read_text().count("\n")
    assert listed_files == sum(1 for each in top.rglob("*") if each.is_file()) - 1
    assert {each.name for each in (top / "outputs").iterdir()} == {"matches.tar.gz"}
    assert (top / "log/passes.log").read_text()
    with tarfile.open(top / "outputs/matches.tar.gz") as made:
        assert {each.name for each in made if each.isreg()} == {"matches_a.txt", "matches_b.txt"}


def test_the_archive_keeps_the_metadata_the_original_kept(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl")
    wait_state(slurm, found, "Archived")
    unpack(slurm, found, tmp_path)
    (task,) = json.loads((tmp_path / found / "metadata/001-cat.json").read_text())
    assert task["workflow_id"] == found
    assert task["name"] == "cat"
    assert task["job_id"] == job_id(slurm, found, "001-cat.0")
    assert task["state"] == "COMPLETED"
    assert task["host"]
    assert task["command"].startswith("cat ")
    assert task["inputs"]
    assert task["outputs"]
    assert {"max_rss_kib", "container_runtime", "container_hash", "task_id", "cpu_s", "started", "ended"} <= set(task)
    spec = tmp_path / found / "tasks/001-cat"
    assert "runner/__main__.py" in (spec / "job.sh").read_text()


def test_a_failure_is_told_with_its_reason_and_the_rest_goes_on(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "failing.cwl"
    document.write_text(
        """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {codes: {type: 'int[]', default: [0, 3, 0]}}
outputs: {each: {type: 'File[]', outputSource: use/o}, all: {type: File, outputSource: gather/o}}
steps:
  make:
    scatter: code
    in: {code: codes}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo code $0; echo this went wrong >&2; exit $0']
      inputs: {code: {type: int, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  use:
    scatter: f
    in: {f: make/o}
    out: [o]
    run: &cat
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
  gather:
    in: {f: use/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""
    )
    waited = slurm.bee("bee-submit", "--wait", document, check=False)
    assert waited.returncode == 1
    assert "make[1] FAILED: the command ended with exit code 3" in waited.stderr
    found = waited.stdout.split("id is ")[1][:36]
    states = {name: task["state"] for name, task in tasks(slurm, found).items()}
    assert states == {
        "make[0]": "COMPLETED",
        "make[1]": "FAILED",
        "make[2]": "COMPLETED",
        "use[0]": "COMPLETED",
        "use[1]": "DEP_FAIL",
        "use[2]": "COMPLETED",
        "gather": "DEP_FAIL",
    }
    assert query(slurm, found)["state"] == "Archived/Failed"
    each = json.loads((directory(slurm, found) / "outputs.json").read_text())["each"]
    assert [made and made["class"] for made in each] == ["File", None, "File"]
    failed = tasks(slurm, found)["make[1]"]
    assert failed["exit_code"] == 3
    assert failed["stderr_tail"] == ["this went wrong"]
    assert "this went wrong" in slurm.bee("bee-query", found).stdout
    # An array of two kinds of files: what completed stays, and one sbatch made each step.
    assert len(list((directory(slurm, found) / "jobs").glob("[0-9]*.json"))) == 3


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("[sh, -c, 'kill -SEGV $$']", "SIGSEGV"),
        ("[no-such-program-here]", "not found"),
        ("[sh, -c, 'exit 0']", "Did not find output file"),
    ],
    ids=["signal", "missing-program", "missing-output"],
)
def test_why_a_command_failed(slurm: PrivateSlurm, tmp_path: Path, command: str, reason: str) -> None:
    document = tmp_path / "tool.cwl"
    document.write_text(
        f"{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: {command}, inputs: [],"
        " outputs: {o: {type: File, outputBinding: {glob: made.txt}}}}"
    )
    found = submit(slurm, document)
    assert reason in wait_state(slurm, found, "Archived/Failed")["reason"]


NAMES = [
    "two  spaces and \"quotes\" and 'more'",
    "line\nbreak\n#SBATCH --hold\n",
    "$(touch pwned) `touch pwned` ; touch pwned",
    "--hold",
    "🐝 ü \u202e",
    "x" * 5000,
]


@pytest.mark.parametrize("name", NAMES, ids=["quotes", "lines", "shell", "option", "unicode", "long"])
def test_names_are_kept_and_run_nothing(slurm: PrivateSlurm, name: str) -> None:
    found = submit(slurm, f"--name={name}", EXAMPLES / "diamond/cat.cwl", "--texts", EXAMPLES / "diamond/lorem.txt")
    assert wait_state(slurm, found, "Archived")["name"] == name
    listed = json.loads(slurm.bee("bee-list", "--json").stdout)
    assert [each["name"] for each in listed if each["id"] == found] == [name]
    assert not list(directory(slurm, found).rglob("pwned"))
    assert not (slurm.home / "pwned").exists()
    text = slurm.bee("bee-list").stdout
    assert len([line for line in text.splitlines() if found in line]) == 1


def test_no_start_then_start(slurm: PrivateSlurm) -> None:
    found = submit(slurm, "--no-start", EXAMPLES / "diamond/diamond.cwl")
    assert query(slurm, found)["state"] == "Submitted"
    assert not list((directory(slurm, found) / "jobs").iterdir())
    slurm.bee("bee-start", found[:8])
    wait_state(slurm, found, "Archived")
    again = slurm.bee("bee-start", found, check=False)
    assert again.returncode == 4
    assert "bee-rerun" in again.stderr


def test_use_archive_false(slurm: PrivateSlurm, tmp_path: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(slurm.bee_conf.read_text() + "use_archive = False\n")
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl", env={"BEE_CONFIG": str(conf)})
    wait_state(slurm, found, "Completed")
    assert not archive(slurm, found).exists()
    assert (directory(slurm, found) / "outputs/matches.tar.gz").exists()


def test_passes_inside_bee_submit(slurm: PrivateSlurm, tmp_path: Path) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(slurm.bee_conf.read_text() + "delete_completed_workflow_dirs = yes\n[slurm]\ndrive = here\n")
    done = slurm.bee("bee-submit", "--wait", EXAMPLES / "diamond/diamond.cwl", env={"BEE_CONFIG": str(conf)})
    found = done.stdout.split("id is ")[1][:36]
    assert query(slurm, found)["state"] == "Archived"
    assert set(tasks(slurm, found)) == {"cat", "grep_a", "grep_b", "tar"}
    assert not directory(slurm, found).exists()


def test_copy_then_rerun(slurm: PrivateSlurm, tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("a bee\na flower\n")
    found = submit(slurm, "--name", "one", EXAMPLES / "diamond/diamond.cwl", "--texts", given)
    wait_state(slurm, found, "Archived")
    copy = tmp_path / f"{found}.tgz"
    assert slurm.bee("bee-copy", found[:8], tmp_path).stdout.strip() == str(copy)
    assert copy.read_bytes() == archive(slurm, found).read_bytes()
    assert slurm.bee("bee-copy", found, tmp_path).stdout.strip() == f"{copy} (there already)"
    copy.write_bytes(b"another file")
    refused = slurm.bee("bee-copy", found, tmp_path, check=False)
    assert refused.returncode == 75
    assert "nothing is overwritten" in refused.stderr
    assert copy.read_bytes() == b"another file"
    copy.unlink()
    slurm.bee("bee-copy", found, copy)
    # The input is gone: the archive has it.
    given.unlink()
    again = slurm.bee("bee-rerun", "--name", "two", "--wait", copy).stdout.split("id is ")[1][:36]
    first, second = query(slurm, found), query(slurm, again)
    assert (second["name"], second["state"], second["parent"]) == ("two", "Archived", found)
    jobs = [{task["job_id"] for task in each["tasks"]} for each in (first, second)]
    assert not jobs[0] & jobs[1]
    scripts = [path.read_text() for path in directory(slurm, again).rglob("*.sh")]
    assert scripts
    assert not any(found in script for script in scripts)
    old = directory(slurm, found) / "tasks/001-cat"
    new = directory(slurm, again) / "tasks/001-cat"
    made = [sorted(path.read_bytes() for path in each.rglob("out/*")) for each in (old, new)]
    assert made[0] == made[1]


def test_rerun_of_a_damaged_archive_is_refused(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl")
    wait_state(slurm, found, "Archived")
    data = bytearray(archive(slurm, found).read_bytes())
    data[len(data) // 2] ^= 0x10
    bad = tmp_path / "bad.tgz"
    bad.write_bytes(data)
    before = set(os.listdir(slurm.bee_workdir / "workflows"))
    refused = slurm.bee("bee-rerun", bad, check=False)
    assert refused.returncode == 75
    assert "damaged" in refused.stderr
    assert set(os.listdir(slurm.bee_workdir / "workflows")) == before


def test_unknown_and_ambiguous_ids(slurm: PrivateSlurm) -> None:
    for command in ("bee-query", "bee-start", "bee-pause", "bee-resume", "bee-cancel", "bee-copy", "bee-rerun"):
        unknown = slurm.bee(command, "ffffffff-none", check=False)
        assert unknown.returncode == 3, command
        assert "no workflow" in unknown.stderr
    submit(slurm, "--no-start", EXAMPLES / "diamond/diamond.cwl")
    every = slurm.bee("bee-query", "", check=False)
    assert every.returncode == 3


def test_thousands_of_input_files(slurm: PrivateSlurm, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 200)
    folder.mkdir()
    files = [folder / f"{number:05}{'n' * 200}" for number in range(6000)]
    for path in files:
        path.write_text("x")
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"files": [{"class": "File", "path": str(path)} for path in files]}))
    document = tmp_path / "many.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [echo, fine], inputs: {files: 'File[]'},"
        " outputs: {o: stdout}}"
    )
    assert sum(len(str(path)) for path in files) > 2 << 20
    found = submit(slurm, document, job)
    wait_state(slurm, found, "Archived", timeout_s=120)
    with tarfile.open(archive(slurm, found)) as packed:
        assert sum("/inputs/" in each.name and each.isreg() for each in packed) == 6000


def test_arguments_reach_the_tool_as_they_are(slurm: PrivateSlurm, tmp_path: Path) -> None:
    nasty = ["two words", "$HOME", "`id`", "a;b", "*", "", "\"'\\", "--x", "new\nline", "%j"]
    document = tmp_path / "echo.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [printf, '%s\\0'],"
        " inputs: {words: {type: 'string[]', inputBinding: {position: 1}}}, outputs: {o: stdout}, stdout: out.txt}"
    )
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"words": nasty}))
    done = slurm.bee("bee-cwl-runner", "--outdir", tmp_path / "out", document, job)
    assert json.loads(done.stdout)["o"]["basename"] == "out.txt"
    assert (tmp_path / "out/out.txt").read_text().split("\0")[:-1] == nasty


def test_a_tool_that_packs_its_inputs_gets_real_files(slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("contents")
    document = tmp_path / "pack.cwl"
    document.write_text(
        """
cwlVersion: v1.2
class: CommandLineTool
requirements: {InitialWorkDirRequirement: {listing: [$(inputs.f)]}}
baseCommand: [tar, -cf, packed.tar, x.txt]
inputs: {f: File}
outputs: {o: {type: File, outputBinding: {glob: packed.tar}}}
"""
    )
    slurm.bee("bee-cwl-runner", "--outdir", tmp_path / "out", document, "--f", tmp_path / "x.txt")
    with tarfile.open(tmp_path / "out/packed.tar") as packed:
        assert [(each.name, each.isreg()) for each in packed] == [("x.txt", True)]
