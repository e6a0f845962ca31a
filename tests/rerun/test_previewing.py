"""bee-rerun --dry-run: what it says, and that it leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from beeflow import submit
from beeflow.errors import InputError, SubmissionError
from beeflow.rerun import again, previewing
from beeflow.rerun.choice import Choice
from beeflow.rerun.previewing import Preview
from beeflow.rerun.request import Request
from beeflow.rerun.sources import open_archive
from beeflow.scheduler import JobRequest
from tests.rerun.local import HERE, Local, first
from tests.rerun.test_taking import WIDTHS


def preview(site: Local, archive: Path | str, **asked: Any) -> Preview:
    request = Request(str(archive), **asked)
    source = open_archive(request.archive, site.config)
    of_site = submit.new_record(site.config, HERE, site.scheduler.limits(), "", "")
    return again.look(request, source, site.config, again.new_record(request, source, of_site), site.scheduler)


def tree(top: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in top.rglob("*")}


def test_it_says_what_would_run_and_leaves_nothing(
    site: Local, archived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    before = tree(tmp_path)
    found = preview(site, archived, name="again", choice=Choice(reuse=True), settings=("words=[a, x]",))
    assert {key: value[0] for key, value in tree(tmp_path).items()} == {key: each[0] for key, each in before.items()}
    assert site.scheduler.jobs == {}
    shown = previewing.render(found)
    assert "as 'again', of workflow" in shown
    assert "  step cut: 1 taken from the archive\n" in shown
    assert "  step each: 1 run, 1 taken from the archive (the archive has no task that took the same" in shown
    assert "  step join: 1 run" in shown
    assert "  sbatch for the driver: --time=0-00:30:00" in shown
    assert "  sbatch for step each, and all that ask for the same: --time=" in shown
    assert shown.endswith("\nnothing was submitted")
    assert found.error is None


def test_a_width_that_is_not_known_yet(site: Local) -> None:
    old = site.archive(site.submit(WIDTHS, {"names": ["a", "b"]}))
    shown = previewing.render(preview(site, old))
    assert "step show: run as many tasks as others make" in shown
    shown = previewing.render(preview(site, old, choice=Choice(only=("list",))))
    assert "step show: run as many tasks as others make, or take 2 if they are those of the archive" in shown


def test_what_is_missing_is_told_with_the_rest(site: Local) -> None:
    old = site.archive(first(site, input_copy_limit_mib=0))
    (site.top / "data/in put.txt").unlink()
    found = preview(site, old)
    assert isinstance(found.error, InputError)
    assert "in put.txt: not there" in str(found.error)
    assert "as 'first'" in previewing.render(found)


def test_what_slurm_refuses_is_told_with_the_rest(site: Local, archived: Path) -> None:
    class Refusing(type(site.scheduler)):  # type: ignore[misc]
        def check(self, request: JobRequest) -> None:
            raise SubmissionError(f"invalid partition: {request.options.partition!r}")

    site.scheduler = Refusing()
    found = preview(site, archived)
    assert isinstance(found.error, SubmissionError)
    assert "step join: 1 run" in previewing.render(found)


def test_another_cluster_is_told_where_software_is_not_compared(site: Local, archived: Path) -> None:
    site.scheduler.limits = lambda: type(site.scheduler)().limits().__class__("other", "22.05.8", 1001, 10000)  # type: ignore[method-assign]
    shown = previewing.render(preview(site, archived, choice=Choice(reuse=True)))
    assert "note: the archive is of another cluster (fake)" in shown
