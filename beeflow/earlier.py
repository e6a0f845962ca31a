"""Take inputs that are gone, or were changed, from an earlier archive of the same workflow, which was made before."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import store
from beeflow.archive import reading, unpacking
from beeflow.archive.description import Description, Referenced
from beeflow.archive.limits import UNLIMITED
from beeflow.archived import archives_of
from beeflow.enclosing import Enclosed, sources_of
from beeflow.errors import BeeError
from beeflow.inputs import RECORD, InputFile, InputFiles, by_origin
from beeflow.layout import DESCRIPTION, OMITTED

log = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(folder: Path, workflow_id: str, generation: int) -> Iterator[Earlier]:
    """Look at the archives of a workflow in a folder; what is taken from them is there until this ends."""
    with contextlib.ExitStack() as stack:
        yield Earlier(folder, workflow_id, generation, stack)


@dataclass(frozen=True)
class Earlier:
    """The archives of a workflow. ``generation``: of the one that is made now."""

    folder: Path
    id: str
    generation: int
    stack: contextlib.ExitStack

    def take(self, wanted: Mapping[Path, str], *, are_gone: bool) -> dict[Path, Enclosed]:
        """Find inputs, each in the newest whole archive that has what the tasks took. ``wanted``: path -> place.

        ``are_gone``: of what none surely has, take what one has or says of it. It is told in ``changed``.
        """
        found: dict[Path, Enclosed] = {}
        where: dict[Path, Path] = {}
        for archive in archives_of(self.folder, self.id):
            left = {path: place for path, place in wanted.items() if path not in found or found[path].record.changed}
            doubtful = left.keys() - found.keys() if are_gone else frozenset()
            try:
                taken = self._of(archive, left, doubtful) if left else {}
            except (BeeError, OSError) as error:
                why = error if isinstance(error, BeeError) else f"{archive}: {error.strerror or error}"
                log.warning("%s; inputs that are gone or were changed are not taken from it", why)
                continue
            found.update(taken)
            where.update(dict.fromkeys(taken, archive))
        what = "cannot be read any more" if are_gone else "was changed since the tasks took it"
        for path, archive in where.items():
            log.warning("%s: %s: the archive has of it what %s has", path, what, archive)
        return found

    def _of(self, archive: Path, wanted: Mapping[Path, str], doubtful: Collection[Path]) -> dict[Path, Enclosed]:
        """Find inputs in one archive. ``doubtful``: of these, also what may not be what the tasks took."""
        says = reading.read_record(Description, archive, DESCRIPTION, UNLIMITED)
        read = reading.read_record(InputFiles, archive, RECORD, UNLIMITED)
        known = by_origin((each.origin, each) for each in read.files)
        kept = {path: known[path] for path in wanted if path in known and known[path].is_known}
        if says.generation != self.generation or not says.state.final:
            # A retry, or what ran later, may have taken something else.
            kept = {path: replace(each, changed=each.changed or says.archived) for path, each in kept.items()}
        kept = {path: each for path, each in kept.items() if each.changed is None or path in doubtful}
        embedded = {path: each.embedded for path, each in kept.items() if each.embedded}
        unpacked = self._unpacked(archive, embedded.values()) if embedded else None
        referenced = _by_input(says.referenced)
        found = {
            path: _embedded(unpacked, each, each.embedded, wanted[path])
            if unpacked and each.embedded
            else _referenced(referenced.get(str(path), ()), each, wanted[path])
            for path, each in kept.items()
        }
        return {path: each for path, each in found.items() if each is not None}

    def _unpacked(self, archive: Path, names: Iterable[str]) -> Path:
        """Unpack some files and folders of an archive, all of which is verified."""
        prefix = f".{self.id}.inputs."
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=self.folder)))
        exact, below = {OMITTED, *names}, tuple(f"{name}/" for name in names)
        into = folder / "unpacked"
        unpacking.unpack(archive, into, self.id, UNLIMITED, lambda name: name in exact or name.startswith(below))
        return into


def _embedded(unpacked: Path, record: InputFile, name: str, place: str) -> Enclosed | None:
    """Have an input packed again, with what is told of what could not be; None for what the archive lacks after all."""
    if not (unpacked / name).exists():
        # It vanished as that archive was written.
        return None
    path = unpacked / OMITTED
    told = store.read_json(path) if path.exists() else {}
    omitted = {
        f"{place}{each.removeprefix(name)}": str(why) for each, why in told.items() if each.startswith(f"{name}/")
    }
    found = sources_of(unpacked / name, place, omitted)
    return Enclosed(replace(record, embedded=place), tuple(found), omitted=omitted)


def _by_input(referenced: Iterable[Referenced]) -> dict[str, list[Referenced]]:
    """Sort what an archive only refers to by where the input was that it is, or is in."""
    found: dict[str, list[Referenced]] = {}
    for each in referenced:
        inner = _inner(each)
        found.setdefault(each.origin.removesuffix(f"/{inner}") if inner else each.origin, []).append(each)
    return found


def _inner(file: Referenced) -> str:
    """Return the name of a file in the folder that is the input; "" when it is one itself (inputs/NNNN/NAME)."""
    return "".join(file.name.split("/", 3)[3:])


def _referenced(files: Iterable[Referenced], record: InputFile, place: str) -> Enclosed:
    """Repeat what an archive says of an input that it only refers to."""
    renamed = (replace(each, name="/".join(filter(None, (place, _inner(each))))) for each in files)
    return Enclosed(record, referenced=tuple(renamed))
