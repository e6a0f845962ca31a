"""What came of runs, in words and in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tabulate import tabulate

OUTCOMES = ("cannot", "missed", "by itself", "go on", "retry", "both", "WRONG")
# A fault that was drawn so often must have come.
MUST_COME = 5


@dataclass(frozen=True)
class Came:
    """How a fault came. ``said``: what was done, None when it missed. ``why``: why it could not come at all."""

    name: str
    at: float
    said: str | None
    why: str = ""

    @property
    def missed(self) -> bool:
        """True when there was nothing to disturb, though there might have been."""
        return self.said is None and not self.why


@dataclass
class Report:
    """What came of a run."""

    seed: int
    site: str
    faults: list[Came] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    state: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    kept: Path | None = None


def line(report: Report) -> str:
    """Describe a run in a line, and what is wrong with it in more."""
    faults = ", ".join(map(told, report.faults))
    given = f"; {' '.join(report.commands)}" if report.commands else ""
    verdict = "WRONG" if report.problems else "ok"
    head = f"{report.seed:4} {report.site}: {faults}{given}; {report.state}, {report.seconds:.0f} s: {verdict}"
    return "\n".join([head, *(f"       {problem}" for problem in report.problems)])


def told(came: Came) -> str:
    """Say how a fault came."""
    if came.said is None:
        return f"{came.name} {'cannot come' if came.why else 'missed'}"
    return f"{came.name} {f'{came.at:.1f} s' if came.at else came.said}"


def outcome(report: Report, came: Came) -> str:
    """Say how a fault did not come, or what it took where it did, as the table has it."""
    if came.said is None:
        return "missed" if came.missed else "cannot"
    if report.problems:
        return "WRONG"
    retried = "bee-retry" in report.commands
    if len(report.commands) > 1:
        return "both"
    return "retry" if retried else "go on" if report.commands else "by itself"


def table(reports: Sequence[Report]) -> str:
    """Count outcomes by fault: of the runs that a fault was in."""
    counts: dict[str, Counter[str]] = {}
    for report in reports:
        for came in report.faults:
            counts.setdefault(came.name, Counter())[outcome(report, came)] += 1
    rows = [(name, *(counts[name][word] or "" for word in OUTCOMES)) for name in sorted(counts)]
    return tabulate(rows, headers=["fault", *OUTCOMES])


def never_came(reports: Sequence[Report], least: int = MUST_COME) -> list[str]:
    """Say which faults were drawn so often, and always missed: these were not tried out."""
    all_came = [came for report in reports for came in report.faults if not came.why]
    drawn = Counter(came.name for came in all_came)
    missed = Counter(came.name for came in all_came if came.missed)
    return [
        f"{name} missed all {count} times" for name, count in sorted(drawn.items()) if missed[name] == count >= least
    ]


def could_not_come(reports: Sequence[Report]) -> list[str]:
    """Say which faults there cannot be here, and why."""
    return sorted({f"{came.name} cannot come: {came.why}" for report in reports for came in report.faults if came.why})
