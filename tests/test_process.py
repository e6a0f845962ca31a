from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
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


# -- run_measured -----------------------------------------------------------------------------------------------------


def measured(
    folder: Path,
    *argv: str,
    time_limit_s: float | None = None,
    stdin: str | None = None,
    env: Mapping[str, str] = ENV,
    on_start: Callable[[Callable[[int], None]], None] | None = None,
) -> process.Measured:
    return process.run_measured(
        argv,
        env=env,
        cwd=str(folder),
        stdin=stdin,
        stdout=str(folder / "stdout"),
        stderr=str(folder / "stderr"),
        time_limit_s=time_limit_s,
        on_start=on_start,
    )


def sh(folder: Path, script: str, time_limit_s: float | None = None) -> process.Measured:
    return measured(folder, "sh", "-c", script, time_limit_s=time_limit_s)


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code(tmp_path: Path, code: int) -> None:
    done = sh(tmp_path, f"exit {code}")
    assert (done.returncode, done.timed_out) == (code, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_the_signal_that_ended_it(tmp_path: Path, number: signal.Signals) -> None:
    done = sh(tmp_path, f"kill -{int(number)} $$")
    assert (done.returncode, done.timed_out) == (-number, False)


def test_streams_are_files_and_are_added_to(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given\n")
    (tmp_path / "stdout").write_text("before\n")
    done = measured(tmp_path, "sh", "-c", "cat; pwd; echo $X >&2", stdin=str(tmp_path / "in"), env={**ENV, "X": "1"})
    assert done.returncode == 0
    assert (tmp_path / "stdout").read_text() == f"before\ngiven\n{tmp_path}\n"
    assert (tmp_path / "stderr").read_text() == "1\n"


def test_both_streams_in_one_file_do_not_overwrite_each_other(tmp_path: Path) -> None:
    process.run_measured(
        ["sh", "-c", "for i in 1 2 3; do echo out; echo err >&2; done"],
        env=ENV,
        cwd=str(tmp_path),
        stdin=None,
        stdout=str(tmp_path / "both"),
        stderr=str(tmp_path / "both"),
    )
    assert (tmp_path / "both").read_text() == "out\nerr\n" * 3


def test_what_cannot_be_started_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measured(tmp_path, "no-such-program")
    (tmp_path / "text").write_text("")
    with pytest.raises(PermissionError):
        measured(tmp_path, str(tmp_path / "text"))
    with pytest.raises(FileNotFoundError) as caught:
        measured(tmp_path, "cat", stdin=str(tmp_path / "none"))
    assert caught.value.filename == str(tmp_path / "none")


def test_memory_and_time_are_those_of_the_command_and_its_children(tmp_path: Path) -> None:
    script = "x = bytearray(200 << 20)\nimport time\nwhile time.process_time() < 0.4: pass"
    done = measured(tmp_path, "sh", "-c", f"{sys.executable} -S -c '{script}'; true")
    assert done.max_rss_kib is not None
    assert 200 << 10 < done.max_rss_kib < 400 << 10
    assert 0.35 < done.cpu_s < 5


def test_the_memory_of_the_runner_is_not_taken_for_the_commands(tmp_path: Path) -> None:
    # Linux hands a process's peak on through fork and exec: getrusage(2) of "true" tells the size of a big parent.
    ballast = bytearray(300 << 20)
    done = measured(tmp_path, "true")
    assert len(ballast) > 0
    assert done.max_rss_kib is None or done.max_rss_kib < 100 << 10


def test_the_memory_of_a_small_command_under_a_big_runner_is_seen(tmp_path: Path) -> None:
    ballast = bytearray(300 << 20)
    done = measured(tmp_path, sys.executable, "-c", "import time; kept = bytearray(50 << 20); time.sleep(0.6)")
    assert len(ballast) > 0
    assert done.max_rss_kib is not None
    assert 50 << 10 < done.max_rss_kib < 150 << 10


def test_a_sleeping_command_costs_no_cpu(tmp_path: Path) -> None:
    sh(tmp_path, f"{sys.executable} -c 'import time; t = time.time()\nwhile time.time() < t + 0.3: pass'")
    assert measured(tmp_path, "sleep", "0.2").cpu_s < 0.15


def test_the_time_limit_ends_the_whole_group(tmp_path: Path) -> None:
    began = time.monotonic()
    done = sh(tmp_path, "trap '' TERM INT; sh -c 'echo $$ > child; sleep 60' & sleep 60", time_limit_s=0.5)
    assert (done.returncode, done.timed_out) == (-signal.SIGKILL, True)
    assert time.monotonic() - began < 10
    assert wait_until(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_within_the_time_limit(tmp_path: Path) -> None:
    began = time.monotonic()
    done = sh(tmp_path, "exit 3", time_limit_s=30)
    assert (done.returncode, done.timed_out) == (3, False)
    assert time.monotonic() - began < 10


def test_what_is_left_running_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()
    done = sh(tmp_path, "trap '' HUP TERM; sleep 60 & echo $! > child; exit 0")
    assert (done.returncode, done.timed_out) == (0, False)
    assert time.monotonic() - began < 10
    assert wait_until(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_the_whole_group_can_be_signalled(tmp_path: Path) -> None:
    given: list[Callable[[int], None]] = []

    def on_start(send: Callable[[int], None]) -> None:
        given.append(send)
        send(signal.SIGTERM)

    done = measured(tmp_path, "sh", "-c", "sleep 60 | sleep 60", on_start=on_start)
    assert (done.returncode, done.timed_out) == (-signal.SIGTERM, False)
    given[0](signal.SIGTERM)  # too late is no error


def test_the_command_dies_with_its_runner(tmp_path: Path) -> None:
    script = (
        "from beeflow import process; process.run_measured(['sleep', '60'], env={'PATH': '/usr/bin:/bin'}, cwd='/', "
        "stdin=None, stdout='/dev/null', stderr='/dev/null', on_start=lambda send: print('started', flush=True))"
    )
    with process.stream([sys.executable, "-c", script], env={**ENV, "PYTHONPATH": os.pathsep.join(sys.path)}) as runner:
        assert runner.stdout.readline() == b"started\n"
        me = os.getpid()
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        (pid,) = [int(each) for each in children if script.encode() in Path(f"/proc/{each}/cmdline").read_bytes()]
        (sleeper,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(int(sleeper)))


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
