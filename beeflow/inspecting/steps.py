"""The steps of an archived workflow: what each would run, and in what. From cwl/graph.json: that is what runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from beeflow import process
from beeflow.trust.shipped import GRAPH, Shipped, listed
from beeflow.trust.tools import requirements

_EXPRESSION = re.compile(r"\$[({]")
# Only looks a value up: $(inputs.x.path), $(runtime.cores).
_REFERENCE = re.compile(r"\$\((inputs|runtime|self)([.\[][\w.\[\]'\"]*)?\)")
_IMAGES = "useContainer", "copyContainer", "dockerImageId", "dockerPull", "dockerFile", "dockerImport", "dockerLoad"
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Script:
    """A file that a step makes for its command (InitialWorkDirRequirement). ``text``: what is in it, or where from."""

    name: str
    text: str
    writable: bool


@dataclass(frozen=True)
class StepShown:
    """What a step would run. ``command``: its command line with <input> for what is not known yet.

    ``image``: what it runs in; "": on the host. ``program``: of the host, and ``program_here``: where that is here.
    """

    name: str
    kind: str
    command: str
    image: str
    program: str
    program_here: str | None
    scatter: tuple[str, ...]
    when: str | None
    requirements: tuple[str, ...]
    scripts: tuple[Script, ...]
    javascript: tuple[str, ...]
    environment: tuple[str, ...]


def shown(shipped: Shipped) -> Iterator[StepShown]:
    """Yield all steps in the order in which they may run, those of inner workflows below their own."""
    graph = shipped.mapping(GRAPH)
    yield from _steps(graph.get("workflow"), dict(shipped.tools()), "", 0)


def _steps(workflow: Any, tools: dict[str, dict[str, Any]], prefix: str, depth: int) -> Iterator[StepShown]:
    for step in listed(workflow.get("steps") if isinstance(workflow, dict) else None):
        if not isinstance(step, dict):
            continue
        name = f"{prefix}{step.get('name')}"
        if step.get("workflow") and depth < _MAX_DEPTH:
            yield from _steps(step["workflow"], tools, f"{name}/", depth + 1)
        elif isinstance(step.get("tool"), str) and step["tool"] in tools:
            yield _step(name, step, tools[step["tool"]])


def _step(name: str, step: dict[str, Any], tool: dict[str, Any]) -> StepShown:
    document = tool["document"]
    words = command_words(document)
    image = image_of(tool)
    is_command = document.get("class") == "CommandLineTool"
    program = words[0] if is_command and words and not image and not words[0].startswith(("<", "$", "./")) else ""
    return StepShown(
        name=name,
        kind=str(document.get("class")),
        command=command_line(document, words) if is_command else str(document.get("expression")),
        image=image,
        program=program,
        program_here=_here(program),
        scatter=tuple(str(each) for each in listed(step.get("scatter"))),
        when=None if step.get("when") is None else str(step["when"]),
        requirements=tuple(sorted({_short(each) for each in _all(document)})),
        scripts=tuple(_scripts(document)),
        javascript=tuple(javascript([document, step.get("inputs"), step.get("when"), step.get("expressions")])),
        environment=tuple(_variables(document)),
    )


def _here(program: str) -> str | None:
    found = process.find(program) if program and "\0" not in program else None
    return None if found is None else str(found)


def command_words(document: dict[str, Any]) -> list[str]:
    """Return the words of a tool's command line: in the order of their positions, as far as these are numbers."""
    placed: list[tuple[int, int, list[str]]] = []
    for number, argument in enumerate(listed(document.get("arguments"))):
        binding: Any = argument if isinstance(argument, dict) else {"valueFrom": argument}
        placed.append((_position(binding), number, _bound(binding, str(binding.get("valueFrom", "")))))
    for port in listed(document.get("inputs")):
        binding = port.get("inputBinding") if isinstance(port, dict) else None
        if isinstance(binding, dict):
            value = str(binding.get("valueFrom") or f"<{str(port.get('id')).rpartition('#')[2].rpartition('/')[2]}>")
            placed.append((_position(binding), 1 << 30, _bound(binding, value)))
    base = [str(each) for each in listed(document.get("baseCommand"))]
    return base + [word for _, _, words in sorted(placed, key=lambda each: each[:2]) for word in words]


def command_line(document: dict[str, Any], words: list[str]) -> str:
    """Write a command as a shell would take it, with where it reads from and writes to."""
    text = " ".join(word if re.fullmatch(r"<[\w.-]+>", word) else shlex.quote(word) for word in words)
    for key, mark in (("stdin", "<"), ("stdout", ">"), ("stderr", "2>")):
        if document.get(key):
            text += f" {mark} {document[key]}"
    return text


def _position(binding: dict[str, Any]) -> int:
    position = binding.get("position")
    return position if isinstance(position, int) else 0


def _bound(binding: dict[str, Any], value: str) -> list[str]:
    prefix = binding.get("prefix")
    if not prefix:
        return [value]
    return [str(prefix), value] if binding.get("separate", True) else [f"{prefix}{value}"]


def image_of(tool: dict[str, Any]) -> str:
    """Name the image that a tool asks for, or is to run in."""
    for requirement in requirements(tool["document"], "DockerRequirement"):
        for key in _IMAGES:
            found = next((value for name, value in requirement.items() if name.endswith(key)), None)
            if found:
                return str(found)
    container = tool.get("container")
    return str(container.get("image")) if isinstance(container, dict) else ""


def _all(document: dict[str, Any]) -> Iterator[str]:
    for field in ("requirements", "hints"):
        for each in listed(document.get(field)):
            if isinstance(each, dict) and each.get("class"):
                yield str(each["class"])


def _short(name: str) -> str:
    return re.split(r"[#:/]", name)[-1].removesuffix("Requirement")


def _scripts(document: dict[str, Any]) -> Iterator[Script]:
    for requirement in requirements(document, "InitialWorkDirRequirement"):
        for entry in listed(requirement.get("listing")):
            if not isinstance(entry, dict):
                yield Script("", str(entry), False)
            elif "entry" in entry:
                yield Script(str(entry.get("entryname") or ""), _text(entry["entry"]), bool(entry.get("writable")))
            else:
                yield Script(
                    str(entry.get("basename") or ""), _text(entry.get("contents") or entry.get("location")), False
                )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _variables(document: dict[str, Any]) -> Iterator[str]:
    for requirement in requirements(document, "EnvVarRequirement"):
        for each in listed(requirement.get("envDef")):
            if isinstance(each, dict):
                yield f"{each.get('envName')}={each.get('envValue')}"


def javascript(value: Any) -> list[str]:
    """List the expressions in a value that are JavaScript, each once: not those that only look a value up."""
    found: dict[str, None] = {}
    rest = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            found.update(dict.fromkeys(str(text) for text in listed(each.get("expressionLib"))))
            found.update(dict.fromkeys(str(text) for text in listed(each.get("library"))))
            rest.extend(inner for key, inner in each.items() if key not in ("expressionLib", "library"))
        elif isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, str) and _EXPRESSION.search(_REFERENCE.sub("", each)):
            found[each] = None
    return sorted(found)
