"""The Slurm job that runs an element (sbatch(1), OUTPUT ENVIRONMENT VARIABLES)."""

from __future__ import annotations

import os
import time

from beeflow.shape import NoTemplateError

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any


def iso_time() -> str:
    """The time, as all records have it."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03}+00:00"


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    return int(text) if text else None


def _granted_mem_mib() -> int | None:
    """Read the job's memory on this node: --mem, else its CPUs' share; None where Slurm does not manage memory."""
    a_cpu = _number("SLURM_MEM_PER_CPU")
    share = a_cpu * (_number("SLURM_CPUS_ON_NODE") or 1) if a_cpu else None
    return _number("SLURM_MEM_PER_NODE") or share


class Job:
    """Who this job is, and what it was given. ``id``: the array's for an element, as sbatch printed it."""

    def __init__(self) -> None:
        self.id = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"]
        self.array_task_id = _number("SLURM_ARRAY_TASK_ID")
        self.restart_count = _number("SLURM_RESTART_COUNT") or 0
        self.node = os.environ.get("SLURMD_NODENAME", "")
        self.host = os.uname().nodename
        self.cpus = _number("SLURM_CPUS_PER_TASK")
        self.mem_mib = _granted_mem_mib()
        self.gpus = _number("SLURM_GPUS_ON_NODE")

    @property
    def element_id(self) -> str:
        """The id to show and to address: "12" or "12_3"."""
        return self.id if self.array_task_id is None else f"{self.id}_{self.array_task_id}"

    def attempt(self) -> dict[str, Any]:
        """Describe this attempt (beeflow.models.Attempt)."""
        return {
            "job_id": self.id,
            "array_task_id": self.array_task_id,
            "restart_count": self.restart_count,
            "node": self.node,
            "host": self.host,
            "pid": os.getpid(),
            "started": iso_time(),
            "mem_mib": self.mem_mib,
        }

    def result(self) -> dict[str, Any]:
        """Begin the result of a task (beeflow.models.TaskResult)."""
        return {"job_id": self.element_id, "node": self.node, "host": self.host, "started": iso_time()}

    def granted(self, run: dict[str, Any]) -> tuple[int, int]:
        """Return runtime.cores and runtime.ram (MiB): what Slurm granted, else what was asked for.

        Raises NoTemplateError where only an expression tells.
        """
        ram = self.mem_mib or run["ram_mib"]
        if ram is None:
            raise NoTemplateError
        return self.cpus or run["cores"], ram

    def places(self, run: dict[str, Any]) -> int:
        """Return how many tasks run at a time: as many as have their CPUs and memory."""
        cpus: int = (_number("SLURM_CPUS_ON_NODE") or 1) // max(1, run["cores"])
        if self.mem_mib and run["mem_mib"]:
            cpus = min(cpus, self.mem_mib // run["mem_mib"])
        return max(1, cpus)

    def free_folder(self, element: str) -> str:
        """Make the attempt's folder. A dying slurmctld may start a job twice as the same attempt (seen on 22.05.8)."""
        os.makedirs(element, exist_ok=True)
        name, again = f"{element}/{self.element_id}.{self.restart_count}", 0
        while True:
            folder = f"{name}.{again}" if again else name
            try:
                os.mkdir(folder)
            except FileExistsError:
                again += 1
                continue
            return folder
