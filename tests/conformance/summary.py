"""From what cwltest says of each test to a summary by tag."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tabulate
from cwltest import UNSUPPORTED_FEATURE
from cwltest.utils import TestResult

PASSED, FAILED, UNSUPPORTED = "passed", "failed", "unsupported"
_REASON_WIDTH = 100


@dataclass(frozen=True)
class Case:
    """A test of the suite. ``number``: its place there, from 1."""

    number: int
    id: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a test. ``reason``: the runner's last words, or where the outputs differ."""

    case: Case
    state: str
    reason: str
    seconds: float


def judge(case: Case, result: TestResult) -> Outcome:
    """Read cwltest's result."""
    seconds = round(result.duration, 1)
    if result.return_code == 0:
        return Outcome(case, PASSED, "", seconds)
    state = UNSUPPORTED if result.return_code == UNSUPPORTED_FEATURE else FAILED
    return Outcome(case, state, _reason(result), seconds)


def _reason(result: TestResult) -> str:
    said = [line for line in (result.error_output or "").splitlines() if line.startswith("error:")]
    differs = (result.message or "").rpartition("caused by: ")[2].splitlines()
    # A test that ought to fail and does not leaves no message.
    reason = said[0].removeprefix("error: ") if said else " ".join(differs) or "it ended with 0, and ought to fail"
    return " ".join(reason.split())


def unexpected(outcomes: Sequence[Outcome], expected: Mapping[str, str]) -> list[Outcome]:
    """List what did not pass and has no reason not to."""
    return [each for each in outcomes if each.state != PASSED and each.case.id not in expected]


def by_tag(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Count the states of each tag, and of all tests."""
    counts = {"all": dict.fromkeys((PASSED, FAILED, UNSUPPORTED), 0)}
    for outcome in outcomes:
        for tag in ("all", *outcome.case.tags):
            counts.setdefault(tag, dict.fromkeys((PASSED, FAILED, UNSUPPORTED), 0))[outcome.state] += 1
    return dict(sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])))


def render(outcomes: Sequence[Outcome], expected: Mapping[str, str]) -> str:
    """Write the summary: counts by tag, what did not pass, and what passes though it need not."""
    counts = by_tag(outcomes)
    parts = [tabulate.tabulate([[tag, *found.values()] for tag, found in counts.items()], _HEAD)]
    rows = [
        [each.case.number, each.case.id, each.state, _short(_note(each, expected))]
        for each in outcomes
        if each.state != PASSED
    ]
    if rows:
        parts.append(tabulate.tabulate(rows, ["no", "id", "state", "reason"]))
    surprising = [each.case.id for each in outcomes if each.state == PASSED and each.case.id in expected]
    if surprising:
        parts.append(f"passed though expected not to: {', '.join(surprising)}")
    return "\n\n".join(parts)


_HEAD = ["tag", PASSED, FAILED, UNSUPPORTED]


def _note(outcome: Outcome, expected: Mapping[str, str]) -> str:
    known = expected.get(outcome.case.id)
    return f"expected: {known}" if known else outcome.reason


def _short(text: str) -> str:
    return text if len(text) <= _REASON_WIDTH else text[: _REASON_WIDTH - 1] + "…"


def to_json(outcomes: Sequence[Outcome], expected: Mapping[str, str]) -> dict[str, Any]:
    """Return all of it as JSON values."""
    tests = [
        {**dataclasses.asdict(each.case), "state": each.state, "reason": each.reason, "seconds": each.seconds}
        | ({"expected": expected[each.case.id]} if each.case.id in expected else {})
        for each in outcomes
    ]
    return {"by_tag": by_tag(outcomes), "tests": tests}
