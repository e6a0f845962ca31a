"""Run the tasks of one array element, as many at a time as the job has room for, and publish one result file."""

from __future__ import annotations

import os
import time
from _signal import SIG_IGN, SIGTERM, signal
from zlib import crc32

from beeflow.errors import BeeError, BrokenError, TaskError
from beeflow.runner import collect, records
from beeflow.runner.collect import Collector, NeedsCwltoolError
from beeflow.runner.holes import GOOD, Holes, LateError, NeedsPlanError
from beeflow.runner.job import Job, iso_time
from beeflow.runner.launch import CannotStartError, Ended, Launcher
from beeflow.runner.task import Task, exit_reason, is_success, put_in_place, tidy
from beeflow.runner.wrap import wrap
from beeflow.shape import NoTemplateError, Shape, fill_command

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

EXIT_FAILED = 1
_POLL_S = 1.0
_TERM_GRACE_S = 3.0
_SIGNAL_SETTLE_S = 0.3
# Slurm counts from the job's start: its prolog and our start come before we do.
_BEFORE_US_S = 30.0
# A task that begins this late in its element cannot have its whole time limit.
_LATE = 0.1
# So many shapes of inputs a step may have before cwltool is asked task by task.
_MAX_TEMPLATES = 64


class TerminatedError(Exception):
    """Slurm wants the job to end: scancel, or its time limit."""


class Element:
    """One element of a group. ``run``: what the passes say of the step (tasks/<group>/run.json)."""

    def __init__(self, root: str, run: dict[str, Any], number: int, job: Job) -> None:
        self.root = root
        self.run_record = run
        self.number = number
        self.job = job
        self.folder = f"{root}/tasks/{run['group']}/{number // 1000:03}/{number:06}"
        self.holes = Holes(root)
        self.launcher = Launcher()
        self.began = time.monotonic()
        self.terminated = False
        self.busy = True
        self.tasks: dict[str, Task] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.late: list[str] = []
        self.log: Any = None
        self.attempt = ""
        self._node: Any = None

    # The whole.

    def run(self, specs: list[dict[str, Any]], settled: dict[str, dict[str, Any]]) -> int:
        """Run the tasks that are not settled; returns the exit code, 0 when any task of the element made something."""
        self.results.update({spec["label"]: settled[spec["label"]] for spec in specs if spec["label"] in settled})
        self.attempt = self.job.free_folder(self.folder)
        records.write_new(f"{self.attempt}/started.json", {"version": records.VERSION, **self.job.attempt()})
        waiting = [spec for spec in specs if spec["label"] not in self.results]
        with open(f"{self.attempt}/tasks.jsonl", "a", encoding="utf-8", errors="surrogateescape") as self.log:
            try:
                self.work(waiting)
            except TerminatedError:
                pass
            if self.terminated:
                self.give_up(waiting)
        if self.results and not self.late:
            self.publish()
        good = [result["state"] in GOOD for result in self.results.values()]
        # What waits for a good end is also what has to know of a failure, where that stops the workflow.
        enough = all(good) if self.run_record["stops_on_error"] else any(good)
        return 0 if enough and not self.late else EXIT_FAILED

    def work(self, waiting: list[dict[str, Any]]) -> None:
        """Run tasks until none is left."""
        places = self.job.places(self.run_record)
        queue = list(waiting)
        while queue or self.tasks:
            while queue and len(self.tasks) < places and not self.terminated:
                self.begin(queue.pop(0))
            if self.terminated:
                queue.clear()
            if self.tasks:
                if any(task.ports is None for task in self.tasks.values()):
                    # It will be needed, and the commands run meanwhile.
                    self.node()
                self.finish()

    def publish(self) -> None:
        """Publish the results, unless another attempt already did."""
        signal(SIGTERM, SIG_IGN)
        record = {"version": records.VERSION, "tasks": self.results}
        records.publish(f"{self.folder}/result.json", records.dumps(record) + "\n")

    def node(self) -> Any:
        """Return what needs cwltool; importing it takes ten times as long as all else here."""
        if self._node is None:
            import sys

            sys.path[:] = [*sys.path, *(each for each in self.run_record["python_path"] if each not in sys.path)]
            from beeflow.node import Node

            self._node = Node(self.root, self.run_record)
        return self._node

    # One task.

    def begin(self, spec: dict[str, Any]) -> None:
        """Begin a task: it runs, or has ended, or cannot run."""
        label = spec["label"]
        try:
            inputs = self.resolve(spec)
        except BrokenError as error:
            self.say(f"{label}: not run: {error}")
            return
        except LateError as error:
            self.say(f"{label}: not run: {error} after {self.run_record['fs_settle_s']:g} s")
            self.late.append(label)
            return
        folder = f"{self.attempt}/{label}"
        base = {**self.job.result(), "folder": folder[len(self.root) + 1 :]}
        self.log_line({"begin": label, "at": base["started"]})
        task = Task(label, folder, base)
        try:
            self.start(task, inputs, evaluated=spec.get("evaluated", False))
        except BaseException as error:
            self.fail(task, error)

    def resolve(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Fill the holes of a task's inputs. A shared file system may show a result late: wait for it."""
        deadline = time.monotonic() + self.run_record["fs_settle_s"]
        while True:
            try:
                return {name: self.holes.value(value) for name, value in spec["inputs"].items()}
            except NeedsPlanError:
                made: dict[str, Any] | None = self.node().resolve(spec["inputs"])
                if made is not None:
                    return made
                missing: Exception = LateError("no result of a step it takes from")
            except LateError as error:
                missing = error
            if time.monotonic() > deadline:
                raise missing
            time.sleep(_POLL_S)
            self.holes.look_again()

    def start(self, task: Task, inputs: dict[str, Any], *, evaluated: bool) -> None:
        """Prepare a task's command and start it."""
        for name in (task.folder, task.out, f"{task.folder}/tmp"):
            os.mkdir(name)
        if self.run_record["evaluate"] and not evaluated:
            made = self.node().evaluate(inputs)
            if made is None:
                self.end(task, {"state": "SKIPPED", "reason": "its condition (when) is false"})
                return
            inputs = made
        task.inputs = {name: inputs.get(name) for name in self.run_record["inputs"]}
        try:
            self.from_template(task)
        except NoTemplateError:
            self.from_cwltool(task)
        self.launch(task)

    def from_template(self, task: Task) -> None:
        """Fill the template of the task's command; raises NoTemplateError where there is none."""
        run = self.run_record
        shape = Shape(self.root, apart=bool(run["container"]), literal=run["literal"])
        shape.values += [task.folder[1:], os.environ.get("PATH", os.defpath), *self.job.granted(run)]
        template = self.template(shape.of(task.inputs), task.inputs)
        task.command = fill_command(template["command"], shape.values)
        task.values, task.ports = shape.values, template["ports"]

    def template(self, shape: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Find the template of a shape; cwltool makes it where no pass foresaw it."""
        templates: dict[str, Any] = self.run_record["templates"]
        if shape not in templates:
            templates[shape] = self.shared_template(shape, inputs)
        found: dict[str, Any] | None = templates[shape]
        if found is None:
            raise NoTemplateError
        return found

    def shared_template(self, shape: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Find the template that another element made; else make it, for those that come after."""
        if not self.run_record["may_have_template"]:
            return None
        folder = f"{self.root}/tasks/{self.run_record['group']}/templates"
        path = f"{folder}/{crc32(shape.encode(errors='surrogateescape')):08x}.json"
        found = records.read(path)
        if found is not None:
            return found["template"] if found["shape"] == shape else None
        os.makedirs(folder, exist_ok=True)
        if len(os.listdir(folder)) >= _MAX_TEMPLATES:
            return None
        made: dict[str, Any] | None = self.node().template(inputs)
        records.publish(path, records.dumps({"shape": shape, "template": made}) + "\n")
        return made

    def from_cwltool(self, task: Task) -> None:
        """Have cwltool prepare the task's command."""
        job = self.job
        task.prepared = self.node().prepare(task.inputs, task.folder, job.cpus, job.mem_mib, job.gpus)
        task.command = task.prepared.as_json()

    def launch(self, task: Task) -> None:
        """Stage what the command needs and start it."""
        command = task.command
        task.result["command"] = command["argv"]
        task.result["stderr"] = command["stderr"][len(self.root) + 1 :]
        if command["stage"]:
            put_in_place(command["stage"], self.root)
        if command["container"]:
            image = self.run_record["container"]
            task.result.update(container_runtime=image["runtime"], container_hash=image["sha256"])
        command["inherit"] = [*self.run_record["preserve_environment"], *command["inherit"]]
        wrap(command, os.environ)
        for stream in (command["stdout"], command["stderr"]):
            os.makedirs(os.path.dirname(stream), exist_ok=True)
        try:
            pid = self.launcher.start(task.label, command)
        except CannotStartError as error:
            raise TaskError(self.why_not_started(command, *error.args)) from error
        self.tasks[task.label] = task
        self.log_line({"run": task.label, "pid": pid})
        if self.terminated:
            self.launcher.signal_all(SIGTERM)

    def why_not_started(self, command: dict[str, Any], number: int, about: str) -> str:
        """Explain why a command could not be started."""
        argv = command["argv"]
        if number == 2 and about in (argv[0], command["stdin"]):  # ENOENT
            return f"{about}: not found on node {self.job.node or self.job.host}"
        return f"{about or argv[0]}: cannot be started: {os.strerror(number)} ({len(argv)} arguments)"

    def finish(self) -> None:
        """Wait for a command to end, and settle its task."""
        self.busy = False
        try:
            ended = self.launcher.wait()
        finally:
            self.busy = True
        task = self.tasks.pop(ended.label)
        task.result.update(
            exit_code=ended.code if ended.code >= 0 else 128 - ended.code,
            ended=iso_time(),
            max_rss_kib=ended.max_rss_kib,
            cpu_s=round(ended.cpu_s, 3),
        )
        try:
            self.judge(task, ended)
        except BaseException as error:
            self.fail(task, error)

    def judge(self, task: Task, ended: Ended) -> None:
        """Say what came of a command, and collect its outputs."""
        if ended.timed_out:
            limit = task.command["time_limit_s"]
            self.end(task, {"state": "TIMEOUT", "reason": f"ToolTimeLimit of {limit} s"})
            return
        if ended.code < 0:
            # The signal that ended the command may reach us a moment after it.
            time.sleep(_SIGNAL_SETTLE_S)
        if self.terminated:
            raise TerminatedError
        if not is_success(task.command, ended.code):
            self.end(task, {"state": "FAILED", "reason": exit_reason(ended.code)})
            return
        self.end(task, {"state": "COMPLETED", "outputs": self.outputs(task, ended.code)})

    def outputs(self, task: Task, exit_code: int) -> dict[str, Any]:
        """Collect the outputs; raises TaskError when a declared one was not made."""
        try:
            if task.ports is None:
                raise NeedsCwltoolError
            collect.make_read_only(task.out)
            return Collector(self.root, task.out, task.inputs, exit_code).collect(task.ports, task.values)
        except NeedsCwltoolError:
            if task.prepared is None:
                self.from_cwltool(task)
            made: dict[str, Any] = task.prepared.collect(exit_code)
            return made

    def end(self, task: Task, how: dict[str, Any]) -> None:
        """Keep a task's result."""
        task.result.update(how)
        task.result.setdefault("ended", iso_time())
        if task.result["state"] == "COMPLETED":
            tidy(task)
        self.results[task.label] = task.result
        self.log_line({"end": task.label, "result": task.result})

    def fail(self, task: Task, error: BaseException) -> None:
        """Keep what went wrong with a task as its result; a wish to end the job goes on up."""
        if isinstance(error, TerminatedError):
            self.tasks[task.label] = task
            raise error
        if isinstance(error, (BeeError, OSError)):
            reason = str(error)
        elif isinstance(error, Exception):
            # A bug in us or in a library must still be told as this task's end.
            reason = f"{type(error).__name__}: {error}"
        else:
            raise error
        self.end(task, {"state": "FAILED", "reason": reason})

    def log_line(self, entry: dict[str, Any]) -> None:
        """Add a line to this attempt's log: what a dead job keeps."""
        self.log.write(records.dumps(entry) + "\n")
        self.log.flush()

    def say(self, text: str) -> None:
        """Tell the log of the Slurm job."""
        os.write(2, f"beeflow: {text}\n".encode(errors="surrogateescape"))

    # The end before its time.

    def on_term(self, *_: object) -> None:
        """Handle SIGTERM: end the commands, and give up what we do ourselves."""
        self.terminated = True
        self.launcher.signal_all(SIGTERM)
        self.launcher.kill_in(_TERM_GRACE_S)
        if self.busy:
            raise TerminatedError

    def give_up(self, specs: list[dict[str, Any]]) -> None:
        """Settle what Slurm did not let end: a time limit or a scancel, which send the same signals."""
        signal(SIGTERM, SIG_IGN)
        while self.launcher.running:
            self.launcher.wait()
        self.log.write("\n")  # the line that was being written may have been cut
        limit = self.run_record["time_limit_s"]
        if limit and time.monotonic() - self.began >= max(limit / 2, limit - _BEFORE_US_S):
            how = {"state": "TIMEOUT", "reason": f"time limit of {limit} s"}
            for task in self.tasks.values():
                if not self.was_late(task, limit):
                    self.end(task, how)
            self.late += [spec["label"] for spec in specs if spec["label"] not in self.results]
            return
        for task in self.tasks.values():
            self.end(task, {"state": "CANCELLED", "reason": "cancelled in Slurm while it ran"})
        for spec in specs:
            if spec["label"] not in self.results:
                result = {**self.job.result(), "state": "CANCELLED", "ended": iso_time()}
                self.results[spec["label"]] = {**result, "reason": "cancelled in Slurm before it began"}

    def was_late(self, task: Task, limit: float) -> bool:
        """True for a task that the element's time limit ended before it had its own."""
        return task.began - self.began > _LATE * limit
