"""A finished file gets its name, or nothing happens: with hard links, and on file systems that have none."""

from __future__ import annotations

import ctypes
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from beeflow import publishing, store, workdir
from beeflow.archive import packing, verifying
from beeflow.archive.contents import record_source
from beeflow.config import Config
from beeflow.copying import parts
from beeflow.copying.offers import Offer
from beeflow.errors import ConfigError
from beeflow.layout import DESCRIPTION
from tests.archive.raw import description

TOP = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"


class NoRenameat2:
    """A C library that asks a file system which knows no such rename."""

    def renameat2(self, *_: Any) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1


@pytest.fixture(params=["links", "rename", "placeholder", "old library"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a file can get its name."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param != "links":
        monkeypatch.setattr(os, "link", refuse)
    if request.param == "placeholder":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoRenameat2())
    if request.param == "old library":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_it_has_its_name_and_no_other(tmp_path: Path) -> None:
    made, final = tmp_path / "made", tmp_path / "final"
    made.write_text("whole")
    publishing.publish(made, final)
    assert final.read_text() == "whole"
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.usefixtures("way")
def test_nothing_is_overwritten(tmp_path: Path) -> None:
    made, final = tmp_path / "made", tmp_path / "final"
    made.write_text("new")
    for there in ("old", ""):
        final.write_text(there)
        with pytest.raises(FileExistsError):
            publishing.publish(made, final)
        assert (made.read_text(), final.read_text()) == ("new", there)
    final.unlink()
    final.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        publishing.publish(made, final)
    assert made.exists()


@pytest.mark.usefixtures("way")
def test_one_of_many_wins(tmp_path: Path) -> None:
    def attempt(number: int) -> int | None:
        made = tmp_path / f"made{number}"
        made.write_text(str(number))
        try:
            publishing.publish(made, tmp_path / "final")
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [each for each in pool.map(attempt, range(64)) if each is not None]
    assert [str(each) for each in winners] == [(tmp_path / "final").read_text()]


def test_whether_it_takes_one_step(tmp_path: Path, way: str) -> None:
    assert publishing.takes_one_step(tmp_path) is (way in ("links", "rename"))
    assert os.listdir(tmp_path) == []


def test_what_fails_leaves_no_empty_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way not in ("placeholder", "old library"):
        pytest.skip("it takes one step")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    (tmp_path / "made").write_text("whole")
    with pytest.raises(OSError, match="No space"):
        publishing.publish(tmp_path / "made", tmp_path / "final")
    assert os.listdir(tmp_path) == ["made"]


def test_a_bee_workdir_where_a_name_may_be_taken_by_nothing(tmp_path: Path, way: str) -> None:
    settings = Config(bee_workdir=tmp_path / "bee", bee_archive_dir=tmp_path / "bee/archives")
    if way in ("links", "rename"):
        workdir.prepare(settings)
        return
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"/bee is on a file system .* neither hard links .* elsewhere"):
            workdir.prepare(settings)


@pytest.mark.usefixtures("way")
def test_all_that_publishes(tmp_path: Path) -> None:
    record = record_source(DESCRIPTION, description(TOP))
    path = packing.pack(TOP, [record], tmp_path).path
    verifying.verify(path)
    with pytest.raises(packing.TakenError):
        packing.pack(TOP, [record], tmp_path)
    assert store.publish(tmp_path / "record", "one")
    assert not store.publish(tmp_path / "record", "two")
    assert (tmp_path / "record").read_text() == "one"
    for expected in (True, False):
        with parts.opened(tmp_path / "copy", Offer("copy", 4, "0" * 64), lambda: None) as part:
            part.append(b"data")
            assert part.publish(tmp_path / "copy") is expected
            if not expected:
                part.discard()
    assert sorted(os.listdir(tmp_path)) == [path.name, "copy", "record"]
