"""Workflows from end to end without Slurm: real passes, a scheduler in memory, batch scripts run by this process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beeflow import config, embedding, store, submit
from beeflow.archive import contents, packing
from beeflow.config import Config
from beeflow.layout import MANIFEST
from beeflow.models import GroupRecord, TaskRecord
from beeflow.passes import Pass
from beeflow.rerun import again
from beeflow.rerun.request import Request
from beeflow.rerun.sources import open_archive
from beeflow.scheduler.target import Target
from beeflow.states import JobState, WorkflowState
from beeflow.store import Store, WorkflowDir
from tests.fakes import FakeJob, FakeScheduler

# Two branches, one of them scattered, and a third step that joins them.
DOCUMENT = """
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: 'string[]', data: File, tail: {type: int, default: 1}, note: string?}
outputs: {all: {type: File, outputSource: join/o}}
steps:
  each:
    scatter: word
    in: {word: words}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [echo, made]
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {o: stdout}
  cut:
    in: {data: data, n: tail}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [tail]
      inputs: {data: {type: File, inputBinding: {position: 2}}, n: {type: int, inputBinding: {prefix: -n}}}
      outputs: {o: stdout}
  join:
    in: {files: each/o, cut: cut/o}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {files: {type: 'File[]', inputBinding: {position: 1}}, cut: {type: File, inputBinding: {position: 2}}}
      outputs: {o: stdout}
"""


def counting_document(ran: Path) -> str:
    """Return DOCUMENT with commands that say in a file that they ran."""
    commands = {
        "[echo, made]": f'[sh, -c, \'echo each.$1 >> "{ran}"; echo made "$1"\', sh]',
        "[tail]": f'[sh, -c, \'echo cut >> "{ran}"; tail "$@"\', sh]',
        "cat\n": f'[sh, -c, \'echo join >> "{ran}"; cat "$@"\', sh]\n',
    }
    text = DOCUMENT
    for command, counting in commands.items():
        text = text.replace(f"baseCommand: {command}", f"baseCommand: {counting}")
    return text


HERE = Target("", "", "a Slurm in memory")


@dataclass
class Local:
    """A site: a folder with bee.conf and a bee_workdir, and its scheduler."""

    top: Path
    more_conf: str = ""
    scheduler: FakeScheduler = field(default_factory=FakeScheduler)

    def __post_init__(self) -> None:
        self.top.mkdir(exist_ok=True)
        conf = self.top / "bee.conf"
        conf.write_text(f"[DEFAULT]\nbee_workdir = {self.top}/bee\n{self.more_conf}")
        self.env = {"HOME": str(self.top), "PATH": os.environ["PATH"], "BEE_CONFIG": str(conf)}

    @property
    def config(self) -> Config:
        return config.read(self.top / "bee.conf", self.env)

    def write(self, name: str, text: str) -> Path:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def submit(
        self,
        document: str,
        job: Mapping[str, Any] | None = None,
        *,
        cancelled: bool = False,
        meanwhile: Callable[[], object] = lambda: None,
        **record: Any,
    ) -> WorkflowDir:
        """Submit a document, given as text, and run it to its end. ``meanwhile``: done once it is submitted."""
        path, inputs = self.write("given/w.cwl", document), self.write("given/job.json", json.dumps(job or {}))
        prepared = submit.prepare(submit.Request(str(path), [str(inputs)]), self.config)
        made = submit.new_record(self.config, HERE, self.scheduler.limits(), prepared.document, "first")
        made = replace(made, **record)
        workflows = Store(self.config.workflows_dir)
        staged = workflows.create(made)
        embedding.write(staged.layout, prepared.graph, prepared.job, prepared.packed, prepared.sources)
        found = submit.launch(workflows, workflows.commit(staged, made.id), made, self.scheduler, start=True)
        if cancelled:
            found.layout.cancel.write_text("cancelled by a test\n")
        meanwhile()
        return self.run(found)

    def rerun(self, archive: WorkflowDir | Path | str, **request: Any) -> WorkflowDir:
        """Re-execute an archive to its end."""
        made = self.begin(archive, **request)
        return self.run(made) if request.get("start", True) else made

    def begin(self, archive: WorkflowDir | Path | str, **request: Any) -> WorkflowDir:
        """Submit the re-execution of an archive."""
        asked = Request(str(self.archive(archive)), **request)
        source = open_archive(asked.archive, self.config, trusted=asked.trust)
        of_site = submit.new_record(self.config, HERE, self.scheduler.limits(), "", "")
        record = again.new_record(asked, source, of_site)
        return again.start(asked, source, self.config, record, self.scheduler)

    def archive(self, found: WorkflowDir | Path | str) -> Path | str:
        if not isinstance(found, WorkflowDir):
            return found
        state = found.state()
        assert state is not None
        assert state.archive is not None
        return Path(state.archive)

    def run(self, found: WorkflowDir, most: int = 20) -> WorkflowDir:
        """Run the jobs of a workflow until it has ended."""
        record = found.record()
        for _ in range(most):
            while (job := self.due(record.nonce, passes=False)) is not None:
                self.run_task(job)
            job = self.due(record.nonce, passes=True)
            if job is None:
                return found
            (key,) = job.request.script_args
            store.publish(found.layout.job_id(key), job.id + "\n")
            code = Pass(found.layout, record, self.scheduler).run(key, job.id)
            self.scheduler.end(job.id, JobState.FAILED if code else JobState.COMPLETED)
        raise AssertionError(f"not ended: {(found.layout.root / 'state.json').read_text()}")

    def due(self, nonce: str, *, passes: bool) -> FakeJob | None:
        """Find the next job that has yet to run."""
        for job in self.scheduler.jobs.values():
            mine = job.request.name.startswith(nonce) and job.request.name.endswith("-pass") == passes
            if mine and not job.held and any(state is JobState.PENDING for state, _ in job.states.values()):
                return job
        return None

    def run_task(self, job: FakeJob) -> None:
        for index in job.states:
            named = {} if index is None else {"SLURM_ARRAY_JOB_ID": job.id, "SLURM_ARRAY_TASK_ID": str(index)}
            env = {**self.env, "SLURM_JOB_ID": job.id, **named}
            argv = ["sh", str(job.request.script), *job.request.script_args]
            done = subprocess.run(argv, check=False, env=env, cwd=job.request.chdir, capture_output=True, timeout=60)
            self.scheduler.end(job.id, JobState.FAILED if done.returncode else JobState.COMPLETED, "", [index])


def repacked(archive: Path | str, into: Path, change: Callable[[Path], None]) -> Path:
    """Pack an archive anew with something changed, as if it had been so when it was made."""
    into.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", into], check=True)
    (top,) = into.iterdir()
    change(top)
    sources, _ = contents.tree(top)
    kept = [each for each in sources if each.name != MANIFEST]
    return packing.pack(top.name, kept, into / "packed").path


def ran(found: WorkflowDir) -> list[str]:
    """List the tasks whose commands ran in this workflow, by the logs of their attempts."""
    names = []
    for path in found.layout.tasks.glob("*/*/*/*/tasks.jsonl"):
        group = store.read_record(GroupRecord, path.parents[3] / "group.json")
        assert group is not None
        labels = [json.loads(line)["begin"] for line in path.read_text().splitlines() if '"begin"' in line]
        names += [f"{group.path}[{label}]" if group.scattered else group.path for label in labels]
    return sorted(names)


def tasks(found: WorkflowDir) -> dict[str, TaskRecord]:
    """Return the tasks by name."""
    return {task.name: task for task in found.final_tasks() or ()}


def state(found: WorkflowDir) -> WorkflowState:
    made = found.state()
    assert made is not None
    return made.state


def text_of(found: WorkflowDir, name: str) -> str:
    """Read an output file."""
    made = json.loads(found.layout.output_object.read_text())
    return (found.layout.root / str(made[name]["location"])).read_text()


def first(site: Local, **record: Any) -> WorkflowDir:
    data = site.write("data/in put.txt", "one\ntwo\nthree\n")
    job = {"words": ["a", "b"], "data": {"class": "File", "path": str(data)}}
    return site.submit(DOCUMENT, job, **record)
