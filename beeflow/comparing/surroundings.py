"""Compare where two runs ran: Slurm, its options, versions, and what else is known of the hosts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from beeflow import codec
from beeflow.comparing.values import Values, union
from beeflow.comparing.verdicts import Item, judged
from beeflow.graph import Graph
from beeflow.models import WorkflowRecord

# Of environment.json: on which machines of a cluster a run was is another each time.
_OF_ONE_RUN = frozenset({"version", "host", "nodes"})


def compare(a: Mapping[str, Any], b: Mapping[str, Any], values: Values) -> tuple[Item, ...]:
    """Compare two descriptions, each value under its dotted name."""
    left, right = (dict(_leaves(each)) for each in (a, b))
    return tuple(
        judged(name, list(values.compare(name, left.get(name), right.get(name)))) for name in union(left, right)
    )


def describe(record: WorkflowRecord, environment: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """Gather what is known of where a run ran: of workflow.json, environment.json, and what the site added to tools.

    Ids, times, paths and limits on how much is submitted at a time are those of one run, and bear on no result.
    """
    slurm = record.slurm
    return {
        "beeflow_version": record.beeflow_version,
        "on_error": record.on_error,
        "slurm": {"cluster_name": slurm.cluster_name, "version": slurm.version, "api": slurm.api},
        "options": codec.to_json(record.options),
        "tools": {name: _of_site(graph, name) for name in sorted(graph.tools)},
        "environment": {key: value for key, value in environment.items() if key not in _OF_ONE_RUN},
    }


def _of_site(graph: Graph, name: str) -> dict[str, Any]:
    tool = graph.tools[name]
    return {
        "modules": list(tool.modules),
        "srun_options": list(tool.srun_options),
        "runtime": tool.container and tool.container.runtime,
    }


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner
