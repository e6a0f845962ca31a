"""What only the scheduler of pyslurm does: one Slurm in a process, and workflows without Slurm's programs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow.errors import ConfigError
from beeflow.scheduler.connect import PYSLURM, connect
from beeflow.scheduler.target import Target
from tests.e2e.conftest import PrivateSlurm, target_of
from tests.e2e.workflows import EXAMPLES, SLEEP_THEN_CAT, directory, submit, wait_state, wait_task

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("need_pyslurm")]


# -- one process, one Slurm --------------------------------------------------------------------------------------------


def test_a_process_talks_to_one_slurm_only(slurm: PrivateSlurm, tmp_path: Path) -> None:
    connect(PYSLURM, target_of(slurm), slurm.env)
    other = tmp_path / "slurm.conf"
    other.write_text(Path(slurm.env["SLURM_CONF"]).read_text())
    with pytest.raises(ConfigError, match="cannot talk to that"):
        connect(PYSLURM, Target(str(other), "", "another"), slurm.env)
    with pytest.raises(ConfigError, match="SLURM_CLUSTERS"):
        connect(PYSLURM, replace(target_of(slurm), clusters="far"), slurm.env)


def test_the_target_counts_and_not_the_environment(slurm: PrivateSlurm, tmp_path: Path) -> None:
    script = tmp_path / "limits.py"
    script.write_text(
        "import os\nfrom beeflow.scheduler.connect import connect\nfrom beeflow.scheduler.target import Target\n"
        f"made = connect('pyslurm', Target({slurm.env['SLURM_CONF']!r}, '', ''), os.environ)\n"
        "print(made.limits().cluster_name, os.environ['SLURM_CONF'])\n"
    )
    told = slurm.run(sys.executable, script, env={"SLURM_CONF": "/no/such/slurm.conf"}).stdout
    assert told == "beeflow /no/such/slurm.conf\n"


# -- a whole workflow --------------------------------------------------------------------------------------------------

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sacct", "srun")


@pytest.fixture
def watched(slurm: PrivateSlurm, tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment with api = pyslurm, where each of Slurm's programs is written down when it is run; and where."""
    conf, folder, log = tmp_path / "bee.conf", tmp_path / "watched", tmp_path / "programs.log"
    conf.write_text(slurm.bee_conf.read_text() + "[slurm]\napi = pyslurm\n")
    folder.mkdir()
    log.touch()
    for name in PROGRAMS:
        real = shutil.which(name, path=slurm.env["PATH"])
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\nexec {real} "$@"\n')
        (folder / name).chmod(0o755)
    return {"BEE_CONFIG": str(conf), "PATH": f"{folder}:{slurm.env['PATH']}"}, log


def test_a_workflow_runs_without_slurms_programs(
    slurm: PrivateSlurm, watched: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    env, log = watched
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl", EXAMPLES / "diamond/diamond.yml", env=env)
    deadline = time.monotonic() + 60
    while json.loads(slurm.bee("bee-query", "--json", found, env=env).stdout)["state"] != "Archived":
        assert time.monotonic() < deadline, (directory(slurm, found) / "log/passes.log").read_text()
        time.sleep(0.3)
    assert "beeflow.scheduler.pyslurm INFO: submitted" in (directory(slurm, found) / "log/passes.log").read_text()
    # All but the question whether Slurm would take the jobs, once for each kind of job.
    assert {line.split()[-2] for line in log.read_text().splitlines()} == {"--test-only"}
    again = submit(slurm, "--no-start", EXAMPLES / "diamond/diamond.cwl")
    record = json.loads((directory(slurm, again) / "workflow.json").read_text())
    assert record["slurm"]["api"] == "cli"
    slurm.bee("bee-cancel", again)


def test_a_workflow_is_cancelled_without_slurms_programs(
    slurm: PrivateSlurm, watched: tuple[dict[str, str], Path], tmp_path: Path
) -> None:
    env, log = watched
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "marker")))
    found = submit(slurm, document, "--seconds", "120", env=env)
    wait_task(slurm, found, "a", "RUNNING")
    slurm.bee("bee-cancel", found, env=env)
    wait_state(slurm, found, "Archived/Cancelled")
    assert {line.split()[-2] for line in log.read_text().splitlines()} == {"--test-only"}


def test_an_archive_is_run_again_by_what_bee_conf_says_now(
    slurm: PrivateSlurm, watched: tuple[dict[str, str], Path]
) -> None:
    env, _ = watched
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl")
    wait_state(slurm, found, "Archived")
    words = slurm.bee("bee-rerun", found, env=env).stdout.replace(".", " ").split()
    again = next(word for word in words if len(word) == 36 and word != found)
    wait_state(slurm, again, "Archived")
    assert json.loads((directory(slurm, again) / "workflow.json").read_text())["slurm"]["api"] == "pyslurm"
