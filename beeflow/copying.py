"""Copy an archive to a new file: checked by sha256, whole or not at all, never overwriting."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import IO

from beeflow import store, workflow
from beeflow.archive.hashing import sha256_of
from beeflow.config import Config
from beeflow.errors import ArchiveError, SystemFileError
from beeflow.layout import SIDECAR_SUFFIX
from beeflow.models import Sidecar

_CHUNK = 1 << 20
# The line before an archive sent over ssh: what a remote shell prints first (a banner) is not taken for it.
FRAME = b"beeflow-archive-v1"


def expected_sha256(archive: Path) -> str | None:
    """Return the sha256 that the archive had when it was verified, or None when nothing beside it says."""
    sidecar = store.read_record(Sidecar, archive.with_suffix(SIDECAR_SUFFIX))
    return sidecar.sha256 if sidecar else None


def copy(config: Config, text: str, dest: Path) -> Path:
    """Copy a workflow's archive to a folder or a new file; returns the copy."""
    archive = workflow.archive_of(config, text)
    with archive.open("rb") as stream:
        return receive(stream, target_of(dest, archive.name), expected_sha256(archive), archive.stat().st_size)


def target_of(dest: Path, name: str) -> Path:
    """Name the copy: below an existing folder, else the path itself; raises when it is there already."""
    target = dest / name if dest.is_dir() else dest
    if os.path.lexists(target):
        raise ArchiveError(f"{target}: there already; nothing is overwritten")
    if not target.parent.is_dir():
        raise SystemFileError(f"{target.parent}: no such folder")
    return target


def receive(stream: IO[bytes], target: Path, sha256: str | None, size: int) -> Path:
    """Write a stream to a new file, check it, and only then give it its name."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    digest = hashlib.sha256()
    try:
        with part.open("xb") as made:
            left = size
            while left and (chunk := stream.read(min(_CHUNK, left))):
                digest.update(chunk)
                made.write(chunk)
                left -= len(chunk)
            made.flush()
            os.fsync(made.fileno())
        if left:
            raise ArchiveError(f"{target}: cut off: {left} of {size} bytes did not arrive; nothing was kept")
        if sha256 is not None and digest.hexdigest() != sha256:
            raise ArchiveError(f"{target}: damaged on the way: the sha256 is not the archive's; nothing was kept")
        os.link(part, target)
        store.sync_folder(target.parent)
    except FileExistsError as error:
        raise ArchiveError(f"{target}: there already; nothing is overwritten") from error
    except OSError as error:
        raise SystemFileError(f"{target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return target


def send(config: Config, text: str, out: IO[bytes], *, framed: bool) -> None:
    """Write an archive to a stream; framed, a line with its name, size and sha256 comes first."""
    archive = workflow.archive_of(config, text)
    if framed:
        sha256 = expected_sha256(archive) or sha256_of(archive)
        out.write(FRAME + f" {archive.name} {archive.stat().st_size} {sha256}\n".encode())
    with archive.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
    out.flush()
