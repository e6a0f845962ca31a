"""What somebody who has an archive says of it, and how it is found and read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beeflow import paths, store, workflow
from beeflow.archive import seal
from beeflow.config import Config
from beeflow.copying import importing
from beeflow.errors import ArchiveError, NotFoundError, SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX
from beeflow.models import Sidecar

# What is lost when a connection is cut in the middle of it.
_PIECE = 1 << 18


@dataclass(frozen=True)
class Offer:
    """An archive that somebody has. ``name``: of its file; ``sha256``: of the whole file, hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Held:
    """An archive of ours, and what we say of it."""

    path: Path
    offer: Offer


# Told every now and then that we are still at it.
Alive = Callable[[], None]


def find(config: Config, text: str, alive: Alive, *, for_archives: bool = False) -> Held:
    """Find the archive that a user means by the beginning of an id, or by its path.

    ``for_archives``: it is to go to a folder of archives; then it must be one, and has the name that it has in all of
    them. Else a file keeps its name.
    """
    if not is_path(text):
        held = of_workflow(config, text, alive)
        if for_archives:
            importing.check_name(held.path, held.offer.name)
        return held
    path = Path(text)
    if not paths.is_there(path):
        raise NotFoundError(f"{path}: no such archive")
    if paths.is_folder(path):
        raise ArchiveError(f"{path}: a folder, not an archive")
    description = importing.described(path)
    return Held(path, _sealed(path, importing.name_of(description) if for_archives else path.name, alive))


def is_path(text: str) -> bool:
    """True for what is no id but the path of a file."""
    return "/" in text or text.endswith(ARCHIVE_SUFFIX) or (not is_id_like(text) and os.path.lexists(text))


def is_id_like(text: str) -> bool:
    """True for what an id may begin with."""
    return 0 < len(text) <= 36 and not set(text.lower()) - set("0123456789abcdef-") and text[0] != "-"


def of_workflow(config: Config, text: str, alive: Alive) -> Held:
    """Find the newest archive of a workflow of ours; its sha256 is the one that it had when it was made."""
    path = workflow.archive_of(config, text)
    sidecar = store.read_record(Sidecar, path.with_suffix(SIDECAR_SUFFIX))
    if sidecar is None:
        return Held(path, _sealed(path, path.name, alive))
    size = _status(path).st_size
    if size != sidecar.size:
        raise ArchiveError(f"{path}: damaged: {size} bytes, and it had {sidecar.size} when it was archived")
    return Held(path, Offer(path.name, size, sidecar.sha256))


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error


def _sealed(path: Path, name: str, alive: Alive) -> Offer:
    """Offer what nothing is known of but its seal: that vouches for it."""
    sealed = seal.Sealed(path)
    for data in _read_whole(path, alive):
        sealed.update(data)
    return Offer(name, sealed.size, sealed.finish())


def _hashed(path: Path, alive: Alive) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for data in _read_whole(path, alive):
        digest.update(data)
        size += len(data)
    return size, digest.hexdigest()


def _read_whole(path: Path, alive: Alive) -> Iterator[bytes]:
    for data in read(path, 0, _status(path).st_size):
        yield data
        alive()


def read(path: Path, offset: int, size: int) -> Iterator[bytes]:
    """Read a file from some byte up to a size; raises SystemFileError when it does not have so much."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            left = size - offset
            while left:
                data = stream.read(min(_PIECE, left))
                if not data:
                    raise SystemFileError(f"{path}: became shorter while it was copied")
                left -= len(data)
                yield data
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror or error}") from error


def matches(held: Held, alive: Alive) -> bool:
    """True when the file has the sha256 that we say it has."""
    return (held.offer.size, held.offer.sha256) == _hashed(held.path, alive)
