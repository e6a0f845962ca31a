"""Make templates of commands (beeflow.shape): cwltool prepares one task, and all of its shape run by it.

Stand-ins take the places of the values in a task's inputs; where they come out are the holes. Nothing is believed:
the template, filled with other stand-ins and with real inputs, must give what cwltool makes of those. Where it does
not, or where JavaScript would look at a value, there is no template, and cwltool prepares each task on its node.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cwl_utils.sandboxjs import NodeJSEngine, get_js_engine, set_js_engine

from beeflow import codec, locations
from beeflow.command import Folders
from beeflow.cwl.documents import short_name
from beeflow.cwl.ports import ports_of
from beeflow.cwl.prepare import Granted, prepare
from beeflow.errors import BeeError
from beeflow.graph import CUDA, MPI, Tool
from beeflow.shape import (
    BEGIN,
    CLOSE,
    CORES,
    DECIMAL,
    END,
    EXTENSION,
    FIRST,
    FOLDER,
    INT,
    OPEN,
    PATH,
    RAM,
    STRING,
    TEXT,
    NoTemplateError,
    Shape,
    fill,
    fill_command,
    kind_of,
)

log = logging.getLogger(__name__)

Inputs = Mapping[str, Any]
Template = dict[str, Any]

_FIRST_INT, _OTHER_INT = 2_101_000_000, 1_203_000_000
# What makes a stand-in too large for 32 bits.
_TO_LONG = 7_000_000_000
_INT = re.compile(r"[29]101(\d{6})")
_FLOAT = re.compile(r"2\.101(\d{6})1e-07")
_DECIMAL = re.compile(r"0\.0000002101(\d{6})1")


class _NoJavaScript(NodeJSEngine):
    """What an expression makes of a stand-in says nothing."""

    def eval(self, scan: str, *_: Any, **__: Any) -> Any:
        raise NoTemplateError(scan)


@contextlib.contextmanager
def _without_javascript() -> Iterator[None]:
    engine = get_js_engine()
    set_js_engine(_NoJavaScript())
    try:
        yield
    finally:
        set_js_engine(engine)


def literal_inputs(tool: Tool) -> list[str]:
    """List the inputs whose text decides more than itself: where the type has an enum, or a name for a type."""
    return [
        short_name(each["id"])
        for each in tool.document["inputs"]
        if any(word in repr(each["type"]) for word in ("'enum'", "#"))
    ]


def may_have(tool: Tool) -> bool:
    """Tell whether templates are worth a try: no position depends on a value, nothing is special about the job."""
    if tool.updates or tool.requirement(CUDA)[0]:
        return False
    ranks = (tool.requirement(MPI)[0] or {}).get("processes")
    return not isinstance(ranks, str) and not _has_position_to_evaluate(tool.document)


def _has_position_to_evaluate(value: Any) -> bool:
    if isinstance(value, dict):
        return isinstance(value.get("position"), str) or any(map(_has_position_to_evaluate, value.values()))
    return isinstance(value, list) and any(map(_has_position_to_evaluate, value))


def make(tool: Tool, inputs: Inputs, root: Path) -> tuple[str, Template] | None:
    """Make the template of the shape of these inputs; None where there is none. Returns the shape, too."""
    try:
        shape = new_shape(tool, root)
        text = shape.of(dict(inputs))
        with _without_javascript():
            template = _with_holes(_StandIns(shape, _first).prepare(tool, inputs, root, _marked))
            other = _StandIns(shape, _other)
            made = other.prepare(tool, inputs, root)
    except (BeeError, NoTemplateError, OSError, KeyError):
        return None
    except Exception as error:  # cwltool met what it does not expect
        log.info("no template: %r", error)
        return None
    try:
        if fill(template["command"], other.values) != made["command"] or _may_meet(template["command"], shape):
            return None
        if fill(template["ports"], other.values) != made["ports"]:
            template["ports"] = None
    except (LookupError, ValueError) as error:  # what is no hole looks like one
        log.info("no template: %r", error)
        return None
    return (text, template)


def _may_meet(command: Template, shape: Shape) -> bool:
    """True where an input may be what the tool stages anyway, or a value says what a container has to bind."""
    sources = [stage["source"] for stage in command["stage"]]
    if shape.places and any(source and BEGIN not in source for source in sources):
        return True
    return any(BEGIN in inside for inside in (command["container"] or {"binds": {}})["binds"].values())


def agrees(template: Template, tool: Tool, inputs: Inputs, root: Path) -> bool:
    """Check a template against what cwltool makes of real inputs."""
    shape = new_shape(tool, root)
    folders = Folders(f"{root}/tasks/attempt")
    granted = Granted(1, 1024)
    shape.values += [folders.root[1:], os.environ.get("PATH", os.defpath), granted.cores, granted.ram_mib]
    try:
        shape.of(dict(inputs))
        command = fill_command(template["command"], shape.values)
        with _without_javascript():  # the template was made without, too
            made = prepare(tool, locations.absolute(dict(inputs), root), root, folders, granted)
        if command != codec.to_json(made.command):
            return False
        return template["ports"] is None or fill(template["ports"], shape.values) == ports_of(made, tool)
    except (BeeError, NoTemplateError):
        return False
    except Exception as error:  # cwltool met what it does not expect
        log.info("no template: %r", error)
        return False


def new_shape(tool: Tool, root: Path) -> Shape:
    """Begin to take the shape off a task's inputs."""
    return Shape(str(root), apart=tool.container is not None, literal=literal_inputs(tool))


StandIn = Callable[[int, str, Any], Any]


def _first(index: int, kind: str, value: Any) -> Any:
    """Stand in for a value by what can be found again."""
    if isinstance(value, int):
        return _FIRST_INT + index + (0 if kind_of(value) == INT else _TO_LONG)
    if isinstance(value, float):
        return float(f"2.101{index:06}1e-07")
    return f"{BEGIN}{index}{kind}{END}"


def _other(index: int, kind: str, value: Any) -> Any:
    """Stand in for a value by one that is just another."""
    if isinstance(value, int):
        return _OTHER_INT + index + (0 if kind_of(value) == INT else _TO_LONG)
    if isinstance(value, float):
        # Of another magnitude, too: some are rounded.
        return float(f"3.707{index:06}7e+05")
    if kind == STRING:
        # As the name of a file it would be taken apart.
        return f"of.{index}/other.'{index}"
    return f".other '{index}" if kind == EXTENSION else f"other. '{index}"


class _StandIns:
    """Inputs with stand-ins in the order of Shape's values, which is all that decides which is which."""

    def __init__(self, shape: Shape, stand_in: StandIn) -> None:
        self.shape = shape
        self.stand_in = stand_in
        self.values: list[Any] = []
        for index in range(FIRST):
            self.next(TEXT, 0 if index in (CORES, RAM) else "")

    def next(self, kind: str, value: Any) -> Any:
        made = self.stand_in(len(self.values), kind, value)
        self.values.append(made)
        return made

    def prepare(
        self, tool: Tool, inputs: Inputs, root: Path, words: Callable[[Any], list[str]] | None = None
    ) -> Template:
        """Have cwltool prepare the command for the stand-ins. ``words``: writes those of a shell's command."""
        given = {name: self.value(inputs[name], name in self.shape.literal) for name in sorted(inputs)}
        folders = Folders(f"/{self.values[FOLDER]}")
        granted = Granted(self.values[CORES], self.values[RAM])
        made = prepare(tool, given, root, folders, granted)
        command = codec.to_json(made.command)
        if tool.container is None:
            # That of the process which prepares it.
            command["env"]["PATH"] = self.values[PATH]
        if words and tool.requirement("ShellCommandRequirement")[0] is not None:
            command["argv"][-1] = " ".join(words(made.job.builder))
        return {"command": command, "ports": ports_of(made, tool)}

    def value(self, value: Any, literal: bool) -> Any:
        """Copy a value with stand-ins (Shape.one)."""
        if isinstance(value, dict):
            if locations.is_entry(value):
                return self.entry(value)
            return {name: self.value(value[name], literal) for name in sorted(value)}
        if isinstance(value, list):
            return [self.value(each, literal) for each in value]
        if value is None or isinstance(value, bool) or literal or value == "":
            return value
        return self.next(STRING if isinstance(value, str) else TEXT, value)

    def entry(self, entry: dict[str, Any], folder: str = "") -> dict[str, Any]:
        """Copy a File or Directory with stand-ins (Shape.file, Shape.folder)."""
        own = self.shape.path(entry).startswith(f"{self.shape.root}/")
        path = f"{self.shape.root if own else ''}/{self.next(TEXT, '')}"
        if not own and self.shape.apart:
            path = self.shape.path(entry).rpartition("/")[0]
        name, extension = self.next(TEXT, ""), self.next(EXTENSION, "")
        name += extension if extension.startswith(".") else f".{extension}"
        made = {"class": entry["class"], "location": locations.to_uri(Path(f"{folder or path}/{name}"))}
        made["basename"] = name
        if entry["class"] == "Directory":
            return made
        made["size"] = self.next(TEXT, 0)
        if "checksum" in entry:
            made["checksum"] = self.next(TEXT, "")
        if entry.get("format"):
            made["format"] = entry["format"]
        if entry.get("secondaryFiles"):
            made["secondaryFiles"] = [self.entry(each, folder or path) for each in entry["secondaryFiles"]]
        return made


def _marked(builder: Any) -> list[str]:
    """List the words of a shell's command as cwltool does (CommandLineTool.job), those to be quoted later marked."""
    made = []
    for binding in builder.bindings:
        words = [str(word) for word in builder.generate_arg(binding)]
        if binding.get("shellQuote", True):
            words = [f"{OPEN}{word}{CLOSE}" if BEGIN in word else shlex.quote(word) for word in words]
        made += words
    return made


def _with_holes(value: Any) -> Any:
    """Copy a command with holes for the numbers among the stand-ins; those of texts are there already."""
    if isinstance(value, dict):
        return {_with_holes(key): _with_holes(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_holes(each) for each in value]
    if isinstance(value, int) and value >= _FIRST_INT:
        raise NoTemplateError
    if not isinstance(value, str):
        return value
    text = _FLOAT.sub(lambda match: _hole(match, TEXT), value)
    text = _DECIMAL.sub(lambda match: _hole(match, DECIMAL), text)
    return _INT.sub(lambda match: _hole(match, TEXT), text)


def _hole(match: re.Match[str], kind: str) -> str:
    return f"{BEGIN}{int(match.group(1))}{kind}{END}"
