"""What a workflow costs beside the same commands under bare Slurm (python -m tests.bench.walking [NAME ...]).

chain: ten steps, one after the other, beside ten dependent sbatch jobs. scatter100, scatter1000: a scatter and a
gather, beside a job array of as many elements and a job behind it. columns: three scatters of 1000, element by element.

Runs on the Slurm that bee-* commands find; nothing else should use the machine meanwhile. Ours is measured from
bee-submit's first instruction until the archive is verified. CPU time is the whole machine's, so that all of Slurm's
and ours is in it; "of ours" is what ours has more than the bare one, a task. Wanted: a chain at most 2 times, a scatter
of 1000 at most 1.5 times the wall of the bare one; at most 60 ms of ours a task; at most 10 sbatch; no query.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tabulate

from beeflow import cli
from beeflow.scheduler.target import environment, find
from beeflow.states import WorkflowState
from beeflow.store import Store

ECHO = """
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
"""
CAT = """
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {}}}
      outputs: {o: stdout}
"""
COPY = CAT.replace("'File[]'", "File")
HEAD = "cwlVersion: v1.2\nclass: Workflow\nrequirements: {ScatterFeatureRequirement: {}}\ninputs: {words: 'string[]'}\n"
GATHER = f"  gather:\n    in: {{files: LAST/o}}\n    out: [o]{CAT}"
EACH = f"steps:\n  each:\n    scatter: word\n    in: {{word: words}}\n    out: [o]{ECHO}"
OUT = "outputs: {all: {type: File, outputSource: gather/o}}\n"

SCATTER = HEAD + OUT + EACH + GATHER.replace("LAST", "each")
COLUMNS = (
    HEAD
    + OUT
    + EACH
    + "".join(
        f"  {name}:\n    scatter: files\n    in: {{files: {source}/o}}\n    out: [o]{COPY}"
        for name, source in (("second", "each"), ("third", "second"))
    )
    + GATHER.replace("LAST", "third")
)
CHAIN = (
    "cwlVersion: v1.2\nclass: Workflow\ninputs: {words: 'string[]', word: {type: string, default: x}}\n"
    f"outputs: {{all: {{type: File, outputSource: s9/o}}}}\nsteps:\n  s0:\n    in: {{word: word}}\n    out: [o]{ECHO}"
    + "".join(f"  s{n}:\n    in: {{files: s{n - 1}/o}}\n    out: [o]{COPY}" for n in range(1, 10))
)


@dataclass(frozen=True)
class Case:
    """A workflow, its width, how many tasks it has, and how bare Slurm runs as many commands: sbatch after sbatch."""

    document: str
    width: int
    tasks: int
    bare: tuple[tuple[str, ...], ...]


def bare_scatter(width: int, columns: int = 1) -> tuple[tuple[str, ...], ...]:
    """Say how bare Slurm runs scatters, element by element, and a job behind them."""
    array = f"--array=0-{width - 1}"
    rest = [(array, "--dependency=aftercorr:LAST")] * (columns - 1)
    return ((array,), *rest, ("--dependency=afterok:LAST",))


CASES = {
    "chain": Case(CHAIN, 1, 10, ((), *[("--dependency=afterok:LAST",)] * 9)),
    "scatter100": Case(SCATTER, 100, 101, bare_scatter(100)),
    "scatter1000": Case(SCATTER, 1000, 1001, bare_scatter(1000)),
    "columns": Case(COLUMNS, 1000, 3001, bare_scatter(1000, 3)),
}


def rpcs(env: dict[str, str]) -> dict[str, int]:
    """Read sdiag's counts by message type."""
    text = subprocess.run(["sdiag"], env=env, check=True, capture_output=True, text=True).stdout
    part = text.partition("by message type")[2].partition("Remote Procedure Call statistics by user")[0]
    return {name: int(count) for name, count in re.findall(r"^\s*(\w+)\s+\(\s*\d+\) count:(\d+)", part, re.MULTILINE)}


def machine_cpu_s() -> float:
    """Return the CPU time that the whole machine has spent (proc(5), /proc/stat: user, nice, system)."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(word) for word in words[1:4]) / os.sysconf("SC_CLK_TCK")


def measured(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Run something; returns its wall and the machine's CPU seconds meanwhile."""
    began, spent = time.monotonic(), machine_cpu_s()
    made = run()
    return time.monotonic() - began, machine_cpu_s() - spent, made


def bare(env: dict[str, str], case: Case) -> None:
    """Run the same commands under bare Slurm, and wait for the last."""
    last = ""
    for number, options in enumerate(case.bare, 1):
        words = [option.replace("LAST", last) for option in options]
        wait = ["--wait"] if number == len(case.bare) else []
        argv = ["sbatch", "--parsable", "--output=/dev/null", *wait, *words, "--wrap=echo word"]
        last = subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout.strip()


def ours(case: Case) -> Path:
    """Run the workflow until it is archived; returns its directory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "w.cwl").write_text(case.document)
        (folder / "job.json").write_text(json.dumps({"words": [f"w{n}" for n in range(case.width)]}))
        argv = [sys.executable, "-m", "beeflow.commands.submit", str(folder / "w.cwl"), str(folder / "job.json")]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        found = Store(cli.load_config().workflows_dir).get(said.split("id is ")[1][:36])
        while (state := found.state()) is None or state.state is not WorkflowState.ARCHIVED:
            if state is not None and state.state.final and state.state is not WorkflowState.COMPLETED:
                raise SystemExit(f"the workflow is {state.state.value}: {state.reason}")
            time.sleep(0.1)
        return found.layout.root


def row(env: dict[str, str], name: str, counts: dict[str, int]) -> dict[str, Any]:
    """Measure one case."""
    case = CASES[name]
    bare_wall, bare_cpu, _ = measured(lambda: bare(env, case))
    subprocess.run(["sdiag", "--reset"], env=env, check=True, stdout=subprocess.DEVNULL)
    wall, cpu, root = measured(lambda: ours(case))
    counts.update(rpcs(env))
    return {
        "": name,
        "bare (s)": bare_wall,
        "ours (s)": wall,
        "times": wall / bare_wall,
        "of ours a task (CPU ms)": 1000 * (cpu - bare_cpu) / case.tasks,
        "sbatch": counts.get("REQUEST_SUBMIT_BATCH_JOB", 0),
        "queries": sum(count for message, count in counts.items() if message.startswith("REQUEST_JOB_INFO")),
        "files": sum(path.is_file() for path in root.rglob("*")),
    }


def rows(names: list[str]) -> Iterator[dict[str, Any]]:
    """Measure some cases; the messages that slurmctld got go to stderr."""
    env = environment(find(cli.load_config(), os.environ), os.environ)
    for name in names:
        counts: dict[str, int] = {}
        yield row(env, name, counts)
        print(name, json.dumps(counts), file=sys.stderr)


if __name__ == "__main__":
    print(tabulate.tabulate(list(rows(sys.argv[1:] or list(CASES))), headers="keys", floatfmt=".2f"))
