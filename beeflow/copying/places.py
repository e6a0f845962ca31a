"""Where copies go: a folder or file that the user names, or a folder of archives, which bee-list shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow import paths, sharing, store, workdir
from beeflow.config import Config
from beeflow.copying import importing
from beeflow.copying.offers import Offer
from beeflow.errors import ArchiveError, SystemFileError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX, SIDECAR_SUFFIX
from beeflow.store import Store


@dataclass(frozen=True)
class Destination:
    """A folder, or the path of a new file. ``is_folder``: only a folder can be meant."""

    path: Path
    is_folder: bool = False

    @classmethod
    def named(cls, text: str) -> Destination:
        """Read what a user wrote: with a slash at its end, a folder is meant."""
        return cls(Path(text), text.endswith(("/", "/.")))

    def target(self, offer: Offer) -> Path:
        is_folder = self.is_folder or paths.is_folder(self.path)
        target = self.path / offer.name if is_folder else self.path
        if not paths.is_folder(target.parent):
            raise SystemFileError(f"{target.parent}: no such folder; make it first")
        return target

    def prepare(self, part: Path, offer: Offer) -> None:
        """Take it as it is."""

    def complete(self, target: Path, offer: Offer) -> None:
        """Nothing more."""


class ArchiveFolder:
    """The user's folder of archives. What is put there is named as where it was made, with what bee-list shows."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._gid = sharing.gid_of(config.share_with_group)

    def target(self, offer: Offer) -> Path:
        """Name the copy; makes the folder. Raises TransitionError when that archive is still to be made here."""
        workdir.prepare(self._config)
        folder = self._config.bee_archive_dir
        try:
            sharing.make_folder(folder, self._gid)
        except OSError as error:
            raise SystemFileError(f"{folder}: {error.strerror or error}") from error
        workflow_id = offer.name[:36]
        if workflow_id in Store(self._config.workflows_dir).ids():
            self._check_made(workflow_id, offer)
        return folder / offer.name

    def _check_made(self, workflow_id: str, offer: Offer) -> None:
        """Let nobody's archive take the place of one that a workflow of ours is going to make."""
        state = Store(self._config.workflows_dir).get(workflow_id).state()
        if state is None or not state.archive or Path(state.archive).name != offer.name:
            raise TransitionError(f"workflow {workflow_id} is here itself, and makes its archives here; see: bee-query")

    def prepare(self, part: Path, offer: Offer) -> None:
        """Raise ArchiveError unless it is the archive that its name says it is."""
        try:
            importing.check_name(part, offer.name)
        except ArchiveError as error:
            # Nobody knows it by the name that it has yet.
            raise type(error)(str(error).removeprefix(f"{part}: ")) from error
        sharing.settle_file(part, self._gid)

    def complete(self, target: Path, offer: Offer) -> None:
        """Write what bee-list shows beside it, unless it is there."""
        path = target.with_name(target.name.removesuffix(ARCHIVE_SUFFIX) + SIDECAR_SUFFIX)
        if not path.exists():
            said = importing.sidecar(importing.described(target), offer.sha256, offer.size)
            store.publish_record(path, said)
            sharing.settle_file(path, self._gid)
