"""The same document and inputs give the same output object as cwltool: every example, and a document a feature of CWL.

tests/e2e/features/NAME.cwl runs with NAME.yml, where there is one. A document that fails_... does so with both, and
what else it makes is the same (cwltool --on-error continue).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beeflow.commands import demo
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import EXAMPLES, checksums

pytestmark = pytest.mark.e2e

FEATURES = Path(__file__).parent / "features"
AT_ONCE = 3
# Tools that other documents run.
PARTS = {"exit.cwl", "join.cwl", "words.cwl"}
PROCESSES = {"packed": "#second"}
# These make a .tar.gz, which has the time in it.
DIFFERENT_EACH_TIME = {"diamond"}
HAS_MOVIE = all(importlib.util.find_spec(module) for module in demo.NEEDED)

Ended = tuple[int, Any, str]


@dataclass(frozen=True)
class Case:
    """A document and its inputs."""

    name: str
    words: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """True for a document that is not meant to succeed."""
        return self.name.startswith("fails_")


def _features() -> Iterator[Case]:
    for document in sorted(FEATURES.glob("*.cwl")):
        if document.name not in PARTS:
            job = document.with_suffix(".yml")
            words = (str(document) + PROCESSES.get(document.stem, ""), *([str(job)] if job.exists() else []))
            yield Case(document.stem, words)


def _examples() -> Iterator[Case]:
    for job in sorted(EXAMPLES.glob("*/*.yml")):
        small = ("--grid", "32", "--steps", "40", "--frame_every", "20") if job.stem == "movie" else (str(job),)
        if job.stem != "movie" or HAS_MOVIE:
            yield Case(job.stem, (str(job.with_suffix(".cwl")), *small))


def _tool() -> Case:
    """A tool by itself, with inputs as options."""
    texts = [str(EXAMPLES / "diamond" / name) for name in ("lorem.txt", "ipsum.txt")]
    return Case("tool", (str(EXAMPLES / "diamond/cat.cwl"), "--texts", texts[0], "--texts", texts[1]))


CASES = {case.name: case for case in (*_examples(), _tool(), *_features())}


@dataclass
class Runs:
    """All cases, run by both, a few at once: a test waits for the one that it looks at."""

    ours: dict[str, Future[Ended]]
    theirs: Future[dict[str, Ended]]


def _with_python(slurm: PrivateSlurm) -> dict[str, str]:
    """Have the examples' scripts find the Python that has what they import."""
    return {"PATH": f"{Path(sys.executable).parent}:{slurm.env['PATH']}"}


def _ours(slurm: PrivateSlurm, case: Case, outdir: Path) -> Ended:
    words = ("--quiet", "--outdir", str(outdir), *case.words)
    done = slurm.bee("bee-cwl-runner", *words, env=_with_python(slurm), check=False)
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def _theirs(slurm: PrivateSlurm, top: Path) -> dict[str, Ended]:
    """Run cwltool on all cases in one process, for its start takes longer than most of them."""
    argvs = {
        name: ["--quiet", "--on-error", "continue", "--outdir", str(top / name), *case.words]
        for name, case in CASES.items()
    }
    module = "tests.e2e.reference"
    done = slurm.run(sys.executable, "-m", module, stdin=json.dumps(argvs), env=_with_python(slurm), timeout_s=240)
    made: dict[str, Ended] = {name: tuple(ended) for name, ended in json.loads(done.stdout).items()}
    return made


@pytest.fixture(scope="module")
def runs(slurm: PrivateSlurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Start all runs."""
    top = tmp_path_factory.mktemp("same")
    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        theirs = pool.submit(_theirs, slurm, top / "theirs")
        ours = {name: pool.submit(_ours, slurm, case, top / "ours" / name) for name, case in CASES.items()}
        yield Runs(ours, theirs)
        for future in ours.values():
            future.cancel()


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_cwltool(runs: Runs, name: str) -> None:
    code, ours, said = runs.ours[name].result()
    their_code, theirs, they_said = runs.theirs.result()[name]
    assert (code != 0, their_code != 0) == (CASES[name].fails, CASES[name].fails), said + they_said
    if name in DIFFERENT_EACH_TIME:
        ours, theirs = _without_contents(ours), _without_contents(theirs)
    assert _there(checksums(ours)) == _there(checksums(theirs))


def _without_contents(outputs: Any) -> Any:
    """Keep the names of files, not what is in them."""
    return {key: {**file, "size": None, "checksum": None} for key, file in outputs.items()}


def _there(outputs: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null: cwltool does not name all outputs of what failed."""
    return {name: value for name, value in (outputs or {}).items() if value is not None}


def test_every_example_is_compared() -> None:
    missing = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - set(CASES)
    assert missing <= ({"movie"} if not HAS_MOVIE else set())
