"""What an archive says of itself, for the archive folder that it is put into."""

from __future__ import annotations

from pathlib import Path

from beeflow.archive import reading
from beeflow.archive.description import Description
from beeflow.errors import ArchiveError
from beeflow.layout import ARCHIVE_SUFFIX, DESCRIPTION, archive_name
from beeflow.models import Sidecar
from beeflow.states import WorkflowState
from beeflow.store import is_id


def described(path: Path) -> Description:
    """Read what an archive says of itself; raises ArchiveError for what is no archive of ours."""
    found = reading.read_record(Description, path, DESCRIPTION)
    if not is_id(found.id) or found.number < 1:
        raise ArchiveError(f"{path}: its {DESCRIPTION} has no id of a workflow")
    return found


def name_of(description: Description) -> str:
    """Name the file of an archive as where it was made."""
    return archive_name(description.id, description.number) + ARCHIVE_SUFFIX


def check_name(path: Path, name: str) -> None:
    """Raise ArchiveError unless a file is the archive that has this name where it was made."""
    found = name_of(described(path))
    if found != name:
        raise ArchiveError(f"{path}: not the archive that it is named after, but {found}")


def sidecar(description: Description, sha256: str, size: int) -> Sidecar:
    """Say of an archive what bee-list shows."""
    return Sidecar(
        id=description.id,
        name=description.name,
        state=_shown(description.state),
        created=description.created,
        archived=description.archived,
        sha256=sha256,
        size=size,
        parent=description.parent,
        user=description.user,
        host=description.host,
        imported=True,
    )


def _shown(state: WorkflowState) -> WorkflowState:
    """The state once it is archived, where it had one; what was archived as it ran is shown as it was then."""
    return state.archived if state.final and state is state.outcome else state
