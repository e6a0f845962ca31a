"""Bring a private Slurm up and down, and look at it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import process, procs
from beeflow.config import Config
from beeflow.errors import SlurmError, SystemFileError, TransitionError
from beeflow.locking import Lock, LockedError
from beeflow.private_slurm import address, daemons, ports, record, steps
from beeflow.private_slurm import config as shapes
from beeflow.private_slurm.paths import Paths, make_folders, root_of
from beeflow.private_slurm.record import Record, Running

log = logging.getLogger(__name__)

SITE_CONFS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")
# Slurm's words (sinfo(1), NODE STATE CODES) for a node that takes jobs, or has taken some already.
READY = frozenset({"idle", "mixed", "allocated", "completing"})
NODES_DOWN = ("scontrol", "update", "NodeName=ALL", "State=DOWN", "Reason=bee-slurm")
PORT_ATTEMPTS = 5
READY_S = 30.0
ANSWER_S = 40.0
POLL_ANSWER_S = 2.0
LOCK_S = 180.0


@dataclass(frozen=True)
class Node:
    """A line of sinfo."""

    name: str
    state: str
    cpus: int
    memory_mib: int

    @property
    def ready(self) -> bool:
        """True when the node takes jobs; sinfo marks one that does not answer with a star."""
        return self.state in READY


@dataclass(frozen=True)
class Status:
    """What there is; ``record`` is None when nothing was ever started."""

    conf: Path
    record: Record | None
    serving: bool
    nodes: tuple[Node, ...] = ()

    @property
    def complete(self) -> bool:
        """True when no daemon is missing."""
        return self.record is not None and self.serving and self.record.is_complete()


@dataclass(frozen=True)
class Stopped:
    """What ``down`` ended; the counts are None when Slurm did not say."""

    daemons: int
    running: int | None = None
    pending: int | None = None


def check_site(confs: Collection[Path], env: Mapping[str, str], site_confs: Sequence[str] = SITE_CONFS) -> None:
    """Raise SlurmError when this host has a Slurm of its own: two are easily mixed up."""
    named = env.get("SLURM_CONF")
    found = [path for path in site_confs if Path(path).exists()]
    if named and Path(named) not in confs:
        found.insert(0, f"$SLURM_CONF, {named}")
    if found:
        raise SlurmError(
            f"this host is set up for another Slurm ({found[0]}); use that one, or start a private one beside it with: "
            "bee-slurm up --force"
        )


def refuse_beside_site(config: Config) -> None:
    """Raise SlurmError where this host is set up for another Slurm."""
    root = root_of(config)
    check_site(Paths(root, root).confs, os.environ)


def up(config: Config, asked: shapes.Asked, *, force: bool) -> bool:
    """Start what does not run and wait until the nodes take jobs; False when all of it ran already."""
    root = root_of(config)
    if not force:
        refuse_beside_site(config)
    programs = daemons.find_programs()
    known = record.read(root)
    paths = make_folders(root, known.runtime if known else None)
    with _lock(root):
        known = record.read(root)
        if known is not None:
            _check_host(known, force=force)
            paths = make_folders(root, known.runtime)
        if known is not None and known.alive and not known.has_nodes():
            # Jobs are lost anyway, and an ``up`` killed halfway looks like this too.
            _stop_all(paths, known)
            known = known.with_daemons(())
        if known is None or not known.alive:
            _start_afresh(paths, programs, asked.over(known.asked) if known else asked, known)
            return True
        _check_shape(known, asked)
        if known.is_complete():
            _wait_ready(paths, known)
            return False
        _start_missing(paths, programs, known)
        return True


def down(config: Config, *, force: bool) -> Stopped:
    """Stop all that ``up`` started, and the jobs' processes; the queue stays, for the next ``up``."""
    root = root_of(config)
    if not root.is_dir():
        return Stopped(0)
    with _lock(root):
        known = record.read(root)
        if known is None:
            return Stopped(0)
        _check_host(known, force=force)
        _check_outside(Paths(root, known.runtime))
        stopped = _stop_all(Paths(root, known.runtime), known)
        record.write(root, known.with_daemons(()))
        _clear(Paths(root, known.runtime))
        return stopped


def status(config: Config) -> Status:
    """Look, and change nothing."""
    root = root_of(config)
    known = record.read(root)
    conf = root / "slurm.conf"
    if known is None or not known.is_serving():
        return Status(conf, known, False)
    return Status(conf, known, True, tuple(read_nodes(conf)))


def read_nodes(conf: Path) -> list[Node]:
    """Ask sinfo; raises SlurmError when it gets no answer."""
    # A column's text is cut at its width; the names are ours, and short.
    done = _ask(conf, "sinfo", "--noheader", "--Node", "--format=%N|%T|%c|%m")
    if done.returncode != 0:
        raise SlurmError(f"the private Slurm does not answer: {done.message}; see {conf.parent / 'log'}")
    return parse_nodes(done.stdout)


def parse_nodes(text: str) -> list[Node]:
    """Parse the lines of sinfo --format=%N|%T|%c|%m."""
    rows = (line.split("|") for line in text.splitlines() if line.count("|") == 3)
    return [Node(name, state, int(cpus), int(memory.rstrip("+"))) for name, state, cpus, memory in rows]


def _ask(conf: Path, program: str, *words: str, timeout_s: float = ANSWER_S) -> process.Completed:
    return process.run([str(daemons.locate()[program]), *words], timeout_s=timeout_s, env=daemons.make_env(conf))


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(Lock(root / "lock").held(LOCK_S))
        except LockedError as error:
            raise SlurmError(f"another bee-slurm is at work: {error}") from error
        except SystemFileError as error:
            whose = "; this private Slurm is another user's" if isinstance(error.__cause__, PermissionError) else ""
            raise SystemFileError(f"{error}{whose}") from error
        yield


def _check_host(known: Record, *, force: bool) -> None:
    if known.elsewhere and not force:
        raise TransitionError(
            f"this private Slurm was started on {known.host}, with the same bee_workdir; run bee-slurm down there, "
            "or, if that host is gone, add --force here"
        )


def _check_outside(paths: Paths) -> None:
    if os.environ.get("SLURM_CONF") in [str(conf) for conf in paths.confs] and "SLURMD_NODENAME" in os.environ:
        raise TransitionError("this is a job of the Slurm to stop; run bee-slurm down outside of it")


def _check_shape(known: Record, asked: shapes.Asked) -> None:
    wanted = replace(known.shape, **{key: value for key, value in asked.shape_json().items() if value is not None})
    if wanted != known.shape or asked.over(known.asked).settings != known.asked.settings:
        raise TransitionError(
            f"it runs already, with {describe(known.shape)}; to change that run bee-slurm down, then up again"
        )


def describe(shape: shapes.Shape) -> str:
    """Say what the nodes are."""
    nodes = "1 node" if shape.nodes == 1 else f"{shape.nodes} nodes"
    return f"{nodes} of {shape.cpus} CPUs and {shape.memory_mib} MiB"


def _start_afresh(paths: Paths, programs: Mapping[str, Path], asked: shapes.Asked, known: Record | None) -> None:
    shape = shapes.choose_shape(asked)
    shapes.check_settings(asked.settings)
    if known is not None:
        if known.daemons:
            log.warning("Slurm was not brought down (a crash? a reboot?); the jobs that ran then are run again")
        daemons.stop(_find_strays(paths, known))
    steps.kill_processes(paths.confs)
    daemons.check_key(paths.key)
    preferred = known.ports if known else ()
    where = address.choose()
    version = process.run([str(programs["slurmd"]), "-V"], timeout_s=ANSWER_S, env=daemons.make_env(paths.conf)).stdout
    for attempt in range(1, PORT_ATTEMPTS + 1):
        chosen = ports.choose(1 + shape.nodes, where.ip, preferred)
        new = Record(paths.runtime, asked, shape, chosen, where.prefix)
        shapes.write(shape, paths, where, chosen, version, asked.settings)
        record.write(paths.root, new)
        try:
            _start_all(paths, programs, new)
            return
        except daemons.PortTakenError as error:
            if attempt == PORT_ATTEMPTS:
                raise
            log.info("a port was taken before we had it; trying others: %s", error)
            preferred = ()


def _find_strays(paths: Paths, known: Record) -> list[Running]:
    """Return daemons that an ``up`` killed halfway started and could not write down."""
    planned = daemons.list_daemons(daemons.locate(), paths, known.shape.names, known.prefix)
    written = {daemon.name for daemon in known.alive}
    found = [daemons.find_running(daemon) for daemon in planned if daemon.name not in written]
    return [running for running in found if running is not None]


def _start_all(paths: Paths, programs: Mapping[str, Path], new: Record) -> None:
    env = daemons.make_env(paths.conf)
    running: list[Running] = []
    try:
        for daemon in daemons.list_daemons(programs, paths, new.shape.names, new.prefix):
            running.append(daemons.start(daemon, env))
            record.write(paths.root, new.with_daemons(tuple(running)))
            if daemon.name == "slurmctld":
                _set_nodes_down(paths, new.with_daemons(tuple(running)))
        _wait_ready(paths, new.with_daemons(tuple(running)))
    except BaseException:
        daemons.stop(running[::-1])
        steps.kill_processes(paths.confs)
        record.write(paths.root, new)
        raise


def _start_missing(paths: Paths, programs: Mapping[str, Path], known: Record) -> None:
    """Start the daemons that ended by themselves; the jobs of the others go on."""
    planned = daemons.list_daemons(programs, paths, known.shape.names, known.prefix)
    alive = {daemon.name: daemon for daemon in known.alive}
    env = daemons.make_env(paths.conf)
    current = known
    for daemon in planned:
        if daemon.name not in alive:
            log.warning("%s does not run; starting it again", daemon.name)
            alive[daemon.name] = daemons.find_running(daemon) or daemons.start(daemon, env)
            current = known.with_daemons(tuple(alive[one.name] for one in planned if one.name in alive))
            record.write(paths.root, current)
    _wait_ready(paths, current)


def _set_nodes_down(paths: Paths, current: Record) -> None:
    """Tell slurmctld, before there is any slurmd, that what ran when it last stopped runs no more.

    Else such a job stays RUNNING for half an hour and more (seen on Slurm 22.05.8): only a node that goes down takes
    its jobs with it at once. The nodes come back by themselves when their slurmds register (ReturnToService=2).
    """
    deadline = time.monotonic() + READY_S
    while True:
        words = "no answer"
        # The program that took slurmctld's port, if one did, may never answer: don't wait for it.
        with contextlib.suppress(process.ProgramTimeoutError):
            done = _ask(paths.conf, *NODES_DOWN, timeout_s=POLL_ANSWER_S)
            if done.returncode == 0:
                return
            words = done.message
        _check_alive(current)
        if time.monotonic() > deadline:
            raise daemons.make_error("slurmctld", paths.log_file("slurmctld"), words)
        time.sleep(procs.POLL_S)


def _check_alive(current: Record) -> None:
    for daemon in current.daemons:
        if not daemon.is_alive():
            raise daemons.make_error(daemon.name, daemon.log, "")


def _wait_ready(paths: Paths, current: Record) -> None:
    deadline = time.monotonic() + READY_S
    nodes: list[Node] = []
    while True:
        with contextlib.suppress(SlurmError):
            nodes = read_nodes(paths.conf)
        missing = {*current.shape.names} - {node.name for node in nodes if node.ready}
        if not missing:
            return
        _check_alive(current)
        if time.monotonic() > deadline:
            name = min(missing)
            state = next((node.state for node in nodes if node.name == name), "unknown")
            words = f"node {name} is {state} after {READY_S:g} s"
            raise daemons.make_error(f"slurmd-{name}", paths.log_file(f"slurmd-{name}"), words)
        time.sleep(procs.POLL_S)


def _stop_all(paths: Paths, known: Record) -> Stopped:
    """Stop as a power cut of the nodes: slurmctld sees them go down, requeues their jobs, and saves the queue."""
    alive = [*known.alive, *_find_strays(paths, known)]
    serving = {"munged", "slurmctld"} <= {daemon.name for daemon in alive}
    counts = _count_jobs(paths.conf) if serving else (None, None)
    daemons.stop([daemon for daemon in alive if daemon.name.startswith("slurmd-")])
    steps.kill_processes(paths.confs)
    if serving:
        done = _ask(paths.conf, *NODES_DOWN)
        if done.returncode != 0:
            log.warning("slurmctld does not answer (%s); jobs are requeued at the next bee-slurm up", done.message)
    daemons.stop([daemon for daemon in alive if daemon.name == "slurmctld"])
    daemons.stop([daemon for daemon in alive if daemon.name == "munged"])
    return Stopped(len(alive), *counts)


def _count_jobs(conf: Path) -> tuple[int | None, int | None]:
    """Count what runs and what waits, each task of an array for itself."""
    done = _ask(conf, "squeue", "--noheader", "--array", "--format=%T")
    if done.returncode != 0:
        return None, None
    states = done.stdout.split()
    pending = states.count("PENDING")
    return len(states) - pending, pending


def _clear(paths: Paths) -> None:
    shutil.rmtree(paths.runtime, ignore_errors=True)
