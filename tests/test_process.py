from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beeflow import process

ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def is_alive(pid: int) -> bool:
    """True when a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], object], timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


# -- run --------------------------------------------------------------------------------------------------------------


def test_run_keeps_the_text_and_the_code() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)
    assert (done.returncode, done.stdout, done.stderr, done.message) == (3, "out\n", "err\n", "err")


@pytest.mark.parametrize(
    ("script", "message"), [("echo out; exit 1", "out"), ("exit 4", "exit code 4"), ("kill -9 $$", "exit code -9")]
)
def test_the_message_is_the_best_there_is(script: str, message: str) -> None:
    assert process.run(["sh", "-c", script], timeout_s=10).message == message


def test_run_has_no_shell_no_stdin_and_only_the_given_environment() -> None:
    assert process.run(["printf", "%s", "$HOME; a b"], timeout_s=10).stdout == "$HOME; a b"
    assert process.run(["cat"], timeout_s=10).stdout == ""
    assert process.run(["cat"], timeout_s=10, stdin="ä").stdout == "ä"
    assert process.run(["env"], timeout_s=10, env={"PATH": ENV["PATH"], "A": "1\n2"}).stdout.endswith("A=1\n2\n")
    assert "SECRET" not in process.run(["env"], timeout_s=10, env=ENV).stdout


def test_run_reads_what_is_not_unicode(tmp_path: Path) -> None:
    done = process.run(["printf", r"\377"], timeout_s=10, cwd=tmp_path)
    assert done.stdout == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("text", "mode"), [("#!/bin/sh\n", 0o644), ("no program", 0o755), ("#!/nowhere\n", 0o755)])
def test_what_cannot_be_run_is_said(tmp_path: Path, text: str, mode: int) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(mode)
    for start in (
        lambda: process.run([str(program)], timeout_s=10),
        lambda: process.run_attached([str(program)], env=ENV),
        lambda: process.Stream([str(program)], ENV),
    ):
        with pytest.raises(process.ProgramMissingError, match=f"{program}: (may not be run|program not found)"):
            start()


def test_a_missing_program_is_said() -> None:
    with pytest.raises(process.ProgramMissingError, match=r"no-such-program: program not found") as caught:
        process.run(["no-such-program"], timeout_s=10)
    assert caught.value.exit_code == 69


def test_a_program_that_does_not_answer_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    script = f"echo $$ > {tmp_path}/pid; exec sleep 60"
    with pytest.raises(process.ProgramTimeoutError, match=r"sh: no answer within 0\.3 s"):
        process.run(["sh", "-c", script], timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_find(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("#!/bin/sh\n")
    assert process.find("mine", {"PATH": str(tmp_path)}) is None
    (tmp_path / "mine").chmod(0o755)
    assert process.find("mine", {"PATH": str(tmp_path)}) == tmp_path / "mine"
    assert process.find("mine", {"PATH": "/nowhere"}) is None
    assert process.find("sh", {}) is not None


# -- stream -----------------------------------------------------------------------------------------------------------


def test_a_stream_is_read_and_ended() -> None:
    with process.stream(["sh", "-c", "echo a; echo why >&2; exit 5"], env=ENV) as program:
        assert program.stdout.readline() == b"a\n"
        assert program.end() == (5, "why")


def test_a_stream_is_ended_when_nobody_reads_on() -> None:
    began = time.monotonic()
    with process.stream(["sh", "-c", "echo $$; exec sleep 60"], env=ENV) as program:
        pid = int(program.stdout.readline())
    assert time.monotonic() - began < 10
    assert not is_alive(pid)


def test_a_stream_of_a_missing_program() -> None:
    with (
        pytest.raises(process.ProgramMissingError, match="no-such-program"),
        process.stream(["no-such-program"], env={}),
    ):
        pass
