"""SIGTERM at any moment: no task vanishes, none that had ended for a while is cancelled, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from beeflow.runner.interrupt import Interrupt, TerminatedError
from beeflow.runner.launch import Launcher
from tests.runner.test_element import GROUP, World, world

PROGRAM = Path(__file__).with_name("interrupted.py")
# How far apart the lines are that are tried; BEE_EVERY=1 tries each, which takes minutes. Alarms come at any time, so
# that the same number is not always the same line.
EVERY = int(os.environ.get("BEE_EVERY", "41"))
# None ends by itself just when the signal comes: all that is executed then comes after a start, or after an end.
SCRIPTS = {"0": "exec sleep 0.3", "1": "sleep 0.1; exit 3", "2": "exec sleep 0.1"}
WHEN = {None: "before its command began", 143: "while it ran"}
WHEN.update({code: f"while it ran, or as it ended with exit code {code}" for code in (0, 3)})


def interrupted(made: World, at: int) -> tuple[int, list[str]]:
    """Run an element, SIGTERM at a certain line; returns how many lines there were, and what was being done."""
    env = {
        "PATH": os.environ["PATH"],
        "SLURM_JOB_ID": "7",
        "SLURM_ARRAY_JOB_ID": "7",
        "SLURM_ARRAY_TASK_ID": "0",
        "SLURM_CPUS_ON_NODE": "2",
    }
    said = made.root / "said"
    argv = [sys.executable, "-I", "-S", str(PROGRAM), str(at), str(said), str(made.root), GROUP, f"{GROUP}.7:0"]
    done = subprocess.run(argv, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    count, *doing = said.read_text().split()
    return int(count), doing


def log_of(made: World) -> list[dict[str, Any]]:
    (log,) = made.element.glob("*/tasks.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def check(made: World, doing: list[str]) -> None:
    """Check that what is said of each task is true."""
    results, log = made.result(), log_of(made)
    assert sorted(results) == ["0", "1", "2"]
    assert all(not Path(f"/proc/{entry['pid']}").exists() for entry in log if "pid" in entry)
    begun = {entry["begin"] for entry in log if "begin" in entry}
    ended = {entry["end"]: entry["result"] for entry in log if "end" in entry}
    for label, result in results.items():
        said = (result["state"], result.get("exit_code"), result.get("reason"))
        if label in ended:
            assert result == ended[label]
        if label not in begun:
            assert said == ("CANCELLED", None, "cancelled in Slurm before it began")
        elif result["state"] == "CANCELLED":
            assert said[1] in (None, 143, int(label == "1") * 3)
            assert said[2] == f"cancelled in Slurm {WHEN[said[1]]}"
        elif label == "1":
            assert said == ("FAILED", 3, "the command ended with exit code 3")
        else:
            assert said == ("COMPLETED", 0, None)
            assert (made.root / result["outputs"]["o"]["location"]).exists()
    if "publish" in doing:
        assert {result["state"] for result in results.values()} == {"COMPLETED", "FAILED"}


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    before = signal.getsignal(signal.SIGTERM)
    made = Interrupt(Launcher())
    made.listen()
    yield made
    signal.signal(signal.SIGTERM, before)


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_stops_what_it_may_once_and_nobody_takes_it_for_an_error(interrupt: Interrupt) -> None:
    def work() -> None:
        interrupt.allow()
        try:
            send()
            time.sleep(5)
        except Exception:
            pytest.fail("taken for an error")

    with pytest.raises(TerminatedError):
        work()
    send()
    assert interrupt.came


def test_what_is_held_goes_on_and_what_comes_after_does_not(interrupt: Interrupt) -> None:
    done = []

    def work() -> None:
        interrupt.allow()
        with interrupt:
            with interrupt:
                send()
            done.append("inner")
        done.append("outer")

    with pytest.raises(TerminatedError):
        work()
    assert done == ["inner"]


def test_what_was_never_allowed_is_not_stopped(interrupt: Interrupt) -> None:
    with interrupt:
        send()
    interrupt.hold()
    send()
    assert interrupt.came
    with pytest.raises(TerminatedError):
        interrupt.allow()


def test_a_signal_at_any_line(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    lines, _ = interrupted(world(tmp_path / "whole", SCRIPTS), 0)
    assert lines > 300

    def one(at: int) -> str | None:
        folder = tmp_path / str(at)
        folder.mkdir()
        made = world(folder, SCRIPTS)
        _, doing = interrupted(made, at)
        try:
            check(made, doing)
        except (AssertionError, OSError, ValueError) as error:
            return f"line {at}, in {' of '.join(doing)}: {error!r}"
        return None

    with ThreadPoolExecutor(6) as pool:
        wrong = [each for each in pool.map(one, range(1, lines, EVERY)) if each]
    assert not wrong, "\n".join(wrong)
