"""Make the commands of an element's tasks: by a template of the step, else by cwltool."""

from __future__ import annotations

import os
from zlib import crc32

from beeflow.runner import records
from beeflow.runner.interrupt import Interrupt
from beeflow.runner.job import Job
from beeflow.runner.task import Task
from beeflow.shape import NoTemplateError, Shape, fill_command

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

# So many shapes of inputs a step may have before cwltool is asked task by task.
_MAX_TEMPLATES = 64


class Making:
    """Makes commands. ``run``: what the passes say of the step (tasks/<group>/run.json).

    cwltool is not interrupted: it would not be fit for what is asked of it next.
    """

    def __init__(self, root: str, run: dict[str, Any], job: Job, interrupt: Interrupt) -> None:
        self.root = root
        self.run = run
        self.job = job
        self.interrupt = interrupt
        self._node: Any = None

    def node(self) -> Any:
        """Return what needs cwltool; importing it takes ten times as long as all else here."""
        if self._node is None:
            import sys

            sys.path[:] = [*sys.path, *(each for each in self.run["python_path"] if each not in sys.path)]
            from beeflow.node import Node

            self._node = Node(self.root, self.run)
        return self._node

    def command(self, task: Task) -> None:
        """Make the command of a task."""
        try:
            self.by_template(task)
        except NoTemplateError:
            with self.interrupt:
                self.by_cwltool(task)

    def by_template(self, task: Task) -> None:
        """Fill the template of the task's command; raises NoTemplateError where there is none."""
        run = self.run
        shape = Shape(self.root, apart=bool(run["container"]), literal=run["literal"])
        shape.values += [task.folder[1:], os.environ.get("PATH", os.defpath), *self.job.granted(run)]
        template = self.template(shape.of(task.inputs), task.inputs)
        task.command = fill_command(template["command"], shape.values)
        task.values, task.ports = shape.values, template["ports"]

    def template(self, shape: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Find the template of a shape; cwltool makes it where no pass foresaw it."""
        templates: dict[str, Any] = self.run["templates"]
        if shape not in templates:
            templates[shape] = self.shared_template(shape, inputs)
        found: dict[str, Any] | None = templates[shape]
        if found is None:
            raise NoTemplateError
        return found

    def shared_template(self, shape: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
        """Find the template that another element made; else make it, for those that come after."""
        if not self.run["may_have_template"]:
            return None
        folder = f"{self.root}/tasks/{self.run['group']}/templates"
        path = f"{folder}/{crc32(shape.encode(errors='surrogateescape')):08x}.json"
        found = records.read(path)
        if found is not None:
            return found["template"] if found["shape"] == shape else None
        os.makedirs(folder, exist_ok=True)
        if len(os.listdir(folder)) >= _MAX_TEMPLATES:
            return None
        with self.interrupt:
            made: dict[str, Any] | None = self.node().template(inputs)
        records.publish(path, records.dumps({"shape": shape, "template": made}) + "\n")
        return made

    def by_cwltool(self, task: Task) -> None:
        """Have cwltool prepare the task's command."""
        job = self.job
        task.prepared = self.node().prepare(task.inputs, task.folder, job.cpus, job.mem_mib, job.gpus)
        task.command = task.prepared.as_json()
