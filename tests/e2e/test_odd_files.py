"""What tools leave behind, and what users have lying about, is never lost and never keeps a workflow from ending."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import archive, directory, query, submit, wait_state

pytestmark = pytest.mark.e2e

FOLDER_TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, '{script}']
inputs: []
outputs: {{d: {{type: Directory, outputBinding: {{glob: d}}}}}}
"""


def tool(folder: Path, script: str) -> Path:
    """Write a tool whose output is a folder."""
    made = folder / "tool.cwl"
    made.write_text(FOLDER_TOOL.format(script=script))
    return made


@pytest.mark.parametrize(
    "script",
    [
        "mkdir d; echo x > d/f; ln -s /nonexistent d/dangling",
        "mkdir d; echo x > d/f; ln -s . d/self",
        "mkdir d; echo x > d/f; mkfifo d/pipe",
        "mkdir -p d/e; echo x > d/f; chmod 000 d/e",
    ],
    ids=["dangling-link", "loop", "pipe", "closed-folder"],
)
def test_an_odd_output_folder(slurm: PrivateSlurm, tmp_path: Path, script: str) -> None:
    found = submit(slurm, tool(tmp_path, script))
    wait_state(slurm, found, "Archived")
    assert (directory(slurm, found) / "outputs/d/f").read_text() == "x\n"
    listed = subprocess.run(["tar", "-tzf", archive(slurm, found)], check=True, capture_output=True, text=True)
    assert f"{found}/outputs/d/f" in listed.stdout.splitlines()


def test_a_link_that_leads_out_fails_its_task(slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    found = submit(slurm, tool(tmp_path, f"mkdir d; ln -s {tmp_path}/secret d/leak"))
    said = wait_state(slurm, found, "Archived/Failed")["reason"]
    assert said.endswith("secret, which is neither an output nor an input")


def test_outdir_keeps_what_is_there(slurm: PrivateSlurm, tmp_path: Path) -> None:
    mine = tmp_path / "out/d/mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    done = slurm.bee("bee-cwl-runner", "--outdir", tmp_path / "out", tool(tmp_path, "mkdir d; echo x > d/new"))
    assert json.loads(done.stdout)["d"]["basename"] == "d"
    assert mine.read_text() == "precious"
    assert (tmp_path / "out/d/new").read_text() == "x\n"


def test_links_inside_an_input_folder_are_archived_as_files(slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/f").write_text("linked\n")
    (tmp_path / "given").mkdir()
    (tmp_path / "given/sub").symlink_to(tmp_path / "elsewhere")
    document = tmp_path / "read.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sh, -c, 'cat $0/sub/f'],"
        " inputs: {d: {type: Directory, inputBinding: {}}}, outputs: {o: stdout}, stdout: o.txt}"
    )
    found = submit(slurm, document, "--d", tmp_path / "given")
    wait_state(slurm, found, "Archived")
    subprocess.run(["rm", "-r", tmp_path / "given", tmp_path / "elsewhere"], check=True)
    again = slurm.bee("bee-rerun", "--wait", found).stdout.split("id is ")[1][:36]
    assert query(slurm, again)["state"] == "Archived"
    assert (directory(slurm, again) / "outputs/o.txt").read_text() == "linked\n"


def test_foreign_files_among_the_archives(slurm: PrivateSlurm) -> None:
    folder = slurm.bee_workdir / "archives"
    folder.mkdir(exist_ok=True)
    (folder / "notes.json").write_text("not ours")
    assert slurm.bee("bee-list").returncode == 0
