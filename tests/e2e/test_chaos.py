"""The chaos suite: a handful of its runs, each with two kinds of faults on one kind of site, and all 200 by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.chaos import place, suite
from tests.chaos.faults import KINDS
from tests.chaos.place import Place
from tests.e2e.conftest import require_slurm

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made() -> Iterator[Place]:
    """Make a Slurm of the suite's own, which restarts it, and kills what it likes."""
    require_slurm()
    with place.make() as found:
        yield found


# The seed says which site it is, and when the faults come: these are drawn both.
@pytest.mark.parametrize(
    ("seed", "site", "kinds"),
    [
        (23, "plain", ["node-lost", "kill-pass-job"]),
        (63, "plain", ["kill-task-job", "sbatch-twice"]),
        (9, "forgetful", ["slurmctld -c", "kill-pass"]),
        (50, "no-requeue", ["disk-full", "scancel"]),
        (38, "no-sbatch-on-nodes", ["kill-runner", "sbatch-lost"]),
    ],
)
def test_whatever_happens_it_ends_as_if_nothing_had(made: Place, seed: int, site: str, kinds: Sequence[str]) -> None:
    report = suite.one(made, seed, kinds, keep=False)
    assert (report.site, {name for name, _, _ in report.faults}) == (site, set(kinds))
    timeline = (report.kept / "timeline").read_text() if report.kept else ""
    assert not report.problems, f"{suite.line(report)}\n{timeline}"


@pytest.mark.slow
def test_whatever_happens_two_hundred_times() -> None:
    require_slurm()
    reports = []
    for report in suite.run(range(1, 201), list(KINDS), lanes=2):
        print(suite.line(report))
        reports.append(report)
    print(suite.table(reports))
    assert not [report.seed for report in reports if report.problems]
