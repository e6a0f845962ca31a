"""A report as text. All that comes from the archive is escaped: it must not get at the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from beeflow import tables
from beeflow.archive.lacking import say_lost
from beeflow.inspecting.report import Report
from beeflow.inspecting.steps import StepShown
from beeflow.terminal import escaped

_CELL = 60
_LINE = 110
# However narrow the terminal is.
_NARROW = 20
# Of a script or an expression; --json has all of it.
_LINES = 20


def cell(text: str, width: int = _CELL) -> str:
    """Write text for a table."""
    return tables.one_line(text, width)


def render(found: Report, columns: int | None = None) -> str:
    """Write all of it. ``columns``: of the terminal; None: there is none, and long cells are of one width."""
    parts = [head(found), steps(found.steps, columns), *details(found.steps, columns)]
    parts += [inputs(found), contents(found), risks(found)]
    return "\n\n".join(part for part in parts if part)


def whole(text: str, width: int = _LINE) -> str:
    """Write text for a table, all of it, on as many lines as it takes: what is cut off is where harm would be."""
    line = escaped(text)
    return "\n".join(line[start : start + width] for start in range(0, len(line), width))


def head(found: Report) -> str:
    """Say what it is."""
    what = found.description
    state = "as it was archived" if found.has_sidecar else "whole; nothing beside it to compare with"
    sizes = f"{tables.size(found.size)}, {found.files} files, {tables.size(found.unpacked_size)} unpacked"
    software = f"Slurm {what.slurm_version}, beeflow {what.beeflow_version}"
    rows = [
        ("Workflow", f"{what.name}  {what.id}"),
        ("Document", what.document),
        ("State", f"{what.state.value}, submitted {what.created}, archived {what.archived} by {what.made_by}"),
        ("From", f"{what.user}@{what.host}, cluster {what.cluster}, {software}"),
        ("Archive", found.path),
        ("", f"format {what.format}, {sizes}"),
        ("", f"{state}; sha256 {found.sha256}"),
    ]
    if what.lost:
        rows.append(("", say_lost(len(what.lost))))
    if what.parent:
        rows.insert(1, ("Re-execution of", what.parent))
    return tabulate([(name, cell(text, _LINE + 40)) for name, text in rows], tablefmt="plain", disable_numparse=True)


def last(rows: Sequence[tuple[str, ...]], headers: Sequence[str], columns: int | None) -> str:
    """Write a table whose last cell has the room that the others leave, on as many lines as it takes."""
    # As tabulate does it: two columns between two cells, and a cell is two wider than its header.
    widths = (max([len(name) + 2, *(len(row[place]) for row in rows)]) + 2 for place, name in enumerate(headers[:-1]))
    width = _LINE if columns is None else max(_NARROW, columns - sum(widths))
    shown = [(*row[:-1], whole(row[-1], width)) for row in rows]
    return tabulate(shown, headers=headers, disable_numparse=True)


def steps(found: Sequence[StepShown], columns: int | None) -> str:
    """Say what would run."""
    rows = []
    for step in found:
        name = f"{step.name} (for each {', '.join(step.scatter)})" if step.scatter else step.name
        where = f"image {step.image}" if step.image else "no command" if step.kind != "CommandLineTool" else "the host"
        rows.append((cell(name, 40), cell(where, 40), step.command))
    return "What it would run\n" + last(rows, ("Step", "In", "Command"), columns)


def details(found: Sequence[StepShown], columns: int | None) -> Iterable[str]:
    """Say what else each step has: what it requires, files that it makes, JavaScript, and programs of the host."""
    programs = {step.program: step.program_here for step in found if step.program}
    rows = [(cell(name), cell(here) if here else "not found here") for name, here in sorted(programs.items())]
    if rows:
        yield "Programs of the host\n" + tabulate(rows, headers=("Program", "Here"), disable_numparse=True)
    needs = [(cell(step.name, 40), ", ".join(step.requirements)) for step in found if step.requirements]
    if needs:
        yield "Requirements and hints\n" + last(needs, ("Step", "Of class"), columns)
    for step in found:
        lines = [f"when {whole(step.when)}"] if step.when else []
        lines += [f"variable {whole(each)}" for each in step.environment]
        for script in step.scripts:
            lines += [f"file {cell(script.name) or '(named by an expression)'}:", *block(script.text)]
        for text in step.javascript:
            lines += ["JavaScript:", *block(text)]
        if lines:
            yield f"Step {cell(step.name)}\n" + textwrap.indent("\n".join(lines), "  ")


def block(text: str) -> list[str]:
    """Write some lines of a script."""
    lines = [part for line in text.strip("\n").split("\n") for part in whole(line).split("\n")]
    shown = [f"  | {line}" for line in lines[:_LINES]]
    return [*shown, f"  | ... {len(lines) - _LINES} lines more (--json has all)"] if len(lines) > _LINES else shown


def inputs(found: Report) -> str:
    """Say what it takes, and whether that is here."""
    rows = [
        (
            cell(each.name, 30),
            cell(each.value, 70),
            each.state,
            "" if each.size is None else tables.size(each.size),
            cell(each.detail, _LINE),
        )
        for each in found.inputs
    ]
    if not rows:
        return ""
    shown = 5 if any(row[4] for row in rows) else 4
    headers = ("Input", "Value", "Is", "Size", "")[:shown]
    return "Inputs\n" + tabulate([row[:shown] for row in rows], headers=headers, disable_numparse=True)


def contents(found: Report) -> str:
    """Say how large the parts are."""
    rows = [(cell(each.name), str(each.files), tables.size(each.size)) for each in found.parts]
    return "Contents\n" + tabulate(
        rows, headers=("Part", "Files", "Size"), colalign=("left", "right", "right"), disable_numparse=True
    )


def risks(found: Report) -> str:
    """Say what takes trust."""
    if not found.risks:
        return "Nothing in it reaches outside the archive, as far as that can be seen without running it."
    rows = [(cell(each.where, 50), whole(each.what, 60), each.why) for each in found.risks]
    table = tabulate(rows, headers=("Where", "What", "Why it takes trust"), disable_numparse=True)
    end = (
        "It is an archive of yours, made here: bee-rerun takes it."
        if found.own
        else "bee-rerun refuses it, unless you add --trust."
    )
    return f"Takes trust\n{table}\n\n{end}"
