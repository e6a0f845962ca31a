"""What a re-execution would do, step by step, for those who ask before they have it done (--dry-run)."""

from __future__ import annotations

from dataclasses import dataclass

from beeflow import submit
from beeflow.errors import BeeError
from beeflow.graph import Graph
from beeflow.plan import Group, Plan
from beeflow.rerun.filling import Filling
from beeflow.scheduler import command_lines
from beeflow.terminal import escaped


@dataclass(frozen=True)
class StepPreview:
    """A step that runs a tool. ``runs``: how many tasks, None until others have ended; ``why``: they are not taken."""

    path: str
    runs: int | None
    taken: int = 0
    skipped: int = 0
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """What would be done. ``sbatch``: the first job of each shape, and its options. ``error``: why nothing would."""

    archive: str
    parent: str
    name: str
    steps: tuple[StepPreview, ...] = ()
    sbatch: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    error: BeeError | None = None


def describe(filling: Filling, error: BeeError | None) -> Preview:
    """Describe what was filled as far as it came."""
    source, graph, plan = filling.source, filling.graph, filling.whole_plan
    known = graph is not None and plan is not None
    return Preview(
        archive=str(source.path),
        parent=source.description.id,
        name=filling.record.name,
        steps=tuple(_step(filling, group) for group in plan.groups.values() if not group.virtual) if plan else (),
        sbatch=_shapes(filling, graph, filling.plan) if known and graph and filling.plan else (),
        notes=tuple(_notes(filling)),
        error=error,
    )


def _step(filling: Filling, group: Group) -> StepPreview:
    taking = filling.taking
    taken = len(taking.results.get(group.key, {})) if taking else 0
    known = group.unknown is None
    runs = len(group.tasks) - len(group.skipped) - taken if known else None
    why = tuple(taking.why.get(group.key, ())) if taking and runs != 0 else ()
    return StepPreview(group.path, runs, taken, len(group.skipped), why)


def _shapes(filling: Filling, graph: Graph, plan: Plan) -> tuple[tuple[str, str], ...]:
    found = submit.shapes(filling.record, graph, plan)
    return tuple((what, " ".join(command_lines.options_argv(options))) for options, what in found.items())


def _notes(filling: Filling) -> list[str]:
    old, new = filling.source.description, filling.record
    notes = [f"image {each}: not the one that the archive ran in: its sha256 differs" for each in filling.other_images]
    if new.slurm.cluster_name != old.cluster and filling.request.choice.reuse:
        notes.append(
            f"the archive is of another cluster ({old.cluster}): of the software that a tool without an image "
            "found there only the loaded modules are compared"
        )
    return notes


def render(preview: Preview) -> str:
    """Write it for a terminal."""
    lines = [f"would re-execute {preview.archive}", f"  as {preview.name!r}, of workflow {preview.parent}"]
    for step in preview.steps:
        why = f" ({'; '.join(step.why)})" if step.why else ""
        lines.append(f"  step {step.path}: {_counts(step)}{why}")
    for what, options in preview.sbatch:
        alike = ", and all that ask for the same" if what.startswith("step ") else ""
        lines.append(f"  sbatch for {what}{alike}: {options}")
    lines += [f"  note: {note}" for note in preview.notes]
    return "\n".join([*map(escaped, lines), "nothing was submitted"])


def _counts(step: StepPreview) -> str:
    if step.runs is None:
        taken = f", or take {step.taken} if they are those of the archive" if step.taken else ""
        return f"run as many tasks as others make{taken}"
    counts = [(step.runs, "run"), (step.taken, "taken from the archive"), (step.skipped, "skipped")]
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "no tasks"
