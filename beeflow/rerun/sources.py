"""Find the archive that a user means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from beeflow import archived, store, workflow
from beeflow.archive import reading
from beeflow.archive.description import Description
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.config import Config
from beeflow.errors import ArchiveError
from beeflow.layout import split_archive_name


@dataclass(frozen=True)
class Source:
    """An archive, and what it says that it is; whether all of it is whole is seen as it is unpacked.

    ``allowed``: how large it may be.
    """

    path: Path
    description: Description
    allowed: Limits = field(default_factory=Limits)


def open_archive(text: str, config: Config, *, trusted: bool = False) -> Source:
    """Find an archive, and read what it is; raises ArchiveError, NotFoundError or TransitionError.

    ``trusted``: whoever made it, so that it may be as large as it is.
    """
    path = workflow.locate(config, text)
    allowed = UNLIMITED if trusted else archived.allowed(path, config.bee_archive_dir)
    description = reading.description_of(path, allowed)
    if not store.is_id(description.id):
        raise ArchiveError(f"{path}: says that it is of a workflow {description.id[:80]!r}, which is no id")
    if not Path(text).exists() and (meant := split_archive_name(path.stem)[0]) != description.id:
        raise ArchiveError(f"{path}: it is the archive of {description.id}, not of {meant}")
    return Source(path, description, allowed)
