"""Run a private Slurm for one user on this host, without root.

  up      start it, from Debian's packages munge, slurmctld, slurmd and slurm-client, below <bee_workdir>/slurm;
          wait until its nodes take jobs. The nodes are virtual: several slurmds on this one host, listening on
          loopback only. Options count for later ups too.
  down    stop exactly what up started. The queue is kept: pending jobs wait for the next up, and job ids go on.
          Running jobs are killed as by a power cut, and the next up runs them again (as Slurm does after a node
          failure: with SLURM_RESTART_COUNT one higher; those submitted with --no-requeue, and srun and salloc,
          end as NODE_FAIL).
  status  say what runs; exit code 0 when up, 3 when down
  env     print the line that lets Slurm's own commands find it

beeflow's commands find a private Slurm that is up by themselves.

Examples:
  bee-slurm up
  bee-slurm up --nodes 4 --cpus 8
  eval "$(bee-slurm env)"; squeue
  bee-slurm status --json
  bee-slurm down
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from tabulate import tabulate

from beeflow import cli, private_slurm, workdir
from beeflow.errors import NotFoundError
from beeflow.private_slurm import cluster
from beeflow.private_slurm.config import Asked
from beeflow.private_slurm.record import Record

EXIT_DOWN = 3


def make_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = cli.parser("bee-slurm", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="up | down | status | env")
    up = commands.add_parser("up", help="start it", allow_abbrev=False)
    up.add_argument("--nodes", type=int, metavar="N", help="virtual nodes (2)")
    up.add_argument("--cpus", type=int, metavar="N", help="CPUs of each node, more than there are if you like (all)")
    up.add_argument("--memory", type=int, metavar="MIB", help="memory of each node (the host's, shared by the nodes)")
    up.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a line of slurm.conf, to try a site's limits: --set MaxArraySize=101 (may be given several times); "
        "without a value: Slurm's own default",
    )
    up.add_argument("--force", action="store_true", help="even beside another Slurm, or if it ran on a host now gone")
    down = commands.add_parser("down", help="stop it and keep its queue", allow_abbrev=False)
    down.add_argument("--force", action="store_true", help="even if it ran on another host, now gone")
    status = commands.add_parser("status", help="say what runs", allow_abbrev=False)
    status.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser("env", help="print what to eval in a shell", allow_abbrev=False)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = make_parser().parse_args(argv)
    cli.start_logging(args.verbose)
    if args.command == "up":
        return _up(Asked(args.nodes, args.cpus, args.memory, tuple(args.set)), force=args.force)
    if args.command == "down":
        return _down(force=args.force)
    if args.command == "status":
        return _status(as_json=args.json)
    return _env()


def _up(asked: Asked, *, force: bool) -> int:
    config = cli.load_config()
    if not force:
        # Before anything is made.
        cluster.refuse_beside_site(config)
    workdir.prepare(config)
    started = cluster.up(config, asked, force=force)
    now = cluster.status(config)
    shape = f", {cluster.describe(now.record.shape)}" if now.record else ""
    print(f"Slurm is up{shape}: {now.conf}" if started else f"Slurm is already up{shape}: {now.conf}")
    return 0


def _down(*, force: bool) -> int:
    stopped = cluster.down(cli.load_config(), force=force)
    if not stopped.daemons:
        print("Slurm is down already")
        return 0
    print("Slurm is down")
    if stopped.running:
        print(f"killed: {_jobs(stopped.running)}, to run again after the next bee-slurm up (see --help)")
    if stopped.pending:
        print(f"kept in the queue: {_jobs(stopped.pending)}, for the next bee-slurm up")
    return 0


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _status(*, as_json: bool) -> int:
    now = cluster.status(cli.load_config())
    print(json.dumps(to_json(now), indent=2) if as_json else render(now))
    return 0 if now.serving else EXIT_DOWN


def _env() -> int:
    conf = private_slurm.running_conf(cli.load_config())
    if conf is None:
        raise NotFoundError("no private Slurm is up; start one with: bee-slurm up")
    print(f"export SLURM_CONF={shlex.quote(str(conf))}")
    return 0


def to_json(now: cluster.Status) -> dict[str, Any]:
    """Write a status for programs."""
    return {
        "running": now.serving,
        "slurm_conf": str(now.conf) if now.serving else None,
        "nodes": [
            {"name": node.name, "state": node.state, "cpus": node.cpus, "memory_mib": node.memory_mib}
            for node in now.nodes
        ],
        "daemons": [
            {"name": name, "pid": pid, "alive": alive, "log": log} for name, pid, alive, log in _daemon_rows(now.record)
        ],
    }


def render(now: cluster.Status) -> str:
    """Render a status for people."""
    rows = [(name, pid, "running" if alive else "dead", log) for name, pid, alive, log in _daemon_rows(now.record)]
    table = tabulate(rows, headers=["DAEMON", "PID", "STATE", "LOG"], tablefmt="plain")
    if not now.serving and now.record and now.record.alive:
        return f"Slurm is down: a daemon is dead; start it again with: bee-slurm up\n\n{table}"
    if not now.serving:
        where = f" on {now.record.host}" if now.record and now.record.elsewhere else ""
        hint = f"it was started{where}; stop it there" if where else "start it with: bee-slurm up"
        return f"Slurm is down; {hint}"
    nodes = [(node.name, node.state, node.cpus, node.memory_mib) for node in now.nodes]
    parts = [
        f"Slurm is up: {now.conf}",
        tabulate(nodes, headers=["NODE", "STATE", "CPUS", "MIB"], tablefmt="plain"),
        table,
    ]
    if not now.complete:
        parts.append("A daemon is dead; start it again with: bee-slurm up")
    return "\n\n".join(parts)


def _daemon_rows(record: Record | None) -> list[tuple[str, int, bool, str]]:
    if record is None:
        return []
    alive = record.alive
    return [(daemon.name, daemon.pid, daemon in alive, str(daemon.log)) for daemon in record.daemons]


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
