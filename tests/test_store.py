from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from beeflow import models, store
from beeflow.errors import NotFoundError, SystemFileError
from beeflow.layout import folders
from beeflow.models import SlurmRecord, StateRecord, SubmitOptions, WorkflowRecord
from beeflow.states import WorkflowState

ID = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"
OTHER = "3fc7aaaa-0d92-4d07-94cb-3a3d86f5f6ea"


def record(workflow_id: str = ID) -> WorkflowRecord:
    return WorkflowRecord(
        id=workflow_id,
        name="name\nwith a break",
        user="u",
        host="h",
        created=models.now(),
        document="/d.cwl",
        beeflow_version="0",
        python="/usr/bin/python3",
        slurm=SlurmRecord("", "", "c", "22.05.8", 1001, 10000),
        options=SubmitOptions(60, 60),
    )


# -- single files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "a\nb\n", "ä \udcff\n", "x" * 100_000])
def test_a_text_comes_back_and_nothing_is_left_beside_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    store.write_text(path, "old, and longer than the new one")
    store.write_text(path, text)
    assert store.read_text(path) == text
    assert os.listdir(tmp_path) == ["file.json"]


def test_a_replaced_file_stays_whole_for_whoever_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    store.write_text(path, "old")
    with path.open() as reader:
        store.write_text(path, "new")
        assert reader.read() == "old"


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path, ended = tmp_path / "file", threading.Event()
    texts = {"a" * 50_000, "b" * 70_000}
    store.write_text(path, "a" * 50_000)
    seen: set[str | None] = set()

    def read() -> None:
        while not ended.is_set():
            seen.add(store.read_text(path))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for text in sorted(texts):
            store.write_text(path, text)
    ended.set()
    reader.join()
    assert seen <= texts


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "file"
    store.write_text(path, "old")
    # A lone surrogate that no file name has: it cannot be encoded.
    with pytest.raises(UnicodeEncodeError):
        store.write_text(path, "\ud800")
    with pytest.raises(UnicodeEncodeError):
        store.publish(tmp_path / "other", "\ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "file"
    for call in (store.write_text, store.publish):
        with pytest.raises(SystemFileError, match=r"no/file: No such file or directory"):
            call(missing, "x")
    assert store.read_text(missing) is None
    with pytest.raises(SystemFileError, match="not there"):
        store.read_json(missing)


def test_a_file_in_the_way_of_a_folder_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemFileError, match="folder: Is a directory"):
        store.read_text(tmp_path / "folder")
    with pytest.raises(SystemFileError, match="folder: Is a directory"):
        store.write_text(tmp_path / "folder", "x")
    assert os.listdir(tmp_path) == ["folder"]


def test_the_first_to_publish_wins(tmp_path: Path) -> None:
    path = tmp_path / "id"
    assert store.publish(path, "first")
    assert not store.publish(path, "second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["id"]


def test_one_of_many_publishers_wins(tmp_path: Path) -> None:
    path, won = tmp_path / "id", []
    start = threading.Barrier(8)

    def publish(text: str) -> None:
        start.wait()
        if store.publish(path, text):
            won.append(text)

    threads = [threading.Thread(target=publish, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [path.read_text()]
    assert os.listdir(tmp_path) == ["id"]


def test_a_record_is_read_written_and_published(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    state = StateRecord(WorkflowState.RUNNING, models.now())
    assert store.read_record(StateRecord, path) is None
    assert store.publish_record(path, state)
    assert not store.publish_record(path, StateRecord(WorkflowState.FAILED, models.now()))
    assert store.read_record(StateRecord, path) == state


@pytest.mark.parametrize("text", ["", '{"version": 1', '{"version": 1, "state": "Strange", "updated": ""}', "\0\0\0"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(SystemFileError, match=r"state\.json: damaged"):
        store.read_record(StateRecord, path)


def test_a_record_of_a_newer_beeflow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"version": 2, "mood": "good"}')
    with pytest.raises(SystemFileError, match=r"state\.json: schema version 2; this beeflow reads 1: use a newer one"):
        store.read_record(StateRecord, path)


def test_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    store.write_json(path, {"ä": [None, 1.5, "\udcff"]})
    assert store.read_json(path) == {"ä": [None, 1.5, "\udcff"]}
    path.write_text("{")
    with pytest.raises(SystemFileError, match=r"job\.json: damaged"):
        store.read_json(path)


# -- workflow directories ---------------------------------------------------------------------------------------------


def test_a_workflow_is_there_once_it_is_committed(tmp_path: Path) -> None:
    workflows = store.Store(tmp_path / "workflows")
    assert workflows.ids() == []
    staged = workflows.create(record())
    assert workflows.ids() == []
    made = workflows.commit(staged, ID)
    assert workflows.ids() == [ID]
    assert (made.id, made.record().id) == (ID, ID)
    assert made.record().name == "name\nwith a break"
    assert made.state() is None
    assert all(folder.is_dir() for folder in folders(made.layout))
    assert os.listdir(workflows.root) == [ID]


def test_a_workflow_directory_is_its_users_own(tmp_path: Path) -> None:
    workflows = store.Store(tmp_path / "workflows")
    made = workflows.commit(workflows.create(record()), ID)
    assert stat.S_IMODE(made.layout.root.stat().st_mode) == 0o700


def test_a_discarded_workflow_leaves_nothing(tmp_path: Path) -> None:
    workflows = store.Store(tmp_path / "workflows")
    workflows.discard(workflows.create(record()))
    assert os.listdir(workflows.root) == []


def test_a_commit_never_overwrites(tmp_path: Path) -> None:
    workflows = store.Store(tmp_path / "workflows")
    workflows.commit(workflows.create(record()), ID)
    with pytest.raises(SystemFileError):
        workflows.commit(workflows.create(record()), ID)
    assert workflows.get(ID).record().id == ID


def test_what_is_no_workflow_has_no_id(tmp_path: Path) -> None:
    for name in (".new-" + ID, "notes.txt", ID.upper(), ID + ".bak"):
        (tmp_path / name).mkdir()
    assert store.Store(tmp_path).ids() == []


def test_a_folder_without_workflow_json_is_said(tmp_path: Path) -> None:
    (tmp_path / ID).mkdir()
    with pytest.raises(SystemFileError, match=r"workflow\.json: not there"):
        store.Store(tmp_path).get(ID).record()


# -- beginnings of ids ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [ID, ID[:8], ID[:4], ID[:10].upper(), f" {ID[:8]} "])
def test_an_unambiguous_beginning_is_enough(text: str) -> None:
    assert store.resolve_id(text, [OTHER, ID]) == ID


@pytest.mark.parametrize("text", ["ffff", ID + "0", "../" + ID, "*"])
def test_an_unknown_id_is_repeated(text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        store.resolve_id(text, [OTHER, ID])
    assert str(caught.value) == f"no workflow has an id that begins with {text!r}; see: bee-list"


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_id_names_nothing(text: str) -> None:
    with pytest.raises(NotFoundError, match="an empty id is no workflow's; see: bee-list"):
        store.resolve_id(text, [OTHER])


def test_an_ambiguous_beginning_lists_the_candidates() -> None:
    with pytest.raises(NotFoundError) as caught:
        store.resolve_id("3fc", [OTHER, ID, "ffffffff-0000-0000-0000-000000000000"])
    assert str(caught.value) == (f"'3fc' could be any of 2 workflows; write more of the id:\n  {ID}\n  {OTHER}")


def test_many_candidates_are_counted() -> None:
    with pytest.raises(NotFoundError, match=r"(?s)any of 12 archives.*\n  and 2 more$"):
        store.resolve_id("a", [f"a{number}" for number in range(12)], "archive")


def test_a_file_is_replaced_only_while_it_is_the_one_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("1")
    known = path.stat()
    assert store.replace_same(path, known, "2")
    assert not store.replace_same(path, known, "3")
    assert path.read_text() == "2"
    known = path.stat()
    path.unlink()
    assert not store.replace_same(path, known, "4")
    assert list(tmp_path.iterdir()) == []
