"""What a workflow costs beside the same commands under bare Slurm (python -m tests.bench.walking [NAME ...]).

chain: ten steps, one after the other, beside ten dependent sbatch jobs. scatter100, scatter1000: a scatter and a
gather, beside a job array of as many elements and a job behind it. columns: three scatters of 1000, element by element.
seconds: a scatter of 200 whose commands take a second each; all others take none, so that what Slurm and we cost is
all there is.

Runs on the Slurm that bee-* commands find; nothing else should use the machine meanwhile. Ours is measured from
bee-submit's first instruction until the archive is verified; bare Slurm until the last job's command has run (sbatch
--wait looks only after 2, 10 and 42 s). CPU time is the whole machine's, so that all of Slurm's and ours is in it; "of
ours" is what ours has more than the bare one, a task. Of several repeats each figure is the median. Wanted: a chain at
most 2 times, a scatter of 1000 at most 1.5 times the wall of the bare one; at most 60 ms of ours a task; at most 10
sbatch; no query.

How soon Slurm starts a job after another has ended is the site's choice, and decides these ratios. bee-slurm's is as
quick as Slurm gets. As Slurm comes:

  bee-slurm up --set Epilog= --set SchedulerParameters=
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
SLEEP = ECHO.replace("echo\n", "[sh, -c, 'sleep 1; echo $0']\n", 1)
HEAD = "cwlVersion: v1.2\nclass: Workflow\nrequirements: {ScatterFeatureRequirement: {}}\ninputs: {words: 'string[]'}\n"
GATHER = f"  gather:\n    in: {{files: LAST/o}}\n    out: [o]{CAT}"
EACH = f"steps:\n  each:\n    scatter: word\n    in: {{word: words}}\n    out: [o]{ECHO}"
OUT = "outputs: {all: {type: File, outputSource: gather/o}}\n"

SCATTER = HEAD + OUT + EACH + GATHER.replace("LAST", "each")
SECONDS = SCATTER.replace(ECHO, SLEEP)
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
    """A workflow, its width, how many tasks it has, and how bare Slurm runs as many commands: sbatch after sbatch.

    ``command``: what all tasks run but the last.
    """

    document: str
    width: int
    tasks: int
    bare: tuple[tuple[str, ...], ...]
    command: str = "echo word"


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
    "seconds": Case(SECONDS, 200, 201, bare_scatter(200), "sleep 1; echo word"),
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
    """Run the same commands under bare Slurm, their output in files, until the last has run."""
    with tempfile.TemporaryDirectory() as name:
        done = Path(name) / "done"
        last = ""
        for number, options in enumerate(case.bare, 1):
            words = [option.replace("LAST", last) for option in options]
            command = f"echo word; : >{done}" if number == len(case.bare) else case.command
            argv = ["sbatch", "--parsable", f"--chdir={name}", *words, f"--wrap={command}"]
            last = subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout.strip()
        while not done.exists():
            time.sleep(0.02)


def wait_until_empty(env: dict[str, str]) -> None:
    """Let the jobs of one measurement end before the next begins."""
    while subprocess.run(["squeue", "--noheader"], env=env, check=True, capture_output=True, text=True).stdout:
        time.sleep(0.1)


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
            time.sleep(0.02)
        return found.layout.root


def row(env: dict[str, str], name: str, counts: dict[str, int]) -> dict[str, Any]:
    """Measure one case once."""
    case = CASES[name]
    bare_wall, bare_cpu, _ = measured(lambda: bare(env, case))
    wait_until_empty(env)
    subprocess.run(["sdiag", "--reset"], env=env, check=True, stdout=subprocess.DEVNULL)
    wall, cpu, root = measured(lambda: ours(case))
    counts.update(rpcs(env))
    wait_until_empty(env)
    return {
        "bare (s)": bare_wall,
        "ours (s)": wall,
        "times": wall / bare_wall,
        "of ours a task (CPU ms)": 1000 * (cpu - bare_cpu) / case.tasks,
        "sbatch": counts.get("REQUEST_SUBMIT_BATCH_JOB", 0),
        "queries": sum(count for message, count in counts.items() if message.startswith("REQUEST_JOB_INFO")),
        "files": sum(path.is_file() for path in root.rglob("*")),
    }


def rows(names: Sequence[str], repeats: int) -> Iterator[dict[str, Any]]:
    """Measure some cases; the messages that slurmctld got go to stderr."""
    env = environment(find(cli.load_config(), os.environ), os.environ)
    for name in names:
        counts: dict[str, int] = {}
        made = [row(env, name, counts) for _ in range(repeats)]
        yield {"": name, **{key: statistics.median(each[key] for each in made) for key in made[0]}}
        print(name, json.dumps(counts), file=sys.stderr)


def main(argv: Sequence[str]) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often, ours and bare in turn (3)")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(CASES)} (all)")
    asked = parser.parse_args(argv)
    for name in asked.names:
        if name not in CASES:
            parser.error(f"{name}: no case; they are {', '.join(CASES)}")
    print(tabulate.tabulate(list(rows(asked.names or list(CASES), asked.repeat)), headers="keys", floatfmt=".2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
