"""The summary of a conformance run, from results as cwltest gives them."""

from __future__ import annotations

import pytest
from cwltest import utils

from tests.conformance import summary
from tests.conformance.summary import Case, Outcome

DIFFERENT = """expected: {
    "o": {"class": "File", "size": 3}
}
got: {
    "o": {"class": "File", "size": 2}
}
caused by: failed comparison for key 'o': sizes
do not match"""


def judged(number: int, code: int, tags: str = "required, workflow", *, stderr: str = "", message: str = "") -> Outcome:
    """Judge what cwltest says of a test."""
    result = utils.TestResult(code, "{}", stderr, 1.234, "", "entry", "tool.cwl", None, message)
    return summary.judge(Case(number, f"test{number}", tuple(tags.split(", "))), result)


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Give one of each kind."""
    return [
        judged(1, 0),
        judged(2, 1, message="Command 'x' returned non-zero", stderr="INFO\nerror: a FAILED: exit code 1\nmore\n"),
        judged(3, 1, "docker", message=DIFFERENT),
        judged(4, 1, "docker"),
        judged(5, 33, "docker, workflow", stderr="error: image 'x' is not there"),
        judged(6, 2, message="Test timed out"),
    ]


def test_states_and_reasons(outcomes: list[Outcome]) -> None:
    assert [(each.state, each.reason) for each in outcomes] == [
        ("passed", ""),
        ("failed", "a FAILED: exit code 1"),
        ("failed", "failed comparison for key 'o': sizes do not match"),
        ("failed", "it ended with 0, and ought to fail"),
        ("unsupported", "image 'x' is not there"),
        ("failed", "Test timed out"),
    ]


def test_the_summary(outcomes: list[Outcome]) -> None:
    assert summary.render(outcomes, {"test3": "their fault", "test1": "used to fail"}) == (
        """\
tag         passed    failed    unsupported
--------  --------  --------  -------------
docker           0         2              1
required         1         2              0
workflow         1         2              1
all              1         4              1

  no  id     state        reason
----  -----  -----------  ----------------------------------
   2  test2  failed       a FAILED: exit code 1
   3  test3  failed       expected: their fault
   4  test4  failed       it ended with 0, and ought to fail
   5  test5  unsupported  image 'x' is not there
   6  test6  failed       Test timed out

passed though expected not to: test1"""
    )


def test_what_is_expected_does_not_count(outcomes: list[Outcome]) -> None:
    left = summary.unexpected(outcomes, {"test3": "their fault", "test5": "no image"})
    assert [each.case.number for each in left] == [2, 4, 6]
    assert summary.unexpected(outcomes[:1], {}) == []


def test_json(outcomes: list[Outcome]) -> None:
    made = summary.to_json(outcomes[2:3], {"test3": "their fault"})
    assert made["by_tag"] == {"docker": {"passed": 0, "failed": 1, "unsupported": 0}, "all": made["by_tag"]["docker"]}
    assert made["tests"] == [
        {
            "number": 3,
            "id": "test3",
            "tags": ("docker",),
            "state": "failed",
            "reason": "failed comparison for key 'o': sizes do not match",
            "seconds": 1.2,
            "expected": "their fault",
        }
    ]
