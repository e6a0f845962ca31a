"""Whether inputs are what they were as the workflow was submitted: what is seen, and what is no reason for an alarm."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from beeflow import locations, noting, store
from beeflow.layout import Layout, folders
from beeflow.models import now
from beeflow.noting import Noted

OLD = 1_000_000_000


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "workflow")
    for folder in folders(made):
        folder.mkdir(parents=True)
    return made


@pytest.fixture
def top(tmp_path: Path, layout: Layout) -> Path:
    """Two inputs, a file and a folder, long there; a default that is there and one that is not."""
    made = tmp_path / "data"
    (made / "folder/inner").mkdir(parents=True)
    for name in ("file", "folder/one", os.fsdecode(b"folder/inner/\xff"), "default"):
        (made / name).write_text("1")
        os.utime(made / name, (OLD, OLD))
    kinds = {"file": "File", "folder": "Directory"}
    store.write_json(layout.job, {name: entry(made / name, kind) for name, kind in kinds.items()})
    store.write_json(layout.graph, [entry(made / name, "File") for name in ("default", "none")])
    return made


def entry(path: Path, kind: str) -> dict[str, str]:
    return {"class": kind, "location": locations.to_uri(path)}


def changed(layout: Layout, path: Path, submitted: str = "2026-01-01T00:00:00+00:00") -> bool:
    inside = [each for each in sorted(path.rglob("*")) if each.is_file()] if path.is_dir() else [path]
    files = {"" if each == path else str(each.relative_to(path)): str(each) for each in inside}
    return Noted.read(layout, submitted).changed(path, files) is not None


def replaced_by_an_older(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("2")
    os.utime(other, (OLD - 5, OLD - 5))
    other.rename(path)


def replaced_by_one_of_the_same_time(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("2")
    os.utime(other, (OLD, OLD))
    other.rename(path)


def written_to(path: Path) -> None:
    path.write_text("2")


def longer(path: Path) -> None:
    path.write_text("22")
    os.utime(path, (OLD, OLD))


@pytest.mark.parametrize("name", ["file", "folder/one"])
@pytest.mark.parametrize("do", [replaced_by_an_older, replaced_by_one_of_the_same_time, written_to, longer])
def test_a_change_is_seen(layout: Layout, top: Path, name: str, do: Callable[[Path], None]) -> None:
    noting.note(layout)
    given = top / name.partition("/")[0]
    assert not changed(layout, given)
    do(top / name)
    assert changed(layout, given)


def linked(path: Path) -> None:
    os.link(path, path.parents[2] / "another name")


def other_mode(path: Path) -> None:
    path.chmod(0o400)


def read(path: Path) -> None:
    os.utime(path, (OLD + 100, OLD))


def restored(path: Path) -> None:
    """Written once more and set back, as by a restored file system: nothing of it is different."""
    os.utime(path, (OLD, OLD))


@pytest.mark.parametrize("do", [linked, other_mode, read, restored])
def test_what_is_no_change(layout: Layout, top: Path, do: Callable[[Path], None]) -> None:
    noting.note(layout)
    do(top / "folder/one")
    assert not changed(layout, top / "folder")


def test_files_that_come_and_go(layout: Layout, top: Path) -> None:
    noting.note(layout)
    (top / "folder/inner/more").write_text("")
    assert changed(layout, top / "folder")
    (top / "folder/inner/more").unlink()
    assert not changed(layout, top / "folder")
    (top / "folder/one").unlink()
    assert changed(layout, top / "folder")


def test_a_default_that_was_there_is_missed(layout: Layout, top: Path) -> None:
    noting.note(layout)
    noted = Noted.read(layout, now()).inputs
    for name in ("default", "file"):
        (top / name).unlink()
    there = {path.name for _, path in noting.outside(layout, noted)}
    assert there == {"file", "folder", "default"}


def test_what_was_not_noted_is_judged_by_its_times(layout: Layout, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "_MOST", 2)
    noting.note(layout)
    assert str(top / "folder") not in Noted.read(layout, now()).inputs
    assert not changed(layout, top / "folder", submitted=now())
    shutil.move(top / "folder/one", top / "folder/two")
    assert changed(layout, top / "folder")
    layout.noted.unlink()
    assert not changed(layout, top / "file")
    for do in (other_mode, linked_beside):
        do(top / "file")
        assert not changed(layout, top / "file")
    written_to(top / "file")
    assert changed(layout, top / "file")
    assert not changed(layout, top / "file", submitted=now())


def linked_beside(path: Path) -> None:
    os.link(path, path.with_name("another name"))


def test_many_are_noted_up_to_a_number(layout: Layout, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def noted() -> set[str]:
        noting.note(layout)
        return {Path(each).name for each in Noted.read(layout, now()).inputs}

    assert noted() == {"file", "folder", "default"}
    monkeypatch.setattr(noting, "_MOST_OF_ALL", 3)
    # Files come first; three names are in the folder.
    assert noted() == {"file", "default"}
    assert not changed(layout, top / "folder", submitted=now())
    monkeypatch.setattr(noting, "_MOST_OF_ALL", 5)
    assert noted() == {"file", "folder", "default"}


def test_many_folders_and_files_take_no_time(layout: Layout, tmp_path: Path) -> None:
    given = [entry(tmp_path / f"d{number}", "Directory") for number in range(2000)]
    given += [entry(tmp_path / f"d{number}/x/y", "File") for number in range(2000)]
    given += [entry(tmp_path / f"e/{number}", "File") for number in range(20_000)]
    store.write_json(layout.job, {"all": given})
    store.write_json(layout.graph, {})
    begun = time.process_time()
    found = noting.outside(layout)
    assert len(found) == 22_000
    assert time.process_time() - begun < 5


def test_a_file_system_that_keeps_whole_seconds(layout: Layout, top: Path) -> None:
    os.utime(top / "file", ns=(OLD, OLD * 10**9 + 5))
    noting.note(layout)
    os.utime(top / "file", ns=(OLD, OLD * 10**9))
    assert not changed(layout, top / "file")
