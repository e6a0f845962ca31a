"""Describe a job to pyslurm as sbatch would describe it to the controller. Pure, but for what the process itself has.

What sbatch adds to a job's environment, and how, is in Slurm 22.05.8's src/sbatch; pyslurm 22.5 adds nothing.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Mapping
from typing import Any

from beeflow.config import format_time_limit
from beeflow.scheduler import JobOptions, JobRequest
from beeflow.scheduler import command_lines as lines

# Slurm's NO_VAL, "not given". pyslurm puts 1 in the place of what is not given, and of this as a number, not as digits.
NO_VAL = str(2**32 - 2)
# What pyslurm has a word for of --mail-type: not INVALID_DEPEND, and so not quite ALL.
MAIL_TYPES = frozenset(
    {"ARRAY_TASKS", "BEGIN", "END", "FAIL", "REQUEUE", "STAGE_OUT"}
    | {"TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50"}
)
RLIMITS = ("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS")


def is_describable(request: JobRequest) -> bool:
    """Tell whether pyslurm has words for all of a request.

    Options that the site or the user wrote are sbatch's own words, which only sbatch reads.
    """
    return request.script is not None and not request.options.extra and has_mail_types(request.options.mail_type)


def has_mail_types(mail_type: str) -> bool:
    """Tell whether pyslurm has words for a --mail-type."""
    return not mail_type or MAIL_TYPES.issuperset(mail_type.upper().split(","))


def describe(request: JobRequest, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of a JobSubmitDescription. ``env``: what sbatch would run in."""
    dependency = request.dependency.render()
    script = str(request.script)
    described = {
        "name": request.name,
        "script": script,
        "script_args": [script, *request.script_args],
        "working_directory": str(request.chdir),
        "standard_output": lines.escape(str(request.output)),
        "standard_in": "/dev/null",
        "is_requeueable": request.requeue,
        "log_files_open_mode": "append" if request.open_mode_append else None,
        "priority": 0 if request.hold else None,
        "array": None if request.array is None else lines.render_array(request.array),
        "dependencies": dependency or None,
        "kill_on_invalid_dependency": True if dependency else None,
        # Else all tasks were to run on one node.
        "nodes": {"min": 1, "max": NO_VAL},
        "environment": {**env, **sbatch_env(request)},
    }
    return {**described, **_options(request.options)}


def _options(options: JobOptions) -> dict[str, Any]:
    return {
        "time_limit": format_time_limit(options.time_limit),
        "cpus_per_task": options.cpus_per_task,
        "account": options.account or None,
        "partitions": options.partition or None,
        "qos": options.qos or None,
        "reservations": options.reservation or None,
        "ntasks": NO_VAL if options.ntasks is None else options.ntasks,
        # What pyslurm calls so are the CPUs of all tasks together; it multiplies, also by NO_VAL.
        "min_cpus_per_node": (options.ntasks or 1) * options.cpus_per_task,
        "memory_per_node": None if options.mem_mib is None else f"{options.mem_mib}M",
        "temporary_disk_per_node": None if options.tmp_mib is None else f"{options.tmp_mib}M",
        "gres_per_node": options.gres,
        "mail_types": options.mail_type or None,
        "mail_user": options.mail_user or None,
    }


def sbatch_env(request: JobRequest) -> dict[str, str]:
    """What sbatch adds to a job's environment: what it was asked, and what its own process is like."""
    umask = os.umask(0)
    os.umask(umask)
    dependency = request.dependency.render()
    made = {
        "SLURM_JOB_NAME": request.name,
        "SLURM_CPUS_PER_TASK": str(request.options.cpus_per_task),
        "SLURM_PRIO_PROCESS": str(os.getpriority(os.PRIO_PROCESS, 0)),
        "SLURM_SUBMIT_DIR": os.getcwd(),
        "SLURM_SUBMIT_HOST": socket.gethostname(),
        "SLURM_UMASK": f"0{umask:03o}",
    }
    made |= {"SLURM_OPEN_MODE": "a"} if request.open_mode_append else {}
    made |= {"SLURM_JOB_DEPENDENCY": dependency} if dependency else {}
    made |= {"SLURM_NTASKS": str(request.options.ntasks)} if request.options.ntasks is not None else {}
    return made | {f"SLURM_RLIMIT_{name}": _rlimit(name) for name in RLIMITS}


def _rlimit(name: str) -> str:
    soft, _ = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
    return str(soft % 2**64)
