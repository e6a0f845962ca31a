"""Runs made by hand: a workflow directory as a run leaves it, and its archive."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beeflow import inputs, locations, store
from beeflow.archive import contents, packing
from beeflow.archive.description import FORMAT, Description
from beeflow.graph import COMMAND_LINE_TOOL, Graph, Link, Step, Tool, Workflow
from beeflow.inputs import InputFile, InputFiles
from beeflow.layout import DESCRIPTION, OMITTED, Layout
from beeflow.models import StateRecord
from beeflow.states import WorkflowState
from tests.fakes import RECORD


def tool(**fields: Any) -> Tool:
    """A tool as cwltool resolves it, at home in some folder."""
    home = f"file:///home/{fields.pop('home', 'ann')}/flow.cwl"
    document = {
        "class": COMMAND_LINE_TOOL,
        "id": f"{home}#main/say/run",
        "cwlVersion": "v1.2",
        "baseCommand": ["echo", "-n"],
        "inputs": [{"id": f"{home}#say/run/word", "type": "string", "inputBinding": {"position": 1}}],
        "outputs": [{"id": f"{home}#say/run/o", "type": "File", "outputBinding": {"glob": "o"}}],
        "requirements": [{"class": "ResourceRequirement", "coresMin": 1}, {"class": "NetworkAccess"}],
        "hints": [],
        **fields,
    }
    return Tool(COMMAND_LINE_TOOL, document, {}, ("o",))


def graph(made: Tool | None = None, **defaults: Any) -> Graph:
    """A workflow of one step."""
    step = Step("say", {"word": Link(("word",))}, ("o",), tool="say")
    flow = Workflow(("word",), (step,), {"o": Link(("say/o",))}, defaults)
    return Graph({"say": made or tool()}, flow, "v1.2")


def sha1(data: bytes) -> str:
    return "sha1$" + hashlib.sha1(data, usedforsecurity=False).hexdigest()


@dataclass
class Made:
    """A run in the making. ``files``: what is in outputs/, by path there."""

    top: Path
    graph: Graph = field(default_factory=graph)
    job: dict[str, Any] = field(default_factory=lambda: {"word": "hi"})
    outputs: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    state: WorkflowState = WorkflowState.COMPLETED
    name: str = "made"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(self.top / "workflows" / self.id)

    def put(self, path: str, data: bytes) -> dict[str, Any]:
        """Write an output file; returns its File object."""
        target = self.layout.outputs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        location = locations.relative({"class": "File", "location": locations.to_uri(target)}, self.layout.root)
        return {**location, "basename": target.name, "size": len(data), "checksum": sha1(data)}

    def take(self, origin: Path, *, embed: bool) -> dict[str, Any]:
        """Have a file be an input; returns its File object."""
        data = origin.read_bytes()
        place = f"inputs/0000/{origin.name}" if embed else None
        if place:
            (self.layout.root / place).parent.mkdir(parents=True)
            (self.layout.root / place).write_bytes(data)
        self.layout.root.mkdir(parents=True, exist_ok=True)
        known = InputFile(str(origin), "File", len(data), place, hashlib.sha256(data).hexdigest())
        store.write_record(self.layout.root / inputs.RECORD, InputFiles((known,)))
        return {"class": "File", "location": locations.to_uri(origin), "basename": origin.name}

    def write(self) -> Path:
        """Write the workflow directory."""
        layout = self.layout
        layout.cwl.mkdir(parents=True, exist_ok=True)
        record = replace(RECORD, id=self.id, name=self.name, parent=self.parent, archive_dir=str(self.top / "archives"))
        store.write_record(layout.workflow, replace(record, **self.record))
        store.write_record(layout.state, StateRecord(self.state, record.created))
        store.write_record(layout.graph, self.graph)
        store.write_json(layout.job, self.job)
        store.write_json(layout.output_object, self.outputs)
        return layout.root

    def archive(self) -> Path:
        """Write the workflow directory and its archive."""
        root = self.write()
        at = RECORD.created
        told = Description(
            FORMAT, self.id, self.name, self.state, at, at, "user", "host", "c", "22.05.8", "0", "/f.cwl"
        )
        store.write_record(root / DESCRIPTION, told)
        sources, omitted = contents.tree(root)
        return packing.pack(
            self.id,
            sources,
            self.top / "archives",
            finish=lambda _: [contents.json_source(OMITTED, omitted)],
        ).path
