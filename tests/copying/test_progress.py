"""The bar: on a terminal only, and what a short copy does not pay for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.copying.systems import REPOSITORY, Systems

BIG = 3_000_000


def on_terminal(systems: Systems, *argv: str | Path, columns: int = 120) -> tuple[int, str]:
    """Run bee-copy with stderr on a terminal; returns its exit code and what that shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        systems.here.argv("bee-copy", *argv),
        env={**systems.here.env, "TERM": "xterm", "COLUMNS": str(columns)},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as program:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:
            # EIO: nobody has the terminal open any more.
            pass
    os.close(ours)
    return program.returncode, shown.decode()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_with_rate_and_time(systems: Systems, tmp_path: Path, is_terminal: bool) -> None:
    made = systems.there.make(BIG)
    argv = ("--host", "slow-400", made.stem, tmp_path)
    if not is_terminal:
        done = systems.here.bee("bee-copy", *argv)
        assert (done.returncode, done.stderr) == (0, "")
        return
    code, shown = on_terminal(systems, *argv)
    assert code == 0
    for word in (made.name, "/2.9 MiB", "/s", "0:00:0"):
        assert word in shown
    assert (tmp_path / made.name).read_bytes() == made.read_bytes()


@pytest.mark.parametrize("columns", [60, 80])
def test_a_bar_on_a_narrow_terminal_is_one_line(systems: Systems, tmp_path: Path, columns: int) -> None:
    made = systems.there.make(BIG)
    code, shown = on_terminal(systems, "--host", "slow-400", made.stem, tmp_path, columns=columns)
    assert code == 0
    # Up a line: once, to take it away; a bar of two lines goes up each time that it is drawn.
    assert shown.count("\x1b[1A") == 1
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", each).strip("\n") for each in shown.split("\r")]
    assert max(map(len, lines)) <= columns
    for word in (made.name[:8], "…", "/2.9 MiB", "/s", "0:00:0"):
        assert word in shown


def test_a_short_copy_shows_none(systems: Systems, tmp_path: Path) -> None:
    made = systems.there.make()
    assert on_terminal(systems, "--host", "other", made.stem, tmp_path) == (0, "")


@pytest.mark.parametrize("module", ["copy", "list"])
def test_the_library_is_not_loaded_before_it_is_needed(module: str) -> None:
    script = f"import sys, beeflow.commands.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not {"rich", "cwltool", "filelock.asyncio"} & set(done.stdout.split())


def test_a_warning_there_is_told_here(systems: Systems, tmp_path: Path) -> None:
    made = systems.there.make()
    host = systems.script('echo "WARNING: \033[31mthat old" >&2; exec bee-copy --serve')
    done = systems.here.bee("bee-copy", "--host", host, made.stem, tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        f"WARNING: {host}: \\x1b[31mthat old\n",
    )
