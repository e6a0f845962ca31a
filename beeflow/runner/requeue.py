"""Have Slurm run this job again under its own id, so that what depends on it keeps waiting.

Needed seldom, so that what this imports is not imported for every element.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from beeflow.errors import BeeError
from beeflow.scheduler.cli import CliScheduler

# Slurm counts time limits in minutes.
_MINUTE_S = 60


def more_time(limit_s: int, factor: float) -> tuple[int, str]:
    """Return a time limit so many times as long, or the longest there is; and why none is longer, where that is so."""
    partition = os.environ.get("SLURM_JOB_PARTITION", "")
    try:
        most = CliScheduler(os.environ).max_time_s(partition) if partition else None
    except BeeError as error:
        return limit_s, f"no longer one: {error}"
    wanted = -(-int(limit_s * factor) // _MINUTE_S) * _MINUTE_S
    if most is not None and most <= limit_s < wanted:
        return limit_s, f"the longest that partition {partition} allows"
    return wanted if most is None else min(wanted, most), ""


def requeue(job_id: str, wait_s: float, time_limit_s: int, mem_mib: int) -> tuple[bool, list[str]]:
    """Requeue this job; returns whether its time limit and memory (0: as they are) are set, and Slurm's complaints.

    Raises BeeError where Slurm does not requeue it, or does not answer.
    """
    slurm = CliScheduler(os.environ)
    complaints = []
    with _undisturbed():
        slurm.requeue(job_id)
        # One by one: what is refused must not keep the rest from being done.
        for each in ({"begin_in_s": wait_s}, {"time_limit_s": time_limit_s, "mem_mib": mem_mib}):
            try:
                slurm.change(job_id, **each)
            except BeeError as error:
                complaints.append(str(error))
                is_set = False
            else:
                is_set = True
    return is_set, complaints


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep SIGTERM, by which Slurm ends all processes of a job that it requeues, from what is started here."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
