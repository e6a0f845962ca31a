"""What the user asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from beeflow.models import ON_ERROR_CONTINUE
from beeflow.rerun.choice import Choice
from beeflow.rerun.relocating import Move


@dataclass(frozen=True)
class Request:
    """A re-execution, beside bee.conf. ``archive``: a path, or the id of a workflow that has an archive.

    ``settings``: NAME=VALUE, of inputs; ``job_file``: a file with all of them. ``moves``: where files are now.
    ``trust``: the archive may do what only its owner may have meant.
    """

    archive: str
    name: str | None = None
    start: bool = True
    outdir: Path | None = None
    mail_type: str = ""
    mail_user: str = ""
    on_error: str = ON_ERROR_CONTINUE
    settings: tuple[str, ...] = ()
    job_file: str | None = None
    moves: tuple[Move, ...] = ()
    choice: Choice = field(default_factory=Choice)
    trust: bool = False
