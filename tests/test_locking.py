"""Locks: two kinds, a holder with a name, what killed processes leave, file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import locking, procs, store
from beeflow.archive.contents import Source
from beeflow.archiving import is_temporary
from beeflow.errors import SlurmError, SystemFileError
from beeflow.locking import AUTO, FCNTL, SOFT, Lock, LockedError, NoLocksError, StaleLockError
from beeflow.models import Holder, now

HOLD = """\
import sys, time
from pathlib import Path
from beeflow.locking import Lock
with Lock(Path(sys.argv[1]), sys.argv[2]).held(5):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock's path; this process is in no job."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_CLUSTER_NAME", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "lock"


@pytest.fixture(params=[FCNTL, SOFT])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def other(path: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock."""
    argv = [sys.executable, "-c", HOLD, str(path), kind]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def elsewhere(**given: object) -> Holder:
    """A holder on another host."""
    made = Holder("far", "b", "pid:[1]", 77, 5, now(), uuid.uuid4().hex)
    return replace(made, **given)  # type: ignore[arg-type]


def leave(path: Path, holder: Holder) -> None:
    """Leave a soft lock of this holder behind."""
    store.write_record(locking.holder_path(path), holder)


# -- both kinds --------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_gone_is_not_made_again(path: Path, kind: str) -> None:
    """Of a workflow that another command just removed nothing may come back."""
    lock = Lock(path.parent / "gone" / "control" / "lock", kind)
    with pytest.raises((FileNotFoundError, SystemFileError)), lock.held(0):
        pass
    assert not (path.parent / "gone").exists()


def test_it_is_held_and_given_back(path: Path, kind: str) -> None:
    with Lock(path, kind).held(0):
        holder = locking.read_holder(locking.holder_path(path))
        assert holder is not None
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
        with pytest.raises(LockedError), Lock(path, kind).held(0):
            pass
    assert not locking.holder_path(path).exists()
    with Lock(path, kind).held(0):
        pass


def test_who_holds_it_is_named(path: Path, kind: str, other: subprocess.Popen[str]) -> None:
    words = rf"lock: held by process {other.pid} on {socket.gethostname()}, since .*, for longer than 0.2 s; wait"
    with pytest.raises(LockedError, match=words), Lock(path, kind).held(0.2):
        pass


def test_what_a_killed_process_held_is_free(path: Path, kind: str, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert locking.holder_path(path).exists()
    with Lock(path, kind).held(1):
        assert locking.read_holder(locking.holder_path(path)) != None  # noqa: E711 - None is what it must not be


def test_only_one_at_a_time(path: Path, kind: str) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(15):
            with Lock(path, kind).held(60):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.001)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_an_error_inside_is_not_one_of_the_lock(path: Path, kind: str) -> None:
    with pytest.raises(OSError, match="mine"), Lock(path, kind).held(0):
        raise OSError(errno.ENOLCK, "mine")
    with Lock(path, kind).held(0):
        pass


# -- what soft locks of killed processes are taken for -----------------------------------------------------------------


def test_a_number_that_another_process_has_by_now(path: Path) -> None:
    me = locking._me()
    leave(path, replace(me, start_ticks=me.start_ticks - 1))
    with Lock(path, SOFT).held(0):
        pass


def test_age_is_no_reason(path: Path, kind: str, other: subprocess.Popen[str]) -> None:
    holder = locking.read_holder(locking.holder_path(path))
    assert holder is not None
    leave(path, replace(holder, since="2001-01-01T00:00:00.000+00:00"))
    os.utime(locking.holder_path(path), (1, 1))
    with pytest.raises(LockedError), Lock(path, kind).held(0):
        pass


def test_the_host_was_started_anew(path: Path) -> None:
    leave(path, elsewhere(host=socket.gethostname(), boot="an earlier one"))
    with Lock(path, SOFT).held(0):
        pass


@pytest.mark.parametrize("lives", [True, False])
def test_on_another_host_slurm_is_asked_about_the_job(path: Path, lives: bool) -> None:
    leave(path, elsewhere(job_id="12", cluster="c"))
    asked: list[str] = []

    def is_live(holder: Holder) -> bool:
        asked.append(holder.job_id)
        return lives

    lock = Lock(path, SOFT, is_live)
    if lives:
        with pytest.raises(LockedError, match="held by process 77 on far, job 12"), lock.held(0.5):
            pass
    else:
        with lock.held(0.5):
            pass
    assert asked == ["12"]


def test_an_earlier_run_of_this_very_job(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("JOB_ID", "12"), ("CLUSTER_NAME", "c"), ("RESTART_COUNT", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    leave(path, elsewhere(job_id="12", cluster="c"))
    with Lock(path, SOFT, lambda _: True).held(0):
        pass


def test_what_nobody_can_say_is_left_to_the_user(path: Path) -> None:
    def silent(_: Holder) -> bool:
        raise SlurmError("squeue: away")

    advice = "if that process is gone, and only then, remove this file"
    leave(path, elsewhere())
    told = pytest.raises(StaleLockError, match=rf"lock\.holder: .*process 77 on far, .*{advice}")
    with told, Lock(path, SOFT, silent).held(0):
        pass
    leave(path, elsewhere(job_id="12", cluster="c"))
    with pytest.raises(StaleLockError, match=f"away.*{advice}"), Lock(path, SOFT, silent).held(0):
        pass
    locking.holder_path(path).write_text("")
    with pytest.raises(StaleLockError, match=f"cannot be read.*{advice}"), Lock(path, SOFT).held(0):
        pass
    assert locking.holder_path(path).exists()


def test_a_holder_of_whom_nobody_can_say_may_give_it_back(path: Path) -> None:
    leave(path, elsewhere())
    threading.Timer(0.5, locking.holder_path(path).unlink).start()
    with Lock(path, SOFT).held(20):
        pass


def test_another_was_faster_to_break_it(path: Path) -> None:
    # Judged stale; by now somebody else has broken it, and holds it.
    stale, new = elsewhere(), elsewhere(host="new")
    leave(path, new)
    assert not Lock(path, SOFT)._take_over(stale, locking._me())
    assert locking.read_holder(locking.holder_path(path)) == new
    assert sorted(each.name for each in path.parent.iterdir()) == ["lock.holder"]


def test_another_died_as_he_took_it_over(path: Path) -> None:
    stale = replace(locking._me(), pid=2**22 - 1, start_ticks=1)
    leave(path, stale)
    lock = Lock(path, SOFT)
    for number in range(2):
        store.write_record(lock._claim(stale, number), replace(stale, token=f"also dead {number}"))
    with lock.held(0):
        pass
    assert list(path.parent.iterdir()) == []


def test_another_is_about_to_take_it_over(path: Path) -> None:
    stale = replace(locking._me(), pid=2**22 - 1, start_ticks=1)
    leave(path, stale)
    lock = Lock(path, SOFT)
    store.write_record(lock._claim(stale, 0), locking._me())
    with pytest.raises(LockedError), lock.held(0.3):
        pass
    assert locking.read_holder(lock.holder_path) == stale


def test_two_who_find_it_stale_do_not_both_hold_it(path: Path) -> None:
    leave(path, replace(locking._me(), pid=2**22 - 1, start_ticks=1))
    inside, most = [0], [0]

    def work() -> None:
        with Lock(path, SOFT).held(60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.05)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


@pytest.fixture
def dead() -> Holder:
    """A process of this host that died."""
    return replace(locking._me(), pid=2**22 - 1, start_ticks=1)


def test_who_cannot_take_it_over_leaves_it_to_the_next(path: Path, dead: Holder) -> None:
    """On a full disk: he lives, so nobody else could while he claimed it."""
    leave(path, dead)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(SystemFileError, match="No space left"), Lock(path, SOFT).held(0):
            pass
    assert locking.read_holder(locking.holder_path(path)) == dead
    with Lock(path, SOFT).held(0):
        pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("is_stale", [False, True])
def test_who_does_not_know_that_he_has_it_gives_it_back(path: Path, dead: Holder, is_stale: bool) -> None:
    """Its record is there, and only that it lasts is not sure."""
    if is_stale:
        leave(path, dead)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(SystemFileError, match="Input/output"), Lock(path, SOFT).held(0):
            pass
    with Lock(path, SOFT).held(0):
        pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("is_stale", [False, True])
def test_a_link_that_was_sent_again_is_ones_own(
    path: Path, dead: Holder, is_stale: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of NFS, where the answer to the first request was lost."""
    if is_stale:
        leave(path, dead)
    real = os.link

    def link(made: Path, final: Path) -> None:
        real(made, final)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", link)
    with Lock(path, SOFT).held(0):
        pass
    assert list(path.parent.iterdir()) == []


def test_no_archive_has_what_one_left_who_died_as_he_took_it_over(path: Path, dead: Holder) -> None:
    assert is_temporary(Source(f"control/{Lock(path, SOFT)._claim(dead, 0).name}", None))


def test_procs_tell_a_process_from_another_of_its_number() -> None:
    me = procs.read(os.getpid())
    assert me is not None
    assert me.start_ticks > 0


# -- file systems without locks ----------------------------------------------------------------------------------------

NO_LOCKS = ["ENOLCK", "ENOSYS", "EOPNOTSUPP"]


@pytest.fixture(params=NO_LOCKS)
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A file system that says it has no locks."""
    number = int(getattr(errno, request.param))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    return number


def test_the_key_to_set_is_named(path: Path, no_locks: int) -> None:
    words = rf"this file system has no locks \({os.strerror(no_locks)}\); set lock = soft in bee.conf"
    with pytest.raises(NoLocksError, match=words), Lock(path, FCNTL).held(0):
        pass


def test_auto_takes_a_soft_lock_then(path: Path, no_locks: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Lock(path, AUTO).held(0):
        assert "taking a soft lock" in caplog.text
        with pytest.raises(LockedError), Lock(path, AUTO).held(0):
            pass
    assert not locking.holder_path(path).exists()


def test_another_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", refuse)
    told = pytest.raises(SystemFileError, match="lock: cannot be locked: Input/output error")
    with told, Lock(tmp_path / "lock", AUTO).held(0):
        pass


def test_a_holder_is_plain_json(path: Path) -> None:
    with Lock(path, SOFT).held(0):
        said = json.loads(locking.holder_path(path).read_text())
        assert (said["version"], said["pid"], said["host"]) == (1, os.getpid(), socket.gethostname())
