"""The verdict finds what it is there to find."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from beeflow.layout import Layout
from tests.chaos import report, verdict
from tests.chaos.faults import KINDS, choose
from tests.chaos.faults.base import Fault
from tests.chaos.report import Came, Report
from tests.chaos.workload import Said, Workload, nonces, without_nonces


def said(what: str, label: str, nonce: str, at: float, folder: str = "") -> Said:
    """Describe a line of a task's log."""
    return Said(what, label, nonce, at, folder)


def attempt(root: Path, name: str, started: str) -> str:
    """Make an attempt's folder; returns where its task runs."""
    folder = root / "tasks/001-first/000/000000" / name
    folder.mkdir(parents=True)
    (folder / "started.json").write_text(json.dumps({"started": started}))
    return str(folder / "first.0/out")


OUTPUTS = {"all": ["second n2 /there", "first n1 /there", "first n1"], "unmade": None, "firsts": [["first n1 /there"]]}


def test_outputs_without_nonces_are_labels() -> None:
    assert without_nonces(OUTPUTS) == {"all": ["second", "first", "first"], "unmade": None, "firsts": [["first"]]}
    assert set(nonces(OUTPUTS)) == {("second", "n2"), ("first", "n1")}


def test_an_undisturbed_run_is_found_good() -> None:
    lines = [said(what, *pair, 1.0) for what in ("begin", "end") for pair in (("first", "n1"), ("second", "n2"))]
    assert list(verdict.whole_tasks(OUTPUTS, lines)) == []


def test_mixed_attempts_are_found() -> None:
    mixed = {"all": ["first n1", "first n3"]}
    lines = [said(what, "first", nonce, 1.0) for what in ("begin", "end") for nonce in ("n1", "n3")]
    assert list(verdict.whole_tasks(mixed, lines)) == ["first: outputs of 2 attempts are mixed"]


def test_outputs_of_a_task_that_did_not_end_are_found() -> None:
    lines = [said("begin", "first", "n1", 1.0)]
    assert list(verdict.whole_tasks({"all": ["first n1"]}, lines)) == [
        "first: its outputs are of an attempt that did not end"
    ]


@pytest.mark.parametrize(("started", "found"), [("1970-01-01T00:00:02+00:00", 0), ("1970-01-01T00:00:20+00:00", 1)])
def test_a_task_that_runs_after_its_good_end_is_found(tmp_path: Path, started: str, found: int) -> None:
    first, second = attempt(tmp_path, "1.0", "1970-01-01T00:00:01+00:00"), attempt(tmp_path, "1.1", started)
    lines = [said("begin", "first", "n1", 1.0, first), said("end", "first", "n1", 10.0, first)]
    lines += [said("begin", "first", "n9", 20.0, second)]
    assert len(list(verdict.once(Layout(tmp_path), OUTPUTS, lines))) == found


def test_half_written_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "whole.json").write_text("{}\n")
    (tmp_path / "half.json").write_text('{"a": ')
    (tmp_path / "half.id").write_text("12")
    found = list(verdict.whole_files(Layout(tmp_path)))
    assert found == ["half.id is damaged", "half.json is damaged"]


def test_a_seed_makes_the_same_faults_again() -> None:
    def drawn(seed: int) -> list[tuple[type[Fault], dict[str, Any]]]:
        return [(type(each), vars(each)) for each in choose(Random(seed), list(KINDS))]

    assert [drawn(seed) for seed in range(40)] == [drawn(seed) for seed in range(40)]
    assert {kind for seed in range(600) for kind, _ in drawn(seed)} == set(KINDS.values())


def test_the_log_of_tasks_is_read(tmp_path: Path) -> None:
    workload = Workload(tmp_path)
    assert list(workload.said()) == []
    workload.log.write_text("begin first.0 n1 12.5 /a folder\n")
    assert list(workload.said()) == [Said("begin", "first.0", "n1", 12.5, "/a folder")]


def test_the_table_counts_runs_by_fault_and_outcome() -> None:
    good = Report(1, "plain", [Came("kill-pass", 1.0, "python(12)"), Came("scancel", 2.0, None)], [], "Archived")
    retried = Report(2, "plain", [Came("kill-pass", 1.0, "python(13)")], ["bee-retry"], "Archived")
    wrong = Report(3, "plain", [Came("scancel", 1.0, "12")], [], "Running", problems=["nothing moves"])
    rows = [line.split() for line in report.table([good, retried, wrong]).splitlines()[2:]]
    assert rows == [["kill-pass", "1", "1"], ["scancel", "1", "1"]]
    assert "nothing moves" in report.line(wrong)


def test_a_fault_that_never_comes_is_found() -> None:
    missed, hit = (Report(1, "plain", [Came("scancel", 1.0, said)]) for said in (None, "12"))
    cannot = Report(2, "plain", [Came("disk-full", 1.0, None, "no small disk")])
    assert report.never_came([missed] * 5) == ["scancel missed all 5 times"]
    assert report.never_came([missed] * 4) == []
    assert report.never_came([missed] * 5 + [hit]) == []
    assert report.never_came([cannot] * 5) == []
    assert report.could_not_come([cannot] * 2) == ["disk-full cannot come: no small disk"]
