"""A re-execution of what a stranger sent: refused with nothing left behind, run when the user says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beeflow.archive import contents, packing, unpacking
from beeflow.errors import ArchiveError, TrustError
from beeflow.layout import MANIFEST
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.rerun.conftest import other_site as other_site
from tests.rerun.conftest import site as site
from tests.rerun.local import Local, repacked

DOCUMENT = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo "$WORD"']
requirements: {EnvVarRequirement: {envDef: {WORD: hello}}}
inputs: {}
outputs: {o: stdout}
stdout: o.txt
"""


def tampered(site: Local, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Run a workflow, and pack its archive again with another graph: whole by all that it says of itself."""
    done = site.submit(DOCUMENT)
    unpacked = folder / "unpacked"
    unpacking.unpack(Path(site.archive(done)), unpacked)
    (unpacked / MANIFEST).unlink()
    path = unpacked / "cwl/graph.json"
    graph = json.loads(path.read_text())
    (tool,) = graph["tools"].values()
    change(tool["document"])
    path.write_text(json.dumps(graph))
    return packing.pack(done.layout.root.name, contents.tree(unpacked)[0], folder / "sent").path


def left(site: Local) -> list[str]:
    return [path.name for path in site.config.workflows_dir.glob("*")]


def ended(found: WorkflowDir) -> WorkflowState:
    state = found.state()
    assert state is not None
    return state.state


def preload(document: dict[str, Any]) -> None:
    (definition,) = document["requirements"][0]["envDef"]
    definition["envName"] = "LD_PRELOAD"


def test_what_a_stranger_put_into_the_graph_is_refused(site: Local, other_site: Local, tmp_path: Path) -> None:
    path = tampered(site, tmp_path, preload)
    for request in ({}, {"start": False}):
        with pytest.raises(TrustError, match="envName: LD_PRELOAD = hello: decides which programs"):
            other_site.rerun(path, **request)
    assert left(other_site) == []
    assert not other_site.scheduler.jobs


def test_another_command_than_the_document_shows(site: Local, other_site: Local, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["baseCommand"] = ["sh", "-c", "echo evil"]

    path = tampered(site, tmp_path, change)
    with pytest.raises(TrustError, match=r"another command: is not the command of any tool in cwl/packed\.json"):
        other_site.rerun(path)
    done = other_site.rerun(path, trust=True)
    assert ended(done) is WorkflowState.ARCHIVED
    assert (done.layout.outputs / "o.txt").read_text() == "evil\n"


def test_an_honest_archive_needs_no_word_anywhere(site: Local, other_site: Local, tmp_path: Path) -> None:
    done = site.submit(DOCUMENT)
    sent = tmp_path / "sent.tgz"
    shutil.copy(site.archive(done), sent)
    assert ended(other_site.rerun(sent)) is WorkflowState.ARCHIVED
    assert ended(site.rerun(done)) is WorkflowState.ARCHIVED


LISTING = """
cwlVersion: v1.2
class: Workflow
inputs: {d: Directory, f: File}
outputs: {passed: {type: File, outputSource: pass/f}}
requirements: {InlineJavascriptRequirement: {}}
steps:
  look:
    in: {d: d}
    out: []
    run:
      class: CommandLineTool
      baseCommand: [ls]
      inputs: {d: {type: Directory, inputBinding: {}}}
      outputs: []
  pass:
    in: {f: f}
    out: [f]
    run:
      class: ExpressionTool
      inputs: {f: File}
      outputs: {f: File}
      expression: "$({f: inputs.f})"
"""


@pytest.mark.parametrize("name", ["{top}/evil", "../../../../../../../../evil", "../evil", ".."])
def test_a_name_that_is_a_path_has_nothing_written_elsewhere(site: Local, other_site: Local, name: str) -> None:
    literal = {"class": "File", "location": "_:1", "basename": "good", "contents": "x"}
    job = {"d": {"class": "Directory", "location": "_:2", "basename": "d", "listing": [literal]}, "f": literal}

    def change(top: Path) -> None:
        path = top / "job.json"
        path.write_text(path.read_text().replace('"good"', json.dumps(name.format(top=other_site.top))))

    done = site.submit(LISTING, job)
    assert ended(done) is WorkflowState.ARCHIVED
    path = repacked(site.archive(done), site.top / "changed", change)
    with pytest.raises(TrustError, match="basename: "):
        other_site.rerun(path)
    made = other_site.rerun(path, trust=True)
    assert ended(made) is WorkflowState.ARCHIVED_FAILED
    assert list(other_site.top.rglob("evil*")) == []
    assert list(made.layout.outputs.iterdir()) == []


@pytest.mark.parametrize(
    ("basename", "why"),
    [("a\0b", "basename is no name"), ("\ud800", "a lone surrogate"), (5, "basename is no name: 5")],
)
def test_an_input_that_no_task_could_take(
    site: Local, other_site: Local, tmp_path: Path, basename: Any, why: str
) -> None:
    def change(top: Path) -> None:
        entry = {"class": "File", "location": "_:1", "basename": basename, "contents": ""}
        (top / "job.json").write_text(json.dumps({"x": entry}))

    path = repacked(site.archive(site.submit(DOCUMENT)), tmp_path / "sent", change)
    with pytest.raises(ArchiveError, match=f"{path}: damaged or unsafe: job.json has .*{why}"):
        other_site.rerun(path, trust=True)
    assert left(other_site) == []
