"""Slurm away for a moment, in its own words: the workflow goes on, or the command says so; no step runs twice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import SLEEP_THEN_CAT, directory, submit, wait_state, wait_task

pytestmark = pytest.mark.e2e

AWAY = "Unable to contact slurm controller (connect failure)"
RATE_LIMIT = "Rate limit exceeded, please retry momentarily"
TIMED_OUT = "Socket timed out on send/recv operation"
ZERO_BYTES = "Zero Bytes were transmitted or received"

# Takes one file of those that make it fail, if one is left. "lost": what it does is done, and the answer is lost.
WRAPPER = """\
#!/bin/sh
for each in {folder}/fail.{name}.*; do
    if rm "$each" 2>/dev/null; then
        case $each in *.lost.*) {real} "$@" >/dev/null 2>&1 ;; esac
        echo "{name}: error: {words}" >&2
        exit 1
    fi
done
exec {real} "$@"
"""


# Every job is submitted twice, and both ids are printed.
TWICE = """\
#!/bin/sh
case "$*" in *--test-only*) ;; *) {real} "$@" ;; esac
exec {real} "$@"
"""


@dataclass(frozen=True)
class Disturbed:
    """A folder before PATH with Slurm's programs, which fail as often as they are told to."""

    folder: Path
    slurm: PrivateSlurm

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{self.slurm.env['PATH']}"}

    def fail(self, words: str, times: int, *names: str, lost: bool = False) -> None:
        """Have these programs fail so often."""
        for name in names:
            real = shutil.which(name, path=self.slurm.env["PATH"])
            path = self.folder / name
            path.write_text(WRAPPER.format(folder=self.folder, name=name, real=real, words=words))
            path.chmod(0o755)
            for number in range(times):
                (self.folder / f"fail.{name}.{'lost.' if lost else ''}{number}").touch()

    @property
    def left(self) -> list[str]:
        """The failures that are still to come."""
        return sorted(path.name for path in self.folder.glob("fail.*"))


@pytest.fixture
def disturbed(slurm: PrivateSlurm, tmp_path: Path) -> Disturbed:
    (tmp_path / "bin").mkdir()
    return Disturbed(tmp_path / "bin", slurm)


@pytest.fixture
def sleeper(slurm: PrivateSlurm, tmp_path: Path, disturbed: Disturbed) -> Iterator[Callable[..., str]]:
    """Submit a two-step workflow; afterwards, check that its first step never began twice."""
    marker = tmp_path / "marker"
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(marker)))

    def start(seconds: int = 0, *options: str) -> str:
        return submit(slurm, *options, document, "--seconds", str(seconds), env=disturbed.env)

    yield start
    assert Path(f"{marker}.ran").read_text() == "x\n"


def attempts(slurm: PrivateSlurm, workflow_id: str) -> int:
    """Count the folders in which the tasks ran."""
    return len(list(directory(slurm, workflow_id).glob("tasks/*/*/*/*/started*.json")))


@pytest.mark.parametrize("words", [AWAY, RATE_LIMIT])
def test_what_slurm_surely_did_not_do_is_asked_again(
    slurm: PrivateSlurm, disturbed: Disturbed, sleeper: Callable[..., str], words: str
) -> None:
    disturbed.fail(words, 3, "sbatch", "scontrol")
    found = sleeper()
    wait_state(slurm, found, "Archived")
    assert disturbed.left == []
    assert attempts(slurm, found) == 2


def test_what_is_submitted_twice_runs_once(
    slurm: PrivateSlurm, disturbed: Disturbed, sleeper: Callable[..., str]
) -> None:
    path = disturbed.folder / "sbatch"
    path.write_text(TWICE.format(real=shutil.which("sbatch", path=slurm.env["PATH"])))
    path.chmod(0o755)
    found = sleeper()
    # The other driver is held, and would keep all passes from beginning.
    wait_state(slurm, found, "Archived")
    assert attempts(slurm, found) == 2


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("words", [TIMED_OUT, ZERO_BYTES])
def test_a_submission_in_doubt_is_looked_for(
    slurm: PrivateSlurm, disturbed: Disturbed, sleeper: Callable[..., str], words: str, lost: bool
) -> None:
    # Held first: the first sbatch of bee-submit only asks (--test-only), which may well be done twice.
    found = sleeper(0, "--no-start")
    disturbed.fail(words, 2, "sbatch", lost=lost)
    disturbed.fail(words, 1, "squeue", "scontrol")
    slurm.bee("bee-start", found, env=disturbed.env)
    wait_state(slurm, found, "Archived")
    assert disturbed.left == []
    assert attempts(slurm, found) == 2


def test_a_driver_is_disturbed(slurm: PrivateSlurm, disturbed: Disturbed, sleeper: Callable[..., str]) -> None:
    disturbed.fail(TIMED_OUT, 0, "sbatch", "scontrol", "squeue", "scancel")
    found = sleeper(6)
    wait_task(slurm, found, "a", "RUNNING")
    # The epilog's pass submits its successor, and cancels it at the end.
    disturbed.fail(TIMED_OUT, 2, "sbatch", "scancel", "squeue", lost=True)
    wait_state(slurm, found, "Archived", timeout_s=90)
    # What the first one made is found by its name: there is no second.
    assert len([name for name in disturbed.left if "sbatch" in name]) < 2
    assert attempts(slurm, found) == 2


def test_commands_ask_again_and_not_for_ever(
    slurm: PrivateSlurm, disturbed: Disturbed, sleeper: Callable[..., str]
) -> None:
    found = sleeper(8)
    wait_task(slurm, found, "a", "RUNNING")
    disturbed.fail(RATE_LIMIT, 2, "squeue", "scontrol")
    assert "Paused" in slurm.bee("bee-pause", found, env=disturbed.env).stdout
    assert disturbed.left == []
    disturbed.fail(TIMED_OUT, 99, "squeue")
    began = time.monotonic()
    said = slurm.bee("bee-resume", found, env=disturbed.env, check=False)
    assert (said.returncode, time.monotonic() - began < 45) == (69, True)
    assert TIMED_OUT in said.stderr
    assert "try again when sinfo answers" in said.stderr
    for path in disturbed.folder.glob("fail.*"):
        os.unlink(path)
    slurm.bee("bee-resume", found, env=disturbed.env)
    wait_state(slurm, found, "Archived")


def test_a_refusal_for_good_is_told_at_once(slurm: PrivateSlurm, disturbed: Disturbed, tmp_path: Path) -> None:
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    began = time.monotonic()
    said = slurm.bee("bee-submit", "--partition", "nowhere", document, check=False)
    assert (said.returncode, time.monotonic() - began < 15) == (77, True)
    assert "invalid partition specified: nowhere" in said.stderr
