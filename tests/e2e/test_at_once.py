"""Two commands at once on one workflow that has ended, runs or is Stalled: bee-retry and bee-remove beside each other.

Those of bee-start, bee-pause, bee-resume and bee-cancel beside each other are in test_control.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from beeflow.layout import split_archive_name
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.test_control import assert_no_jobs, begin, queue, wait_until
from tests.e2e.workflows import directory, query, submit, wait_state

pytestmark = pytest.mark.e2e

# A scatter of which one fails until a file is there, and one that follows it element by element.
FAILS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {xs: {type: "int[]", default: [1, 2, 3]}, seconds: {type: string, default: "0"}}
outputs: {o: {type: "File[]", outputSource: t/o}}
steps:
  s:
    in: {x: xs, seconds: seconds}
    out: [o]
    scatter: x
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo s$0 >> FOLDER/ran; sleep $1; [ $0 != 2 ] || [ -e FOLDER/good ]']
      inputs: {x: {type: int, inputBinding: {position: 1}}, seconds: {type: string, inputBinding: {position: 2}}}
      outputs: {o: {type: stdout}}
  t:
    in: {f: s/o}
    out: [o]
    scatter: f
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo t >> FOLDER/ran; cat $0']
      inputs: {f: {type: File, inputBinding: {position: 1}}}
      outputs: {o: {type: stdout}}
"""
OTHERS = ("start", "pause", "resume", "cancel")
YES = {"remove": ("--yes",)}
NEW = ("retry", "remove")
PAIRS = [*itertools.product(NEW, OTHERS), ("retry", "retry"), ("retry", "remove"), ("remove", "remove")]
# Those of which one may undo what the other does.
AGAINST = [("retry", "cancel"), ("retry", "pause"), ("retry", "retry"), ("retry", "remove"), ("remove", "remove")]
BOTH_WAYS = list(dict.fromkeys([*PAIRS, *((second, first) for first, second in PAIRS)]))


# A whole crowd of workflows is on a few CPUs.
END_S = 300.0


@dataclass
class Said:
    """What a command answered."""

    command: str
    code: int
    text: str


@dataclass
class Race:
    """One workflow, and the two commands that it was given."""

    slurm: PrivateSlurm
    folder: Path
    pair: tuple[str, str]
    was_stalled: bool = False
    given_again: bool = False
    id: str = ""
    said: list[Said] = field(default_factory=list)

    def submit(self, *argv: str) -> None:
        self.folder.mkdir()
        document = self.folder / "fails.cwl"
        document.write_text(FAILS.replace("FOLDER", str(self.folder)))
        self.id = submit(self.slurm, document, *argv)

    def run(self, pauses_s: Sequence[float]) -> None:
        """Give the commands, the second a moment later."""
        (self.folder / "good").touch()
        chance = random.Random(f"{self.pair} {self.folder.name}")
        programs = []
        for command in self.pair:
            programs.append((command, begin(self.slurm, command, self.id, *YES.get(command, ()))))
            time.sleep(chance.choice(pauses_s))
        for command, program in programs:
            text, _ = program.communicate(timeout=120)
            self.said.append(Said(command, program.returncode, text))

    def did(self, command: str) -> int:
        """Count the commands of a kind that said they did something."""
        done = [each for each in self.said if each.command == command and each.code == 0]
        return sum("already" not in each.text for each in done)

    def check(self) -> None:
        """Fail unless all that was said is true, nothing was lost, and nothing ran twice."""
        assert {each.code for each in self.said} <= {0, 3, 4}, self.said
        assert "Traceback" not in str(self.said)
        if self.did("remove"):
            assert not directory(self.slurm, self.id).exists(), self.said
            assert self.listed().startswith("Archived")
        else:
            self.check_end()
        assert_no_jobs(self.slurm, self.id)
        self.check_archives()
        self.check_tasks()

    def check_tasks(self) -> None:
        """Fail when what went well ran twice, or what did not did so unasked."""
        began = self.folder / "ran"
        ran = Counter(began.read_text().split() if began.exists() else ())
        most = 1 + bool(self.did("retry")) + self.given_again
        lost = most if self.was_stalled else 1
        assert max(ran["s1"], ran["s3"]) <= lost, self.said
        assert (ran["s2"] <= most, ran["t"] <= 3) == (True, True), self.said

    def check_end(self) -> None:
        if self.state() == "Paused":
            assert self.did("pause"), self.said
            self.slurm.bee("bee-resume", self.id)
        if self.state() == "Stalled":
            assert not self.did("retry"), self.said
            self.slurm.bee("bee-retry", self.id)
            self.given_again = True
        ends = ("Archived", "Archived/Failed", "Archived/Cancelled")
        ended = wait_state(self.slurm, self.id, *ends, timeout_s=END_S)["state"]
        if self.did("retry"):
            # Unless all was over before.
            assert ended in (("Archived/Cancelled", "Archived") if self.did("cancel") else ("Archived",)), self.said

    def check_archives(self) -> None:
        """Fail when a version was left out."""
        made = (self.slurm.bee_workdir / "archives").glob(f"{self.id}*.tgz")
        numbers = sorted(split_archive_name(path.stem)[1] for path in made)
        # What Stalled, and was retried, had no first one.
        first = 2 if self.was_stalled and 1 not in numbers else 1
        assert numbers == list(range(first, len(numbers) + first)), self.said

    def state(self) -> str:
        return str(query(self.slurm, self.id)["state"])

    def listed(self) -> str:
        listed = json.loads(self.slurm.bee("bee-list", "--json").stdout)
        return next(str(each["state"]) for each in listed if each["id"] == self.id)


def races(slurm: PrivateSlurm, top: Path, pairs: Sequence[tuple[str, str]], *argv: str) -> list[Race]:
    """Submit a workflow for each pair."""
    made = [Race(slurm, top / str(number), pair) for number, pair in enumerate(pairs)]
    for race in made:
        race.submit(*argv)
    return made


def stall(slurm: PrivateSlurm, found: str) -> None:
    """Cancel all jobs of a workflow, the pass that would end it first."""
    wait_until(lambda: [state for name, state, _ in queue(slurm, found) if name == "pass"] == ["PENDING"])
    ids = sorted((directory(slurm, found) / "jobs").glob("*.id"), reverse=True)
    for mine in (ids[:2], ids):
        slurm.slurm("scancel", *(path.read_text().strip() for path in mine))


def check_on_what_is_over(
    slurm: PrivateSlurm, top: Path, pairs: Sequence[tuple[str, str]], pauses_s: Sequence[float]
) -> None:
    made = races(slurm, top, pairs)
    for race in made:
        wait_state(slurm, race.id, "Archived/Failed")
        assert_no_jobs(slurm, race.id)
    for race in made:
        race.run(pauses_s)
    for race in made:
        race.check()


def test_two_commands_at_once_on_what_is_over(slurm: PrivateSlurm, tmp_path: Path) -> None:
    check_on_what_is_over(slurm, tmp_path, AGAINST, (0.0, 0.1))


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_two_commands_at_once_on_what_is_over_at_many_moments(
    slurm: PrivateSlurm, tmp_path: Path, pause_s: float
) -> None:
    check_on_what_is_over(slurm, tmp_path, BOTH_WAYS, (pause_s,))


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.2, 0.6])
def test_two_commands_at_once_on_what_runs(slurm: PrivateSlurm, tmp_path: Path, pause_s: float) -> None:
    for race in races(slurm, tmp_path, BOTH_WAYS, "--seconds", "1"):
        race.run((pause_s,))
        race.check()


@pytest.mark.slow
@pytest.mark.parametrize("pause_s", [0.0, 0.2, 0.6])
def test_two_commands_at_once_on_what_is_stalled(slurm: PrivateSlurm, tmp_path: Path, pause_s: float) -> None:
    made = [Race(slurm, tmp_path / str(number), pair, was_stalled=True) for number, pair in enumerate(BOTH_WAYS)]
    for race in made:
        race.submit("--seconds", "10")
        stall(slurm, race.id)
        assert_no_jobs(slurm, race.id)
    for race in made:
        assert race.state() == "Stalled"
        race.run((pause_s,))
    for race in made:
        race.check()
