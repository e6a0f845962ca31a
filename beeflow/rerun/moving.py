"""Put what was taken of an archive into the new workflow directory, with nothing in it that is of the old run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from beeflow import locations, staging, store
from beeflow.errors import ArchiveError
from beeflow.layout import Layout
from beeflow.models import Taken, TaskResult
from beeflow.rerun.old import Results, inside, is_task_folder, task_of
from beeflow.rerun.relocating import Move, moved_location
from beeflow.states import TaskState


@dataclass
class Moving:
    """Moves the files of tasks. ``root``: where the archive was unpacked; ``archive``: the id of its workflow.

    ``folders``: the folders of tasks: where each was in the archive -> where it is in the new directory.
    """

    root: Path
    layout: Layout
    archive: str
    moves: tuple[Move, ...] = ()
    folders: dict[str, str] = field(default_factory=dict, init=False)

    def run(self, results: Results, labels: Mapping[str, tuple[str, ...]]) -> None:
        """Move what was taken; ``labels``: the tasks that each group has, if that is to be taken."""
        places = {
            (key, label): self.layout.taken_task(key, position, label)
            for key, taken in results.items()
            for position, label in enumerate(labels[key])
            if label in taken
        }
        for (key, label), place in places.items():
            self.move_folder(results[key][label], place)
        for key, taken in results.items():
            tasks = {label: self.result(each, places[key, label]) for label, each in taken.items()}
            self.layout.group(key).mkdir(parents=True, exist_ok=True)
            store.write_record(self.layout.taken(key), Taken(self.archive, labels[key], tasks))

    def move_folder(self, result: TaskResult, place: Path) -> None:
        """Move the folder of a task; one that several new tasks stand for is shared by hard links."""
        place.mkdir(parents=True, exist_ok=True)
        if result.folder is None or result.state is not TaskState.COMPLETED:
            return
        source = inside(self.root, result.folder)
        if not is_task_folder(Path(result.folder)):
            raise ArchiveError(f"unsafe: it names {result.folder!r} as the folder of a task")
        first = self.folders.setdefault(result.folder, str(place.relative_to(self.layout.root)))
        if self.layout.root / first != place:
            staging.place_tree(self.layout.root / first, place, self.layout.root)
        elif source.is_dir():
            place.rmdir()
            os.rename(source, place)
            staging.make_read_only(place)

    def result(self, old: TaskResult, place: Path) -> TaskResult:
        """Describe a task that was taken: what it made, and nothing of how it ran."""
        folder = str(place.relative_to(self.layout.root))
        outputs = locations.rewritten(old.outputs, lambda each: self.location(each, place, old.folder))
        stderr = place / Path(old.stderr).name if old.stderr else None
        return replace(
            TaskResult(old.state, f"taken from {self.archive}", outputs=outputs, folder=folder, tries=0),
            stderr=str(stderr.relative_to(self.layout.root)) if stderr and stderr.exists() else None,
            container_runtime=old.container_runtime,
            container_hash=old.container_hash,
        )

    def location(self, location: str, place: Path, own: str | None) -> str:
        """Say where a file of a result is now; one that a task made which runs again is copied."""
        if not locations.is_relative(location):
            return moved_location(location, self.moves)
        path = locations.unquoted(location)
        inside(self.root, path)
        folder = task_of(path)
        if folder is None:
            return location
        if own is not None and path.is_relative_to(own):
            return locations.quoted(place.relative_to(self.layout.root) / path.relative_to(own))
        if str(folder) in self.folders:
            return locations.quoted(Path(self.folders[str(folder)]) / path.relative_to(folder))
        return self.copied(path, place)

    def copied(self, path: Path, place: Path) -> str:
        """Copy a file that the task passed on from one that runs again."""
        folder = place / "passed"
        target = folder / str(len(list(folder.iterdir())) if folder.exists() else 0) / path.name
        target.parent.mkdir(parents=True)
        staging.place_tree(self.root / path, target, None)
        staging.make_read_only(target.parent)
        return locations.quoted(target.relative_to(self.layout.root))
