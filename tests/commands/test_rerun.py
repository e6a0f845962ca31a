"""bee-rerun as it is typed: what is not there is said before Slurm is asked, whatever the options."""

from __future__ import annotations

from pathlib import Path

import pytest

from beeflow import cli
from beeflow.commands import rerun

OPTIONS = [
    "--trust",
    "--dry-run",
    "--reuse",
    "--no-start",
    "--only",
    "a",
    "--from",
    "b",
    "--set",
    "x=1",
    "--map",
    "/a=/b",
]


@pytest.mark.parametrize("options", [[], OPTIONS])
def test_an_archive_that_is_not_there(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {tmp_path / 'bee'}\n")
    monkeypatch.setenv("BEE_CONFIG", str(tmp_path / "bee.conf"))
    assert cli.guarded(rerun.main, [*options, str(tmp_path / "x.tgz")]) == 3
    assert "x.tgz: no such archive; bee-list lists the ids" in capsys.readouterr().err
