"""Find the archive that a user means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow import store, workflow
from beeflow.archive import reading
from beeflow.archive.description import Description
from beeflow.config import Config
from beeflow.errors import ArchiveError, NotFoundError
from beeflow.layout import ARCHIVE_SUFFIX


@dataclass(frozen=True)
class Source:
    """An archive, and what it says that it is; whether all of it is whole is seen as it is unpacked."""

    path: Path
    description: Description


def open_archive(text: str, config: Config) -> Source:
    """Find an archive, and read what it is; raises ArchiveError, NotFoundError or TransitionError."""
    path = locate(text, config)
    description = reading.description_of(path)
    if not store.is_id(description.id):
        raise ArchiveError(f"{path}: says that it is of a workflow {description.id[:80]!r}, which is no id")
    return Source(path, description)


def locate(text: str, config: Config) -> Path:
    """Find the archive a user means: a path if it is one, else the beginning of an id."""
    path = Path(text)
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        raise ArchiveError(f"{path}: a folder, not an archive; name the {ARCHIVE_SUFFIX} file, or an id: bee-list")
    if "/" in text or text.endswith(ARCHIVE_SUFFIX):
        raise NotFoundError(f"{path}: no such archive; bee-list lists the ids of those in {config.bee_archive_dir}")
    return workflow.archive_of(config, text)
