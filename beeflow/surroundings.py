"""environment.json: the software and the machines that a workflow ran with.

By allowlist: of the environment only the names of loaded modules are in it, which were noted at submit.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import __version__, process
from beeflow.errors import BeeError
from beeflow.graph import Graph, Workflow
from beeflow.models import WorkflowRecord

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
# The program of a container runtime that says which version it is.
_PROGRAMS = {"Charliecloud": "ch-run", "Apptainer": "apptainer"}
# What they do not even say their version without.
_NEEDED = ("PATH", "HOME", "USER")
_LIBRARIES = ("cwltool", "schema-salad")


@dataclass(frozen=True)
class Surroundings:
    """environment.json. ``kernel``, ``os``, ``cpu``, ``host``: of the node that made the archive.

    ``nodes``: those that tasks ran on. ``programs``, ``libraries``: name -> version; "": it does not say.
    """

    beeflow: str
    python: str
    slurm: str
    cluster: str
    os: str
    kernel: str
    machine: str
    cpu: str
    host: str
    nodes: tuple[str, ...] = ()
    loaded_modules: tuple[str, ...] = ()
    programs: dict[str, str] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)


def look(record: WorkflowRecord, graph: Graph, nodes: Collection[str]) -> Surroundings:
    """Describe what a workflow ran with. A program is only asked where the workflow has a use for it."""
    return Surroundings(
        beeflow=__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        slurm=record.slurm.version,
        cluster=record.slurm.cluster_name,
        os=_os_name(),
        kernel=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpu=_cpu(),
        host=platform.node(),
        nodes=tuple(sorted(nodes)),
        loaded_modules=record.loaded_modules,
        programs={name: _version(name) for name in sorted(_programs(graph))},
        libraries={name: _library(name) for name in _LIBRARIES},
    )


def _programs(graph: Graph) -> set[str]:
    runtimes = {tool.container.runtime for tool in graph.tools.values() if tool.container}
    found = {_PROGRAMS[name] for name in runtimes if name in _PROGRAMS}
    if _has_javascript(graph.workflow) or any(
        tool.requirement("InlineJavascriptRequirement")[0] for tool in graph.tools.values()
    ):
        found.add("nodejs" if process.find("nodejs") else "node")
    return found


def _has_javascript(workflow: Workflow) -> bool:
    return any(
        step.has_javascript or (step.workflow is not None and _has_javascript(step.workflow)) for step in workflow.steps
    )


@functools.cache
def _version(program: str) -> str:
    env = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    try:
        done = process.run([program, "--version"], timeout_s=_TIMEOUT_S, env=env)
    except BeeError as error:
        log.info("%s", error)
        return ""
    # ch-run 0.31 says it on stderr.
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return said[0][:100] if said and not done.returncode else ""


def _library(name: str) -> str:
    # Takes as long to load as all else of a small pass.
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
