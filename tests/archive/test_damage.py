"""Damage: every truncation, every flipped bit, and what is missing or too much is found by verify, which names it."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from beeflow.archive import reading, seal, unpacking, verifying
from beeflow.archive.inflating import Inflating, fastest
from beeflow.archive.limits import Limits
from beeflow.errors import ArchiveError, IncompleteArchiveError, SystemFileError
from tests.archive import raw
from tests.archive.raw import DESCRIBED, archive, file, folder, readers, write

READERS: list[Callable[[Path], object]] = [verifying.verify, verifying.examine_quickly]


def test_a_small_archive_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tgz", raw.small())
    found = verifying.examine(path)
    assert (found.files, found.packed.size, found.description.name) == (4, path.stat().st_size, "n")
    assert verifying.examine_quickly(path).packed == found.packed == verifying.verify(path, raw.ID)


def test_standard_tools_open_what_is_sealed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tgz", raw.small())
    for argv in (["gzip", "-t", str(path)], ["tar", "-xzf", str(path), "-C", str(tmp_path)]):
        done = subprocess.run(argv, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    check = ["sha256sum", "--check", "--strict", "--quiet", "manifest-sha256.txt"]
    assert subprocess.run(check, cwd=tmp_path / raw.ID, check=False).returncode == 0
    assert len(gzip.decompress(path.read_bytes())) % 512 == 0


@pytest.mark.parametrize("read", READERS)
def test_truncation_at_every_byte(tmp_path: Path, read: Callable[[Path], object]) -> None:
    data, path = raw.small(), tmp_path / "x.tgz"
    for size in range(len(data)):
        write(path, data[:size])
        with pytest.raises(IncompleteArchiveError, match="incomplete"):
            read(path)


def test_a_flipped_bit_in_every_byte(tmp_path: Path) -> None:
    data, path = raw.small(), tmp_path / "x.tgz"
    chosen = random.Random(5)
    for position in range(len(data)):
        # All bits of the ends, where headers, checksums and padding are.
        is_end = position < 12 or position >= len(data) - seal.SIZE - 12
        for bit in range(8) if is_end else [chosen.randrange(8)]:
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            write(path, damaged)
            for read in READERS:
                with pytest.raises(ArchiveError, match=r"x\.tgz.*: (damaged|incomplete|unsafe|its format)"):
                    read(path)


def test_random_damage(tmp_path: Path) -> None:
    data, path = raw.small(), tmp_path / "x.tgz"
    for seed in range(300):
        chosen = random.Random(seed)
        damaged = bytearray(data)
        start = chosen.randrange(len(data))
        for _ in range(chosen.randrange(1, 4)):
            kind = chosen.randrange(3)
            if kind == 0:
                damaged[start : start + chosen.randrange(1, 40)] = chosen.randbytes(chosen.randrange(40))
            elif kind == 1:
                del damaged[start : start + chosen.randrange(1, 40)]
            else:
                damaged[start:start] = damaged[: chosen.randrange(1, 40)]
        if bytes(damaged) != data:
            write(path, damaged)
            for read in READERS:
                with pytest.raises(ArchiveError, match=r"x\.tgz"):
                    read(path)
            with pytest.raises(ArchiveError, match=r"x\.tgz"):
                unpacking.unpack(path, tmp_path / "into")
    assert os.listdir(tmp_path) == ["x.tgz"]


def test_random_tars_with_a_good_seal(tmp_path: Path) -> None:
    # Whoever means harm seals what he made.
    files = {"cwl/graph.json": b"{}", "outputs/o.txt": b"made\n"}
    tar = gzip.decompress(archive(*(file(*each) for each in files.items()), vouched=files))
    path = tmp_path / "x.tgz"
    for seed in range(400):
        chosen = random.Random(seed)
        damaged = bytearray(tar)
        for _ in range(chosen.randrange(1, 3)):
            block = chosen.randrange(len(tar) // 512) * 512
            damaged[block + chosen.choice([0, 40, 100, 124, 136, 156, 157, 257, 345, chosen.randrange(512)])] ^= (
                1 << chosen.randrange(8)
            )
        for offset in range(0, len(tar), 512):
            header = damaged[offset : offset + 512]
            if header[257:262] == b"ustar" and chosen.random() < 0.8:
                header[148:156] = b" " * 8
                damaged[offset + 148 : offset + 156] = b"%06o\0 " % sum(header)
        write(path, raw.sealed(raw.compressed(bytes(damaged))))
        try:
            verifying.verify(path)
        except ArchiveError:
            with pytest.raises(ArchiveError):
                unpacking.unpack(path, tmp_path / "into")
        else:
            unpacking.unpack(path, tmp_path / "into")
            for name, data in files.items():
                assert (tmp_path / "into" / name).read_bytes() == data
            subprocess.run(["rm", "-r", tmp_path / "into"], check=True)
    assert os.listdir(tmp_path) == ["x.tgz"]


@pytest.mark.parametrize(
    ("vouched", "match", "kind"),
    [
        ({"good": b"bad"}, "damaged: 'good' does not have the sha256 of the manifest", ArchiveError),
        ({"good": b"good", "more": b""}, "'more' is in the manifest and not in the archive", IncompleteArchiveError),
        ({}, "unsafe: 'good' is not in the manifest", ArchiveError),
    ],
)
def test_the_manifest_decides(tmp_path: Path, vouched: dict[str, bytes], match: str, kind: type[ArchiveError]) -> None:
    path = write(tmp_path / "x.tgz", archive(file("good", b"good"), vouched=vouched))
    for call in readers(path, tmp_path / "into"):
        with pytest.raises(kind, match=match):
            call()
    assert os.listdir(tmp_path) == ["x.tgz"]
    # Its bytes are those that were sealed: that is all that a quick look says.
    verifying.examine_quickly(path)


def test_no_manifest(tmp_path: Path) -> None:
    tar = folder() + file("bee-archive.json", DESCRIBED) + file("x", b"x") + raw.END
    path = write(tmp_path / "x.tgz", raw.sealed(raw.compressed(tar)))
    with pytest.raises(IncompleteArchiveError, match=r"no manifest-sha256\.txt at its end"):
        verifying.verify(path)


def test_no_seal(tmp_path: Path) -> None:
    data = raw.small()[: -seal.SIZE]
    path = write(tmp_path / "x.tgz", data)
    again = write(tmp_path / "again.tgz", gzip.compress(gzip.decompress(data)))
    for each in (path, again):
        for read in READERS:
            with pytest.raises(IncompleteArchiveError, match="its end is missing"):
                read(each)


@pytest.mark.parametrize("library", [zlib, fastest()])
def test_a_damaged_file_is_named(tmp_path: Path, library: ModuleType) -> None:
    noise = random.Random(3).randbytes(1 << 16)
    data = bytearray(
        archive(file("first", noise), file("second", noise[::-1]), vouched={"first": noise, "second": noise[::-1]})
    )
    data[len(data) * 3 // 4] ^= 1
    path = write(tmp_path / "x.tgz", data)
    with reading.opened_raw(path) as stream:
        damaged = reading.Archive(path, Inflating(stream, Limits(), library))
        with pytest.raises(ArchiveError, match="'second'"):
            deque(piece for _, pieces in verifying.checked(damaged) for piece in pieces)
    with pytest.raises(ArchiveError, match=r"damaged.*'second'"):
        verifying.verify(path)


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such archive"):
        verifying.verify(tmp_path / "none.tgz")
    with pytest.raises(ArchiveError, match="not a file"):
        verifying.verify(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="not a file"):
        verifying.verify(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="not compressed by gzip"):
        verifying.verify(write(tmp_path / "x", b"text" * 1000))
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemFileError, match="Too many levels"):
        verifying.verify(tmp_path / "loop")


def test_a_name_with_control_characters_is_no_reason_not_to_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a\nb\x1b.tgz", raw.small())
    assert verifying.verify(path).path == path
