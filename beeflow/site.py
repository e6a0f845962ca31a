"""What this site adds to the tools of a graph, before anything is submitted.

Images, software, how to start ranks, and how often what fails is tried again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from beeflow import policy
from beeflow.config import Config, ModulesConfig
from beeflow.container import images
from beeflow.errors import UnsupportedError
from beeflow.graph import COMMAND_LINE_TOOL, MPI, Graph, Tool


def resolve(graph: Graph, config: Config, *, unpack: bool = True) -> Graph:
    """Return the graph as this site runs it, whatever site it may come from; raises UnsupportedError.

    ``unpack``: images that are packed, so that they can be run.
    """
    graph = images.resolve(graph, config, unpack=unpack)
    return replace(graph, tools={name: _of_site(name, tool, config) for name, tool in graph.tools.items()})


def _of_site(name: str, tool: Tool, config: Config) -> Tool:
    is_mpi = tool.requirement(MPI)[0] is not None
    modules = tuple(_modules(name, tool, config.modules))
    return replace(
        tool,
        srun_options=config.slurm.srun_options if is_mpi else (),
        modules=modules,
        modules_init=config.modules.init if modules else "",
        retry=policy.of_tool(name, tool.document, config.retry),
    )


def _modules(name: str, tool: Tool, config: ModulesConfig) -> Iterator[str]:
    """Yield what to load for a tool's SoftwareRequirement; an image has its own software in it."""
    requirement, is_required = tool.requirement("SoftwareRequirement")
    if requirement is None or tool.container or tool.kind != COMMAND_LINE_TOOL:
        return
    for package in requirement["packages"]:
        words = _mapped(package, config)
        if words is None and is_required:
            raise UnsupportedError(
                f"step {name}: requires the software {_shown(package)}; say in bee.conf, section [modules], what to "
                f"load for it: {package['package']} = MODULE"
            )
        yield from words or ()


def _mapped(package: dict[str, Any], config: ModulesConfig) -> tuple[str, ...] | None:
    """Find a package: in one of the versions that the tool knows, else in whatever the site has."""
    wanted = str(package["package"]).lower()
    names = [*(f"{wanted}/{version}".lower() for version in package.get("version") or ()), wanted]
    return next((config.packages[each] for each in names if each in config.packages), None)


def _shown(package: dict[str, Any]) -> str:
    versions = " or ".join(str(each) for each in package.get("version") or ())
    return f"{package['package']} {versions}".strip()
