"""Names, reasons and messages that tasks, archives and other people wrote: no command lets a terminal obey them."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import cli, errors, store
from beeflow.comparing.parent import Compared, Comparison
from beeflow.comparing.verdicts import Verdict
from beeflow.models import StateRecord, TaskRecord, TasksRecord
from beeflow.states import TaskState, WorkflowState
from tests.commands.place import Place

EVIL = "evil\x1b]0;title\x07\x9b31m\r\n\x1b[2Jend\u202e\udcff"
CALLS = (
    *("list", "list --json", "query {id}", "query --json {id}", "verify {id}", "verify --json {id}", "inspect {id}"),
    *("archive {id}", "archive {odd}", "archive --zip . {id}", "copy {id} .", "copy {odd} .", "diff {id} {id}"),
    *("rerun --dry-run {id}", "rerun --dry-run --trust {id}", "retry {id}", "pause {id}", "cancel {id}", "start {id}"),
    *("clean --dry-run --older-than 1d", "clean --older-than 1d", "remove --yes --archive {id}"),
)


@pytest.fixture
def place(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path / "home")
    return place


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", [WorkflowState.ARCHIVED_FAILED, WorkflowState.FAILED])
def test_nothing_is_obeyed(place: Place, capfd: pytest.CaptureFixture[str], call: str, state: WorkflowState) -> None:
    found = place.make(state, name=EVIL, archived=False)
    layout = found.layout
    task = TaskRecord(
        found.id, EVIL, f"task{EVIL}", EVIL, TaskState.FAILED, reason=EVIL, stderr_tail=(EVIL, EVIL), node=EVIL
    )
    store.write_record(layout.final_tasks, TasksRecord((task,)))
    record = replace(found.record(), parent=EVIL, document=EVIL, user=EVIL, host=EVIL)
    store.write_record(layout.workflow, record)
    store.write_record(layout.comparison, Comparison(EVIL, (Compared(EVIL, Verdict.DIFFERS, (EVIL,)),)))
    told = StateRecord(state, record.created, EVIL, None, EVIL, record.created, EVIL)
    if state is not state.outcome:
        place.archive(found, record, state, 40)
        told = replace(told, archive=f"{place.archives}/{found.id}.tgz")
    store.write_record(layout.state, told)
    odd = place.top / EVIL
    odd.write_text("no archive")
    command, *words = call.split()
    argv = [{"{id}": found.id, "{odd}": f"{place.top}/{EVIL}"}.get(word, word) for word in words]
    code = cli.guarded(importlib.import_module(f"beeflow.commands.{command}").main, argv)
    said = capfd.readouterr()
    assert code != errors.EXIT_BUG, said.err
    assert all(each.isprintable() or each in "\n\t" for each in said.err), said.err
    # A path goes to a script as it is; on a terminal it is escaped (tests/test_terminal.py).
    if call != "copy {odd} .":
        assert all(each.isprintable() or each in "\n\t" for each in said.out), said.out
