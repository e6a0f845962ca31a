"""Run one array element of a step: what a task job does (python -m beeflow.task WORKFLOW_DIR GROUP OFFSET).

Claims the job's id, resolves the inputs, prepares, stages, runs, collects, publishes one result file. Never decides
that a dependency failed: a pass does. Exit code 0 when any task of the element made something, else 1.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from beeflow import elements, launch, locations, process, staging, store
from beeflow.command import Command, Folders
from beeflow.cwl import schema_cache
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.cwl.prepare import Granted, Prepared, prepare
from beeflow.errors import BeeError, SystemFileError, TaskError
from beeflow.graph import Graph, Tool
from beeflow.layout import Layout, cache_dir
from beeflow.models import Attempt, ElementResult, ElementTask, GroupRecord, TaskResult, WorkflowRecord, now
from beeflow.results import Results, read_graph, step_at
from beeflow.states import TaskState
from beeflow.submission import claim
from beeflow.values import broken_of, from_json, known, outputs_of, simplify

EXIT_FAILED = 1
_POLL_S = 1.0
_TERM_GRACE_S = 3.0
_SIGNAL_SETTLE_S = 0.3
_BEFORE_US_S = 30.0


class _TerminatedError(Exception):
    """Slurm wants the job to end: scancel, or its time limit."""


@dataclass(frozen=True)
class JobContext:
    """Who this job is, from Slurm's environment (sbatch(1), OUTPUT ENVIRONMENT VARIABLES).

    ``id``: the array's for an element, as sbatch printed it.
    """

    id: str
    array_task_id: int | None
    restart_count: int
    node: str
    cpus: int | None
    mem_mib: int | None
    gpus: int | None = None

    @property
    def element_id(self) -> str:
        """The id to show and to address: "12" or "12_3"."""
        return self.id if self.array_task_id is None else f"{self.id}_{self.array_task_id}"


def job_context(env: Mapping[str, str]) -> JobContext:
    """Read Slurm's environment; raises TaskError outside a job."""
    if "SLURM_JOB_ID" not in env:
        raise TaskError("beeflow.task runs inside a Slurm job")
    index = env.get("SLURM_ARRAY_TASK_ID")
    return JobContext(
        id=env.get("SLURM_ARRAY_JOB_ID") or env["SLURM_JOB_ID"],
        array_task_id=None if index is None else int(index),
        restart_count=int(env.get("SLURM_RESTART_COUNT") or 0),
        node=env.get("SLURMD_NODENAME", ""),
        cpus=int(env["SLURM_CPUS_PER_TASK"]) if env.get("SLURM_CPUS_PER_TASK") else None,
        mem_mib=granted_mem_mib(env),
        gpus=int(env["SLURM_GPUS_ON_NODE"]) if env.get("SLURM_GPUS_ON_NODE") else None,
    )


def granted_mem_mib(env: Mapping[str, str]) -> int | None:
    """Read the job's memory on this node: --mem, else its CPUs' share; None where Slurm does not manage memory."""
    if env.get("SLURM_MEM_PER_NODE"):
        return int(env["SLURM_MEM_PER_NODE"])
    if env.get("SLURM_MEM_PER_CPU"):
        return int(env["SLURM_MEM_PER_CPU"]) * int(env.get("SLURM_CPUS_ON_NODE") or 1)
    return None


class ElementRunner:
    """Runs one element of a group."""

    def __init__(self, layout: Layout, group: GroupRecord, number: int, job: JobContext) -> None:
        self.layout = layout
        self.group = group
        self.number = number
        self.job = job
        self.graph: Graph = read_graph(layout)
        self.evaluator = CwlEvaluator(self.graph, layout.root)
        self.results = Results(layout, self.graph, self.evaluator)
        self.step = step_at(self.graph.workflow, group.path)
        self.terminated = False
        self.signal_command: Callable[[int], None] | None = None
        self.began = time.monotonic()

    @property
    def tool(self) -> Tool:
        """The step's tool."""
        return self.graph.tools[self.step.tool or ""]

    def run(self, settle_s: float) -> int:
        """Run the element's tasks and publish their results; returns the exit code."""
        tasks = elements.read(self.layout, self.group.key, self.number).tasks
        inputs = {task.label: self.resolve(task, settle_s) for task in tasks}
        folder = self.start()
        done = {label: self.run_task(label, folder, values) for label, values in inputs.items()}
        self.publish(ElementResult(done), folder)
        return 0 if any(result.state.good for result in done.values()) else EXIT_FAILED

    def start(self) -> Path:
        """Make this attempt's folder and say on record that it began."""
        job = self.job
        folder = self.free_folder()
        attempt = Attempt(
            job_id=job.id,
            array_task_id=job.array_task_id,
            restart_count=job.restart_count,
            node=job.node,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=now(),
        )
        store.write_record(folder / "started.json", attempt)
        return folder

    def free_folder(self) -> Path:
        """Make the attempt's folder. A dying slurmctld may start a job twice as the same attempt (seen on 22.05.8)."""
        element = self.layout.element(self.group.key, self.number)
        element.mkdir(parents=True, exist_ok=True)
        for again in itertools.count():
            folder = element / f"{self.job.element_id}.{self.job.restart_count}{f'.{again}' if again else ''}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise AssertionError

    def resolve(self, task: ElementTask, settle_s: float) -> dict[str, object]:
        """Fill the holes of a task's inputs. A shared file system may show a result late: wait for it."""
        deadline = time.monotonic() + settle_s
        while True:
            values = {name: simplify(from_json(value), self.results.lookup) for name, value in task.inputs.items()}
            broken = next((found for value in values.values() if (found := broken_of(value))), None)
            if broken:
                raise TaskError(f"not run: {broken.reason}")
            if not any(True for value in values.values() for _ in outputs_of(value)):
                return {name: known(value) for name, value in values.items()}
            if time.monotonic() > deadline:
                holes = sorted({hole.group for value in values.values() for hole in outputs_of(value)})
                raise TaskError(f"not run: no result of {', '.join(holes)} after {settle_s:g} s")
            time.sleep(_POLL_S)
            # Listing the folder makes an NFS client look again.
            os.listdir(self.layout.tasks)

    def run_task(self, label: str, folder: Path, inputs: dict[str, object]) -> TaskResult:
        """Run one task; whatever goes wrong becomes its result."""
        folders = Folders(str(folder / label))
        base = TaskResult(
            state=TaskState.FAILED,
            job_id=self.job.element_id,
            node=self.job.node,
            host=socket.gethostname(),
            started=now(),
            folder=str((folder / label).relative_to(self.layout.root)),
        )
        try:
            result = self.attempt(base, folders, inputs)
        except _TerminatedError:
            result = self.terminated_result(base)
        except (BeeError, OSError) as error:
            result = replace(base, reason=str(error))
        except Exception as error:  # a bug in us or in a library must still be told as this task's end
            result = replace(base, reason=f"{type(error).__name__}: {error}")
        return replace(result, ended=result.ended or now())

    def attempt(self, base: TaskResult, folders: Folders, inputs: dict[str, object]) -> TaskResult:
        """Prepare, stage, run and collect."""
        for name in (folders.out, folders.tmp):
            Path(name).mkdir(parents=True)
        values = self.evaluator.step_inputs(self.step, inputs)
        if self.step.when and not self.evaluator.condition(self.step, values):
            return replace(base, state=TaskState.SKIPPED, reason="its condition (when) is false")
        granted = Granted(self.job.cpus, self.job.mem_mib, self.job.gpus)
        given = locations.absolute(values, self.layout.root)
        prepared = prepare(self.tool, given, self.layout.root, folders, granted)
        command = prepared.command
        staging.put(command.stage, self.layout.root)
        image = self.tool.container
        base = replace(
            base,
            command=command.argv,
            stderr=os.path.relpath(command.stderr, self.layout.root),
            container_runtime=image.runtime if image else None,
            container_hash=image.sha256 if image else None,
        )
        return self.execute(base, prepared)

    def execute(self, base: TaskResult, prepared: Prepared) -> TaskResult:
        """Run the command and judge it."""
        command = prepared.command
        measured = self.watch(command)
        code = measured.returncode
        base = replace(
            base,
            exit_code=code if code >= 0 else 128 - code,
            ended=now(),
            max_rss_kib=measured.max_rss_kib,
            cpu_s=round(measured.cpu_s, 3),
        )
        if measured.timed_out:
            return replace(base, state=TaskState.TIMEOUT, reason=f"ToolTimeLimit of {command.time_limit_s} s")
        if code < 0:
            # The signal that ended the command may reach us a moment after it.
            time.sleep(_SIGNAL_SETTLE_S)
        if self.terminated:
            return self.terminated_result(base)
        if not command.is_success(code):
            return replace(base, reason=_exit_reason(code))
        try:
            outputs = prepared.collect(code)
        except TaskError as error:
            return replace(base, reason=str(error))
        staging.make_read_only(Path(prepared.folders.out))
        staging.replace_updated(command.stage, self.layout.root)
        return replace(base, state=TaskState.COMPLETED, outputs=outputs)

    def watch(self, command: Command) -> process.Measured:
        """Run the command, passing on Slurm's wish to end it."""
        argv, env = launch.wrap(command, os.environ)
        for stream in (command.stdout, command.stderr):
            Path(stream).parent.mkdir(parents=True, exist_ok=True)
        try:
            return process.run_measured(
                argv,
                env=env,
                cwd=command.workdir,
                stdin=command.stdin,
                stdout=command.stdout,
                stderr=command.stderr,
                time_limit_s=command.time_limit_s,
                on_start=self.on_start,
            )
        except FileNotFoundError as error:
            missing = command.stdin if error.filename == command.stdin else argv[0]
            raise TaskError(f"{missing}: not found on node {self.job.node or socket.gethostname()}") from error
        except OSError as error:
            raise TaskError(f"{argv[0]}: cannot be started: {error.strerror} ({len(argv)} arguments)") from error
        finally:
            self.signal_command = None

    def on_start(self, signal_command: Callable[[int], None]) -> None:
        """Remember how to signal the command; a wish that came just before it started holds too."""
        self.signal_command = signal_command
        if self.terminated:
            signal_command(signal.SIGTERM)

    def on_term(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM: end the command if there is one, else give up where we are."""
        self.terminated = True
        if self.signal_command is None:
            raise _TerminatedError
        self.signal_command(signal.SIGTERM)
        signal.signal(signal.SIGALRM, lambda *_: self.signal_command and self.signal_command(signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, _TERM_GRACE_S)

    def terminated_result(self, base: TaskResult) -> TaskResult:
        """Tell a time limit from a scancel: Slurm sends the same signals."""
        limit = self.group.time_limit_s
        # Slurm counts from the job's start: its prolog and our imports come before we do.
        if limit and time.monotonic() - self.began >= max(limit / 2, limit - _BEFORE_US_S):
            return replace(base, state=TaskState.TIMEOUT, reason=f"time limit of {self.group.time_limit_s} s")
        return replace(base, state=TaskState.CANCELLED, reason="cancelled in Slurm while it ran")

    def publish(self, result: ElementResult, folder: Path) -> None:
        """Publish the results, unless another attempt already did; clean up what nobody needs."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if all(each.state.good for each in result.tasks.values()):
            for label in result.tasks:
                staging.remove_tree(folder / label / "tmp")
        store.publish_record(self.layout.element_result(self.group.key, self.number), result)


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"the command ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"the command was killed by {name}"


def finished(layout: Layout, group: GroupRecord, number: int, job: JobContext) -> int | None:
    """Return the exit code of an element that has a good result; a bad one of an earlier attempt is set aside."""
    path = layout.element_result(group.key, number)
    result = store.read_record(ElementResult, path)
    if result is None:
        return None
    if any(task.state.good for task in result.tasks.values()):
        return 0
    path.replace(path.with_name(f"result.before-{job.element_id}.{job.restart_count}.json"))
    return None


def main(argv: list[str]) -> int:
    """Run the element that Slurm's environment names."""
    root, group_key, key_and_offset = argv
    layout = Layout(Path(root))
    key, _, offset = key_and_offset.partition(":")
    schema_cache.install(cache_dir(layout))
    job = job_context(os.environ)
    if not claim(layout, key, job.id):
        print(f"job {job.id}: another job already runs {key}; nothing to do")
        return 0
    group = store.read_record(GroupRecord, layout.group_record(group_key))
    record = store.read_record(WorkflowRecord, layout.workflow)
    if group is None or record is None:
        raise SystemFileError(f"{layout.root}: not a workflow directory with group {group_key}")
    number = int(offset) + (job.array_task_id or 0)
    done = finished(layout, group, number, job)
    if done is not None:
        return done
    runner = ElementRunner(layout, group, number, job)
    signal.signal(signal.SIGTERM, runner.on_term)
    return runner.run(record.fs_settle_s)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (BeeError, _TerminatedError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
