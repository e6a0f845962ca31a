"""Find the archive that a user means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow import store, workflow
from beeflow.archive import reading
from beeflow.archive.description import Description
from beeflow.config import Config
from beeflow.errors import ArchiveError
from beeflow.layout import split_archive_name


@dataclass(frozen=True)
class Source:
    """An archive, and what it says that it is; whether all of it is whole is seen as it is unpacked."""

    path: Path
    description: Description


def open_archive(text: str, config: Config) -> Source:
    """Find an archive, and read what it is; raises ArchiveError, NotFoundError or TransitionError."""
    path = workflow.locate(config, text)
    description = reading.description_of(path)
    if not store.is_id(description.id):
        raise ArchiveError(f"{path}: says that it is of a workflow {description.id[:80]!r}, which is no id")
    if not Path(text).exists() and (meant := split_archive_name(path.stem)[0]) != description.id:
        raise ArchiveError(f"{path}: it is the archive of {description.id}, not of {meant}")
    return Source(path, description)
