"""What our jobs ask Slurm for. Pure: a workflow's options and a step's resources to sbatch options."""

from __future__ import annotations

from datetime import timedelta

from beeflow.graph import Resources, StepOptions
from beeflow.models import SubmitOptions
from beeflow.scheduler import JobOptions

# A task needs time for staging and collecting beside what ToolTimeLimit gives its command.
STAGING_S = 300


def pass_options(options: SubmitOptions, *, first: bool) -> JobOptions:
    """Options of a driver or epilog job."""
    begin = "BEGIN" if first and {"BEGIN", "ALL"} & set(options.mail_type.upper().split(",")) else ""
    return JobOptions(
        time_limit=timedelta(seconds=options.driver_time_limit_s),
        account=options.account,
        partition=options.partition,
        qos=options.qos,
        reservation=options.reservation,
        mail_type=begin,
        mail_user=options.mail_user if begin else "",
        extra=options.driver_options,
    )


def task_options(options: SubmitOptions, resources: Resources, own: StepOptions) -> JobOptions:
    """Options of a step's jobs. ``own``: by the step itself."""
    return JobOptions(
        time_limit=timedelta(seconds=time_limit_s(options, resources, own)),
        account=own.account or options.account,
        partition=own.partition or options.partition,
        qos=own.qos or options.qos,
        reservation=own.reservation or options.reservation,
        cpus_per_task=resources.cpus_per_task,
        ntasks=resources.ntasks,
        mem_mib=resources.mem_mib if options.pass_mem else None,
        tmp_mib=resources.tmp_mib if options.pass_tmp else None,
        gres=f"gpu:{resources.gpus}" if resources.gpus else None,
        extra=options.task_options,
    )


def time_limit_s(options: SubmitOptions, resources: Resources, own: StepOptions) -> int:
    """Return the time limit of a step's jobs, in seconds."""
    if own.time_limit_s:
        return own.time_limit_s
    return resources.time_limit_s + STAGING_S if resources.time_limit_s else options.time_limit_s
