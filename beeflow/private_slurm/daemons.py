"""Start and stop munged, slurmctld and slurmd; find out why one does not run."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beeflow import process, procs
from beeflow.errors import SlurmError, SystemFileError
from beeflow.private_slurm.config import user_name
from beeflow.private_slurm.paths import Paths
from beeflow.private_slurm.record import Running

log = logging.getLogger(__name__)

INSTALL = "apt-get install -y --no-install-recommends munge slurmctld slurmd slurm-client"
# program -> Debian package
PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "scontrol": "slurm-client",
    "sinfo": "slurm-client",
    "squeue": "slurm-client",
}
# A user's PATH often lacks these, and the daemons are there.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY_BYTES = 1024
START_S = 30.0
STOP_S = 20.0
KILL_S = 5.0
TAIL_LINES = 8
PORT_TAKEN = "Address already in use"


class DaemonError(SlurmError):
    """A daemon did not start, or ended at once."""


class PortTakenError(DaemonError):
    """A daemon did not get its port: another program was faster."""


@dataclass(frozen=True)
class Daemon:
    """A daemon to start; it goes to the background by itself and writes its pid file.

    ``prefix`` is a program that becomes the daemon.
    """

    name: str
    argv: tuple[str, ...]
    pid_file: Path
    log: Path
    prefix: tuple[str, ...] = ()


def find_programs() -> dict[str, Path]:
    """Find all programs; raises ProgramMissingError with the line that installs them."""
    found = locate()
    missing = [program for program, where in found.items() if not where.is_absolute()]
    if missing:
        names = ", ".join(f"{program} (package {PACKAGES[program]})" for program in missing)
        raise process.ProgramMissingError(f"not installed: {names}; install Slurm, as root, with\n{INSTALL}")
    return found


def locate() -> dict[str, Path]:
    """Look for all programs; one that is not there keeps its bare name."""
    # No relative folders: daemons run in another one.
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder.startswith("/")]
    path = os.pathsep.join([*folders, SYSTEM_PATH])
    return {program: process.find(program, {"PATH": path}) or Path(program) for program in PACKAGES}


def make_env(conf: Path) -> dict[str, str]:
    """Return all of the environment that daemons, and our own calls of Slurm's commands, get."""
    return {
        "PATH": SYSTEM_PATH,
        "HOME": os.environ.get("HOME", "/"),
        "USER": user_name(),
        "LOGNAME": user_name(),
        "LANG": "C.UTF-8",
        "SLURM_CONF": str(conf),
    }


def list_daemons(
    programs: Mapping[str, Path], paths: Paths, nodes: Sequence[str], prefix: tuple[str, ...] = ()
) -> list[Daemon]:
    """Return the daemons in the order of their start."""
    conf = str(paths.renamed_conf if prefix else paths.conf)
    daemons = [
        _daemon("munged", munged_argv(programs["munged"], paths), paths),
        _daemon("slurmctld", (str(programs["slurmctld"]), "-f", conf), paths, prefix),
    ]
    for node in nodes:
        daemons.append(_daemon(f"slurmd-{node}", (str(programs["slurmd"]), "-f", conf, "-N", node), paths, prefix))
    return daemons


def _daemon(name: str, argv: tuple[str, ...], paths: Paths, prefix: tuple[str, ...] = ()) -> Daemon:
    return Daemon(name, argv, paths.pid_file(name), paths.log_file(name), prefix)


def munged_argv(program: Path, paths: Paths) -> tuple[str, ...]:
    """Return munged's command line.

    --force: munged refuses a socket that not every user can reach, and ours is for one user. That also lets a key pass
    that others can read: ``check_key`` sees to it. --origin: without it munged looks up the host's name, which need not
    resolve.
    """
    return (
        str(program),
        "--force",
        f"--key-file={paths.key}",
        f"--socket={paths.socket}",
        f"--pid-file={paths.pid_file('munged')}",
        f"--log-file={paths.log_file('munged')}",
        f"--seed-file={paths.seed}",
        "--origin=127.0.0.1",
    )


def check_key(key: Path) -> None:
    """Make munge's secret if there is none; raises SystemFileError when it is not secret."""
    try:
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        status = key.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o177 or status.st_size < KEY_BYTES:
            raise SystemFileError(
                f"{key}: others can read or write it, or it is incomplete; remove it, then: bee-slurm up"
            ) from None
        return
    except OSError as error:
        raise SystemFileError(f"{key}: cannot be made: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))


def find_running(daemon: Daemon) -> Running | None:
    """Return the daemon that a pid file tells of, if that pid really is it (a kill -9 of ``up`` leaves one)."""
    try:
        pid = int(daemon.pid_file.read_text())
    except (OSError, ValueError):
        return None
    now = procs.read(pid)
    if now is None:
        return None
    if procs.read_argv(pid) != daemon.argv:
        log.warning("%s: stale: process %d is %s, not our %s; left alone", daemon.pid_file, pid, now.name, daemon.name)
        return None
    return Running(daemon.name, pid, now.start_ticks, daemon.argv, daemon.log)


def start(daemon: Daemon, env: Mapping[str, str]) -> Running:
    """Start a daemon and wait for its pid; raises DaemonError with the end of its log."""
    daemon.pid_file.unlink(missing_ok=True)
    _keep_old(daemon.log)
    log.info("starting %s", " ".join(daemon.argv))
    # The daemons fork, start a session of their own and close stdin, stdout and stderr; process.run closes all else.
    done = process.run((*daemon.prefix, *daemon.argv), timeout_s=START_S, env=env, cwd=daemon.log.parent)
    if done.returncode != 0:
        raise make_error(daemon.name, daemon.log, done.stderr.strip())
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not _has_failed(daemon.log):
        running = find_running(daemon)
        if running is not None:
            return running
        time.sleep(procs.POLL_S)
    raise make_error(daemon.name, daemon.log, "")


def make_error(name: str, path: Path, words: str) -> DaemonError:
    """Say why a daemon does not run, in its own words."""
    # Debian's Slurm complains in every log of a library that it does not need.
    lines = [line for line in _read_lines(path) if "pmix" not in line.lower() and "MPI:" not in line]
    told = "\n".join(f"  {line}" for line in [*words.splitlines(), *lines[-TAIL_LINES:]]) or "  (empty)"
    if any(PORT_TAKEN in line for line in [*lines, words]):
        return PortTakenError(
            f"{name} does not run: another program took its port; try again. The end of {path}:\n{told}"
        )
    return DaemonError(f"{name} does not run; the end of {path}:\n{told}")


def _has_failed(path: Path) -> bool:
    return any(PORT_TAKEN in line or "fatal:" in line for line in _read_lines(path))


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _keep_old(path: Path) -> None:
    """Begin a new log at every start, and keep the one before."""
    if path.exists():
        path.replace(path.with_name(path.name + ".old"))


def stop(daemons: Sequence[Running]) -> None:
    """End daemons, and helpers they forked: SIGTERM, and SIGKILL for those that don't go."""
    roots = [found for daemon in daemons if daemon.is_alive() and (found := procs.read(daemon.pid)) is not None]
    # slurmctld forks a helper that must go with it; what slurmds fork are jobs, and not ended here.
    controllers = [root for root in roots if root.name == "slurmctld"]
    family = [*procs.read_descendants(controllers), *(root for root in roots if root not in controllers)]
    for root in roots:
        procs.send(root, signal.SIGTERM)
    left = procs.wait_gone(family, STOP_S)
    for one in left:
        log.warning("%s (pid %d) does not end on SIGTERM; killing it", one.name, one.pid)
        procs.send(one, signal.SIGKILL)
    left = procs.wait_gone(left, KILL_S)
    if left:
        pids = " ".join(str(one.pid) for one in left)
        raise SlurmError(f"daemons cannot be killed: {pids}; see what they do with ps, then: bee-slurm down")
