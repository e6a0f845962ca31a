"""CPU time and memory to plan and submit a scatter of N (python -m tests.bench.planning [N ...]); no task runs.

Each N in a process of its own: the walk that bee-submit makes, then the first pass, over a scheduler in memory. Wanted:
100,000 in 15 s of CPU time and 500 MB, linear in N.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tabulate

from beeflow import store
from beeflow.cwl import compiler, documents
from beeflow.cwl.foresee import PassTools
from beeflow.driver import Driver
from beeflow.layout import Layout, folders
from beeflow.plan import walk
from beeflow.results import dumps_graph
from beeflow.scheduler import Dependency
from beeflow.submission import Submitter
from tests.bench.walking import SCATTER
from tests.fakes import RECORD, FakeScheduler

WIDTHS = (1000, 10_000, 100_000)


def measure(count: int) -> dict[str, float]:
    """Plan and submit a scatter; returns seconds of CPU time, MiB, sbatch calls and files."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "w.cwl").write_text(SCATTER)
        graph = compiler.compile_graph(documents.load(str(top / "w.cwl"), top / "cache"))
        layout = Layout(top / "workflows" / RECORD.id)
        for folder in folders(layout):
            folder.mkdir(parents=True)
        store.write_text(layout.graph, dumps_graph(graph))
        words = {"words": [f"w{number}" for number in range(count)]}
        began = time.process_time()
        walk(graph, words, lambda output: output, PassTools(graph, layout.root))
        walked = time.process_time()
        scheduler = FakeScheduler()
        submitter = Submitter(layout, RECORD, scheduler)
        successor = submitter.submit_pass(2, Dependency(singleton=True))
        Driver(layout, RECORD, graph, words, PassTools(graph, layout.root), submitter).run(successor)
        ended = time.process_time()
        return {
            "tasks": count,
            "walk (CPU s)": walked - began,
            "first pass (CPU s)": ended - walked,
            "peak (MiB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "sbatch": len(scheduler.jobs),
            "files": sum(path.is_file() for path in layout.root.rglob("*")),
        }


def main(argv: list[str]) -> None:
    """Measure each width in a process of its own, and print a table."""
    if argv[:1] == ["one"]:
        print(json.dumps(measure(int(argv[1]))))
        return
    rows = []
    for count in [int(each) for each in argv] or WIDTHS:
        words = [sys.executable, "-m", "tests.bench.planning", "one", str(count)]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(said))
    print(tabulate.tabulate(rows, headers="keys", floatfmt=".2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
