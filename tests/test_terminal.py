"""What somebody else wrote is shown, and obeyed by no terminal; a path stays what it is."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from beeflow import cli, errors, tables, terminal

ODD = "a\x1b[31m\n\t\x9b\x7f\u202e\udcff\u00e4\U0001f41d"


def test_all_that_a_terminal_would_obey_is_escaped() -> None:
    assert terminal.escaped(ODD) == "a\\x1b[31m\\n\\t\\x9b\\x7f\\u202e\\xff\u00e4\U0001f41d"
    assert terminal.escaped(ODD, "\n\t") == "a\\x1b[31m\n\t\\x9b\\x7f\\u202e\\xff\u00e4\U0001f41d"
    assert tables.one_line(ODD) == terminal.escaped(ODD)
    assert tables.one_line("x" * 9, 4) == "xxx\u2026"


def test_errors_warnings_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    cli.error(f"{ODD}\nsecond line")
    cli.start_logging(0)
    logging.getLogger("beeflow").warning("%s", ODD)
    with pytest.raises(SystemExit):
        cli.parser("bee-x", "").parse_args([ODD])
    said = capsys.readouterr().err
    assert said.count("\\x1b[31m") == 3
    assert "\nsecond line\n" in said
    assert all(each.isprintable() or each in "\n\t" for each in said)


PRINTS = f"from beeflow import cli; import sys; sys.exit(cli.guarded(lambda _: cli.say({ODD!r}) or 0, []))"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", ODD.encode(errors="surrogateescape")),
        ("ascii", b"a\x1b[31m\n\t\\x9b\x7f\\u202e\xff\\xe4\\U0001f41d"),
    ],
)
def test_a_script_gets_the_bytes_of_a_path(encoding: str, expected: bytes) -> None:
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    done = subprocess.run([sys.executable, "-c", PRINTS], env=env, stdout=subprocess.PIPE, check=True)
    assert done.stdout == expected + b"\n"


def test_a_terminal_gets_what_it_can_show() -> None:
    outer, inner = pty.openpty()
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    subprocess.run([sys.executable, "-c", PRINTS], env=env, stdout=inner, check=True)
    os.close(inner)
    with open(outer, "rb") as stream:
        said = stream.read1(1000)
    assert said.replace(b"\r\n", b"\n").decode() == terminal.escaped(ODD, "\n\t") + "\n"


def test_what_the_system_refuses_is_no_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(_: object) -> int:
        (tmp_path / ("x" * 300)).read_text()
        return 0

    assert cli.guarded(fails, []) == 74
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/xxx")
    assert said.endswith("File name too long\n")
    assert cli.guarded(lambda _: int("x"), []) == errors.EXIT_BUG


def test_a_full_disk_is_no_bug() -> None:
    with open("/dev/full", "w") as full:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run([sys.executable, "-c", PRINTS], stdout=full, stderr=subprocess.PIPE, env=env, text=True)
    assert (done.returncode, done.stderr) == (74, "error: standard output: No space left on device\n")
