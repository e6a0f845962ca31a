"""A task's command, ready to run: what cwltool made of a tool and its inputs, with nothing left to evaluate.

Standard library only: the runner on the node needs no more than this.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LINK = "link"  # a file or folder that the tool must not change: hard-link what is ours, else copy
COPY = "copy"  # a file or folder that the tool may change
CREATE = "create"  # a file with these contents
MKDIR = "mkdir"
UPDATE = "update"  # a file or folder of ours that the tool may change, and that takes the place of the old one then


@dataclass(frozen=True)
class Stage:
    """One thing to put in place before the command runs. ``target`` is a host path.

    ``older``: where what an update replaces is kept, so that a task that is run again finds it.
    """

    action: str
    target: str
    source: str = ""
    contents: str = ""
    writable: bool = False
    older: str = ""


@dataclass(frozen=True)
class ContainerSpec:
    """How to run the command in an image. ``binds``: host path -> path inside. ``workdir``: inside."""

    runtime: str
    image: str
    binds: dict[str, str]
    workdir: str


@dataclass(frozen=True)
class Command:
    """One command. Paths are the host's, but for argv, env and container, which are what the command sees.

    ``launcher``: the words that start it, before the container's. ``modules``: what to load before all of that, with
    the file that says how (``modules_init``). ``inherit``: patterns of the names of variables that
    it takes from the job's environment.
    ``stdout`` and ``stderr``: host paths. ``*_codes``: CWL's successCodes and so on. ``time_limit_s``: None or more.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    workdir: str
    stdin: str | None
    stdout: str
    stderr: str
    stage: tuple[Stage, ...] = ()
    time_limit_s: int | None = None
    success_codes: tuple[int, ...] = ()
    temporary_fail_codes: tuple[int, ...] = ()
    permanent_fail_codes: tuple[int, ...] = ()
    container: ContainerSpec | None = None
    launcher: tuple[str, ...] = ()
    inherit: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    modules_init: str = ""

    def is_success(self, exit_code: int) -> bool:
        """Judge an exit code (CWL CommandLineTool: successCodes, then the fail codes, then 0)."""
        if exit_code in self.success_codes:
            return True
        return exit_code == 0 and exit_code not in (*self.temporary_fail_codes, *self.permanent_fail_codes)


@dataclass(frozen=True)
class Folders:
    """The host folders of one task in one attempt, below ``root``."""

    root: str
    out: str = field(init=False)
    tmp: str = field(init=False)
    stage: str = field(init=False)
    stdout: str = field(init=False)
    stderr: str = field(init=False)

    def __post_init__(self) -> None:
        """Name the folders."""
        for name in ("out", "tmp", "stage", "stdout", "stderr"):
            object.__setattr__(self, name, f"{self.root}/{name}")
