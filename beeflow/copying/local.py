"""Copy an archive on this system."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from beeflow.config import Config
from beeflow.copying import offers
from beeflow.copying.places import Destination
from beeflow.copying.taking import Place, Taken, Unwatched, Watch, take
from beeflow.errors import ArchiveError


def copy(config: Config, text: str, dest: str) -> Path:
    """Copy an archive to a folder or a new file; returns the copy."""
    return copy_to(config, text, Destination.named(dest), Unwatched()).path


def copy_to(config: Config, text: str, place: Place, watch: Watch, *, for_archives: bool = False) -> Taken:
    """Copy an archive to some place."""
    held = offers.find(config, text, watch.alive, for_archives=for_archives)
    return take(held.offer, place, lambda offset: offers.read(held.path, offset, held.offer.size), watch)


def send(config: Config, text: str, out: IO[bytes]) -> None:
    """Write an archive to a stream; raises ArchiveError at the end when it is not what it was when it was made."""
    held = offers.find(config, text, Unwatched().alive)
    digest = hashlib.sha256()
    for data in offers.read(held.path, 0, held.offer.size):
        digest.update(data)
        out.write(data)
    out.flush()
    if digest.hexdigest() != held.offer.sha256:
        raise ArchiveError(
            f"{held.path}: damaged: it does not have the sha256 that it was archived with; do not use what was written"
        )
