"""What the runner makes of the environment that Slurm gives a job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec
from beeflow.models import Attempt
from beeflow.runner.job import Job
from beeflow.shape import NoTemplateError

PLAIN = {"SLURM_JOB_ID": "12", "SLURMD_NODENAME": "n1"}
ELEMENT = {**PLAIN, "SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
FIRST = {**ELEMENT, "SLURM_ARRAY_TASK_ID": "0"}


def job(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], **more: str) -> Job:
    """Make the job of an environment."""
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    for name, value in {**environ, **more}.items():
        monkeypatch.setenv(name, value)
    return Job()


@pytest.mark.parametrize(
    ("environ", "shown", "array_task_id"), [(PLAIN, "12", None), (ELEMENT, "12_3", 3), (FIRST, "12_0", 0)]
)
def test_the_id_is_the_one_that_sbatch_printed(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], shown: str, array_task_id: int | None
) -> None:
    made = job(monkeypatch, environ)
    assert (made.id, made.element_id, made.array_task_id) == ("12", shown, array_task_id)
    assert made.result()["job_id"] == shown
    assert (made.node, made.host) == ("n1", os.uname().nodename)


@pytest.mark.parametrize(("count", "expected"), [(None, 0), ("", 0), ("0", 0), ("2", 2)])
def test_the_restart_count(monkeypatch: pytest.MonkeyPatch, count: str | None, expected: int) -> None:
    more = {} if count is None else {"SLURM_RESTART_COUNT": count}
    assert job(monkeypatch, ELEMENT, **more).restart_count == expected


def test_what_an_attempt_says_of_itself_is_what_passes_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made = codec.from_json(Attempt, job(monkeypatch, ELEMENT, SLURM_RESTART_COUNT="1").attempt())
    assert (made.element_id, made.restart_count, made.node, made.pid) == ("12_3", 1, "n1", os.getpid())


def test_without_slurm_there_is_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError, match="SLURM_JOB_ID"):
        job(monkeypatch, {})


# sbatch(1): --mem gives SLURM_MEM_PER_NODE, --mem-per-cpu SLURM_MEM_PER_CPU, both in MiB; --mem=0 is all of the node.
@pytest.mark.parametrize(
    ("environ", "cpus", "mem_mib", "gpus"),
    [
        ({}, None, None, None),
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8"}, 4, None, None),
        ({"SLURM_MEM_PER_NODE": "2048"}, None, 2048, None),
        ({"SLURM_MEM_PER_CPU": "100", "SLURM_CPUS_ON_NODE": "8"}, None, 800, None),
        ({"SLURM_MEM_PER_CPU": "100"}, None, 100, None),
        ({"SLURM_MEM_PER_NODE": "0"}, None, None, None),
        ({"SLURM_MEM_PER_NODE": "2048", "SLURM_MEM_PER_CPU": "100"}, None, 2048, None),
        ({"SLURM_GPUS_ON_NODE": "2"}, None, None, 2),
    ],
)
def test_what_slurm_granted(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    cpus: int | None,
    mem_mib: int | None,
    gpus: int | None,
) -> None:
    made = job(monkeypatch, PLAIN, **environ)
    assert (made.cpus, made.mem_mib, made.gpus) == (cpus, mem_mib, gpus)


@pytest.mark.parametrize(
    ("environ", "run", "expected"),
    [
        ({}, {"cores": 2, "ram_mib": 256}, (2, 256)),
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_MEM_PER_NODE": "1000"}, {"cores": 2, "ram_mib": 256}, (4, 1000)),
        ({"SLURM_MEM_PER_NODE": "0"}, {"cores": 1, "ram_mib": 256}, (1, 256)),
        ({"SLURM_MEM_PER_NODE": "1000"}, {"cores": 1, "ram_mib": None}, (1, 1000)),
    ],
)
def test_runtime_is_what_was_granted_else_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], run: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert job(monkeypatch, PLAIN, **environ).granted(run) == expected


def test_what_only_an_expression_tells_needs_cwltool(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoTemplateError):
        job(monkeypatch, PLAIN).granted({"cores": 1, "ram_mib": None})


@pytest.mark.parametrize(
    ("environ", "cores", "mem_mib", "places"),
    [
        ({}, 1, None, 1),
        ({"SLURM_CPUS_ON_NODE": "8"}, 1, None, 8),
        ({"SLURM_CPUS_ON_NODE": "8"}, 3, None, 2),
        ({"SLURM_CPUS_ON_NODE": "2"}, 4, None, 1),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_NODE": "1000"}, 1, 300, 3),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_NODE": "100"}, 1, 300, 1),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_NODE": "1000"}, 1, None, 8),
        ({"SLURM_CPUS_ON_NODE": "8"}, 1, 300, 8),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_CPU": "100"}, 2, 400, 2),
    ],
)
def test_as_many_tasks_at_a_time_as_have_their_cpus_and_memory(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], cores: int, mem_mib: int | None, places: int
) -> None:
    assert job(monkeypatch, PLAIN, **environ).places({"cores": cores, "mem_mib": mem_mib}) == places


def test_every_attempt_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    element = tmp_path / "tasks/001-s/000/000003"
    first = job(monkeypatch, ELEMENT)
    made = [first.free_folder(str(element)) for _ in range(3)]
    made.append(job(monkeypatch, ELEMENT, SLURM_RESTART_COUNT="1").free_folder(str(element)))
    made.append(job(monkeypatch, {**PLAIN, "SLURM_JOB_ID": "20"}).free_folder(str(element)))
    assert [Path(folder).name for folder in made] == ["12_3.0", "12_3.0.1", "12_3.0.2", "12_3.1", "20.0"]
    assert all(Path(folder).is_dir() for folder in made)
