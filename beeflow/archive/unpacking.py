"""Unpack an archive that verified."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import IO

from beeflow.archive import reading
from beeflow.archive.hashing import CHUNK


def unpack(path: Path, into: Path) -> None:
    """Unpack an archive that verified into a new folder ``into``, without its top directory."""
    into.mkdir(mode=0o700)
    with reading.damaged_as_error(path):
        for info, stream in reading.members(path):
            name = reading.checked_name(path, info, None)
            target = into / name if name else into
            if stream is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                _unpack_file(info, stream, target)


def _unpack_file(info: tarfile.TarInfo, stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(target, flags, 0o755 if info.mode & 0o100 else 0o644), "wb") as made:
        while chunk := stream.read(CHUNK):
            made.write(chunk)
