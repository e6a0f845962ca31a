"""CPU seconds of bee-list and bee-query with many archived workflows (python -m tests.bench.listing [N]).

Makes N archived workflow directories in a temporary folder; needs no Slurm. Wanted: under 0.25 s each at 1000.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

from beeflow import store
from beeflow.models import SlurmRecord, StateRecord, SubmitOptions, TaskRecord, TasksRecord, WorkflowRecord, now
from beeflow.states import TaskState, WorkflowState
from beeflow.store import Store

RUNS = 5


def make(folder: Path, count: int) -> str:
    """Make the workflows; returns the id of one."""
    workflows = Store(folder / "workflows")
    slurm = SlurmRecord("", "", "bench", "22.05.8", 1001, 10000)
    record = WorkflowRecord("", "bench", "u", "h", now(), "d.cwl", "0", "python", slurm, SubmitOptions(3600, 600))
    for _ in range(count):
        each = replace(record, id=str(uuid.uuid4()))
        made = workflows.create(each)
        tasks = tuple(
            TaskRecord(each.id, str(uuid.uuid4()), f"step{n}", f"step{n}", TaskState.COMPLETED) for n in range(5)
        )
        store.write_record(made.layout.final_tasks, TasksRecord(tasks))
        state = StateRecord(WorkflowState.ARCHIVED, now(), "", "/a.tgz", each.name, each.created)
        store.write_record(made.layout.state, state)
        workflows.commit(made, each.id)
    return each.id


def cpu_s(argv: list[str], env: dict[str, str]) -> float:
    """Run a program and return its CPU seconds, the least of some runs."""
    least = float("inf")
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True, env=env, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return least


def main(count: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = make(folder, count)
        (folder / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {folder}\n")
        env = {**os.environ, "BEE_CONFIG": str(folder / "bee.conf")}
        for command, *argv in (("list",), ("list", "--json"), ("query", found)):
            words = [sys.executable, "-m", f"beeflow.commands.{command}", *argv]
            shown = " ".join([f"bee-{command}", *(["ID"] if found in argv else argv)])
            print(f"{shown:20} {cpu_s(words, env):.3f} s CPU with {count} archived workflows")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
