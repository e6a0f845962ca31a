"""Slurm away for a moment: asked again, not for ever, and nothing twice that must not be."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.errors import SlurmError, SubmissionError
from beeflow.scheduler import Dependency, JobOptions, JobRequest, SlurmUnreachableError, SubmissionDoubtError
from beeflow.scheduler.cli import CliScheduler
from beeflow.scheduler.patient import Patience, PatientScheduler

# Of src/common/slurm_errno.c: 22.05, but for the last two, which are of 23.02 and 24.05.
AWAY = (
    "Unable to contact slurm controller (connect failure)",
    "Rate limit exceeded, please retry momentarily",
    "Rate limit exceeded, please retry later",
)
PERHAPS = ("Socket timed out on send/recv operation", "Zero Bytes were transmitted or received")
FOR_GOOD = ("Invalid account or account/partition combination specified", "Invalid partition name specified")

PROGRAM = """\
#!/bin/sh
echo x >> {calls}
if [ $(wc -l < {calls}) -le {failures} ]; then echo "{name}: error: {words}" >&2; exit 1; fi
echo 7
"""


@dataclass
class Clock:
    """Time that only passes while somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, limit_s: float = 30.0) -> Patience:
        return Patience(limit_s, self.sleep, lambda: self.now, random.Random(1))


@dataclass
class Programs:
    """Slurm's programs, each of which fails with some words a few times and then prints 7."""

    folder: Path
    clock: Clock

    def scheduler(self, words: str, failures: int) -> PatientScheduler:
        for name in ("sbatch", "squeue", "scontrol", "scancel"):
            text = PROGRAM.format(calls=self.folder / "calls", failures=failures, name=name, words=words)
            path = self.folder / name
            path.write_text(text)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        env = {"PATH": f"{self.folder}:{os.environ['PATH']}", "USER": "u"}
        return PatientScheduler(CliScheduler(env), self.clock.patience())

    @property
    def calls(self) -> int:
        return len((self.folder / "calls").read_text().splitlines())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def programs(tmp_path: Path, clock: Clock) -> Programs:
    return Programs(tmp_path, clock)


REQUEST = JobRequest("n", Path("/s.sh"), Path("/"), Path("/o"), JobOptions(timedelta(hours=1)))
CALLS: dict[str, Callable[[PatientScheduler], object]] = {
    "query": lambda slurm: slurm.query(["n"]),
    "hold": lambda slurm: slurm.hold("7"),
    "release": lambda slurm: slurm.release("7", "8_[1-3]"),
    "relink": lambda slurm: slurm.relink("7", Dependency(singleton=True)),
    "cancel": lambda slurm: slurm.cancel("n", ["7"]),
    "check": lambda slurm: slurm.check(REQUEST),
    "mail": lambda slurm: slurm.set_mail("7", "END", ""),
}


@pytest.mark.parametrize("words", [*AWAY, *PERHAPS])
@pytest.mark.parametrize("call", CALLS)
def test_what_may_be_done_twice_is_asked_again(programs: Programs, clock: Clock, call: str, words: str) -> None:
    CALLS[call](programs.scheduler(words, failures=2))
    assert programs.calls == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize("words", AWAY)
def test_a_submission_that_surely_was_not_accepted_is_made_again(programs: Programs, words: str) -> None:
    assert programs.scheduler(words, failures=3).submit(REQUEST) == "7"
    assert programs.calls == 4


@pytest.mark.parametrize("words", PERHAPS)
def test_a_submission_in_doubt_is_not_made_again(programs: Programs, words: str) -> None:
    with pytest.raises(SubmissionDoubtError, match=words):
        programs.scheduler(words, failures=9).submit(REQUEST)
    assert programs.calls == 1


@pytest.mark.parametrize("words", FOR_GOOD)
def test_a_refusal_for_good_is_told_at_once_in_slurms_words(programs: Programs, words: str) -> None:
    with pytest.raises(SubmissionError, match=words):
        programs.scheduler(words, failures=9).submit(REQUEST)
    with pytest.raises(SlurmError, match=words) as told:
        programs.scheduler(words, failures=9).relink("7", Dependency(singleton=True))
    assert not isinstance(told.value, SlurmUnreachableError)
    assert programs.calls == 2


def test_a_requeue_is_asked_for_once(programs: Programs) -> None:
    with pytest.raises(SlurmError, match="Socket timed out"):
        programs.scheduler(PERHAPS[0], failures=9).requeue("7")
    assert programs.calls == 1


def test_patience_ends_and_says_what_to_do(programs: Programs, clock: Clock) -> None:
    with pytest.raises(SlurmUnreachableError, match=r"connect failure\) \(asked \d times in \d+ s\); try again when"):
        programs.scheduler(AWAY[0], failures=99).query()
    assert 3 <= programs.calls <= 10
    assert clock.now <= 30.0


def test_pauses_grow_to_a_limit_and_are_no_two_alike(clock: Clock) -> None:
    def away() -> None:
        raise SlurmUnreachableError("away")

    with pytest.raises(SlurmUnreachableError):
        clock.patience(300.0).ask(away)
    assert all(0.5 <= pause <= 15.0 for pause in clock.slept)
    assert clock.slept[:3] == sorted(clock.slept[:3])
    other = Clock()
    with pytest.raises(SlurmUnreachableError):
        Patience(300.0, other.sleep, lambda: other.now, random.Random(2)).ask(away)
    assert other.slept != clock.slept


def test_all_calls_share_patience_until_there_is_an_answer(clock: Clock) -> None:
    patience = clock.patience(5.0)
    answers = iter([False] * 20)

    def ask() -> None:
        if not next(answers):
            raise SlurmUnreachableError("away")

    for _ in range(5):
        with pytest.raises(SlurmUnreachableError):
            patience.ask(ask)
    assert clock.now <= 5.0
    answers = iter([True, False, True])
    patience.ask(ask)
    patience.ask(ask)


def test_an_answer_costs_nothing(clock: Clock) -> None:
    assert clock.patience().ask(lambda: 7) == 7
    assert clock.slept == []


ENDINGS = {"exit 3": "(exit code 3)", "kill -9 $$": "(killed by signal 9)"}


def silence(programs: Programs, ending: str) -> PatientScheduler:
    """Have the programs end twice without a word."""
    made = programs.scheduler("", failures=2)
    for path in programs.folder.glob("s*"):
        path.write_text(path.read_text().replace(path.read_text().split("then ")[1].split("; fi")[0], ending))
    return made


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("call", ["query", "check", "relink"])
def test_a_program_that_says_nothing_is_asked_again(programs: Programs, call: str, ending: str) -> None:
    CALLS[call](silence(programs, ending))
    assert programs.calls == 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_sbatch_that_says_nothing_may_have_submitted(programs: Programs, ending: str) -> None:
    with pytest.raises(SubmissionDoubtError, match="sbatch ended without a word") as raised:
        silence(programs, ending).submit(REQUEST)
    assert str(raised.value).endswith(ENDINGS[ending])
    assert programs.calls == 1


def test_a_scancel_that_is_killed_is_asked_again(programs: Programs) -> None:
    silence(programs, "kill -9 $$").cancel("n", ["7"])
    assert programs.calls == 3
