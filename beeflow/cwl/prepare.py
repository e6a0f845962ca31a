"""From a tool and its inputs to a Command, and from what the command left to CWL outputs."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cwltool.context import RuntimeContext
from cwltool.pathmapper import PathMapper

from beeflow import codec, locations, staging
from beeflow.command import COPY, CREATE, LINK, MKDIR, UPDATE, Command, ContainerSpec, Folders, Stage
from beeflow.cwl import forms, tools
from beeflow.cwl.compiler import count, plain, requested, resources_of, updates_in_place
from beeflow.cwl.documents import quiet, translated
from beeflow.cwl.guard import Guard
from beeflow.cwl.pathmapper import forget_below
from beeflow.errors import TaskError
from beeflow.graph import CUDA, MPI, Resources, Tool
from beeflow.layout import Layout

# Where a container sees things. Bind targets must exist in a read-only image; below a private /tmp they can be made.
INSIDE = "/tmp/cwl"  # noqa: S108
INSIDE_OUT, INSIDE_TMP, INSIDE_STAGE, INSIDE_ROOT = (f"{INSIDE}/{name}" for name in ("out", "tmp", "stage", "workflow"))

# What a rank needs of Slurm's environment, and what tells a command its GPUs.
_OF_MPI = ("SLURM*", "PMI*")
_OF_CUDA = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Granted:
    """What Slurm gave the task: runtime.cores, runtime.ram (MiB) and runtime.cudaDeviceCount. None: as asked."""

    cores: int | None = None
    ram_mib: int | None = None
    gpus: int | None = None


@dataclass
class Prepared:
    """A command and what is needed to collect its outputs."""

    command: Command
    job: Any
    folders: Folders
    root: Path
    outputs: tuple[Any, ...]
    guard: Guard | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the command as the runner takes it."""
        command: dict[str, Any] = codec.to_json(self.command)
        return command

    def collect(self, exit_code: int) -> dict[str, Any]:
        """Collect the outputs; raises TaskError when a declared one was not made.

        Locations inside the workflow directory come back relative to it.
        """
        if self.command.container:
            _relink(Path(self.folders.out), self.command.container.binds)
        forget_below(self.job.pathmapper, self.job.builder.outdir)
        with translated(TaskError), _watched(self.guard):
            outputs = forms.check(self.job.collect_outputs(self.folders.out, exit_code))
        self.refuse_links_in_updated()
        for value in outputs.values():
            for entry in locations.entries(value):
                entry.pop("path", None)
                if entry.get("class") == "Directory":
                    # cwltool leaves these where a pattern matched, only there (CWL v1.2, Directory: no such fields).
                    entry.pop("nameroot", None)
                    entry.pop("nameext", None)
                if str(entry.get("location", "")).startswith("/"):
                    # cwltool names an input that is passed on by its bare path.
                    path = Path(entry["location"])
                    self.real_of(path)
                    entry["location"] = locations.to_uri(path)
                if not str(entry.get("location", "_:")).startswith("_:"):
                    entry.pop("contents", None)
                    self.own(entry)
                    self.name_updated(entry)
        relative: dict[str, Any] = locations.relative(plain(outputs), self.root)
        return relative

    @functools.cached_property
    def given_paths(self) -> frozenset[Path]:
        """The inputs, links resolved: once, for there may be as many outputs."""
        return frozenset(Path(os.path.realpath(each.resolved)) for _, each in self.job.pathmapper.items())

    @functools.cached_property
    def updated(self) -> list[Stage]:
        """What is updated in place."""
        return [stage for stage in self.command.stage if stage.action == UPDATE]

    def refuse_links_in_updated(self) -> None:
        """Raise TaskError where what was updated in place, an output or not, has a link that leads out of it."""
        for stage in self.updated:
            if os.path.exists(stage.target):
                self.real_of(Path(stage.target))
                if os.path.isdir(stage.target):
                    self.inside(Path(stage.target))

    def name_updated(self, entry: locations.Entry) -> None:
        """Name an output that is an updated file, or in an updated folder, where that was: it is the same."""
        path = locations.to_path(entry["location"])
        for stage in self.updated:
            if path is not None and path.is_relative_to(stage.target):
                entry["location"] = locations.to_uri(Path(stage.source) / path.relative_to(stage.target))

    def real_of(self, path: Path) -> Path:
        """Return what a path leads to; raises TaskError when that is neither an output nor an input."""
        real = Path(os.path.realpath(path))
        if real.is_relative_to(os.path.realpath(self.folders.out)):
            return real
        if self.given_paths.isdisjoint((real, *real.parents)):
            raise TaskError(f"output {path.name} leads to {real}, which is neither an output nor an input")
        return real

    def inside(self, path: Path) -> None:
        """Raise TaskError when a link in an output folder leads out of the working directory to what is no input."""
        for _, found, _ in staging.contents(path):
            if found.is_symlink():
                self.real_of(found)

    def own(self, entry: locations.Entry) -> None:
        """Replace a symbolic link among the outputs by the file: a link may dangle once it is archived.

        Raises TaskError for one that leads out of the working directory to what is no input (CWL v1.2
        CommandLineTool, Output binding).
        """
        path = locations.to_path(entry["location"])
        if path is None or not path.is_relative_to(self.folders.out):
            return
        # Also where it is by no link of its own: one of the folders that it is in may be one.
        real = self.real_of(path)
        if path.is_dir():
            self.inside(path)
        if not path.is_symlink():
            return
        path.unlink()
        staging.place_tree(real, path, self.root)


def prepare(
    tool: Tool, inputs: Mapping[str, Any], root: Path, folders: Folders, granted: Granted, guard: Guard | None = None
) -> Prepared:
    """Work out a task's command (CWL v1.2 CommandLineTool). ``inputs``: with absolute locations.

    ``guard``: of somebody else's. Raises TaskError when the inputs do not fit or an expression fails.
    """
    quiet()
    binds: dict[str, str] = {}
    with translated(TaskError), _watched(guard):
        process = tools.construct(tool, root)
        runtime = _runtime(folders, granted, in_container=tool.container is not None, has_cuda=_has_cuda(tool))
        _guard(guard, runtime, process)
        if tool.container:
            binds = {folders.out: INSIDE_OUT, folders.tmp: INSIDE_TMP, folders.stage: INSIDE_STAGE}
            process.seen_as = _Binds(binds, root)
        job = next(iter(process.job(tools.own_inputs(tool, inputs), lambda *_: None, runtime)))
        if tool.container:
            binds[folders.out] = job.builder.outdir  # dockerOutputDirectory, if the tool has one
        stage = [*_stage(job.pathmapper, binds)]
        if job.generatefiles["listing"]:
            mapper = process.make_path_mapper(job.generatefiles["listing"], job.builder.outdir, runtime, False)
            stage += _stage(mapper, binds)
        _refuse_elsewhere(stage, folders, in_container=tool.container is not None)
        if updates_in_place(tool.document):
            stage = _in_place(stage, folders, root)
        launcher = _launcher(tool, job.builder, granted)
        stdin = _stdin(job, folders, binds)
        if guard and stdin:
            guard.check_place(stdin)
    container = None
    if tool.container:
        stage = _outside(stage, folders, binds)
        if not any(entry.target.startswith(f"{folders.stage}/") for entry in stage):
            del binds[folders.stage]  # it is not made, and ch-run refuses to bind what is not there
        container = ContainerSpec(tool.container.runtime, tool.container.image, binds, job.builder.outdir)
    command = Command(
        argv=_argv(tool, tuple(str(word) for word in job.command_line)),
        env={str(name): str(value) for name, value in job.environment.items()},
        workdir=folders.out,
        stdin=stdin,
        stdout=f"{folders.out}/{job.stdout}" if job.stdout else folders.stdout,
        stderr=f"{folders.out}/{job.stderr}" if job.stderr else folders.stderr,
        stage=tuple(stage),
        time_limit_s=job.timelimit or None,
        success_codes=tuple(job.successCodes),
        temporary_fail_codes=tuple(job.temporaryFailCodes),
        permanent_fail_codes=tuple(job.permanentFailCodes),
        container=container,
        launcher=launcher,
        modules=tool.modules,
        modules_init=tool.modules_init,
        inherit=(*(_OF_MPI if launcher else ()), *(_OF_CUDA if tool.requirement(CUDA)[1] else ())),
    )
    return Prepared(command, job, folders, root, tuple(process.tool["outputs"]), guard)


def _watched(guard: Guard | None) -> contextlib.AbstractContextManager[None]:
    return guard.watching(TaskError) if guard else contextlib.nullcontext()


def _guard(guard: Guard | None, runtime: RuntimeContext, process: Any) -> None:
    """Have cwltool find and map no files but those that are there for it."""
    if guard:
        runtime.make_fs_access = guard.files
        process.check = guard.check_place


def _argv(tool: Tool, words: tuple[str, ...]) -> tuple[str, ...]:
    """Put the image's ENTRYPOINT before the command, and its CMD in place of none."""
    image = tool.container
    return (*image.entrypoint, *(words or image.default_command)) if image else words


def resources(tool: Tool, inputs: Mapping[str, Any], root: Path, guard: Guard | None = None) -> Resources:
    """Evaluate what a tool asks for (ResourceRequirement and the like), for given inputs."""
    quiet()
    with translated(TaskError):
        process = tools.construct(tool, root)
        runtime = _runtime(Folders("/nonexistent"), Granted(), in_container=False, has_cuda=_has_cuda(tool))
        _guard(guard, runtime, process)
        builder = process._init_job(tools.own_inputs(tool, inputs), runtime)
        evaluated = {name: builder.do_eval(value) for name, value in requested(tool.document).items()}
    try:
        return resources_of(evaluated)
    except (TypeError, ValueError) as error:
        raise TaskError(f"what the step asks for is not a number: {error}") from error


class _Binds:
    """Says where a container sees a host path, and adds a bind for its folder when none covers it yet."""

    def __init__(self, binds: dict[str, str], root: Path) -> None:
        self.binds = binds
        self.root = str(root)

    def __call__(self, path: str) -> str:
        if path.startswith(self.root + "/"):
            self.binds.setdefault(self.root, INSIDE_ROOT)
            return INSIDE_ROOT + path[len(self.root) :]
        parent, _, name = path.rpartition("/")
        inside = self.binds.setdefault(parent or "/", f"{INSIDE}/in/{len(self.binds)}")
        return f"{inside}/{name}"


def _launcher(tool: Tool, builder: Any, granted: Granted) -> tuple[str, ...]:
    """Return what starts the ranks of an MPI program; a rank that fails ends the others."""
    requirement, _ = tool.requirement(MPI)
    if requirement is None:
        return ()
    try:
        ranks = count("MPIRequirement: processes", builder.do_eval(requirement.get("processes", 1)))
    except ValueError as error:
        raise TaskError(str(error)) from error
    sizes = (f"--ntasks={ranks}", f"--cpus-per-task={granted.cores or 1}")
    return ("srun", *sizes, "--kill-on-bad-exit=1", "--export=ALL", *tool.srun_options)


def _has_cuda(tool: Tool) -> bool:
    """True when runtime.cudaDeviceCount is there to be asked for."""
    return tool.requirement(CUDA)[0] is not None


class _Runtime(RuntimeContext):
    """Has no folders but a task's own: cwltool makes one more for a command in a container, and leaves it there."""

    def create_tmpdir(self) -> str:
        return str(self.get_stagedir())


def _runtime(folders: Folders, granted: Granted, *, in_container: bool, has_cuda: bool) -> RuntimeContext:
    def select(request: dict[str, Any], _: RuntimeContext) -> dict[str, Any]:
        given = {
            "cores": granted.cores or request["coresMin"],
            "ram": granted.ram_mib or math.ceil(request["ramMin"]),
            "tmpdirSize": math.ceil(request["tmpdirMin"]),
            "outdirSize": math.ceil(request["outdirMin"]),
        }
        if has_cuda:
            given["cudaDeviceCount"] = granted.gpus or request.get("cudaDeviceCountMin", 0)
        return given

    runtime = _Runtime({"basedir": folders.root, "use_container": in_container})
    runtime.outdir, runtime.tmpdir, runtime.stagedir = folders.out, folders.tmp, folders.stage
    runtime.docker_outdir, runtime.docker_tmpdir, runtime.docker_stagedir = INSIDE_OUT, INSIDE_TMP, INSIDE_STAGE
    runtime.select_resources = select
    runtime.name = "task"
    return runtime


def _stdin(job: Any, folders: Folders, binds: Mapping[str, str]) -> str | None:
    """Find the host file for stdin: an input as the command sees it, or a file in the working directory."""
    if not job.stdin:
        return None
    known = job.pathmapper.reversemap(job.stdin)
    entry = job.pathmapper.mapper(known[0]) if known else None
    if entry and not entry.staged:
        return str(entry.resolved)
    return os.path.join(folders.out, _on_host(job.stdin, binds))


def _stage(mapper: PathMapper, binds: Mapping[str, str]) -> list[Stage]:
    """List what has to be put in place, parents before children."""
    return [_stage_one(entry, _on_host(entry.target, binds)) for _, entry in mapper.items() if entry.staged]


def _stage_one(entry: Any, target: str) -> Stage:
    if entry.type in ("CreateFile", "CreateWritableFile"):
        return Stage(CREATE, target, contents=entry.resolved, writable=entry.type == "CreateWritableFile")
    if entry.resolved.startswith("_:"):
        return Stage(MKDIR, target)
    writable = entry.type.startswith("Writable")
    return Stage(COPY if writable else LINK, target, source=entry.resolved, writable=writable)


def _in_place(stage: list[Stage], folders: Folders, root: Path) -> list[Stage]:
    """Have what tasks made updated in place; of a user's own input, and of a document's, the tool changes a copy."""
    attempt, label = os.path.split(folders.root)
    older = f"{os.path.dirname(attempt)}/older/{label}"
    return [
        replace(each, action=UPDATE, older=f"{older}/{number}")
        if each.action == COPY and each.source.startswith(f"{Layout(root).tasks}/")
        else each
        for number, each in enumerate(stage)
    ]


def _on_host(target: str, binds: Mapping[str, str]) -> str:
    for host, inside in binds.items():
        if target == inside or target.startswith(inside + "/"):
            return host + target[len(inside) :]
    return target


def _refuse_elsewhere(stage: list[Stage], folders: Folders, *, in_container: bool) -> None:
    """Raise TaskError for what would be put outside the task's folder: cwltool takes a path for a basename."""
    for entry in stage:
        below = entry.target.removeprefix(f"{folders.root}/")
        # In a container it may belong anywhere, and is bound there.
        if ".." in below.split("/") or (below == entry.target and not in_container):
            raise TaskError(f"{below}: not in the folder of the task; a basename is the name of a file, and no path")


def _outside(stage: list[Stage], folders: Folders, binds: dict[str, str]) -> list[Stage]:
    """Bind what belongs elsewhere in the image (CWL v1.2: an absolute entryname in a container); returns all stages.

    Raises TaskError for a file right in /tmp, which is the task's own.
    """
    made = []
    for entry in stage:
        if entry.target.startswith(f"{folders.root}/"):
            made.append(entry)
            continue
        if os.path.dirname(entry.target) == "/tmp":  # noqa: S108
            raise TaskError(f"InitialWorkDirRequirement: {entry.target}: use a folder below /tmp")
        host = f"{folders.root}/given{entry.target}"
        if not any(entry.target.startswith(f"{inside}/") for inside in binds.values()):
            binds[host] = entry.target
        made.append(replace(entry, target=host))
    return made


def _relink(folder: Path, binds: Mapping[str, str]) -> None:
    """Make links that a command made in its container lead to the same files here."""
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *names)):
            target = os.readlink(path) if path.is_symlink() else ""
            here = _on_host(target, binds)
            if here != target:
                path.unlink()
                path.symlink_to(here)
