"""What tar's own readers make of our headers."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from beeflow.archive import headers

GIB = 1 << 30
NAMES = [
    b"x",
    b"n" * 100,
    b"n" * 101,
    b"n" * 255,
    b"d" * 155 + b"/" + b"n" * 100,
    b"d" * 156 + b"/" + b"n" * 100,
    b"d" * 155 + b"/" + b"n" * 101,
    b"a/" * 127 + b"b",
    b"a/" * 200 + b"b",
    b"folder/" + b"n" * 99,
    b"/" * 0 + b"d" * 60 + b"/" + b"e" * 60 + b"/" + b"n" * 60,
    "ä/日本".encode(),
    b"\xff\xfe\x80",
    b"line\nbreak \x1b[31m",
    b"d" * 90 + b"/\xff",
]


def first(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + headers.END), mode="r:") as tar:
        found = tar.next()
    assert found is not None
    return found


@pytest.mark.parametrize("kind", [headers.FILE, headers.FOLDER])
@pytest.mark.parametrize("name", NAMES)
def test_tarfile_reads_any_name(name: bytes, kind: bytes) -> None:
    data = headers.render(os.fsdecode(name), kind, mtime=1234567890, executable=True)
    assert len(data) % headers.BLOCK == 0
    info = first(data)
    assert (os.fsencode(info.name), info.mode, info.mtime, info.size) == (name, 0o755, 1234567890, 0)
    assert (info.uid, info.gid, info.uname, info.gname, info.isdir()) == (0, 0, "", "", kind == headers.FOLDER)


@pytest.mark.parametrize("name", NAMES)
def test_gnu_tar_reads_any_name(name: bytes, tmp_path: Path) -> None:
    data = headers.render(os.fsdecode(name), headers.FILE, size=3) + b"abc" + headers.padding(3)
    (tmp_path / "x.tar").write_bytes(data + headers.END)
    argv = ["tar", "-xf", str(tmp_path / "x.tar"), "-C", str(tmp_path)]
    done = subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    # It takes the bytes as they are, and says so.
    assert not done.stderr.replace(b"tar: Ignoring unknown extended header keyword 'hdrcharset'\n", b"")
    assert (tmp_path / os.fsdecode(name)).read_bytes() == b"abc"


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) <= 100 and name.isascii()])
def test_what_fits_takes_one_block(name: bytes) -> None:
    assert len(headers.render(os.fsdecode(name), headers.FILE)) == headers.BLOCK


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8 * GIB - 1, 8 * GIB, 9 * GIB + 1, 20_000 * GIB])
def test_sizes(size: int, tmp_path: Path) -> None:
    data = headers.render("big", headers.FILE, size=size)
    assert first(data).size == size
    if size < 1000 * GIB:
        # A file of holes: only what tar lists is read.
        with (tmp_path / "x.tar").open("wb") as stream:
            stream.write(data)
            stream.truncate(len(data) + size + len(headers.padding(size)) + len(headers.END))
        done = subprocess.run(["tar", "-tvf", tmp_path / "x.tar"], check=True, capture_output=True, text=True)
        assert done.stdout.split()[2] == str(size)


@pytest.mark.parametrize(("mtime", "written"), [(-5, 0), (0, 0), (1 << 31, 1 << 31), (1 << 40, 8**11 - 1)])
def test_times_that_do_not_fit_are_the_nearest_that_do(mtime: int, written: int) -> None:
    assert first(headers.render("x", headers.FILE, mtime=mtime)).mtime == written
