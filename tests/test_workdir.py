"""Whose a bee_workdir is, who may read what is in it, and what strangers plant there."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import codec, sharing, store, workdir
from beeflow.archive import contents, packing
from beeflow.config import Config
from beeflow.errors import ConfigError
from beeflow.layout import DESCRIPTION
from beeflow.models import Retried
from beeflow.store import Store
from tests.archive.raw import description
from tests.fakes import RECORD

STRANGER = 12345
NO_LOCKS = OSError(errno.ENOLCK, "No locks available")
GROUP = grp.getgrgid(os.getgid()).gr_name
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(params=[0o077, 0o022, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    top = tmp_path / "top/bee"
    return Config(bee_workdir=top, bee_archive_dir=top / "archives")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def described(root: Path) -> contents.Source:
    """Write what an archive must have."""
    (root / DESCRIPTION).write_text(codec.dumps(description(RECORD.id)))
    return contents.Source(DESCRIPTION, str(root / DESCRIPTION))


def make(config: Config, group: str) -> Path:
    """Make a workflow directory and an archive as bee-submit and the epilog do; returns the directory."""
    config = replace(config, share_with_group=group)
    workdir.prepare(config)
    made = Store(config.workflows_dir).create(replace(RECORD, group=group))
    gid = made.layout.root.stat().st_gid if group else None
    sources = [described(made.layout.root), contents.Source("workflow.json", str(made.layout.workflow))]
    packed = packing.pack(RECORD.id, sources, config.bee_archive_dir, gid=gid)
    assert packed.path.is_file()
    return made.layout.root


def test_nobody_else_gets_in_whatever_the_umask(config: Config, umask: int) -> None:
    root = make(config, "")
    for folder in (config.bee_workdir.parent, config.bee_workdir, config.workflows_dir, config.bee_archive_dir, root):
        assert mode(folder) & 0o777 == 0o700, folder
    assert mode(root / "workflow.json") == 0o600
    assert mode(config.bee_archive_dir / f"{RECORD.id}.tgz") == 0o600


def test_a_group_may_read_whatever_the_umask(config: Config, umask: int) -> None:
    root = make(config, GROUP)
    for folder in (config.bee_workdir, config.workflows_dir, config.bee_archive_dir, root):
        assert (mode(folder), folder.stat().st_gid) == (0o2750, os.getgid()), folder
    for file in (root / "workflow.json", config.bee_archive_dir / f"{RECORD.id}.tgz"):
        assert (mode(file), file.stat().st_gid) == (0o640, os.getgid()), file


def test_what_is_made_in_a_shared_folder_is_the_groups(config: Config) -> None:
    root = make(config, GROUP)
    before = os.umask(sharing.UMASK)
    try:
        (root / "tasks/001-a").mkdir()
        store.write_record(root / "tasks/001-a/retry.json", Retried(1, "", done=False))
    finally:
        os.umask(before)
    assert mode(root / "tasks/001-a") == 0o2750
    assert mode(root / "tasks/001-a/retry.json") == 0o640


def test_what_was_private_is_shared_from_now_on(config: Config) -> None:
    workdir.prepare(config)
    assert mode(config.bee_workdir) == 0o700
    workdir.prepare(replace(config, share_with_group=GROUP))
    assert mode(config.bee_workdir) == 0o2750


def test_a_group_that_is_not_there(config: Config) -> None:
    with pytest.raises(ConfigError, match="there is no group nobody-here"):
        workdir.prepare(replace(config, share_with_group="nobody-here"))


# -- strangers ---------------------------------------------------------------------------------------------------------


def refused(config: Config, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{words}.*nothing was done"):
        workdir.check(config)


def test_what_is_ours_is_taken(config: Config) -> None:
    workdir.check(config)
    make(config, "")
    workdir.check(config)


@AS_ROOT
@pytest.mark.parametrize("name", ["", "workflows", "archives"])
def test_a_folder_of_somebody_elses(config: Config, name: str) -> None:
    make(config, "")
    os.chown(config.bee_workdir / name, STRANGER, STRANGER)
    refused(config, "belongs to user 12345, not to you")


@pytest.mark.parametrize("name", ["", "workflows", "archives"])
def test_a_folder_that_everybody_can_write(config: Config, name: str) -> None:
    make(config, "")
    (config.bee_workdir / name).chmod(0o777)
    refused(config, "can be written by everybody")
    (config.bee_workdir / name).chmod(0o1777)
    workdir.check(config)


@AS_ROOT
@pytest.mark.parametrize("name", ["workflows", "archives"])
def test_a_link_that_somebody_planted(config: Config, tmp_path: Path, name: str) -> None:
    workdir.prepare(config)
    (tmp_path / "theirs").mkdir()
    link = config.bee_workdir / name
    link.symlink_to(tmp_path / "theirs")
    # Ours leads to a folder of ours.
    workdir.check(config)
    os.lchown(link, STRANGER, STRANGER)
    refused(config, f"reached through {link}, a link that somebody else could replace")


@AS_ROOT
def test_a_link_in_somebody_elses_folder(config: Config, tmp_path: Path) -> None:
    make(config, "")
    (tmp_path / "theirs").mkdir()
    link = tmp_path / "theirs/bee"
    link.symlink_to(config.bee_workdir)
    through = replace(config, bee_workdir=link)
    workdir.check(through)
    os.chown(tmp_path / "theirs", STRANGER, STRANGER)
    refused(through, "a link that somebody else could replace")


def test_a_file_in_its_place(config: Config) -> None:
    config.bee_workdir.parent.mkdir()
    config.bee_workdir.write_text("")
    refused(config, "is not a folder")


@AS_ROOT
def test_a_link_where_an_archive_is_to_be(config: Config, tmp_path: Path) -> None:
    root = make(config, "")
    target = tmp_path / "precious"
    target.write_text("precious")
    other = config.bee_archive_dir / f".{RECORD.id}.v2.tgz.part"
    other.symlink_to(target)
    made = packing.pack(RECORD.id, [described(root)], config.bee_archive_dir, f"{RECORD.id}.v2").path
    assert target.read_text() == "precious"
    assert not made.is_symlink()


@pytest.mark.parametrize("kind", ["fcntl", "soft", "auto"])
def test_the_locks_that_bee_conf_asks_for_must_be_there(
    config: Config, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workflow keeps the kind of its locks: without any, it could not even be cancelled."""

    def refuse(*_: object) -> None:
        raise NO_LOCKS

    monkeypatch.setattr(fcntl, "flock", refuse)
    config.bee_workdir.parent.mkdir()
    if kind != "fcntl":
        workdir.prepare(replace(config, lock=kind))
        return
    with pytest.raises(ConfigError, match=r"without the locks of lock = fcntl \(No locks available\); set lock = soft"):
        workdir.prepare(replace(config, lock=kind))
    assert os.listdir(config.bee_workdir) == []


@pytest.mark.parametrize("where", [".", ".."])
def test_a_home_folder_is_no_bee_workdir(config: Config, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = config.bee_workdir.parent / "home"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    top = Path(os.path.normpath(home / where))
    before = os.listdir(top)
    with pytest.raises(ConfigError, match="give beeflow a folder of its own"):
        workdir.prepare(replace(config, bee_workdir=top, bee_archive_dir=top / "archives"))
    assert os.listdir(top) == before
