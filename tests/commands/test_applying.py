"""bee-start, bee-pause, bee-resume and bee-cancel: which workflows are meant, the question, the exit code."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import cli, store
from beeflow.applying import states_of
from beeflow.commands import cancel, pause, resume, start
from beeflow.layout import Layout, folders
from beeflow.listing import state_record
from beeflow.models import SlurmRecord
from beeflow.states import Command, WorkflowState
from tests.fakes import RECORD

Capture = pytest.CaptureFixture[str]
Add = Callable[..., Layout]
COMMANDS = [start.main, pause.main, resume.main, cancel.main]


class Terminal(io.StringIO):
    """Standard input of a user who sits there."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Make workflows in an empty bee_workdir on a host without Slurm; nobody sits at a terminal."""
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {tmp_path}/bee\n")
    monkeypatch.setenv("BEE_CONFIG", str(conf))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    def make(first: str, state: WorkflowState | None = None) -> Layout:
        slurm = SlurmRecord(str(tmp_path / "slurm.conf"), "", "away", "22.05.8", 1001, 10000)
        record = replace(RECORD, id=first + RECORD.id[1:], name=f"name {first}", slurm=slurm)
        made = Layout(tmp_path / "bee/workflows" / record.id)
        made.root.mkdir(parents=True)
        for folder in folders(made):
            folder.mkdir()
        store.write_record(made.workflow, record)
        if state is not None:
            store.write_record(made.state, state_record(record, state))
        return made

    return make


@pytest.mark.parametrize("main", COMMANDS)
@pytest.mark.parametrize("argv", [[], ["3fc6", "--all"]])
def test_ids_or_all(add: Add, capsys: Capture, main: cli.Main, argv: list[str]) -> None:
    assert cli.guarded(main, argv) == 2
    assert "their ids (see: bee-list), or --all" in capsys.readouterr().err


@pytest.mark.parametrize("main", COMMANDS)
def test_all_without_a_terminal_takes_yes(add: Add, capsys: Capture, main: cli.Main) -> None:
    assert cli.guarded(main, ["--all"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert cli.guarded(main, ["--all", "--yes"]) == 0
    assert capsys.readouterr().out.startswith("No workflow is ")


def test_the_states_of_a_command() -> None:
    assert states_of(Command.PAUSE) == "Pending or Running"
    assert states_of(Command.CANCEL) == "Submitted, Pending, Running, Paused or Stalled"


def test_one_id_that_fails_does_not_keep_the_others_and_the_worst_exit_code_counts(add: Add, capsys: Capture) -> None:
    add("a", WorkflowState.ARCHIVED)
    add("b", WorkflowState.ARCHIVED_CANCELLED)
    assert cli.guarded(cancel.main, ["a", "nothing", "b", "bfc6"]) == 4
    told = capsys.readouterr()
    assert told.out == f"Workflow b{RECORD.id[1:]} is Archived/Cancelled already.\n"
    first, second = told.err.splitlines()
    assert first == "error: no workflow has an id that begins with 'nothing'; see: bee-list"
    assert second.startswith(f"error: workflow a{RECORD.id[1:]} is Archived: bee-cancel is not possible; what is: ")


def test_what_cannot_be_found_is_one_of_the_worst(add: Add) -> None:
    add("b", WorkflowState.ARCHIVED_CANCELLED)
    assert cli.guarded(cancel.main, ["b", "x"]) == 3


def test_all_takes_what_the_command_changes(add: Add, capsys: Capture) -> None:
    held = [add("a"), add("c")]
    add("b", WorkflowState.ARCHIVED)
    for each in held:
        each.held.write_text("")
    # There is no Slurm: both are tried, and only they.
    assert cli.guarded(start.main, ["--all", "-y"]) == 69
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]) == 2


def test_all_leaves_what_is_being_cancelled(add: Add, capsys: Capture) -> None:
    add("a").cancel.write_text("")
    assert cli.guarded(pause.main, ["--all", "-y"]) == 0
    assert capsys.readouterr().out == "No workflow is Pending or Running.\n"


@pytest.mark.parametrize(("answer", "code"), [("y", 69), ("YES", 69), ("n", 1), ("", 1), ("maybe", 1), (None, 1)])
def test_several_are_asked_for_on_a_terminal(
    add: Add, capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: str | None, code: int
) -> None:
    made = [add("a"), add("b")]
    monkeypatch.setattr(sys, "stdin", Terminal("" if answer is None else f"{answer}\n"))
    assert cli.guarded(pause.main, ["a", "b"]) == code
    told = capsys.readouterr().out
    assert told.startswith(
        f"  {made[0].root.name}  name a\n  {made[1].root.name}  name b\nPause these 2 workflows? [y/N]"
    )
    assert ("Nothing was done." in told) == (code == 1)
    assert any(each.paused.exists() for each in made) == (code != 1)


def test_one_is_not_asked_for(add: Add, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    add("a", WorkflowState.ARCHIVED)
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert cli.guarded(pause.main, ["a"]) == 4
    assert capsys.readouterr().out == ""


def test_in_a_script_ids_are_enough(add: Add, capsys: Capture) -> None:
    add("a", WorkflowState.ARCHIVED_CANCELLED)
    add("b", WorkflowState.ARCHIVED_CANCELLED)
    assert cli.guarded(cancel.main, ["a", "b"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
