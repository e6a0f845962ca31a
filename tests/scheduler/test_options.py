from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from beeflow.graph import Resources, StepOptions
from beeflow.models import SubmitOptions
from beeflow.scheduler import options

OPTIONS = SubmitOptions(
    time_limit_s=3600,
    driver_time_limit_s=1800,
    account="a",
    partition="p",
    qos="q",
    reservation="r",
    driver_options=("--comment=driver",),
    task_options=("--comment=task",),
)
BIG = Resources(cpus_per_task=8, mem_mib=4096, time_limit_s=60, ntasks=2, gpus=1, tmp_mib=100)


def test_a_pass_asks_for_little() -> None:
    made = options.pass_options(OPTIONS, first=True)
    assert (made.cpus_per_task, made.ntasks, made.mem_mib, made.gres) == (1, None, None, None)
    assert made.time_limit == timedelta(minutes=30)
    assert made.extra == ("--comment=driver",)


def test_a_task_asks_for_what_its_tool_needs() -> None:
    made = options.task_options(OPTIONS, BIG, StepOptions())
    assert (made.cpus_per_task, made.ntasks, made.mem_mib, made.gres) == (8, 2, 4096, "gpu:1")
    assert made.extra == ("--comment=task",)


def test_all_jobs_go_to_the_same_place() -> None:
    for made in (options.pass_options(OPTIONS, first=False), options.task_options(OPTIONS, BIG, StepOptions())):
        assert (made.account, made.partition, made.qos, made.reservation) == ("a", "p", "q", "r")


def test_memory_can_be_left_out() -> None:
    assert options.task_options(replace(OPTIONS, pass_mem=False), BIG, StepOptions()).mem_mib is None


def test_scratch_space_is_asked_for_only_where_the_site_says_so() -> None:
    assert options.task_options(OPTIONS, BIG, StepOptions()).tmp_mib is None
    assert options.task_options(replace(OPTIONS, pass_tmp=True), BIG, StepOptions()).tmp_mib == 100


@pytest.mark.parametrize(
    ("limit", "seconds"), [(None, 3600), (0, 3600), (60, 60 + options.STAGING_S), (10_000, 10_300)]
)
def test_a_tools_limit_leaves_time_for_staging(limit: int | None, seconds: int) -> None:
    resources = Resources(time_limit_s=limit)
    assert options.time_limit_s(OPTIONS, resources, StepOptions()) == seconds
    assert options.task_options(OPTIONS, resources, StepOptions()).time_limit == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("wanted", "first", "mail"),
    [
        ("", True, ""),
        ("BEGIN", True, "BEGIN"),
        ("begin,end", True, "BEGIN"),
        ("ALL", True, "BEGIN"),
        ("END", True, ""),
        # The second driver is not the beginning of the workflow.
        ("ALL", False, ""),
    ],
)
def test_mail_about_the_beginning_is_the_first_drivers(wanted: str, first: bool, mail: str) -> None:
    made = options.pass_options(replace(OPTIONS, mail_type=wanted, mail_user="me@x"), first=first)
    assert (made.mail_type, made.mail_user) == (mail, "me@x" if mail else "")
    assert options.task_options(replace(OPTIONS, mail_type=wanted), BIG, StepOptions()).mail_type == ""
