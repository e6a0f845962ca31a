"""bee-archive.json, an archive's first member: what it is, before anything else of it is read."""

from __future__ import annotations

from dataclasses import dataclass

from beeflow.codec import Sized
from beeflow.states import WorkflowState

FORMAT = 1
EPILOG = "epilog"


@dataclass(frozen=True)
class Referenced(Sized):
    """A file that an archive only refers to. ``name``: where it would be; ``origin``: its path on ``host`` then.

    ``kind``: File or Directory. ``sha256``: None for what could not be read. ``reason``: why it was left out.
    """

    name: str
    origin: str
    kind: str
    size: int
    sha256: str | None
    reason: str


@dataclass(frozen=True)
class Description:
    """What an archive is. Times are ISO 8601 in UTC.

    ``state``: of the workflow when it was archived: final, unless somebody archived it as it ran. ``number``: of the
    archive among those of its workflow (<id>.vN.tgz). ``generation``: how often the workflow had been retried, plus 1.
    ``made_by``: EPILOG, or the command.
    """

    format: int
    id: str
    name: str
    state: WorkflowState
    created: str
    archived: str
    user: str
    host: str
    cluster: str
    slurm_version: str
    beeflow_version: str
    document: str
    made_by: str = EPILOG
    parent: str | None = None
    number: int = 1
    generation: int = 1
    referenced: tuple[Referenced, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """Where the inputs were that could not be read."""
        return tuple(each.origin for each in self.referenced if each.sha256 is None)
