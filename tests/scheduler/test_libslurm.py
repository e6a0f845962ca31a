"""Loading pyslurm, tried with stand-ins for it, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beeflow.errors import ConfigError
from beeflow.scheduler import SlurmUnreachableError, libslurm

REPOSITORY = Path(__file__).resolve().parents[2]

CONNECT = """
import os, sys
from beeflow.errors import BeeError
from beeflow.scheduler.connect import connect
from beeflow.scheduler.target import Target
for conf in sys.argv[1:]:
    try:
        print(connect("pyslurm", Target(conf, "", "a test's Slurm"), os.environ).pyslurm.__version__)
    except BeeError as error:
        print(type(error).__name__, error)
"""


def connect(tmp_path: Path, pyslurm: str, *confs: Path) -> list[str]:
    """Connect by a pyslurm with this source, in one process, to one Slurm after the other."""
    (tmp_path / "lib/pyslurm").mkdir(parents=True)
    (tmp_path / "lib/pyslurm/__init__.py").write_text(pyslurm)
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho slurm-wlm 22.05.8\n")
    sbatch.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": f"{REPOSITORY}:{tmp_path / 'lib'}"}
    argv = [sys.executable, "-c", CONNECT, *map(str, confs)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A slurm.conf."""
    path = tmp_path / "slurm.conf"
    path.write_text("")
    return path


def test_pyslurm_is_imported_with_the_slurm_conf_of_the_target(tmp_path: Path, conf: Path) -> None:
    assert connect(tmp_path, "import os; __version__ = os.environ['SLURM_CONF']", conf, conf) == [str(conf)] * 2


def test_a_second_slurm_in_one_process_is_refused(tmp_path: Path, conf: Path) -> None:
    other = tmp_path / "other.conf"
    other.write_text("")
    first, second = connect(tmp_path, "__version__ = 'x'", conf, other)
    assert first == "x"
    assert second.startswith(f"ConfigError this process talks to the Slurm of {conf} through pyslurm")


def test_a_pyslurm_of_another_release_is_told_with_what_to_do(tmp_path: Path, conf: Path) -> None:
    (told,) = connect(tmp_path, "raise ImportError('libslurm.so.42: cannot open shared object file')", conf)
    assert told.startswith(
        "ConfigError [slurm] api = pyslurm: libslurm.so.42: cannot open shared object file; pyslurm "
    )
    assert "Slurm is 22.05.8: install the pyslurm whose version begins with 22.5, or set api = cli" in told


def test_a_slurm_conf_that_is_not_there_is_told_before_libslurm_looks_for_it(tmp_path: Path) -> None:
    (told,) = connect(tmp_path, "raise SystemExit('fatal: Unable to process configuration file')", tmp_path / "none")
    assert told == f"SlurmUnreachableError {tmp_path / 'none'}: cannot be read, so there is no Slurm to ask"


def test_clusters_are_for_slurms_programs(conf: Path) -> None:
    with pytest.raises(ConfigError, match="SLURM_CLUSTERS=far"):
        libslurm.load({"SLURM_CONF": str(conf), "SLURM_CLUSTERS": "far"})


def test_probing_needs_a_slurm_conf(tmp_path: Path) -> None:
    with pytest.raises(SlurmUnreachableError, match="cannot be read"):
        libslurm.probe({"SLURM_CONF": str(tmp_path / "none")})


def test_the_slurm_variables_are_others_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_CONF", "/here")
    before = dict(os.environ)
    with libslurm.environment({"SLURM_CONF": "/there", "SLURM_BITSTR_LEN": "0", "PATH": "/not/taken"}):
        inside = {name: value for name, value in os.environ.items() if name.startswith("SLURM_")}
        path = os.environ["PATH"]
    assert inside == {"SLURM_CONF": "/there", "SLURM_BITSTR_LEN": "0"}
    assert path == before["PATH"]
    assert dict(os.environ) == before


@pytest.mark.parametrize(("version", "release"), [("22.05.8", "22.5"), ("25.11.1-rc1", "25.11"), ("", "")])
def test_releases_as_pyslurm_writes_them(version: str, release: str) -> None:
    assert libslurm.release(version) == release
