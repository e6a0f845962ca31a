"""Every path of a private Slurm, once."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from beeflow.config import Config
from beeflow.errors import ConfigError, SystemFileError

# A UNIX socket's path has at most 107 bytes (unix(7)). slurmstepd's is the longest of ours:
# <spool>/<node>/<node>_<job id>.<step id>, up to 42 bytes below the spool folder.
SOCKET_PATH_MAX = 107
LONGEST_SOCKET = "spool/bee1000/bee1000_4294967295.4294967295"
# slurm.conf(5) has no way to write these in a value.
UNWRITABLE = frozenset('"#%\\\n')
PRIVATE = 0o700


@dataclass(frozen=True)
class Paths:
    """The files of one private Slurm; ``runtime`` holds what means nothing once it is down."""

    root: Path
    runtime: Path

    @property
    def conf(self) -> Path:
        """The slurm.conf that commands read, and daemons that need no other."""
        return self.root / "slurm.conf"

    @property
    def renamed_conf(self) -> Path:
        """The slurm.conf of daemons, and jobs, that see this host under another name (rename_host)."""
        return self.root / "daemons.conf"

    @property
    def cgroup_conf(self) -> Path:
        """The cgroup.conf of the daemons; Slurm looks for it beside slurm.conf."""
        return self.root / "cgroup.conf"

    @property
    def confs(self) -> tuple[Path, ...]:
        """All values of SLURM_CONF that mean this Slurm."""
        return (self.conf, self.renamed_conf)

    @property
    def key(self) -> Path:
        """munge's secret: who can read it can be anyone in this Slurm."""
        return self.root / "munge.key"

    @property
    def seed(self) -> Path:
        """munged's random seed between two runs."""
        return self.root / "munged.seed"

    @property
    def state(self) -> Path:
        """slurmctld's StateSaveLocation: the queue, and the next job id."""
        return self.root / "state"

    @property
    def log(self) -> Path:
        """The folder of the daemons' logs."""
        return self.root / "log"

    @property
    def spool(self) -> Path:
        """The folder of the slurmds' own files, one folder a node."""
        return self.runtime / "spool"

    @property
    def socket(self) -> Path:
        """munged's socket."""
        return self.runtime / "munge.socket"

    def pid_file(self, daemon: str) -> Path:
        """Where a daemon writes its pid."""
        return self.runtime / f"{daemon}.pid"

    def log_file(self, daemon: str) -> Path:
        """Where a daemon logs."""
        return self.log / f"{daemon}.log"


def root_of(config: Config) -> Path:
    """Return the folder of this configuration's private Slurm."""
    return config.bee_workdir / "slurm"


def is_usable_runtime(root: Path, runtime: Path) -> bool:
    """Tell whether the sockets fit below this folder, and nobody else can have made it."""
    if not _fits(runtime):
        return False
    if runtime == root / "run":
        return True
    try:
        status = runtime.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) == PRIVATE


def make_folders(root: Path, known_runtime: Path | None) -> Paths:
    """Make the private folders; ``known_runtime`` is used again when it is still good."""
    bad = sorted(UNWRITABLE & set(str(root)))
    if bad:
        raise ConfigError(f"{root}: slurm.conf cannot name a folder with {bad[0]!r} in it; choose another bee_workdir")
    _make_private(root)
    if known_runtime is None or not is_usable_runtime(root, known_runtime):
        known_runtime = root / "run" if _fits(root / "run") else _short_folder()
    paths = Paths(root, known_runtime)
    for folder in (paths.runtime, paths.state, paths.log, paths.spool):
        _make_private(folder)
    return paths


def _fits(runtime: Path) -> bool:
    # Blanks and commas have a meaning in AuthInfo=socket=...,
    plain = not any(character.isspace() or character in ",='" for character in str(runtime))
    return plain and len(os.fsencode(runtime / LONGEST_SOCKET)) <= SOCKET_PATH_MAX


def _short_folder() -> Path:
    """Make a folder of our own with a short path.

    /tmp before $XDG_RUNTIME_DIR, which is emptied when the user logs out, while jobs go on.
    """
    for parent in ("/tmp", os.environ.get("XDG_RUNTIME_DIR")):  # noqa: S108 - mkdtemp makes it safely
        if parent and _fits(Path(parent) / "bee-slurm-12345678") and os.access(parent, os.W_OK | os.X_OK):
            return Path(tempfile.mkdtemp(prefix="bee-slurm-", dir=parent))
    raise SystemFileError(
        "neither /tmp nor $XDG_RUNTIME_DIR can hold sockets; choose a bee_workdir with a shorter path"
    )


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise SystemFileError(f"{folder}: belongs to another user; choose another bee_workdir")
        folder.chmod(PRIVATE)
    except OSError as error:
        raise SystemFileError(f"{folder}: cannot be made: {error.strerror}; choose another bee_workdir") from error
