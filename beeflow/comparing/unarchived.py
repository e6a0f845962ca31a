"""Read a run from its workflow directory, where it has no archive."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import store
from beeflow.archive import hashing
from beeflow.comparing.files import EMPTY_FOLDER, UNKNOWN, Content, link
from beeflow.comparing.runs import RECORDS, Run
from beeflow.errors import SystemFileError, TransitionError
from beeflow.store import WorkflowDir


def read(workflow: WorkflowDir) -> Run:
    """Read a workflow's directory; raises TransitionError while it is not over."""
    root = workflow.layout.root
    state = workflow.state()
    if state is None or not state.state.final:
        shown = state.state.value if state else "not over"
        raise TransitionError(f"workflow {workflow.id} is {shown}: there is nothing to compare before it has ended")
    texts = {name: text for name in sorted(RECORDS) if (text := store.read_text(root / name)) is not None}
    return Run.read(root, texts, FilesOnDisk(root))


@dataclass(frozen=True)
class FilesOnDisk:
    """The files of a workflow directory, and the inputs where they lie; hashed when somebody asks."""

    root: Path
    _known: dict[str, Content] = field(default_factory=dict)

    def content(self, name: str) -> Content | None:
        """Hash a file; None when there is none of that name."""
        if name not in self._known:
            path = self.root / name
            try:
                if not path.is_file():
                    return None
                digest, size = hashing.whole(path)
            except OSError as error:
                raise SystemFileError(f"{path}: {error.strerror or error}") from error
            self._known[name] = Content(size, digest, name=name)
        return self._known[name]

    def below(self, folder: str) -> dict[str, Content] | None:
        """List what is in a folder (Files.below)."""
        top = self.root / folder
        if not top.is_dir():
            return None
        made: dict[str, Content] = {}
        for parent, folders, names in os.walk(top, onerror=_refuse):
            inner = os.path.relpath(parent, top)
            prefix = "" if inner == "." else f"{inner}/"
            if prefix and not folders and not names:
                made[prefix] = EMPTY_FOLDER
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            for name in (prefix + each for each in (*names, *links)):
                made[name] = self.content(os.path.join(folder, name)) or _other(name, top / name)
        return dict(sorted(made.items()))

    def fetch(self, names: Iterable[str], folder: Path) -> dict[str, Path]:  # noqa: ARG002
        """Name the files: they are on disk already."""
        return {name: self.root / name for name in names}


def _other(name: str, path: Path) -> Content:
    """Say what something is that is neither a file nor a folder."""
    return link(name, os.readlink(path)) if path.is_symlink() else UNKNOWN


def _refuse(error: OSError) -> None:
    raise SystemFileError(f"{error.filename}: {error.strerror or error}") from error
