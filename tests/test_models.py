from __future__ import annotations

import datetime
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec, models
from beeflow.models import (
    Attempt,
    ElementResult,
    ElementSpec,
    ElementTask,
    GroupRecord,
    Intent,
    Sidecar,
    SlurmRecord,
    StateRecord,
    SubmitOptions,
    TaskRecord,
    TaskResult,
    WorkflowRecord,
)
from beeflow.states import TaskState, WorkflowState

ID = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"
RECORD = WorkflowRecord(
    id=ID,
    name="$(rm -rf /)\nä",
    user="u",
    host="h",
    created="2026-01-01T00:00:00.000+00:00",
    document="/d.cwl",
    beeflow_version="0",
    python="/usr/bin/python3",
    slurm=SlurmRecord("/s.conf", "", "c", "22.05.8", 1001, 10000),
    options=SubmitOptions(60, 60, task_options=("--exclusive",)),
    parent="other",
)
TASK = TaskRecord(ID, "t", "step[0]", "step", TaskState.FAILED, inputs=("x",), exit_code=3, stderr_tail=("a",))


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        Intent("001-a.0", "bee-x-001.0", models.now(), ("sbatch", "x"), "001-a", 5, (0, 2), True),
        GroupRecord("001-a", "a", False, ("0", "1.0"), ("0",), 2, "why", 60),
        ElementSpec((ElementTask("0", {"x": {"known": [1, None]}}),)),
        Attempt("12", 0, 1, "n", "h", 3, models.now()),
        Attempt("12", None, 0, "n", "h", 3, models.now()),
        ElementResult({"0": TaskResult(TaskState.COMPLETED, outputs={"out": {"class": "File"}}, cpu_s=0.0)}),
        TASK,
        StateRecord(WorkflowState.ARCHIVED_FAILED, models.now(), "why", "/a.tgz", "name", models.now(), "parent"),
        models.Lost(("001-align.0",), {"0": TaskResult(TaskState.NODE_FAIL)}),
        models.TasksRecord((TASK,)),
        Sidecar(ID, "n", WorkflowState.ARCHIVED, "c", "a", "0" * 64, 1 << 40),
    ],
)
def test_every_record_comes_back_from_its_file(record: Any) -> None:
    assert codec.loads(type(record), codec.dumps(record), Path("f")) == record


def test_times_are_utc_and_sort_as_text() -> None:
    first, second = models.now(), models.now()
    assert datetime.datetime.fromisoformat(first).utcoffset() == datetime.timedelta(0)
    assert len(first) == len(second)
    assert first <= second


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        (None, None, None),
        (None, "2026-01-01T00:00:10.000+00:00", None),
        ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:01:00.250+00:00", 60.25),
        ("2026-01-01T01:00:00.000+01:00", "2026-01-01T00:00:05.000+00:00", 5.0),
        # Clocks of two nodes may differ.
        ("2026-01-01T00:00:05.000+00:00", "2026-01-01T00:00:00.000+00:00", 0.0),
    ],
)
def test_seconds_between(start: str | None, end: str | None, seconds: float | None) -> None:
    assert models.seconds_between(start, end) == seconds


def test_what_runs_has_run_until_now() -> None:
    begun = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    elapsed = models.seconds_between(begun.isoformat(), None)
    assert elapsed is not None
    assert 3590 < elapsed < 3700


def test_all_passes_share_a_name_and_no_two_task_jobs_do() -> None:
    names = [RECORD.job_name(key) for key in ("pass.1", "pass.2", "001-a.0", "001-a.1", "002-pass.0", "011-a.1")]
    assert names[0] == names[1]
    assert len(set(names)) == 5


@pytest.mark.parametrize("key", ["pass.1", "001-a b$(x).0", "123-ä.10"])
def test_user_text_never_gets_into_a_job_name(key: str) -> None:
    assert re.fullmatch(r"bee-[0-9a-f]{12}-[a-z0-9.]+", RECORD.job_name(key))


def test_another_workflow_has_other_job_names() -> None:
    other = replace(RECORD, id=str(uuid.uuid4()))
    assert other.job_name("pass.1") != RECORD.job_name("pass.1")
    assert RECORD.job_name("pass.1").startswith(RECORD.nonce + "-")


def test_task_ids() -> None:
    first = models.task_id(ID, "001-a", "0")
    assert first == models.task_id(ID, "001-a", "0")
    others = [models.task_id(ID, "001-a", "1"), models.task_id(ID, "002-a", "0")]
    others.append(models.task_id(str(uuid.uuid4()), "001-a", "0"))
    assert len({first, *others}) == 4
    uuid.UUID(first)
