"""Ctrl-C before a command has begun, while Python imports it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# As pip writes a command.
SCRIPT = "import sys; sys.argv[0] = '/usr/bin/bee-list'; from beeflow.commands.list import run; run()"
PROGRAMS = {
    "module": [sys.executable, "-m", "beeflow.commands.list"],
    "installed": [sys.executable, "-c", SCRIPT],
    "checkout": [str(REPOSITORY / "bin/bee-list")],
}
PRESSED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


def interrupted(folder: Path, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that somebody interrupts as it imports tabulate."""
    (folder / "tabulate.py").write_text(f"{PRESSED}raise SystemExit(5)\n")
    env = {**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}"}
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("program", PROGRAMS)
def test_ends_it_by_the_signal_and_without_a_word(tmp_path: Path, program: str) -> None:
    if program == "checkout" and not (REPOSITORY / ".venv/bin/python").exists():
        pytest.skip("bin/ runs another Python here")
    done = interrupted(tmp_path, PROGRAMS[program])
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_is_ignored_where_whoever_started_it_says_so(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *PROGRAMS["module"]]
    assert interrupted(tmp_path, argv).returncode == 5


def test_is_no_business_of_ours_in_another_program(tmp_path: Path) -> None:
    script = "import beeflow.commands, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"


def test_is_answered_once_the_command_runs() -> None:
    script = f"""
import sys
sys.argv[0] = "bee-x"
import beeflow.commands
from beeflow import cli
def main(argv):
    {PRESSED.replace(chr(10), chr(10) + "    ")}
cli.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, "error: interrupted\n")
