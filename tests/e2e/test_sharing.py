"""Who can read what a whole run makes, whatever the user's umask is."""

from __future__ import annotations

import grp
import os
import stat
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, PrivateSlurm
from tests.e2e.workflows import archive, directory, wait_state

pytestmark = pytest.mark.e2e

SUBMIT = 'umask "$1"; shift; exec "$@"'


def run(slurm: PrivateSlurm, umask: str, settings: str, tmp_path: Path) -> str:
    """Run an example to its end under a umask; returns its id."""
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {slurm.bee_workdir}\n{settings}")
    document = str(REPOSITORY / "etc/examples/diamond/diamond.cwl")
    program = [sys.executable, "-m", "beeflow.commands.submit", document]
    words = slurm.run("sh", "-c", SUBMIT, "sh", umask, *program, env={"BEE_CONFIG": str(conf)}).stdout.split()
    found = words[words.index("is") + 1].rstrip(".")
    wait_state(slurm, found, "Archived")
    return found


@pytest.mark.parametrize("umask", ["000", "077"])
def test_a_group_can_read_all_of_it(slurm: PrivateSlurm, umask: str, tmp_path: Path) -> None:
    gid = os.getgid()
    root = directory(slurm, found := run(slurm, umask, f"share_with_group = {grp.getgrgid(gid).gr_name}\n", tmp_path))
    assert stat.S_IMODE(root.stat().st_mode) == 0o2750
    closed = [
        f"{path.relative_to(root)} {stat.filemode(status.st_mode)}"
        for path in root.rglob("*")
        if not stat.S_ISLNK((status := path.lstat()).st_mode)
        and (
            status.st_gid != gid or not status.st_mode & stat.S_IRGRP or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        )
    ]
    assert closed == []
    for path in (archive(slurm, found), archive(slurm, found).with_suffix(".json")):
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o640, gid)


@pytest.mark.parametrize("umask", ["000", "077"])
def test_else_nobody_can(slurm: PrivateSlurm, umask: str, tmp_path: Path) -> None:
    found = run(slurm, umask, "", tmp_path)
    assert stat.S_IMODE(directory(slurm, found).stat().st_mode) & 0o777 == 0o700
    for path in (archive(slurm, found), archive(slurm, found).with_suffix(".json")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
