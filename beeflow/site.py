"""What this site adds to the tools of a graph, before anything is submitted.

Images, software, how to start ranks, how often what fails is tried again, and what a step's jobs are submitted with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from beeflow import hints, policy
from beeflow.config import GIVEN, Config, ModulesConfig, parse_time_limit
from beeflow.container import images
from beeflow.errors import UnsupportedError
from beeflow.graph import COMMAND_LINE_TOOL, MPI, OWN_HINTS, SLURM, Graph, StepOptions, Tool
from beeflow.tables import one_line

_WIDTH = 2000

log = logging.getLogger(__name__)


def resolve(graph: Graph, config: Config, *, unpack: bool = True, elsewhere: str = "") -> Graph:
    """Return the graph as this site runs it, whatever site it may come from; raises UnsupportedError.

    ``unpack``: images that are packed, so that they can be run. ``elsewhere``: the other cluster that its steps were
    written for, whose partitions and the like are not asked for here.
    """
    for name in dict.fromkeys(name for tool in graph.tools.values() for name in hints.unknown(tool.document)):
        log.warning("the hint beeflow:%s is ignored: those that are known are %s", name, ", ".join(OWN_HINTS))
    graph = images.resolve(graph, config, unpack=unpack)
    tools = {name: _of_site(name, tool, config) for name, tool in graph.tools.items()}
    return replace(graph, tools=_without_names(tools, elsewhere) if elsewhere else tools)


def _without_names(tools: Mapping[str, Tool], elsewhere: str) -> dict[str, Tool]:
    """Ask for nothing that another cluster calls so; a time is the same everywhere."""
    found = {
        name: replace(tool, step_options=StepOptions(time_limit_s=tool.step_options.time_limit_s))
        for name, tool in tools.items()
    }
    steps = sorted(name for name, tool in tools.items() if tool.step_options != found[name].step_options)
    if steps:
        log.warning(
            "step %s: account, partition, qos and reservation of %s are those of cluster %s, and ignored here: "
            "bee.conf and the Slurm options say which",
            *(one_line(", ".join(steps), _WIDTH), SLURM, one_line(elsewhere)),
        )
    return found


def _of_site(name: str, tool: Tool, config: Config) -> Tool:
    is_mpi = tool.requirement(MPI)[0] is not None
    modules = tuple(_modules(name, tool, config.modules))
    return replace(
        tool,
        srun_options=config.slurm.srun_options if is_mpi else (),
        modules=modules,
        modules_init=config.modules.init if modules else "",
        retry=policy.of_tool(name, tool.document, config.retry),
        step_options=_own_options(name, tool, config),
    )


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][\w.,@+-]*", text, re.ASCII):
        raise ValueError(f"{text!r} is no name that Slurm has")
    return text


def _seconds(text: str) -> int:
    return int(parse_time_limit(text).total_seconds())


_ASKED: Mapping[str, Callable[[str], Any]] = {
    "account": _word,
    "partition": _word,
    "qos": _word,
    "reservation": _word,
    "timeLimit": _seconds,
}


def _own_options(name: str, tool: Tool, config: Config) -> StepOptions:
    """Read beeflow:SlurmRequirement; as with what a batch script says, options and variables of sbatch count more."""
    given = {_field(key): value for key, value in hints.read(name, tool.document, SLURM, _ASKED).items()}
    return StepOptions(**{key: value for key, value in given.items() if config.origins.get(_setting(key)) != GIVEN})


def _field(key: str) -> str:
    return "time_limit_s" if key == "timeLimit" else key


def _setting(field: str) -> str:
    return f"slurm.{field.removesuffix('_s')}"


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
