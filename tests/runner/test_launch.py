"""Commands that the launcher starts, in a process that may be hit by its alarms: each test ends them."""

from __future__ import annotations

import ast
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beeflow.runner.launch import CannotStartError, Ended, Launcher, why_unfit

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _alarms() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def command(folder: Path, *argv: str, **more: Any) -> dict[str, Any]:
    """Describe a command, as far as the launcher looks."""
    return {
        "argv": list(argv),
        "env": ENV,
        "workdir": str(folder),
        "stdin": None,
        "stdout": f"{folder}/stdout",
        "stderr": f"{folder}/stderr",
        "time_limit_s": None,
        **more,
    }


def run(folder: Path, *argv: str, **more: Any) -> Ended:
    launcher = Launcher()
    launcher.start("0", command(folder, *argv, **more))
    return launcher.wait()


def sh(folder: Path, script: str, **more: Any) -> Ended:
    return run(folder, "sh", "-c", script, **more)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code(tmp_path: Path, code: int) -> None:
    ended = sh(tmp_path, f"exit {code}")
    assert (ended.label, ended.code, ended.timed_out) == ("0", code, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_the_signal_that_ended_it(tmp_path: Path, number: signal.Signals) -> None:
    assert sh(tmp_path, f"kill -{int(number)} $$").code == -number


def test_streams_are_files_and_are_added_to(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given\n")
    (tmp_path / "stdout").write_text("before\n")
    ended = sh(tmp_path, "cat; pwd; echo $X >&2", stdin=f"{tmp_path}/in", env={**ENV, "X": "1"})
    assert ended.code == 0
    assert (tmp_path / "stdout").read_text() == f"before\ngiven\n{tmp_path}\n"
    assert (tmp_path / "stderr").read_text() == "1\n"


def test_both_streams_in_one_file_do_not_overwrite_each_other(tmp_path: Path) -> None:
    sh(tmp_path, "for i in 1 2 3; do echo out; echo err >&2; done", stderr=f"{tmp_path}/stdout")
    assert (tmp_path / "stdout").read_text() == "out\nerr\n" * 3


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({"argv": ["no-such-program"]}, "no-such-program"),
        ({"argv": ["/etc/passwd"]}, "/etc/passwd"),
        ({"stdin": "/nowhere/in"}, "/nowhere/in"),
        ({"workdir": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_cannot_be_started_is_told_with_what_it_is_about(tmp_path: Path, more: dict[str, Any], about: str) -> None:
    launcher = Launcher()
    with pytest.raises(CannotStartError) as caught:
        launcher.start("0", {**command(tmp_path, "true"), **more})
    assert caught.value.args[1] == about
    assert launcher.running == {}


@pytest.mark.parametrize(
    "more",
    [
        {"argv": ["echo", "a\0b"]},
        {"argv": ["echo\0"]},
        {"env": {**ENV, "A": "\0"}},
        {"env": {**ENV, "A=B": "x"}},
        {"workdir": "/\0"},
        {"stdin": "/\0"},
        {"stdout": "/\0"},
        {"argv": ["echo", "\ud800"]},
        {"argv": []},
    ],
    ids=repr,
)
def test_what_no_system_call_takes_is_told(tmp_path: Path, more: dict[str, Any]) -> None:
    launcher = Launcher()
    with pytest.raises(CannotStartError) as caught:
        launcher.start("0", {**command(tmp_path, "true"), **more})
    assert caught.value.args[0] == 0
    assert "Error: " in caught.value.args[1]
    assert launcher.running == {}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, None),
        ({"argv": ["echo", "a", "b\0"]}, "word 3 of the command has a NUL character"),
        ({"env": {"A": "\0"}}, "the environment variable 'A' has a NUL character"),
        ({"env": {"A\0": ""}}, "the environment variable 'A\\x00' has a NUL character"),
        ({"workdir": "/a\0"}, "workdir '/a\\x00' has a NUL character"),
        ({"stdin": "/a\0"}, "stdin '/a\\x00' has a NUL character"),
        ({"stage": [{"target": "/a\0", "source": "", "contents": "\0"}]}, "the name '/a\\x00' has a NUL character"),
        ({"stage": [{"target": "/a", "source": "", "contents": "\0"}]}, None),
        ({"argv": []}, "the command has no words"),
    ],
)
def test_why_a_command_cannot_be_started_by_anybody(tmp_path: Path, more: dict[str, Any], why: str | None) -> None:
    assert why_unfit({**command(tmp_path, "true"), "stage": [], **more}) == why


def alone(tmp_path: Path, words: tuple[str, ...], before: str = "") -> tuple[int | None, float]:
    """Run a command from a process of its own: what this one once had of memory counts. Returns KiB and seconds."""
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from beeflow.runner.launch import Launcher\n"
        f"{before}\n"
        "launcher = Launcher()\n"
        f"launcher.start('0', {command(tmp_path, *words)!r})\n"
        "ended = launcher.wait()\n"
        "print((ended.max_rss_kib, ended.cpu_s))\n"
    )
    argv = [sys.executable, "-I", "-S", "-c", script]
    kib, cpu_s = ast.literal_eval(subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout)
    return kib, cpu_s


def test_memory_and_time_are_those_of_the_command_and_its_children(tmp_path: Path) -> None:
    script = "x = bytearray(200 << 20)\nimport time\nwhile time.process_time() < 0.4: pass"
    kib, cpu_s = alone(tmp_path, ("sh", "-c", f"{sys.executable} -S -c '{script}'; true"))
    assert kib is not None
    assert 200 << 10 < kib < 400 << 10
    assert 0.35 < cpu_s < 5


def test_the_memory_of_the_runner_is_not_taken_for_the_commands(tmp_path: Path) -> None:
    kib, _ = alone(tmp_path, ("true",), before="ballast = bytearray(300 << 20)")
    assert kib is None or kib < 100 << 10


def test_the_time_limit_ends_the_whole_group_and_no_other(tmp_path: Path) -> None:
    launcher = Launcher()
    script = "trap '' TERM INT; sh -c 'echo $$ > child; sleep 60' & sleep 60"
    launcher.start("limited", command(tmp_path, "sh", "-c", script, time_limit_s=0.5))
    launcher.start("other", command(tmp_path, "sleep", "1.5"))
    first, second = launcher.wait(), launcher.wait()
    assert (first.label, first.code, first.timed_out) == ("limited", -signal.SIGKILL, True)
    assert (second.label, second.code, second.timed_out) == ("other", 0, False)
    assert wait_until(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_what_is_left_running_is_killed(tmp_path: Path) -> None:
    assert sh(tmp_path, "trap '' HUP TERM; sleep 60 & echo $! > child; exit 0").code == 0
    assert wait_until(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_all_can_be_signalled_and_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    launcher = Launcher()
    launcher.start("a", command(tmp_path, "sh", "-c", "sleep 60 | sleep 60"))
    launcher.start("b", command(tmp_path, "sh", "-c", "trap '' TERM; while true; do sleep 1; done"))
    time.sleep(0.3)
    launcher.signal_all(signal.SIGTERM)
    launcher.kill_in(0.5)
    codes = {ended.label: ended.code for ended in (launcher.wait(), launcher.wait())}
    assert codes == {"a": -signal.SIGTERM, "b": -signal.SIGKILL}


def test_no_alarm_is_left_when_nothing_runs(tmp_path: Path) -> None:
    assert run(tmp_path, "true", time_limit_s=60).code == 0
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_no_alarm_is_set_when_nothing_runs(tmp_path: Path) -> None:
    launcher = Launcher()
    launcher.kill_in(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    launcher.start("0", command(tmp_path, "sleep", "0.2"))
    launcher.kill_in(60)
    assert launcher.wait().code == 0
    launcher.on_alarm()
    assert (signal.getitimer(signal.ITIMER_REAL), launcher.kill_at) == ((0.0, 0.0), None)


def test_a_signal_that_comes_while_a_command_is_started_finds_it(tmp_path: Path) -> None:
    script = (
        f"import os, signal, sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from beeflow.runner.launch import Launcher\n"
        "launcher = Launcher()\n"
        "signal.signal(signal.SIGTERM, lambda *_: launcher.terminate(5))\n"
        # The signal comes between the fork and what follows it.
        "fork = os.fork\n"
        "def forked():\n"
        "    pid = fork()\n"
        "    if pid: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return pid\n"
        "os.fork = forked\n"
        f"launcher.start('0', {command(tmp_path, 'sleep', '60')!r})\n"
        "ended = launcher.wait()\n"
        "print(ended.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "-15\n"


@pytest.mark.parametrize("which", ["SIGTERM", "SIGUSR1"])
def test_a_command_has_the_signals_that_the_runner_began_with(tmp_path: Path, which: str) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    try:
        assert sh(tmp_path, f"kill -{int(signal.Signals[which])} $$").code == (0 if which == "SIGUSR1" else -15)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR1}
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1,))
        signal.signal(signal.SIGTERM, before)


def test_the_command_dies_with_its_runner(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from beeflow.runner.launch import Launcher\n"
        "launcher = Launcher()\n"
        f"print(launcher.start('0', {command(tmp_path, 'sleep', '60')!r}), flush=True)\n"
        "launcher.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", script], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        sleeper = int(runner.stdout.readline())
        assert is_alive(sleeper)
        os.kill(runner.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(sleeper))


def program(folder: Path, script: str, mode: int = 0o755) -> Path:
    """Write a program called tool."""
    folder.mkdir()
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(mode)
    return path


def test_program_is_looked_for_as_execvp_does(tmp_path: Path) -> None:
    program(tmp_path / "second", "exit 5")
    (tmp_path / "first").mkdir()
    path = f"{tmp_path}/none:/dev/null:{tmp_path}/first:{tmp_path}/second:{ENV['PATH']}"
    assert run(tmp_path, "tool", env={"PATH": path}).code == 5


def test_program_in_an_empty_entry_of_the_path_is_in_the_working_directory(tmp_path: Path) -> None:
    program(tmp_path / "here", "exit 6")
    assert run(tmp_path / "here", "tool", env={"PATH": f"/usr/bin::{tmp_path}"}).code == 6


def test_program_that_nobody_may_run_is_passed_over_and_told_of(tmp_path: Path) -> None:
    program(tmp_path / "first", "exit 1", mode=0o644)
    with pytest.raises(CannotStartError) as caught:
        run(tmp_path, "tool", env={"PATH": f"{tmp_path}/first:/usr/bin"})
    assert caught.value.args == (errno.EACCES, "tool")
    program(tmp_path / "second", "exit 7")
    assert run(tmp_path, "tool", env={"PATH": f"{tmp_path}/first:{tmp_path}/second"}).code == 7


def test_program_that_is_nowhere(tmp_path: Path) -> None:
    for name in ("no-such-tool", "./no-such-tool"):
        with pytest.raises(CannotStartError) as caught:
            run(tmp_path, name)
        assert caught.value.args == (errno.ENOENT, name)
