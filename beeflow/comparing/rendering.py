"""A report as text for people, and as JSON for programs. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from tabulate import tabulate

from beeflow import tables
from beeflow.comparing.verdicts import Difference, Item, Report, Section, Title, Verdict, words

BOLD, GREEN, RED, PLAIN = "\033[1m", "\033[32m", "\033[31m", "\033[0m"
# How much of a value is shown, and how many differences of a thing.
_WIDTH = 44
_MOST = 20
_LINE = 200

Paint = Callable[[str, str], str]


def uncoloured(_: str, text: str) -> str:
    """Leave a text as it is."""
    return text


def coloured(colour: str, text: str) -> str:
    """Colour a text for a terminal."""
    return f"{colour}{text}{PLAIN}"


def as_text(report: Report, *, brief: bool, paint: Paint = uncoloured) -> str:
    """Write a report: which runs, a verdict a section, and below what differs."""
    blocks = [_titles(report), _verdicts(report, paint)]
    if not brief:
        blocks += [_details(section, paint) for section in report.sections if any(_told(section))]
    return "\n\n".join(blocks)


def _titles(report: Report) -> str:
    sides = (("A", report.a), ("B", report.b))
    # Two archives of one workflow are told apart by their files.
    is_one = report.a.id == report.b.id
    rows = [
        (
            side,
            _safe(each.name, 30),
            _safe(os.path.basename(each.source) if is_one else each.id, 60),
            each.state,
            _safe(each.created[:19].replace("T", " "), 19),
        )
        for side, each in sides
    ]
    headers = ("", "Name", "Archive" if is_one else "ID", "Ended", "Created (UTC)")
    table = tabulate(rows, headers=headers, disable_numparse=True)
    kin = kinship(report.a, report.b)
    return f"{table}\n\n{kin}" if kin else table


def kinship(a: Title, b: Title) -> str:
    """Say which run re-executes the other, or that they are one."""
    if a.id == b.id:
        return "Both are of one workflow."
    if b.parent == a.id:
        return "B is a re-execution of A."
    if a.parent == b.id:
        return "A is a re-execution of B."
    return "Both re-execute one workflow." if a.parent and a.parent == b.parent else ""


def _verdicts(report: Report, paint: Paint) -> str:
    width = max(len(section.name) for section in report.sections)
    lines = []
    for section in report.sections:
        told = words(section.counts) or "none"
        note = f" ({section.note})" if section.note and not section.same else ""
        colour = GREEN if section.same else RED if section.counted else BOLD
        lines.append(f"{paint(BOLD, section.name)}{' ' * (width - len(section.name))}  {paint(colour, told)}{note}")
    return "\n".join(lines)


def _told(section: Section) -> Iterator[Item]:
    """Yield what is worth a line; of outputs, all but the identical."""
    return (item for item in section.items if item.verdict is not Verdict.IDENTICAL)


def _details(section: Section, paint: Paint) -> str:
    rows = [row for item in _told(section) for row in _rows(item)]
    columns = 5 if any(row[4] for row in rows) else 4
    headers = (section.name.capitalize(), "", "A", "B", "")[:columns]
    table = tabulate([row[:columns] for row in rows], headers=headers, disable_numparse=True)
    diffs = [_diff(each, paint) for item in _told(section) for each in item.differences if each.lines]
    return "\n\n".join([table, *diffs])


def _rows(item: Item) -> Iterator[tuple[str, str, str, str, str]]:
    for each in item.differences[:_MOST]:
        a, b = excerpts(each.a, each.b)
        yield _safe(each.where, 60), each.verdict.value, a, b, _safe(each.detail, 2 * _WIDTH)
    more = len(item.differences) - _MOST
    if more > 0:
        yield f"... and {more} more of {_safe(item.name, 30)}", "", "", "", "--json has all"


def excerpts(a: Any, b: Any) -> tuple[str, str]:
    """Write two values short, from a little before where they begin to differ."""
    texts = tuple("" if each is None else each if isinstance(each, str) else json.dumps(each) for each in (a, b))
    start = 0
    if max(map(len, texts)) > _WIDTH:
        pairs = zip(*texts, strict=False)
        same = next((n for n, (x, y) in enumerate(pairs) if x != y), min(map(len, texts)))
        start = same - 10 if same > _WIDTH // 2 else 0
    left, right = (("..." if start else "") + text[start:] if text else "" for text in texts)
    return _safe(left, _WIDTH), _safe(right, _WIDTH)


def _diff(each: Difference, paint: Paint) -> str:
    name = _safe(each.where, _LINE)
    head = [paint(BOLD, f"--- A {name}"), paint(BOLD, f"+++ B {name}")]
    return "\n".join(head + [_painted(line, paint) for line in each.lines])


def _painted(line: str, paint: Paint) -> str:
    colour = {"-": RED, "+": GREEN, "@": BOLD}.get(line[:1])
    shown = _safe(line, _LINE)
    return paint(colour, shown) if colour else shown


def _safe(text: str, width: int) -> str:
    """Escape what a terminal would obey; a tab is a tab."""
    return tables.one_line(text.replace("\t", "    "), width)


def as_json(report: Report) -> dict[str, Any]:
    """Write a report as JSON."""
    return {
        "version": 1,
        "same": report.same,
        "a": vars(report.a),
        "b": vars(report.b),
        "sections": {section.name: _section(section) for section in report.sections},
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "same": section.same,
        "counted": section.counted,
        "counts": {each.value: count for each, count in section.counts.items()},
        "items": {item.name: _item(item) for item in section.items},
    }


def _item(item: Item) -> dict[str, Any]:
    made: dict[str, Any] = {"verdict": item.verdict.value}
    if item.differences:
        made["differences"] = [_difference(each) for each in item.differences]
    return made


def _difference(each: Difference) -> dict[str, Any]:
    made: dict[str, Any] = {"where": each.where, "verdict": each.verdict.value, "a": each.a, "b": each.b}
    if each.pair:
        made["sha256"] = [content.sha256 for content in each.pair]
        made["size"] = [content.size for content in each.pair]
    if each.detail:
        made["detail"] = each.detail
    if each.lines:
        made["lines"] = list(each.lines)
    return made
