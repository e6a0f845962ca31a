"""The one pass that makes an archive: the bytes, files that change under it, disks that say no."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import itertools
import os
import random
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from beeflow.archive import contents, deflating, packing, room, writing
from beeflow.archive.contents import Source
from beeflow.archive.deflating import BLOCK, ZLIB, Codec
from beeflow.archive.writing import Member
from beeflow.errors import SystemFileError
from beeflow.layout import DESCRIPTION, MANIFEST
from tests.archive import raw

TOP = raw.ID
CODECS = [ZLIB, deflating.fastest()]


def test_both_codecs_are_tested() -> None:
    assert [codec.name for codec in CODECS] == ["zlib", "isal"]


def nothing(_: Mapping[str, Member]) -> Iterable[Source]:
    return ()


def written(
    sources: Iterable[Source],
    codec: Codec = ZLIB,
    threads: int = 1,
    changed: writing.Changed = writing.refuse,
    finish: writing.Finish = nothing,
    look: writing.Look = writing.as_it_is,
) -> bytes:
    raw = io.BytesIO()
    digest = writing.write(raw, TOP, sources, finish, codec=codec, threads=threads, look=look, changed=changed)
    assert digest == hashlib.sha256(raw.getvalue()).digest()
    return raw.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    """Unpack with Python's own tarfile, from below the top directory; folders have no contents."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for info in tar:
            stream = tar.extractfile(info)
            found[info.name.removeprefix(TOP).removeprefix("/")] = stream.read() if stream else b"/"
    return found


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, bytes]:
    """Sizes around those of blocks, of what can be compressed and what cannot; 6 MiB in all."""
    dice = random.Random(7)
    made = {
        f"n{size}": dice.randbytes(size) for size in (0, 1, 511, 512, 513, BLOCK - 512, BLOCK - 1, BLOCK, BLOCK + 1)
    }
    made["text"] = b"all work and no play " * 100_000
    made["zeros"] = bytes(BLOCK)
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return made


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_the_bytes_are_the_same_with_any_number_of_threads(
    tree: dict[str, bytes], tmp_path: Path, codec: Codec
) -> None:
    sources = [Source(name, str(tmp_path / name)) for name in tree]
    first = written(sources, codec)
    for threads in (1, 2, 3, 8):
        assert written(reversed(sources), codec, threads) == first
    found = read(first)
    assert {name: found[name] for name in tree} == tree
    # One member, and one that gzip takes for whole.
    assert gzip.decompress(first) == b"".join(gzip.GzipFile(fileobj=io.BytesIO(first)))


def test_of_what_grows_no_more_is_packed_than_was_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"looked at, and more")
    found = read(written([Source("log", str(path), size=9, most=9)]))
    assert found["log"] == b"looked at"


@pytest.mark.parametrize("times", [1, 99])
def test_what_is_replaced_after_it_was_looked_at_is_looked_at_again(tmp_path: Path, times: int) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"a")
    looks = itertools.count(1)

    def look(source: Source) -> Source:
        seen = path.stat()
        if next(looks) <= times:
            (tmp_path / "new").write_bytes(b"a longer one")
            (tmp_path / "new").replace(path)
        return source._replace(most=seen.st_size, inode=seen.st_ino)

    if times == 1:
        assert read(written([Source("record", str(path))], look=look))["record"] == b"a longer one"
    else:
        with pytest.raises(SystemFileError, match="record: was replaced again and again while it was archived"):
            written([Source("record", str(path))], look=look)


@pytest.mark.parametrize("size", [BLOCK - 2048, BLOCK - 1536, BLOCK - 1024, 2 * BLOCK - 1536])
def test_a_stream_that_ends_near_the_end_of_a_block(tmp_path: Path, size: int) -> None:
    (tmp_path / "x").write_bytes(random.Random(size).randbytes(size))
    for codec in CODECS:
        data = written([Source("x", str(tmp_path / "x"))], codec, 2)
        assert read(data)["x"] == (tmp_path / "x").read_bytes()


def test_the_order_is_the_description_the_names_what_comes_late_and_the_manifest(tmp_path: Path) -> None:
    for name in ("b", "a", "z"):
        (tmp_path / name).write_text(name)
    sources = [Source(name, str(tmp_path / name)) for name in ("z", "b", "a")]
    sources += [Source(DESCRIPTION, None, b"{}"), Source("dir", None)]
    seen: dict[str, Member] = {}

    def finish(members: Mapping[str, Member]) -> Iterable[Source]:
        yield Source("omitted", None, b"late")
        seen.update(members)
        yield Source("last", None, b"later")

    found = read(written(sources, finish=finish))
    assert list(found) == ["", DESCRIPTION, "a", "b", "dir", "z", "omitted", "last", MANIFEST]
    assert seen["omitted"] == Member(hashlib.sha256(b"late").hexdigest(), 4)
    assert set(seen) == {DESCRIPTION, "a", "b", "z", "omitted"}
    vouched = found[MANIFEST].decode().splitlines()
    assert [line.split("  ")[1] for line in vouched] == [DESCRIPTION, "a", "b", "z", "omitted", "last"]


@pytest.mark.parametrize(
    ("env", "usable", "expected"),
    [
        ({}, 1, 1),
        ({}, 64, 8),
        ({"SLURM_CPUS_PER_TASK": "2"}, 64, 8),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "5"}, 64, 2),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "1"}, 64, 1),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "128"}, 64, 8),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "4"}, 2, 2),
        ({"SLURM_JOB_ID": "1", "SLURM_CPUS_ON_NODE": "many"}, 3, 3),
    ],
)
def test_as_many_threads_as_the_job_was_given(env: dict[str, str], usable: int, expected: int) -> None:
    assert deflating.threads(env, usable) == expected


# -- files that change ------------------------------------------------------------------------------------------------


class Meddling(io.BytesIO):
    """A file that does something when so many bytes have been written."""

    def __init__(self, does: Callable[[], Any], at: int) -> None:
        super().__init__()
        self.does: Callable[[], Any] | None = does
        self.at = at

    def write(self, data: Any) -> int:
        if self.does and self.tell() >= self.at:
            self.does()
            self.does = None
        return super().write(data)


def meddled(path: Path, does: Callable[[], Any], changed: writing.Changed) -> bytes:
    """Pack a file of 8 MiB that cannot be compressed, and one after it, and do something when 2 MiB are written."""
    path.write_bytes(random.Random(3).randbytes(8 * BLOCK))
    (path.parent / "after").write_text("after")
    raw = Meddling(does, 2 * BLOCK)
    sources = [Source("a", str(path)), Source("b", str(path.parent / "after"))]
    writing.write(raw, TOP, sources, nothing, codec=ZLIB, threads=1, changed=changed)
    assert raw.does is None
    return raw.getvalue()


def test_a_file_that_grows_is_packed_as_it_was_when_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def grow() -> None:
        with path.open("ab") as stream:
            stream.write(b"more" * BLOCK)

    data = meddled(path, grow, writing.refuse)
    assert read(data)["a"] == path.read_bytes()[: 8 * BLOCK]
    assert read(data)["b"] == b"after"


def test_a_file_that_becomes_shorter_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(SystemFileError, match=r"/a: became shorter by 4195328 bytes while it was archived; see"):
        meddled(path, lambda: os.truncate(path, 3 * BLOCK), writing.refuse)


def test_a_running_tasks_file_that_becomes_shorter_is_filled_up_and_told(tmp_path: Path) -> None:
    path, told = tmp_path / "a", []
    data = meddled(path, lambda: os.truncate(path, 3 * BLOCK), lambda source, why: told.append((source.name, why)))
    found = read(data)
    assert len(found["a"]) == 8 * BLOCK
    assert found["a"][: 3 * BLOCK] == path.read_bytes()
    assert not any(found["a"][4 * BLOCK :])
    assert found["b"] == b"after"
    ((name, why),) = told
    assert (name, why.split(" by ")[0]) == ("a", "became shorter")
    assert hashlib.sha256(found["a"]).hexdigest() in found[MANIFEST].decode()


@pytest.mark.parametrize("become", ["nothing", "pipe", "folder"])
def test_a_file_that_vanishes(tmp_path: Path, become: str) -> None:
    path, after = tmp_path / "a", tmp_path / "after"

    def vanish() -> None:
        after.unlink()
        if become == "pipe":
            os.mkfifo(after)
        elif become == "folder":
            after.mkdir()

    with pytest.raises(SystemFileError, match=r"/after: (vanished|was replaced by something that is not a file) while"):
        meddled(path, vanish, writing.refuse)
    told: list[str] = []
    if become == "folder":
        after.rmdir()
    else:
        after.unlink(missing_ok=True)
    found = read(meddled(path, vanish, lambda source, why: told.append(source.name)))
    assert told == ["b"]
    assert "b" not in found
    assert "b" not in found[MANIFEST].decode().split()


def test_a_file_that_cannot_be_read_is_an_error_also_of_a_running_workflow() -> None:
    # There is nothing at address 0, and the kernel says EIO.
    writer = writing.Writer(TOP, deflating.Deflating(io.BytesIO(), ZLIB, None, 0), changed=lambda source, why: None)
    with (
        open("/proc/self/mem", "rb") as stream,
        pytest.raises(SystemFileError, match="mem: cannot be read: Input/output"),
    ):
        writer.copy("/proc/self/mem", stream.fileno(), 10, hashlib.sha256())


# -- disks that say no ------------------------------------------------------------------------------------------------


class Full(io.RawIOBase):
    """A disk that takes so many bytes, and of the last write a part."""

    def __init__(self, left: int, why: int) -> None:
        self.left = left
        self.why = why

    def write(self, data: Any) -> int:
        taken = min(self.left, len(data))
        if not taken:
            raise OSError(self.why, os.strerror(self.why))
        self.left -= taken
        return taken


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("left", [0, 5, 1 << 19, 3 << 20])
@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_cannot_be_written_is_told_and_no_thread_is_left(
    tree: dict[str, bytes], tmp_path: Path, left: int, why: int, threads: int
) -> None:
    before = threading.active_count()
    sources = [Source(name, str(tmp_path / name)) for name in tree]
    raw: Any = Full(left, why)
    with pytest.raises(OSError, match=os.strerror(why)) as caught:
        writing.write(raw, TOP, sources, nothing, codec=ZLIB, threads=threads)
    assert caught.value.errno == why
    assert threading.active_count() == before


# The limit on the size of files is a disk that says no in the middle of any write.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from beeflow.archive import contents, packing
from beeflow.errors import SystemFileError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    packing.pack(sys.argv[4], contents.tree(Path(sys.argv[1]))[0], Path(sys.argv[2]))
except SystemFileError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 1, 5000, 1 << 20])
def test_a_write_that_fails_leaves_nothing_and_names_the_archive(
    tree: dict[str, bytes], tmp_path: Path, limit: int
) -> None:
    (tmp_path / "root").mkdir()
    for name in tree:
        (tmp_path / name).rename(tmp_path / "root" / name)
    argv = [sys.executable, "-c", LIMITED, str(tmp_path / "root"), str(tmp_path / "archives"), str(limit), TOP]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{tmp_path}/archives/{TOP}.tgz: the archive was not written: File too large\n"
    assert os.listdir(tmp_path / "archives") == []
    assert len(os.listdir(tmp_path / "root")) == len(tree)


FULL = """
import os, sys
from pathlib import Path
from beeflow.archive import contents, packing
from beeflow.errors import SystemFileError
try:
    packing.pack(sys.argv[3], contents.tree(Path(sys.argv[1]))[0], Path(sys.argv[2]))
except SystemFileError as error:
    print(error)
print(os.listdir(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("size", "said"), [(12, "No space left on device; make room in"), (30, "no room for the archive")]
)
def test_a_full_disk_is_told_and_left_as_it_was(tmp_path: Path, size: int, said: str) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "small").mkdir()
    (tmp_path / "root/noise").write_bytes(random.Random(size).randbytes(size << 20))
    (tmp_path / "script.py").write_text(FULL)
    inside = f'mount -t tmpfs -o size=4m none "$2/small" && exec "$1" "$2/script.py" "$2/root" "$2/small" {TOP}'
    # A mount of our own that nobody else sees, and that goes when its process does.
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [*unshare, "sh", "-c", inside, "sh", sys.executable, str(tmp_path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, env=env)
    first, left = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path}/small/{TOP}.tgz: ")
    assert said in first
    assert left == "[]"


def test_too_little_room_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "noise").write_bytes(random.Random(1).randbytes(20 << 20))
    (tmp_path / "zeros").write_bytes(bytes(20 << 20))
    sources = contents.tree(tmp_path)[0]
    need = room.estimate(sources)
    assert 15 << 20 < need < 25 << 20
    status = os.statvfs(tmp_path)
    little = os.statvfs_result([*status[:4], 1000, *status[5:]])
    monkeypatch.setattr(os, "fstatvfs", lambda _: little)
    with pytest.raises(
        SystemFileError, match=r"no room for the archive: it needs about 1\d MiB, and .* has 4 MiB free"
    ):
        packing.pack(TOP, sources, tmp_path / "archives")
    assert os.listdir(tmp_path / "archives") == []


def test_what_was_reserved_is_given_back(tmp_path: Path) -> None:
    # The middle of the file is noise, the rest is not: too much is reserved.
    noise = random.Random(1).randbytes(1 << 20)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / DESCRIPTION).write_bytes(raw.DESCRIBED)
    (tmp_path / "root/x").write_bytes(bytes(40 << 20) + noise + bytes(40 << 20))
    (tmp_path / "root" / DESCRIPTION).write_bytes(raw.DESCRIBED)
    made = packing.pack(TOP, contents.tree(tmp_path / "root")[0], tmp_path / "archives").path
    assert made.stat().st_size < 3 << 20
    assert made.stat().st_blocks * 512 < made.stat().st_size + (1 << 20)


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / DESCRIPTION).write_bytes(raw.DESCRIBED)
    with (tmp_path / "root/x").open("wb") as stream:
        stream.truncate(300 << 20)
    # Not ru_maxrss, which is that of the process that started this one.
    script = (
        "import sys; from pathlib import Path; from beeflow.archive import contents, packing\n"
        "def peak(): return int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "before = peak()\n"
        "packing.pack(sys.argv[3], contents.tree(Path(sys.argv[1]))[0], Path(sys.argv[2]), threads=2)\n"
        "print(peak() - before)"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "root"), str(tmp_path / "archives"), TOP]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 40 << 10
