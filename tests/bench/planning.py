"""CPU time and memory to plan and submit a scatter of N, and to end it (python -m tests.bench.planning [N ...]).

No task runs: the walk that bee-submit makes, then the first pass, over a scheduler in memory; then results are written
as the runners would, and the last pass ends and archives the workflow, in a process of its own. Wanted: 100,000 planned
in 15 s of CPU time and 500 MB, linear in N.
"""

from __future__ import annotations

import dataclasses
import gc
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
from beeflow.cwl.late import LateTools
from beeflow.driver import Driver
from beeflow.epilog import Epilog
from beeflow.layout import Layout, folders
from beeflow.plan import walk
from beeflow.results import dumps_graph, read_graph
from beeflow.scheduler import Dependency
from beeflow.states import WorkflowState
from beeflow.submission import Submitter
from tests.bench.walking import SCATTER
from tests.fakes import RECORD, FakeScheduler

WIDTHS = (1000, 10_000, 100_000)


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def words_of(count: int) -> dict[str, list[str]]:
    """Make the input object of a scatter."""
    return {"words": [f"w{number}" for number in range(count)]}


def plan(top: Path, count: int) -> dict[str, float]:
    """Plan and submit a scatter; returns seconds of CPU time, MiB, sbatch calls and files."""
    (top / "w.cwl").write_text(SCATTER)
    graph = compiler.compile_graph(documents.load(str(top / "w.cwl"), top / "cache"))
    layout = Layout(top / "workflows" / RECORD.id)
    for folder in folders(layout):
        folder.mkdir(parents=True)
    store.write_record(layout.workflow, RECORD)
    store.write_text(layout.graph, dumps_graph(graph))
    words = words_of(count)
    store.write_json(layout.job, words)
    began = time.process_time()
    walk(graph, words, lambda output: output, PassTools(graph, layout.root))
    walked = time.process_time()
    scheduler = FakeScheduler()
    submitter = Submitter(layout, RECORD, scheduler)
    successor = submitter.submit_pass(2, Dependency(singleton=True))
    Driver(layout, RECORD, graph, words, PassTools(graph, layout.root), submitter).run(successor)
    return {
        "tasks": count,
        "walk (CPU s)": walked - began,
        "first pass (CPU s)": time.process_time() - walked,
        "peak (MiB)": peak_mib(),
        "sbatch": len(scheduler.jobs),
        "files": sum(path.is_file() for path in layout.root.rglob("*")),
    }


def run(top: Path) -> None:
    """Write what the runners would: a result an element, and no files, which are the archive's to measure."""
    layout = Layout(top / "workflows" / RECORD.id)
    done = {"state": "COMPLETED", "job_id": "1_1", "node": "n", "host": "n", "exit_code": 0, "cpu_s": 0.001}
    times = {"started": "2026-01-01T00:00:00.000+00:00", "ended": "2026-01-01T00:00:00.004+00:00"}
    for folder in sorted(layout.tasks.iterdir()):
        lines = (folder / "elements.jsonl").read_text().splitlines()
        for number, line in enumerate(lines):
            made = {
                task["label"]: {
                    **done,
                    **times,
                    "folder": f"tasks/{folder.name}/{number // 1000:03}/{number:06}/1_1.0/{task['label']}",
                    "command": ["echo", "word"],
                    "outputs": {"o": {"class": "File", "location": "_:none", "basename": "o", "contents": "word"}},
                }
                for task in json.loads(line)["tasks"]
            }
            path = layout.element_result(folder.name, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"version": 1, "tasks": made}) + "\n")


def end(top: Path, count: int) -> dict[str, float]:
    """Run the last pass of a workflow whose tasks all ended well; returns seconds of CPU time and MiB."""
    layout = Layout(top / "workflows" / RECORD.id)
    graph = read_graph(layout)
    record = dataclasses.replace(RECORD, archive_dir=str(top / "archives"), use_archive=True)
    began = time.process_time()
    tools = LateTools(graph, layout.root, top / "cache")
    ended = Driver(layout, record, graph, words_of(count), tools, Submitter(layout, record, FakeScheduler())).run(None)
    if ended is None:
        raise SystemExit("the last pass found something outstanding")
    state = Epilog(layout, record, graph).run(ended)
    if state.state is not WorkflowState.ARCHIVED:
        raise SystemExit(f"the workflow is {state.state.value}: {state.reason}")
    return {"last pass (CPU s)": time.process_time() - began, "its peak (MiB)": peak_mib()}


def apart(*words: str) -> dict[str, float]:
    """Measure in a process of its own."""
    argv = [sys.executable, "-m", "tests.bench.planning", *words]
    made: dict[str, float] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return made


def measure(count: int) -> dict[str, float]:
    """Measure one width."""
    with tempfile.TemporaryDirectory() as top:
        planned = apart("plan", top, str(count))
        run(Path(top))
        return {**planned, **apart("end", top, str(count))}


def main(argv: list[str]) -> None:
    """Measure each width, and print a table."""
    if argv[:1] in (["plan"], ["end"]):
        parts = {"plan": plan, "end": end}
        gc.disable()  # as beeflow.advance
        print(json.dumps(parts[argv[0]](Path(argv[1]), int(argv[2]))))
        return
    rows = [measure(count) for count in ([int(each) for each in argv] or WIDTHS)]
    print(tabulate.tabulate(rows, headers="keys", floatfmt=".2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
