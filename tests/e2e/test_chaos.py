"""The chaos suite: a handful of its runs, each with two kinds of faults on one kind of site, and all 200 by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.chaos import place, report, suite
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


# The seed says which site it is, and when the faults come: these are drawn both, at times when they find something.
@pytest.mark.parametrize(
    ("seed", "site", "kinds"),
    [
        (63, "plain", ["node-lost", "kill-pass-job"]),
        (44, "plain", ["kill-task-job", "sbatch-twice"]),
        (129, "forgetful", ["slurmctld -c", "sbatch-accepted"]),
        (50, "no-requeue", ["disk-full", "node-down"]),
        (12, "no-requeue", ["scancel"]),
        (38, "no-sbatch-on-nodes", ["kill-runner", "sbatch-lost"]),
        (189, "forgetful", ["preempt", "kill-remove"]),
        (99, "no-sbatch-on-nodes", ["kill-start", "kill-clean"]),
    ],
)
def test_whatever_happens_it_ends_as_if_nothing_had(made: Place, seed: int, site: str, kinds: Sequence[str]) -> None:
    done = suite.one(made, seed, kinds, keep=False)
    assert (done.site, {came.name for came in done.faults}) == (site, set(kinds))
    timeline = (done.kept / "timeline").read_text() if done.kept else ""
    assert not done.problems, f"{report.line(done)}\n{timeline}"
    assert not [came.name for came in done.faults if came.missed], report.line(done)
    # The rest was tried out.
    if never := report.could_not_come([done]):
        pytest.skip("; ".join(never))


@pytest.mark.slow
def test_whatever_happens_two_hundred_times() -> None:
    require_slurm()
    reports = []
    for done in suite.run(range(1, 201), list(KINDS), lanes=2):
        print(report.line(done))
        reports.append(done)
    print(report.table(reports))
    print("\n".join(report.could_not_come(reports)))
    assert not [done.seed for done in reports if done.problems]
    assert not report.never_came(reports)
