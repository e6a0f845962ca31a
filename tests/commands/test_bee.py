"""bee: finds commands on PATH, becomes them, and lists them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beeflow import cli
from beeflow.commands import bee

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder with a command of somebody else on PATH."""
    program = tmp_path / "bee-hello"
    program.write_text('#!/bin/sh\necho hello "$0" "$@"\nexit 7\n')
    program.chmod(0o755)
    (tmp_path / "bee-notes.txt").write_text("not a program\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(sys.executable).parent}:{os.defpath}")
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def run_bee(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run bee as a program: it becomes another."""
    command = [sys.executable, "-m", "beeflow.commands.bee", *argv]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_lists_commands_and_their_purpose(folder: Path, capsys: Capture, argv: list[str]) -> None:
    with contextlib.suppress(SystemExit):
        assert bee.main(argv) == 0
    told = capsys.readouterr().out
    lines = dict(line.split(None, 1) for line in told.split("commands:\n")[1].splitlines() if len(line.split()) > 1)
    assert lines["list"] == "List the workflows"
    assert lines["submit"].startswith("Submit a CWL workflow")
    assert "\n  hello\n" in told
    assert "notes" not in told


def test_every_command_of_ours_has_a_purpose() -> None:
    names = [path.stem for path in Path(bee.__file__).parent.glob("*.py") if path.stem not in ("__init__", "bee")]
    assert "submit" in names
    assert [name for name in names if not bee.purpose(name)] == []
    assert bee.purpose("somebody-elses") == ""


def test_becomes_the_command(folder: Path) -> None:
    done = run_bee("hello", "--json", "a b")
    assert (done.returncode, done.stdout) == (7, f"hello {folder}/bee-hello --json a b\n")


def test_our_own_are_found(folder: Path) -> None:
    done = run_bee("list", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: bee-list")


def test_unknown_command_says_what_is_close(folder: Path, capsys: Capture) -> None:
    assert cli.guarded(bee.main, ["helo"]) == 2
    assert capsys.readouterr().err == "error: bee: there is no command 'helo'; did you mean hello?\n"


@pytest.mark.parametrize("name", ["zzzzzz", "../bee", "notes.txt", ""])
def test_unknown_command(folder: Path, capsys: Capture, name: str) -> None:
    assert cli.guarded(bee.main, [name]) == 2
    assert f"there is no command {name!r}" in capsys.readouterr().err


def test_unknown_option(folder: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        bee.main(["--jsno"])
    assert left.value.code == 2


def test_folders_on_path_that_cannot_be_read(folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"/nonexistent:/dev/null::{folder}")
    assert bee.main([]) == 0
    assert "\n  hello\n" in capsys.readouterr().out
