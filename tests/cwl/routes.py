"""The two ways to a task's command, for tests: by a template, as the light runner does, and by cwltool."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from beeflow import codec, locations
from beeflow.command import Folders
from beeflow.cwl import compiler, documents, template
from beeflow.cwl.prepare import Granted, prepare
from beeflow.errors import BeeError
from beeflow.graph import Container, Tool
from beeflow.shape import NoTemplateError, Shape, fill_command

Inputs = dict[str, Any]
Command = dict[str, Any]

_PATH = "/somewhere/else/bin:/usr/bin"
_CORES, _RAM = 3, 2048


def compiled(folder: Path, text_of: str, version: str = "v1.2", *, in_image: bool = False) -> Tool:
    """Compile a tool."""
    document = folder / "tool.cwl"
    body = {"cwlVersion": version, "class": "CommandLineTool", "outputs": {}, **yaml.safe_load(text_of)}
    if in_image:
        body.setdefault("requirements", {}).setdefault("DockerRequirement", {"dockerPull": "image"})
    document.write_text(yaml.safe_dump(body))
    graph = compiler.compile_graph(documents.load(str(document), folder.parent / "cache"))
    (made,) = graph.tools.values()
    return replace(made, container=Container("Charliecloud", "/image", "image")) if in_image else made


@dataclass
class Routes:
    """Both ways for one tool. ``root``: the workflow directory."""

    tool: Tool
    root: Path
    templates: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The task's own."""
        return f"{self.root}/tasks/step/000/000007/12_7.0/0"

    def light(self, inputs: Inputs) -> Command | None:
        """Fill a template made for the first inputs of this shape; None where cwltool has to be asked."""
        try:
            shape = self.shape()
            text = shape.of(inputs)
            if text not in self.templates:
                made = template.make(self.tool, inputs, self.root) if template.may_have(self.tool) else None
                self.templates[text] = json.loads(json.dumps(made[1])) if made else None
            found = self.templates[text]
            return fill_command(found["command"], shape.values) if found else None
        except NoTemplateError:
            return None

    def shape(self) -> Shape:
        """Begin a shape as the runner does (beeflow.runner.element)."""
        shape = Shape(str(self.root), apart=self.tool.container is not None, literal=template.literal_inputs(self.tool))
        shape.values += [self.folder[1:], _PATH, _CORES, _RAM]
        return shape

    def cwltool(self, inputs: Inputs) -> Command | None:
        """Have cwltool prepare the command; None where it refuses."""
        given = locations.absolute(inputs, self.root)
        with pytest.MonkeyPatch.context() as node:
            node.setenv("PATH", _PATH)
            try:
                command = prepare(self.tool, given, self.root, Folders(self.folder), Granted(_CORES, _RAM)).command
            except (BeeError, KeyError, TypeError, OSError):
                return None
        made: Command = json.loads(json.dumps(codec.to_json(command)))
        return made

    def ports(self, inputs: Inputs) -> Any:
        """Say how the light runner collects the outputs; None where cwltool does."""
        made = template.make(self.tool, inputs, self.root)
        assert made is not None
        return made[1]["ports"]
