"""Outputs collected without cwltool are those that cwltool collects, or are left to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from beeflow import locations
from beeflow.command import Folders
from beeflow.cwl import schema_cache, template
from beeflow.cwl.prepare import Granted, prepare
from beeflow.errors import BeeError
from beeflow.graph import Tool
from beeflow.runner.collect import Collector, NeedsCwltoolError
from tests.cwl.routes import Inputs, Routes, compiled

NAMES = ["a1", "a:b", "ab", "a b", "ä", "z.txt", ".hidden", "x[1]", "a%20b", "x.tar.gz", "x.tar.gz.idx", "x.tar.idx"]
FOLDERS = ["d", "d/e", ".h"]
INPUTS: Inputs = {"s": "a", "i": 7, "l": 2**40, "f": 0.5, "t": "x[1]", "n": None}
PORT = "{type: %s, outputBinding: {glob: %s}}"
VALUE = "{type: %s, outputBinding: {outputEval: %s}}"
OF_FILE = "{type: %s, outputBinding: {glob: %s, loadContents: true, outputEval: '%s'}}"

# An output of a tool; whether the light runner collects it.
PORTS: dict[str, tuple[str, bool]] = {
    "one file": (PORT % ("File", "z.txt"), True),
    "a file in a folder": (PORT % ("File", "d/in"), True),
    "no file": (PORT % ("File", "nowhere"), False),
    "perhaps a file": (PORT % ("'File?'", "nowhere"), True),
    "perhaps files": (PORT % ("{type: array, items: File}", "'*.none'"), True),
    "files in order": (PORT % ("'File[]'", "'a*'"), True),
    "names with brackets": (PORT % ("'File[]'", "'[az]*'"), True),
    "text files": (PORT % ("'File[]'", "'*.txt'"), True),
    "several patterns": (PORT % ("'File[]'", "[z.txt, 'a*', '.h*n']"), True),
    "a pattern that is a name": (PORT % ("'File?'", "$(inputs.t)"), True),
    "a folder among files": (PORT % ("'File[]'", "'*'"), False),
    "a folder": (PORT % ("Directory", "d"), True),
    "a folder by a slash": (PORT % ("Directory", "d/"), False),
    "two slashes": (PORT % ("File", "d//in"), False),
    "a dot": (PORT % ("File", "./z.txt"), True),
    "an absolute place": (PORT % ("File", "$(runtime.outdir)/z.txt"), False),
    "either": (PORT % ("[File, Directory]", "d"), True),
    "secondary files": (
        "{type: File, secondaryFiles: [.idx, ^.idx, {pattern: .none, required: false}], "
        "outputBinding: {glob: x.tar.gz}}",
        True,
    ),
    "a format": ("{type: File, format: 'http://x.org/a', outputBinding: {glob: z.txt}}", True),
    "an int": (VALUE % ("int", "$(inputs.i)"), True),
    "an int too long": (VALUE % ("int", "$(inputs.l)"), False),
    "a long": (VALUE % ("long", "$(inputs.l)"), True),
    "a float": (VALUE % ("double", "$(inputs.f)"), True),
    "a float that is an int": (VALUE % ("double", "$(inputs.i)"), True),
    "an int that is a float": (VALUE % ("int", "$(inputs.f)"), False),
    "an exit code": (VALUE % ("int", "$(runtime.exitCode)"), True),
    "nothing": (VALUE % ("'int?'", "$(inputs.n)"), True),
    "text": (OF_FILE % ("string", "z.txt", "$(self[0].contents)"), True),
    "a size": (OF_FILE % ("int", "z.txt", "$(self[0].size)"), True),
    "a name": (OF_FILE % ("string", "z.txt", "$(self[0].nameroot)"), True),
}


def by_cwltool(tool: Tool, root: Path, folders: Folders) -> Any:
    """Collect as beeflow.node does; the message where that fails."""
    try:
        prepared = prepare(tool, locations.absolute(INPUTS, root), root, folders, Granted(1, 1024))
        return prepared.collect(0)
    except BeeError as error:
        return error


def lightly(tool: Tool, root: Path, folders: Folders) -> Any:
    """Collect as beeflow.runner does; None where cwltool is needed."""
    ports = Routes(tool, root).ports(INPUTS)
    shape = template.new_shape(tool, root)
    shape.values += [folders.root[1:], "/bin", 1, 1024]
    shape.of(INPUTS)
    try:
        return None if ports is None else Collector(str(root), folders.out, INPUTS, 0).collect(ports, shape.values)
    except NeedsCwltoolError:
        return None


@pytest.mark.parametrize("name", PORTS)
def test_light_outputs_are_those_of_cwltool(tmp_path: Path, name: str) -> None:
    schema_cache.install(tmp_path.parent / "cache")
    port, is_light = PORTS[name]
    types = "{s: string, i: int, l: long, f: float, t: string, n: 'int?'}"
    tool = compiled(tmp_path, f"{{baseCommand: echo, inputs: {types}, outputs: {{o: {port}}}}}")
    root = tmp_path / "workflow"
    folders = Folders(f"{root}/tasks/step/000/000000/1.0/0")
    out = Path(folders.out)
    for each in FOLDERS:
        (out / each).mkdir(parents=True)
    for each in (*NAMES, "d/in"):
        (out / each).write_text(f"of {each}")
    light = lightly(tool, root, folders)
    wanted = by_cwltool(tool, root, folders)
    shutil.rmtree(out)
    assert light == (wanted if is_light else None)
