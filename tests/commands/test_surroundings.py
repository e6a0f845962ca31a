"""What a command finds around it: Ctrl-C before it has begun, streams that are closed, a folder that is gone."""

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
def test_ctrl_c_ends_it_by_the_signal_and_without_a_word(tmp_path: Path, program: str) -> None:
    if program == "checkout" and not (REPOSITORY / ".venv/bin/python").exists():
        pytest.skip("bin/ runs another Python here")
    done = interrupted(tmp_path, PROGRAMS[program])
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_is_ignored_where_whoever_started_it_says_so(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *PROGRAMS["module"]]
    assert interrupted(tmp_path, argv).returncode == 5


def test_ctrl_c_is_no_business_of_ours_in_another_program(tmp_path: Path) -> None:
    script = "import beeflow.commands, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"


def test_ctrl_c_is_answered_once_the_command_runs() -> None:
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["--nonsense"], 2), ([], 0)])
def test_closed_streams(tmp_path: Path, closed: str, words: list[str], code: int) -> None:
    argv = ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAMS["module"], *words]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    env.pop("BEE_CONFIG", None)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


@pytest.mark.parametrize(("words", "code"), [(["list"], 0), (["rerun", "--outdir", "out", "x.tgz"], 74)])
def test_a_folder_that_is_gone(tmp_path: Path, words: list[str], code: int) -> None:
    script = f'mkdir gone; cd gone; rmdir ../gone; exec "$0" -m beeflow.commands.{words[0]} "$@"'
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)}
    env.pop("BEE_CONFIG", None)
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, *words[1:]],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    if code:
        assert done.stderr == "error: the folder that you are in is gone; cd to another\n"
