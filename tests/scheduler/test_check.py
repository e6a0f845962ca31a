"""Whether Slurm would take a job: sbatch --test-only has no word for nodes that are only away for now."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.errors import SubmissionError
from beeflow.scheduler import JobOptions, JobRequest, SlurmUnreachableError
from beeflow.scheduler.cli import CliScheduler

REQUEST = JobRequest("n", None, Path("/"), Path("/dev/null"), JobOptions(timedelta(minutes=1)))
NO_NODE = "Requested node configuration is not available"
# Seen on Slurm 22.05.8.
PROGRAM = """\
#!/bin/sh
echo "${{0##*/}} $*" >> {folder}/calls
case "$*" in
*--test-only*) echo "allocation failure: {no_node}" >&2; exit 1 ;;
*--parsable*) {answer} ;;
esac
"""


def scheduler(folder: Path, answer: str) -> CliScheduler:
    """Make a scheduler whose sbatch --test-only finds no node, and whose sbatch does what ``answer`` says."""
    for name in ("sbatch", "scancel"):
        path = folder / name
        path.write_text(PROGRAM.format(folder=folder, no_node=NO_NODE, answer=answer))
        path.chmod(0o755)
    return CliScheduler({"PATH": f"{folder}:{os.environ['PATH']}", "USER": "u"})


def calls(folder: Path) -> list[str]:
    """List the programs that were called."""
    return [line.partition(" ")[0] for line in (folder / "calls").read_text().splitlines()]


def test_a_job_that_waits_for_nodes_that_are_down_is_taken_and_leaves_nothing(tmp_path: Path) -> None:
    scheduler(tmp_path, "echo 7").check(REQUEST)
    assert calls(tmp_path) == ["sbatch", "sbatch", "scancel"]
    assert (tmp_path / "calls").read_text().splitlines()[-1].endswith(" 7")


def test_a_job_that_fits_no_node_is_refused(tmp_path: Path) -> None:
    refusing = scheduler(tmp_path, f'echo "sbatch: error: Batch job submission failed: {NO_NODE}" >&2; exit 1')
    with pytest.raises(SubmissionError, match=NO_NODE):
        refusing.check(REQUEST)


def test_no_answer_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    silent = scheduler(tmp_path, 'echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1')
    with pytest.raises(SlurmUnreachableError):
        silent.check(REQUEST)


def test_of_a_job_that_was_submitted_twice_one_is_left(tmp_path: Path) -> None:
    request = replace(REQUEST, script=Path("/dev/null"))
    assert scheduler(tmp_path, "echo 7; echo 8").submit(request) == "8"
    assert calls(tmp_path) == ["sbatch", "scancel"]
    assert (tmp_path / "calls").read_text().splitlines()[-1].endswith(" 7")
