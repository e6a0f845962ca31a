"""The records in a workflow directory. Times are ISO 8601 in UTC."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

from beeflow.states import TaskState, WorkflowState

ON_ERROR_CONTINUE = "continue"
ON_ERROR_STOP = "stop"


def now() -> str:
    """The time, as all records have it."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one recorded time to another (None: until now); None when it never started."""
    if start is None:
        return None
    last = datetime.datetime.fromisoformat(end or now())
    return max(0.0, (last - datetime.datetime.fromisoformat(start)).total_seconds())


@dataclass(frozen=True)
class SlurmRecord:
    """The Slurm a workflow lives on, its limits when the workflow was submitted, and how to talk to it."""

    conf: str
    clusters: str
    cluster_name: str
    version: str
    max_array_size: int
    max_job_count: int
    api: str = "cli"
    accounting: bool = False


@dataclass(frozen=True)
class SubmitOptions:
    """What every sbatch of the workflow says."""

    time_limit_s: int
    driver_time_limit_s: int
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    pass_mem: bool = True
    pass_tmp: bool = False
    driver_options: tuple[str, ...] = ()
    task_options: tuple[str, ...] = ()
    mail_type: str = ""
    mail_user: str = ""
    preserve_environment: tuple[str, ...] = ()


EMBED_AUTO, EMBED, REFERENCE = "auto", "embed", "reference"


@dataclass(frozen=True)
class ArchivePolicy:
    """What an archive holds itself (EMBED), and of what it only keeps path, size and sha256 (REFERENCE).

    EMBED_AUTO: all while they fit a limit; that of the inputs is ``input_copy_limit_mib``.
    """

    inputs: str = EMBED_AUTO
    outputs: str = EMBED_AUTO
    output_limit_mib: int = 102400


@dataclass(frozen=True)
class WorkflowRecord:
    """workflow.json: what was submitted, by whom, from what. Written once.

    ``parent``: the id of the workflow whose archive this one re-executes. ``drive``: where passes run.
    ``tasks_per_element``: of a scattered step, in one array element; 0: as many as it takes to have few elements.
    ``max_jobs``: how many array elements may be in the queue; 0: as many as the cluster lets a workflow have.
    ``lock``: how locks are taken (beeflow.locking). ``group``: who may read it besides the user; "": nobody.
    ``loaded_modules``, ``path``: of the shell that it was submitted from. ``archive``: what of its files that holds.
    ``on_error``: what a failed task stops: only what depends on it (ON_ERROR_CONTINUE), or all that has not begun.
    ``foreign``: it came from somebody else, and nobody said that he is trusted.
    """

    id: str
    name: str
    user: str
    host: str
    created: str
    document: str
    beeflow_version: str
    python: str
    slurm: SlurmRecord
    options: SubmitOptions
    parent: str | None = None
    drive: str = "job"
    use_archive: bool = True
    archive_dir: str = ""
    delete_completed: bool = False
    input_copy_limit_mib: int = 1024
    outdir: str | None = None
    fs_settle_s: float = 30.0
    tasks_per_element: int = 0
    on_error: str = ON_ERROR_CONTINUE
    max_jobs: int = 0
    lock: str = "auto"
    group: str = ""
    loaded_modules: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    archive: ArchivePolicy = field(default_factory=ArchivePolicy)
    foreign: bool = False

    @property
    def stops_on_error(self) -> bool:
        """True when a failed task is to end the workflow (--on-error stop)."""
        return self.on_error == ON_ERROR_STOP

    @property
    def nonce(self) -> str:
        """The ASCII start of the workflow's job names; user text never gets near Slurm."""
        return f"bee-{self.id.replace('-', '')[:12]}"

    def job_name(self, key: str) -> str:
        """The name of a job. All passes share one, so that singleton keeps them apart."""
        return f"{self.nonce}-{'pass' if key.startswith('pass.') else key.partition('-')[0] + key[key.rfind('.') :]}"


@dataclass(frozen=True)
class Holder:
    """<lock>.holder: the process that holds a lock. ``boot``, ``namespace``: of the host, of its process ids.

    ``start_ticks``: when the process began, since the boot. ``job_id``, ``cluster``, ``restarts``: of its Slurm job, if
    it is in one.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start_ticks: int
    since: str
    token: str
    job_id: str = ""
    cluster: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Intent:
    """jobs/<key>.json: an sbatch we are about to make. Array index i runs element ``offset`` + i."""

    key: str
    job_name: str
    created: str
    argv: tuple[str, ...]
    group: str | None = None
    offset: int = 0
    indices: tuple[int, ...] = (0,)
    array: bool = False


@dataclass(frozen=True)
class GroupRecord:
    """tasks/<group>/group.json: the tasks of a step. Element n runs labels[n * tasks_per_element : ...]."""

    key: str
    path: str
    virtual: bool
    labels: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    tasks_per_element: int = 1
    broken: str | None = None
    time_limit_s: int = 0
    scattered: bool = False

    @property
    def elements(self) -> int:
        """How many array elements the group has."""
        return -(-len(self.labels) // self.tasks_per_element)

    def labels_of(self, number: int) -> tuple[str, ...]:
        """Return the labels of the tasks of an element."""
        return self.labels[number * self.tasks_per_element : (number + 1) * self.tasks_per_element]


@dataclass(frozen=True)
class ElementTask:
    """One task of an element. ``inputs``: name -> value with holes (beeflow.values.to_json).

    ``evaluated``: the inputs are what the step's expressions made of them, and its condition is true.
    """

    label: str
    inputs: dict[str, Any]
    evaluated: bool = False


@dataclass(frozen=True)
class ElementSpec:
    """tasks/<group>/.../element.json: what an element runs."""

    tasks: tuple[ElementTask, ...]


@dataclass(frozen=True)
class Attempt:
    """started.json: one attempt of one job at an element."""

    job_id: str
    array_task_id: int | None
    restart_count: int
    node: str
    host: str
    pid: int
    started: str
    mem_mib: int | None = None

    @property
    def element_id(self) -> str:
        """The job as Slurm shows it: "12", or "12_3" for an array element."""
        return self.job_id if self.array_task_id is None else f"{self.job_id}_{self.array_task_id}"


@dataclass(frozen=True)
class TaskResult:
    """What came of one task. Locations in ``outputs`` are relative to the workflow directory.

    ``max_rss_kib`` and ``cpu_s`` are of the command and all its children. ``folder`` and ``stderr``: relative too.
    ``tries``: how often the task began; 0 for one that was taken from an archive.
    """

    state: TaskState
    reason: str = ""
    exit_code: int | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    job_id: str | None = None
    node: str | None = None
    host: str | None = None
    started: str | None = None
    ended: str | None = None
    max_rss_kib: int | None = None
    cpu_s: float | None = None
    folder: str | None = None
    stderr: str | None = None
    container_runtime: str | None = None
    container_hash: str | None = None
    tries: int = 1


@dataclass(frozen=True)
class ElementResult:
    """tasks/<group>/.../result.json: the results of an element's tasks, by label."""

    tasks: dict[str, TaskResult]


@dataclass(frozen=True)
class Again:
    """A task that is tried again because its job died. ``cause``: of beeflow.tries; ``tries``: how often it began."""

    label: str
    cause: str
    reason: str
    tries: int


@dataclass(frozen=True)
class Lost:
    """tasks/<group>/.../lost.json: what became of tasks that ran when a job of their element died.

    ``jobs``: the submissions ("001-align.0") that are accounted for: the element has to go again. Slurm's own ids start
    over when a controller loses its state. ``time_limit_s``, ``mem_mib``: what it is to have beyond what its step asks
    for; 0: nothing.
    """

    jobs: tuple[str, ...]
    tasks: dict[str, TaskResult]
    again: tuple[Again, ...] = ()
    time_limit_s: int = 0
    mem_mib: int = 0


@dataclass(frozen=True)
class Moved:
    """tasks/<group>/moved.json: results on their way to other elements, for the tasks now are ``labels``."""

    labels: tuple[str, ...]
    tasks: dict[str, TaskResult]


@dataclass(frozen=True)
class Taken:
    """tasks/<group>/taken.json: results of the archive ``archive``, for as long as the tasks are ``labels``."""

    archive: str
    labels: tuple[str, ...]
    tasks: dict[str, TaskResult]


@dataclass(frozen=True)
class Retried:
    """control/retry.json: the newest retry. ``generation``: how many there were; ``done``: all is cleared for it."""

    generation: int
    at: str
    done: bool


@dataclass(frozen=True)
class TaskRecord:
    """A task as commands show it and as metadata/ keeps it; the first names are the original BEE's."""

    workflow_id: str
    task_id: str
    name: str
    step: str
    state: TaskState
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    command: str | None = None
    container_runtime: str | None = None
    container_hash: str | None = None
    host: str | None = None
    job_id: str | None = None
    node: str | None = None
    exit_code: int | None = None
    reason: str = ""
    started: str | None = None
    ended: str | None = None
    elapsed_s: float | None = None
    max_rss_kib: int | None = None
    cpu_s: float | None = None
    folder: str | None = None
    stderr_tail: tuple[str, ...] = ()
    tries: int = 1


@dataclass(frozen=True)
class Summary:
    """A workflow as bee-list shows it."""

    id: str
    name: str
    state: WorkflowState
    created: str
    parent: str | None
    reason: str = ""
    archive: str | None = None


@dataclass(frozen=True)
class StateRecord:
    """state.json: a cache of the reduction, with what a list of many workflows needs so that it reads no other file."""

    state: WorkflowState
    updated: str
    reason: str = ""
    archive: str | None = None
    name: str = ""
    created: str = ""
    parent: str | None = None


@dataclass(frozen=True)
class TasksRecord:
    """tasks.json: all tasks, written once the workflow's state is final."""

    tasks: tuple[TaskRecord, ...]


@dataclass(frozen=True)
class Sidecar:
    """<archive_dir>/<id>.json: what bee-list shows of an archive without opening it.

    ``needs_directory``: it refers to files that are only in the workflow's directory. ``imported``: from elsewhere.
    """

    id: str
    name: str
    state: WorkflowState
    created: str
    archived: str
    sha256: str
    size: int
    parent: str | None = None
    user: str = ""
    host: str = ""
    needs_directory: bool = False
    imported: bool = False


@dataclass(frozen=True)
class Cleaned:
    """What bee-clean did with a workflow, or with a leftover. ``size``: bytes of disk that are free now."""

    action: str
    id: str
    name: str = ""
    state: str = ""
    age_s: float = 0.0
    size: int = 0


def task_id(workflow_id: str, group: str, label: str) -> str:
    """A task's id: the same for every attempt, another in every workflow."""
    return str(uuid.uuid5(uuid.UUID(workflow_id), f"{group}/{label}"))
