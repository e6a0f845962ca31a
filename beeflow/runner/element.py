"""Run the tasks of one array element, as many at a time as the job has room for, and publish one result file."""

from __future__ import annotations

import os
import time
from _signal import SIGTERM

from beeflow.errors import BrokenError, TaskError
from beeflow.runner import collect, records
from beeflow.runner.again import Again
from beeflow.runner.collect import Collector, NeedsCwltoolError
from beeflow.runner.holes import GOOD, Holes, LateError, NeedsPlanError
from beeflow.runner.interrupt import Interrupt, TerminatedError
from beeflow.runner.job import Job, iso_time
from beeflow.runner.launch import CannotStartError, Ended, Launcher, why_unfit
from beeflow.runner.ledger import Ledger, describe, say
from beeflow.runner.making import Making
from beeflow.runner.task import Task, exit_reason, is_success, make_readable, put_in_place, why_too_deep
from beeflow.runner.wrap import wrap
from beeflow.tries import OUT_OF_MEMORY

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

EXIT_FAILED = 1
_POLL_S = 1.0
_SIGNAL_SETTLE_S = 0.3
# How a command ends, or the shell around it, that SIGTERM ended.
_BY_TERM = (-SIGTERM, 128 + SIGTERM)


class Element:
    """One element of a group. ``run``: what the passes say of the step (tasks/<group>/run.json).

    ``tasks``: those whose commands run. ``attempt``: the folder of this attempt.
    """

    def __init__(self, root: str, run: dict[str, Any], number: int, job: Job) -> None:
        self.root = root
        self.run_record = run
        self.number = number
        self.job = job
        self.folder = f"{root}/tasks/{run['group']}/{number // 1000:03}/{number:06}"
        self.again = Again(root, run, job, self.folder)
        self.ledger = Ledger(job, self.again)
        self.holes = Holes(root)
        self.launcher = Launcher()
        self.interrupt = Interrupt(self.launcher)
        self.making = Making(root, run, job, self.interrupt)
        self.settle_by: float | None = None
        self.tasks: dict[str, Task] = {}
        self.attempt = ""

    # The whole.

    def run(self, specs: list[dict[str, Any]], settled: dict[str, dict[str, Any]]) -> int:
        """Run the tasks that are not settled; returns the exit code, 0 when any task of the element made something."""
        labels = {spec["label"] for spec in specs}
        self.ledger.results.update({label: result for label, result in settled.items() if label in labels})
        self.attempt = self.job.free_folder(self.folder)
        records.write_new(f"{self.attempt}/started.json", {"version": records.VERSION, **self.job.attempt()})
        waiting = [spec for spec in specs if spec["label"] not in self.ledger.results]
        with open(f"{self.attempt}/tasks.jsonl", "a", encoding="utf-8", errors="surrogateescape") as self.ledger.log:
            waiting = [spec for spec in waiting if not self.ledger.give_up_lost(spec["label"])]
            self.work(waiting)
            if self.interrupt.came:
                self.ledger.doubt(self.interrupt.came_at)
                self.ledger.give_up([spec["label"] for spec in waiting])
            if self.again.put_off:
                self.requeue()
        if self.ledger.late or self.again.put_off:
            return EXIT_FAILED
        if self.ledger.results:
            self.publish()
        good = [result["state"] in GOOD for result in self.ledger.results.values()]
        # What waits for a good end is also what has to know of a failure, where that stops the workflow.
        enough = all(good) if self.run_record["stops_on_error"] else any(good)
        return 0 if enough else EXIT_FAILED

    def requeue(self) -> None:
        """Have this job run again, for the tasks that are to be tried again and those that have yet to begin."""
        entry, complaints = self.again.requeue()
        if entry:
            self.ledger.write(entry)
        for each in complaints:
            say(each)

    def work(self, waiting: list[dict[str, Any]]) -> None:
        """Run tasks until none is left."""
        places = self.job.places({**self.run_record, "mem_mib": self.again.mem_mib})
        queue = list(waiting)
        while queue or self.tasks:
            while queue and len(self.tasks) < places and not self.interrupt.came:
                self.begin(queue.pop(0))
            if self.interrupt.came:
                queue.clear()
            if self.tasks:
                self.meanwhile()
                self.finish()

    def meanwhile(self) -> None:
        """While commands run, import what will be needed to collect their outputs."""
        if any(task.ports is None for task in self.tasks.values()) and not self.interrupt.came:
            try:
                self.making.node()
            except Exception as error:
                # The tasks that need it will say so; others do not.
                say(f"cwltool cannot be used: {describe(error)}")

    def publish(self) -> None:
        """Publish the results, unless another attempt already did.

        One that lost its node and is told to end after this one began may have said that it was cancelled: that is set
        aside.
        """
        path = f"{self.folder}/result.json"
        text = records.dumps({"version": records.VERSION, "tasks": self.ledger.results}) + "\n"
        while not records.publish(path, text):
            found = (records.read(path) or {"tasks": {}})["tasks"]
            good = [label for label, result in self.ledger.results.items() if result["state"] in GOOD]
            if all(found.get(label, {}).get("state") != "CANCELLED" for label in good):
                return
            os.replace(path, f"{self.folder}/result.late-{self.job.element_id}.{self.job.restart_count}.json")

    # One task.

    def begin(self, spec: dict[str, Any]) -> None:
        """Begin a task: it runs, or has ended, or cannot run, or SIGTERM stopped it before its command ran."""
        try:
            self.interrupt.allow()
            self.try_to_begin(spec)
        except TerminatedError:
            pass
        finally:
            self.interrupt.hold()

    def try_to_begin(self, spec: dict[str, Any]) -> None:
        """Begin a task; when this returns SIGTERM is held."""
        label = spec["label"]
        try:
            inputs = self.resolve(spec)
        except BrokenError as error:
            self.interrupt.hold()
            say(f"{label}: not run: {error}")
            self.ledger.blocked.add(label)
            return
        except LateError as error:
            self.interrupt.hold()
            say(f"{label}: not run: {error} after {self.run_record['fs_settle_s']:g} s")
            self.ledger.write({"late": label})
            self.ledger.late.append(label)
            return
        except Exception as error:
            self.interrupt.hold()
            self.ledger.fail(self.new_task(label), TaskError(f"its inputs cannot be read: {describe(error)}"))
            return
        with self.interrupt:
            task = self.new_task(label)
        try:
            self.start(task, inputs, evaluated=spec.get("evaluated", False))
        except Exception as error:
            self.interrupt.hold()
            self.ledger.fail(task, error)

    def new_task(self, label: str) -> Task:
        """Note that a task begins."""
        folder = f"{self.attempt}/{label}"
        task = Task(label, folder, {**self.job.result(), "folder": folder[len(self.root) + 1 :]})
        self.ledger.begin(task)
        return task

    def resolve(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Fill the holes of a task's inputs. A shared file system may show a result late: wait for it.

        The tasks of an element share that time: all that they take from had ended before its job began.
        """
        while True:
            try:
                return {name: self.holes.value(value) for name, value in spec["inputs"].items()}
            except NeedsPlanError:
                with self.interrupt:
                    made: dict[str, Any] | None = self.making.node().resolve(spec["inputs"])
                if made is not None:
                    return made
                missing: Exception = LateError("no result of a step it takes from")
            except LateError as error:
                missing = error
            if self.settle_by is None:
                self.settle_by = time.monotonic() + self.run_record["fs_settle_s"]
            elif time.monotonic() > self.settle_by:
                raise missing
            else:
                time.sleep(_POLL_S)
            self.holes.look_again(spec["inputs"])

    def start(self, task: Task, inputs: dict[str, Any], *, evaluated: bool) -> None:
        """Prepare a task's command and start it."""
        for name in (task.folder, task.out, f"{task.folder}/tmp"):
            os.mkdir(name)
        if self.run_record["evaluate"] and not evaluated:
            with self.interrupt:
                made = self.making.node().evaluate(inputs)
            if made is None:
                self.interrupt.hold()
                self.ledger.end(task, {"state": "SKIPPED", "reason": "its condition (when) is false"})
                return
            inputs = made
        task.inputs = {name: inputs.get(name) for name in self.run_record["inputs"]}
        self.making.command(task)
        self.launch(task)

    def launch(self, task: Task) -> None:
        """Stage what the command needs and start it."""
        command = task.command
        unfit = why_unfit(command)
        if unfit:
            raise TaskError(unfit)
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
        self.interrupt.hold()
        try:
            pid = self.launcher.start(task.label, command)
        except CannotStartError as error:
            raise TaskError(self.why_not_started(command, *error.args)) from error
        self.tasks[task.label] = task
        self.interrupt.pass_on()
        self.ledger.write({"run": task.label, "pid": pid})

    def why_not_started(self, command: dict[str, Any], number: int, about: str) -> str:
        """Explain why a command could not be started."""
        argv = command["argv"]
        if number == 0:
            return f"{argv[0]}: cannot be started: {about}"
        if number == 2 and about in (argv[0], command["stdin"]):  # ENOENT
            return f"{about}: not found on node {self.job.node or self.job.host}"
        return f"{about or argv[0]}: cannot be started: {os.strerror(number)} ({len(argv)} arguments)"

    def finish(self) -> None:
        """Wait for a command to end, and settle its task."""
        ended = self.launcher.wait()
        task = self.tasks.pop(ended.label)
        task.result.update(
            exit_code=ended.code if ended.code >= 0 else 128 - ended.code,
            ended=iso_time(),
            max_rss_kib=ended.max_rss_kib,
            cpu_s=round(ended.cpu_s, 3),
        )
        task.ended = time.monotonic()
        try:
            self.judge(task, ended)
        except Exception as error:
            self.ledger.fail(task, error)
        if not ended.timed_out:
            self.ledger.may_doubt(task)

    def judge(self, task: Task, ended: Ended) -> None:
        """Say what came of a command, and collect its outputs."""
        if ended.timed_out:
            limit = task.command["time_limit_s"]
            self.ledger.end(task, {"state": "TIMEOUT", "reason": f"ToolTimeLimit of {limit} s"})
            return
        if ended.code in _BY_TERM:
            # The signal that ended the command may reach us a moment after it.
            time.sleep(_SIGNAL_SETTLE_S)
        if self.interrupt.came:
            return  # it may not have ended by itself: ``give_up`` settles it
        if not is_success(task.command, ended.code):
            self.failed(task, ended)
            return
        self.ledger.end(task, {"state": "COMPLETED", "outputs": self.outputs(task, ended.code)})

    def failed(self, task: Task, ended: Ended) -> None:
        """Settle a task whose command failed, or put it off."""
        cause, reason = self.again.cause_of(task.command, ended), exit_reason(ended.code)
        if cause == OUT_OF_MEMORY:
            self.ledger.end_or_put_off(task, cause, "OUT_OF_MEMORY", f"out of memory: {reason}")
        elif cause:
            self.ledger.end_or_put_off(task, cause, "FAILED", reason)
        else:
            self.ledger.end(task, {"state": "FAILED", "reason": reason})

    def outputs(self, task: Task, exit_code: int) -> dict[str, Any]:
        """Collect the outputs; raises TaskError when a declared one was not made."""
        try:
            if task.ports is None:
                raise NeedsCwltoolError
            collect.make_read_only(task.out)
            return Collector(self.root, task.out, task.inputs, exit_code).collect(task.ports, task.values)
        except (NeedsCwltoolError, OSError, RecursionError):
            return self.outputs_by_cwltool(task, exit_code)

    def outputs_by_cwltool(self, task: Task, exit_code: int) -> dict[str, Any]:
        """Have cwltool collect the outputs, which a command may have locked away even from its owner."""
        try:
            make_readable(task.out)
            if task.prepared is None:
                self.making.by_cwltool(task)
            made: dict[str, Any] = task.prepared.collect(exit_code)
        except OSError as error:
            raise TaskError(f"its outputs cannot be collected: {error}") from error
        except (RecursionError, TaskError) as error:
            why = why_too_deep(error, task.out)
            if not why:
                raise
            raise TaskError(why) from error
        return made
