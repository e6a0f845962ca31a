"""Find the archive that a user means, and make sure that it is whole before anything of it is used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow import store, workflow
from beeflow.archive import reading, verifying
from beeflow.archive.verifying import Packed
from beeflow.config import Config
from beeflow.errors import ArchiveError, NotFoundError
from beeflow.layout import ARCHIVE_SUFFIX
from beeflow.models import WorkflowRecord


@dataclass(frozen=True)
class Source:
    """An archive that verified. ``record``: of the workflow that it was made of."""

    packed: Packed
    record: WorkflowRecord

    @property
    def path(self) -> Path:
        """The archive."""
        return self.packed.path


def open_archive(text: str, config: Config) -> Source:
    """Find and verify an archive; raises ArchiveError, NotFoundError or TransitionError."""
    path = locate(text, config)
    packed = verifying.verify(path, reading.top_of(path))
    record = reading.read_record(WorkflowRecord, path, "workflow.json")
    if not store.is_id(record.id):
        raise ArchiveError(f"{path}: its workflow.json has no id of a workflow: it is no archive of beeflow's")
    return Source(packed, record)


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
