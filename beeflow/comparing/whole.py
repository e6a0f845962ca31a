"""Compare two runs in all that they have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from beeflow.comparing import surroundings, workflows
from beeflow.comparing.outputs import Outputs
from beeflow.comparing.runs import JOB, OUTPUTS, Run
from beeflow.comparing.texts import How
from beeflow.comparing.values import Values, union
from beeflow.comparing.verdicts import Item, Report, Section, judged
from beeflow.graph import Graph
from beeflow.layout import ENVIRONMENT


@dataclass(frozen=True)
class Options:
    """What is compared, and what counts. ``strict``: Slurm and the environment do, too."""

    how: How = field(default_factory=How)
    ignore: tuple[str, ...] = ()
    outputs_only: bool = False
    strict: bool = False


def compare(a: Run, b: Run, options: Options) -> Report:
    """Compare two runs."""
    sections = () if options.outputs_only else tuple(_before_outputs(a, b, options))
    items = Outputs(a, b, options.how, options.ignore).compare(a.values(OUTPUTS), b.values(OUTPUTS))
    return Report(a.title(), b.title(), (*sections, Section("outputs", items)))


def _before_outputs(a: Run, b: Run, options: Options) -> list[Section]:
    graphs = a.graph(), b.graph()
    # Where a file was, and under which name, is not what is in it.
    values = Values(a, b, named=False)
    around = [
        surroundings.describe(run.record(), environment, graph)
        for run, environment, graph in zip((a, b), _environments(a, b), graphs, strict=True)
    ]
    note = "" if options.strict else "not counted; --strict has them count"
    return [
        Section("workflow", workflows.compare(*graphs, values)),
        Section("inputs", _inputs(_given(a, graphs[0]), _given(b, graphs[1]), values)),
        Section("images", workflows.images(*graphs)),
        Section("environment", surroundings.compare(around[0], around[1], values), counted=options.strict, note=note),
    ]


def _environments(a: Run, b: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what both tell of their hosts; nothing where one does not: a workflow directory has no such record."""
    found = a.document(ENVIRONMENT), b.document(ENVIRONMENT)
    return found if all(found) else ({}, {})


def _given(run: Run, graph: Graph) -> dict[str, Any]:
    """Return the inputs as the workflow took them, its defaults included."""
    given = {name: value for name, value in run.values(JOB).items() if value is not None}
    return {**graph.workflow.defaults, **given}


def _inputs(a: dict[str, Any], b: dict[str, Any], values: Values) -> tuple[Item, ...]:
    return tuple(judged(name, list(values.compare(name, a.get(name), b.get(name)))) for name in union(a, b))
