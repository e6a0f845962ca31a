"""CWL requirements that reach into Slurm or into another task's files, on a real Slurm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PrivateSlurm

pytestmark = pytest.mark.e2e

DOCUMENTS = Path(__file__).parent / "documents"


def run(slurm: PrivateSlurm, outdir: Path, document: str, *argv: str | Path) -> dict[str, Any]:
    """Run a document to its end and return its output object."""
    done = slurm.bee("bee-cwl-runner", "--quiet", "--outdir", outdir, DOCUMENTS / document, *argv)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def text(entry: dict[str, Any]) -> str:
    """Read an output file."""
    return Path(entry["path"]).read_text()


def test_ranks_of_an_mpi_step_know_who_they_are_and_see_the_commands_environment(
    slurm: PrivateSlurm, tmp_path: Path
) -> None:
    made = run(slurm, tmp_path, "mpi.cwl", "--ranks", "1", "--ranks", "2")
    one, two = (sorted(text(entry).splitlines()) for entry in made["said"])
    assert [line.split(", /")[0] for line in one] == ["hello, ranks: 0 of 1, 2"]
    assert [line.split(", /")[0] for line in two] == ["hello, ranks: 0 of 2, 2", "hello, ranks: 1 of 2, 2"]
    assert all(line.endswith("/out") for line in (*one, *two))


def test_a_step_that_needs_gpus_is_refused_where_there_are_none(slurm: PrivateSlurm) -> None:
    done = slurm.bee("bee-submit", DOCUMENTS / "cuda.cwl", check=False)
    assert done.returncode == 77
    assert "step cuda" in done.stderr
    assert "2 GPUs (CUDARequirement)" in done.stderr
