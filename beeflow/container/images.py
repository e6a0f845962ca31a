"""Find the image of each tool that asks for a container, before anything is submitted.

A DockerRequirement names an image by ``beeflow:useContainer`` or ``beeflow:copyContainer`` (a folder, .sqfs or
.tar.gz), or by dockerPull, which must be in Charliecloud's storage already: nothing is pulled on a compute node.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from beeflow.config import Config
from beeflow.container import charliecloud
from beeflow.errors import UnsupportedError
from beeflow.graph import Container, Graph, Tool

_USE = ("useContainer", "copyContainer")


def resolve(graph: Graph, config: Config, *, unpack: bool = True) -> Graph:
    """Return the graph with the image of every tool that needs one; raises UnsupportedError naming the image.

    ``unpack``: so that what is packed can be run.
    """
    found: dict[str, Container | None] = {}
    tools = {name: _with_image(name, tool, config, found, unpack=unpack) for name, tool in graph.tools.items()}
    return replace(graph, tools=tools)


def _with_image(name: str, tool: Tool, config: Config, found: dict[str, Container | None], *, unpack: bool) -> Tool:
    requirement, is_required = tool.requirement("DockerRequirement")
    if requirement is None or tool.kind != "CommandLineTool":
        # An archive's graph has what the old site made of it.
        return replace(tool, container=None)
    wanted = _named_image(requirement) or requirement.get("dockerImageId") or requirement.get("dockerPull") or ""
    if config.container.runtime == "none":
        if is_required:
            raise UnsupportedError(f"step {name}: requires the image {wanted!r}, and [container] runtime is none")
        return replace(tool, container=None)
    if wanted not in found:
        given = _named_image(requirement) is not None
        found[wanted] = charliecloud.find(wanted, config, given=given, unpack=unpack)
    container = found[wanted]
    if container is None and is_required:
        raise UnsupportedError(f"step {name}: image {wanted!r}: {charliecloud.missing(wanted)}")
    return replace(tool, container=container)


def _named_image(requirement: dict[str, Any]) -> str | None:
    """Return beeflow:useContainer or beeflow:copyContainer, whatever prefix the document's $namespaces made of it."""
    for key, value in requirement.items():
        if key.endswith(_USE) and isinstance(value, str):
            return value
    return None
