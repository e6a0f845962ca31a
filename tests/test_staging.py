from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from beeflow import staging
from beeflow.command import COPY, CREATE, LINK, MKDIR, UPDATE, Stage
from beeflow.errors import TaskError


def write(path: Path, mode: int = 0o644, text: str = "data") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The workflow directory."""
    made = tmp_path / "workflow"
    made.mkdir()
    return made


def put(own: Path, action: str, source: Path, name: str = "staged") -> Path:
    target = own / "work" / name
    staging.put((Stage(action, str(target), str(source)),), own)
    return target


def test_our_own_read_only_file_is_hard_linked(own: Path) -> None:
    source = write(own / "tasks" / "out" / "x", 0o444)
    assert put(own, LINK, source).samefile(source)


def test_our_own_file_that_may_still_change_is_copied(own: Path) -> None:
    source = write(own / "tasks" / "out" / "x", 0o644)
    target = put(own, LINK, source)
    assert target.read_text() == "data"
    assert not target.samefile(source)


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o755])
def test_a_users_file_is_copied_with_its_mode_and_time(own: Path, tmp_path: Path, mode: int) -> None:
    source = write(tmp_path / "home" / "x", mode)
    os.utime(source, (1_000_000, 1_000_000))
    target = put(own, LINK, source)
    assert not target.samefile(source)
    assert (target.read_text(), mode_of(target), target.stat().st_mtime) == ("data", mode, 1_000_000)


@pytest.mark.parametrize("where", ["home", "workflow"])
def test_what_a_tool_may_change_is_always_a_writable_copy(own: Path, tmp_path: Path, where: str) -> None:
    source = write(tmp_path / where / "x", 0o444)
    target = put(own, COPY, source)
    assert not target.samefile(source)
    assert mode_of(target) & stat.S_IWUSR
    target.write_text("changed")
    assert (source.read_text(), mode_of(source)) == ("data", 0o444)


@pytest.mark.parametrize("action", [LINK, COPY])
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_symbolic_link_is_staged_as_the_file_it_means(own: Path, tmp_path: Path, action: str, mode: int) -> None:
    real = write(tmp_path / "home" / "real", mode)
    (tmp_path / "home" / "link").symlink_to("real")
    target = put(own, action, tmp_path / "home" / "link")
    assert not target.is_symlink()
    assert target.read_text() == "data"
    assert not target.samefile(real)


def test_a_link_of_ours_to_a_users_file_is_copied(own: Path, tmp_path: Path) -> None:
    real = write(tmp_path / "home" / "real", 0o444)
    link = own / "tasks" / "link"
    link.parent.mkdir()
    link.symlink_to(real)
    assert not put(own, LINK, link).samefile(real)


def test_a_link_to_a_users_file_inside_a_folder_of_ours_is_copied(own: Path, tmp_path: Path) -> None:
    # A tool made it: ln -s "$input" output_folder/. The user's file must not get another name that tools may chmod.
    real = write(tmp_path / "home" / "real", 0o444)
    folder = own / "tasks" / "out"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(real)
    target = put(own, LINK, folder)
    assert (target / "link").read_text() == "data"
    assert not (target / "link").samefile(real)


@pytest.mark.parametrize("action", [LINK, COPY])
def test_a_folder_comes_whole_without_links_and_with_writable_folders(own: Path, tmp_path: Path, action: str) -> None:
    source = tmp_path / "home" / "folder"
    write(source / "sub" / "x", 0o444)
    write(source / "a b")
    (source / "empty").mkdir()
    (source / "link").symlink_to("sub")
    (source / "sub").chmod(0o555)
    target = put(own, action, source)
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == ["a b", "empty", "link", "link/x", "sub", "sub/x"]
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert all(mode_of(path) & 0o700 == 0o700 for path in (target, *target.rglob("*")) if path.is_dir())
    assert not (target / "sub" / "x").samefile(source / "sub" / "x")
    assert mode_of(source / "sub") == 0o555
    assert bool(mode_of(target / "sub" / "x") & 0o200) == (action == COPY)


def test_a_folder_of_ours_is_a_tree_of_hard_links(own: Path) -> None:
    source = write(own / "tasks" / "out" / "sub" / "x", 0o444)
    assert (put(own, LINK, source.parents[1]) / "sub" / "x").samefile(source)


@pytest.mark.parametrize(("writable", "mode"), [(False, 0o444), (True, 0o644)])
def test_a_file_is_created_with_its_contents(own: Path, writable: bool, mode: int) -> None:
    target = own / "work" / "deep" / "file"
    staging.put((Stage(CREATE, str(target), contents="ä\r\n", writable=writable),), own)
    assert (target.read_bytes(), mode_of(target)) == ("ä\r\n".encode(), mode)


def test_a_folder_is_made_once(own: Path) -> None:
    stage = Stage(MKDIR, str(own / "work" / "folder"))
    staging.put((stage, stage), own)
    assert (own / "work" / "folder").is_dir()


@pytest.mark.parametrize("action", [LINK, COPY, CREATE])
def test_two_things_of_one_name_are_refused(own: Path, tmp_path: Path, action: str) -> None:
    source = write(tmp_path / "home" / "x")
    first = put(own, LINK, source, "same name")
    with pytest.raises(TaskError, match="two inputs want to be staged as 'same name'"):
        put(own, action, write(tmp_path / "other" / "x", text="other"), "same name")
    assert first.read_text() == "data"


def test_a_folder_does_not_replace_a_file(own: Path, tmp_path: Path) -> None:
    put(own, LINK, write(tmp_path / "x"), "name")
    with pytest.raises(TaskError, match="'name'"):
        put(own, MKDIR, tmp_path, "name")


def test_something_is_put_into_a_folder_that_was_made(own: Path, tmp_path: Path) -> None:
    put(own, MKDIR, own, "folder")
    assert put(own, LINK, write(tmp_path / "x"), "folder/x").read_text() == "data"


def test_outputs_become_read_only_and_nothing_else_does(own: Path, tmp_path: Path) -> None:
    out = own / "out"
    write(out / "sub" / "x", 0o666)
    write(out / "program", 0o755)
    outside = write(tmp_path / "home" / "real", 0o644)
    (out / "link").symlink_to(outside)
    (out / "gone").symlink_to("nowhere")
    staging.make_read_only(out)
    assert (mode_of(out / "sub" / "x"), mode_of(out / "program"), mode_of(outside)) == (0o444, 0o555, 0o644)
    assert mode_of(out / "sub") & 0o200


def test_a_users_file_that_a_tool_hard_linked_keeps_its_mode(own: Path, tmp_path: Path) -> None:
    # cp -l "$input" output: the mode of an output must not be that of the user's file too.
    given = write(tmp_path / "home" / "input", 0o644)
    (own / "out").mkdir()
    os.link(given, own / "out" / "output")
    staging.make_read_only(own / "out")
    assert mode_of(given) == 0o644
    assert mode_of(own / "out" / "output") == 0o444


def test_a_tree_is_removed_whatever_its_modes(own: Path) -> None:
    write(own / "tmp" / "sub" / "deep" / "x", 0o444)
    (own / "tmp" / "sub" / "deep").chmod(0o500)
    (own / "tmp" / "sub").chmod(0o000)
    keep = write(own / "keep")
    (own / "tmp" / "link").symlink_to(own)
    staging.remove_tree(own / "tmp")
    assert not (own / "tmp").exists()
    assert keep.exists()
    staging.remove_tree(own / "never there")


def test_place_tree_links_ours_and_copies_the_rest(own: Path, tmp_path: Path) -> None:
    mine, theirs = write(own / "a" / "x", 0o444), write(tmp_path / "b" / "x", 0o444)
    staging.place_tree(mine.parent, own / "placed", own)
    staging.place_tree(theirs, own / "copied", own)
    assert (own / "placed" / "x").samefile(mine)
    assert not (own / "copied").samefile(theirs)


# -- updates in place ---------------------------------------------------------------------------------------------


def update(own: Path, source: Path, attempt: str = "1", writer: str = "w") -> Stage:
    """Stage a file or folder to be updated, as an attempt of a writer does."""
    stage = Stage(UPDATE, str(own / writer / attempt / "x"), str(source), older=str(own / writer / "older/0/0"))
    staging.put((stage,), own)
    return stage


def change(stage: Stage, text: str = "more") -> Path:
    """Be the command: add to the file."""
    target = Path(stage.target)
    target.write_text(target.read_text() + text)
    staging.make_read_only(target.parent)
    return target


def test_an_update_takes_the_place_of_what_was_staged(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    stage = update(own, source)
    target = change(stage)
    assert source.read_text() == "data"
    staging.replace_updated((stage,), own)
    assert (source.read_text(), mode_of(source)) == ("datamore", 0o444)
    assert source.samefile(target)


def test_who_has_a_hard_link_to_the_old_one_keeps_it(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    reader = put(own, LINK, source)
    stage = update(own, source)
    change(stage)
    staging.replace_updated((stage,), own)
    assert reader.read_text() == "data"


def test_an_attempt_after_one_that_was_killed_begins_with_what_was_there(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    change(update(own, source))
    assert Path(update(own, source, "2").target).read_text() == "data"


@pytest.mark.parametrize("between", [False, True])
def test_an_attempt_after_one_that_was_killed_while_it_published(own: Path, *, between: bool) -> None:
    source = write(own / "made/x", 0o444)
    first = update(own, source)
    change(first)
    staging.replace_updated((first,), own)
    if between:
        source.unlink()
    second = update(own, source, "2")
    assert Path(second.target).read_text() == "data"
    change(second)
    staging.replace_updated((second,), own)
    assert source.read_text() == "datamore"


def test_updates_follow_each_other(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    for writer in ("w", "v"):
        stage = update(own, source, writer=writer)
        change(stage, writer)
        staging.replace_updated((stage,), own)
    assert source.read_text() == "datawv"


def test_two_updates_at_a_time_are_one_too_many(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    first, second = update(own, source), update(own, source, writer="v")
    change(first)
    change(second)
    staging.replace_updated((first,), own)
    with pytest.raises(TaskError, match="another task updated it in place meanwhile"):
        staging.replace_updated((second,), own)
    assert source.read_text() == "datamore"


def test_a_file_that_the_command_removed_is_left_as_it_was(own: Path) -> None:
    source = write(own / "made/x", 0o444)
    stage = update(own, source)
    Path(stage.target).unlink()
    staging.replace_updated((stage,), own)
    assert source.read_text() == "data"


def test_a_folder_is_updated_whole(own: Path) -> None:
    folder = own / "made/folder"
    write(folder / "kept", 0o444)
    write(folder / "gone", 0o444)
    for attempt in ("1", "2"):
        stage = update(own, folder, attempt)
        target = Path(stage.target)
        (target / "gone").unlink()
        (target / "empty").mkdir()
        write(target / "new")
        staging.make_read_only(target.parent)
        staging.replace_updated((stage,), own)
        assert sorted(os.listdir(folder)) == ["empty", "kept", "new"]
        assert mode_of(folder / "new") == 0o444
