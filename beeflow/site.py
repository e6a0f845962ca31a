"""What this site adds to the tools of a graph, before anything is submitted: images, and how srun starts ranks."""

from __future__ import annotations

from dataclasses import replace

from beeflow.config import Config
from beeflow.container import images
from beeflow.graph import MPI, Graph, Tool


def resolve(graph: Graph, config: Config) -> Graph:
    """Return the graph as this site runs it, whatever site it may come from; raises UnsupportedError."""
    graph = images.resolve(graph, config)
    return replace(graph, tools={name: _of_site(tool, config) for name, tool in graph.tools.items()})


def _of_site(tool: Tool, config: Config) -> Tool:
    is_mpi = tool.requirement(MPI)[0] is not None
    return replace(tool, srun_options=config.slurm.srun_options if is_mpi else ())
