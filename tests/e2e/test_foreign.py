"""bee-rerun of a stranger's archive whose expressions name a file of the user's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import archive, directory, query, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

STEP = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {}
outputs: {o: {type: File, outputSource: take/o}}
steps:
  take:
    in: {}
    out: [o]
    run: TOOL
"""
PLANNED = "{class: ExpressionTool, inputs: {}, outputs: {o: File}, expression: '$({o: FILE})'}"
RUN = """{class: CommandLineTool, baseCommand: cat, arguments: [k], inputs: {}, outputs: {o: stdout},
      requirements: {InitialWorkDirRequirement: {listing: '$([FILE])'}}}"""


def sent(slurm: PrivateSlurm, folder: Path, tool: str) -> tuple[Path, str]:
    """Have a stranger make an archive, of a file with something else in it, and send it; returns its id, too."""
    key = folder / "id_rsa"
    key.write_text("a decoy\n")
    document = folder / "w.cwl"
    document.write_text(
        STEP.replace("TOOL", tool).replace("FILE", f'{{class: "File", location: "file://{key}", basename: "k"}}')
    )
    found = submit(slurm, document)
    wait_state(slurm, found, "Archived")
    path = folder / "mail" / "sent.tgz"
    path.parent.mkdir()
    shutil.copy(archive(slurm, found), path)
    key.write_text("s3cret\n")
    return path, found


def test_what_the_plan_shows_is_refused(slurm: PrivateSlurm, tmp_path: Path) -> None:
    path, found = sent(slurm, tmp_path, PLANNED)
    before = sorted(os.listdir(slurm.bee_workdir / "workflows"))
    for argv in ((), ("--dry-run",), ("--no-start",), ("--reuse",)):
        refused = slurm.bee("bee-rerun", *argv, path, check=False)
        assert refused.returncode == 81, (argv, refused)
        assert "step take: expression: $({o: " in refused.stderr
        assert f"makes file://{tmp_path}/id_rsa: reads a file or folder of this host" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert sorted(os.listdir(slurm.bee_workdir / "workflows")) == before
    # One's own is one's own.
    mine = slurm.bee("bee-rerun", "--wait", found).stdout.split("id is ")[1][:36]
    out = json.loads((directory(slurm, mine) / "outputs.json").read_text())["o"]
    assert (directory(slurm, mine) / out["location"]).read_text() == "s3cret\n"


def test_what_shows_as_it_runs_fails_its_step(slurm: PrivateSlurm, tmp_path: Path) -> None:
    path, _ = sent(slurm, tmp_path, RUN)
    source: Path | str = path
    for _ in ("his", "mine of his"):
        done = slurm.bee("bee-rerun", "--wait", source, check=False)
        made = done.stdout.split("id is ")[1][:36]
        assert query(slurm, made)["state"] == "Archived/Failed"
        reason = tasks(slurm, made)["take"]["reason"]
        assert reason.startswith("requirements/InitialWorkDirRequirement/listing: $([{class: ")
        assert "re-execute it with --trust" in reason
        assert [
            each for each in directory(slurm, made).rglob("*") if each.is_file() and b"s3cret" in each.read_bytes()
        ] == []
        source = made
    slurm.bee("bee-rerun", "--wait", "--trust", path)
