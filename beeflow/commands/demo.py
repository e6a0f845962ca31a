"""Show beeflow at work: run a workflow, archive it, copy the archive, run the copy again, compare both runs.

Everything happens in one folder, with its own bee.conf and its own private Slurm; your own configuration is not
touched. When the demo ends, however it ends, nothing of it runs any more. The archives stay, also for the next demo.

examples:
  bee-demo
  bee-demo --workdir /scratch/me/demo
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import filelock
from tabulate import tabulate

from beeflow import cli, config, private_slurm, process, resources, store, tables, workflow
from beeflow.config import Config
from beeflow.errors import BeeError, UsageError
from beeflow.layout import ARCHIVE_SUFFIX
from beeflow.private_slurm import cluster, procs
from beeflow.states import WorkflowState
from beeflow.store import Store
from beeflow.workflow import Summary

MARK = "# Written by bee-demo, for itself."
WORKFLOW = "etc/examples/movie/movie.cwl"
NEEDED = {"numpy": "numpy", "PIL": "pillow", "matplotlib": "matplotlib", "imageio_ffmpeg": "imageio-ffmpeg"}
SHORT_ID = 8
QUERY_S = 60.0
GONE_S = 10.0
BOLD, CYAN, GREEN, RED, PLAIN = "\033[1m", "\033[1;36m", "\033[32m", "\033[1;31m", "\033[0m"


class DemoError(BeeError):
    """A step of the demo did not do what it should."""


class StoppedError(BaseException):
    """SIGTERM or SIGHUP: end, but not before Slurm is down."""


def main(argv: Sequence[str]) -> int:
    """Run the demo."""
    parser = cli.parser("bee-demo", __doc__)
    default = Path.home() / ".beeflow-demo"
    parser.add_argument("--workdir", metavar="DIR", type=Path, default=default, help="the folder (~/.beeflow-demo)")
    parser.add_argument("--force", action="store_true", help="even on a host that has a Slurm already")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    began = time.monotonic()
    check_packages()
    check_site(os.environ, force=arguments.force)
    demo = Demo.prepare(arguments.workdir.absolute(), os.environ)
    with demo.alone(), signals_raise():
        demo.play(began)
    return 0


def check_packages() -> None:
    """Raise DemoError when the example workflow's Python packages are missing."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise DemoError(f"Python packages are missing: {', '.join(missing)}; install them with: etc/setup examples")


def check_site(env: Mapping[str, str], *, force: bool) -> None:
    """Raise DemoError on a host with another Slurm, unless the user insists."""
    found = next((path for path in cluster.SITE_CONFS if Path(path).exists()), None)
    if found and not force:
        raise DemoError(
            f"this host has a Slurm already ({found}), and the demo would start a private one beside it for a minute; "
            "if that is all right: bee-demo --force"
        )


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn a kill or a lost terminal into an exception, so that Slurm is brought down."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError(signal.Signals(number).name)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
