"""Many workflows at once, of two users on one Slurm; a Slurm that goes down and up in a workflow's middle."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import users
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.test_control import EVERY_TASK_ONCE, GATHERED, Scatter, wait_until
from tests.e2e.test_disturbed import rpcs
from tests.e2e.users import OtherUser
from tests.e2e.workflows import directory, submit, wait_state

pytestmark = pytest.mark.e2e

# A scatter, one that follows it element by element, a gather: three sbatch, and those of three passes.
WORDS = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]'}
outputs: {all: {type: File, outputSource: gather/o}}
steps:
  write:
    scatter: word
    in: {word: words}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo "$0 $(id -un)"']
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  copy:
    scatter: f
    in: {f: write/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {f: {type: File, inputBinding: {}}}
      outputs: {o: stdout}
  gather:
    in: {files: copy/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
"""
SUBMISSIONS = 6
TASKS = 7


@dataclass(frozen=True)
class Shared:
    """A Slurm that root runs for everybody, and two of its users."""

    slurm: PrivateSlurm
    users: tuple[OtherUser, ...]


@pytest.fixture
def shared(empty_slurm: PrivateSlurm, commands: Path) -> Iterator[Shared]:
    empty_slurm.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "4")
    root = empty_slurm.bee_workdir / "slurm"
    for folder in (empty_slurm.top, empty_slurm.bee_workdir, root, root / "run", root / "run/spool"):
        folder.chmod(0o711)
    conf = {"SLURM_CONF": empty_slurm.env["SLURM_CONF"]}
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(users.throwaway_user(f"bee-{letter}{os.getpid()}", commands)) for letter in ("m", "n")
        ]
        yield Shared(empty_slurm, tuple(replace(user, env={**user.env, **conf}) for user in made))


def start(user: OtherUser, number: int) -> subprocess.Popen[str]:
    """Submit a workflow of three words of its own; do not wait."""
    user.write("w/words.cwl", WORDS)
    words = [f"{user.name}.{number}.{letter}" for letter in "abc"]
    job = user.write(f"w/{number}.json", json.dumps({"words": words}))
    argv = user.argv(user.bin / "bee-submit", "--name", f"number {number}", "w/words.cwl", job)
    return subprocess.Popen(
        argv, cwd=user.home, env=user.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_archives(user: OtherUser, ids: list[str], deadline: float) -> None:
    """Wait until all are archived; a look at the files costs nothing."""
    while left := [each for each in ids if not (user.bee_workdir / f"archives/{each}.json").exists()]:
        if time.monotonic() > deadline:
            pytest.fail(f"not archived: {len(left)} of {len(ids)}\n{user.bee('bee-list').stdout}")
        time.sleep(0.3)


def wait_for_empty_queue(slurm: PrivateSlurm) -> None:
    """Wait until nobody has a job: the epilog's own ends a moment after it said how its workflow did."""
    deadline = time.monotonic() + 30
    while left := slurm.slurm("squeue", "--noheader"):
        assert time.monotonic() < deadline, left
        time.sleep(0.3)


def check(user: OtherUser, ids: list[str]) -> None:
    """Fail unless a user's workflows made what they were to, and nothing of anybody else's is in them."""
    listed = {each["id"]: each for each in json.loads(user.bee("bee-list", "--json").stdout)}
    assert set(listed) == set(ids)
    assert {each["state"] for each in listed.values()} == {"Archived"}
    assert sorted(os.listdir(user.bee_workdir / "archives")) == sorted(
        f"{each}.{suffix}" for each in ids for suffix in ("json", "tgz")
    )
    for number, found in enumerate(ids):
        assert listed[found]["name"] == f"number {number}"
        output = output_object(user, found)["all"]
        wanted = "".join(f"{user.name}.{number}.{letter} {user.name}\n" for letter in "abc")
        assert (directory(user, found) / output["location"]).read_text() == wanted
        assert {path.owner() for path in directory(user, found).rglob("*")} == {user.name}
        final = json.loads((directory(user, found) / "tasks.json").read_text())["tasks"]
        assert [task["state"] for task in final] == ["COMPLETED"] * TASKS


def output_object(slurm: PrivateSlurm, found: str) -> dict[str, Any]:
    """Read a workflow's output object."""
    made: dict[str, Any] = json.loads((directory(slurm, found) / "outputs.json").read_text())
    return made


@pytest.mark.parametrize("each", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_workflows_of_two_users_at_once(shared: Shared, each: int) -> None:
    shared.slurm.slurm("sdiag", "--reset")
    deadline = time.monotonic() + 60 + 30 * each
    # The first bee-submit of a user takes seconds of CPU time to parse CWL's schema for the others.
    running = {user.name: [start(user, 0)] for user in shared.users}
    for (first,) in running.values():
        first.wait(120)
    for user in shared.users:
        running[user.name] += [start(user, number) for number in range(1, each)]
    ids: dict[str, list[str]] = {}
    for name, programs in running.items():
        said = [program.communicate(timeout=60 + 20 * each)[0] for program in programs]
        refused = [text for program, text in zip(programs, said, strict=True) if program.returncode]
        assert refused == []
        ids[name] = [text.split("id is ")[1][:36] for text in said]
    for user in shared.users:
        wait_for_archives(user, ids[user.name], deadline)
    counts = rpcs(shared.slurm.slurm("sdiag"))
    # Each job was submitted once, and however many there are, nobody asked how they do.
    assert counts["REQUEST_SUBMIT_BATCH_JOB"] == 2 * each * SUBMISSIONS
    assert {name: count for name, count in counts.items() if "JOB_INFO" in name or "JOB_USER_INFO" in name} == {}
    wait_for_empty_queue(shared.slurm)
    for user in shared.users:
        check(user, ids[user.name])
    lines = shared.slurm.slurm("squeue", "--noheader", "--states=all", "--format=%F %u").splitlines()
    owners = dict(line.split() for line in lines)
    assert Counter(owners.values()) == {user.name: each * SUBMISSIONS for user in shared.users}


# -- down and up ------------------------------------------------------------------------------------------------------


@pytest.fixture
def scatter(tmp_path: Path) -> Scatter:
    return Scatter(tmp_path)


def results(slurm: PrivateSlurm, found: str) -> dict[Path, int]:
    """Tell when each result was published."""
    return {path: path.stat().st_mtime_ns for path in directory(slurm, found).glob("tasks/*/*/*/result.json")}


def run_over_down_and_up(slurm: PrivateSlurm, scatter: Scatter, wait: Callable[[], None]) -> None:
    """Run a workflow, have Slurm go down after a while and up again; fail unless it ends as if nothing had been."""
    found = submit(slurm, scatter.document)
    wait()
    slurm.bee("bee-slurm", "down")
    kept = results(slurm, found)
    slurm.bee("bee-slurm", "up", "--force")
    done = wait_state(slurm, found, "Archived", timeout_s=120)
    assert [task["state"] for task in done["tasks"]] == ["COMPLETED"] * 11
    assert output_object(slurm, found).keys() == {"o"}
    assert (directory(slurm, found) / output_object(slurm, found)["o"]["location"]).read_text() == GATHERED
    # What had ended did not run again; what Slurm killed did.
    assert {path: stamp for path, stamp in results(slurm, found).items() if path in kept} == kept
    assert set(scatter.ran()) == set(EVERY_TASK_ONCE)
    wait_for_empty_queue(slurm)


def test_a_slurm_that_goes_down_and_up(empty_slurm: PrivateSlurm, scatter: Scatter) -> None:
    empty_slurm.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "4")
    run_over_down_and_up(empty_slurm, scatter, lambda: wait_until(lambda: len(scatter.ran()) >= 2))
    scatter.marker.unlink()
    # As the driver is about to submit.
    run_over_down_and_up(empty_slurm, scatter, lambda: None)


@pytest.mark.slow
def test_a_slurm_that_goes_down_and_up_at_any_moment(empty_slurm: PrivateSlurm, scatter: Scatter) -> None:
    empty_slurm.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "4")
    for turn in range(20):
        scatter.marker.unlink(missing_ok=True)
        run_over_down_and_up(empty_slurm, scatter, lambda turn=turn: time.sleep(0.35 * turn))  # type: ignore[misc]
