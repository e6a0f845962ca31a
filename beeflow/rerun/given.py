"""The inputs of a re-execution: those of the archive, each where it is now, or what the user gives in their place."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import inputs, locations, paths, staging, store
from beeflow.archive.hashing import sha256_of_size
from beeflow.cwl import documents, job_order
from beeflow.cwl.setting import Settings
from beeflow.errors import IncompleteArchiveError, InputError
from beeflow.graph import Graph
from beeflow.inputs import InputFile, InputFiles
from beeflow.layout import Layout, cache_dir
from beeflow.rerun.relocating import Move, moved


@dataclass
class Origins:
    """The files that an archive has of its inputs, or refers to. ``root``: where it was unpacked."""

    root: Path
    moves: Sequence[Move] = ()

    @functools.cached_property
    def known(self) -> dict[Path, InputFile]:
        """What inputs.json says: path on the host of the old run -> what it was."""
        record = store.read_record(InputFiles, self.root / inputs.RECORD) or InputFiles(())
        return inputs.by_origin((each.origin, each) for each in record.files)

    def of(self, path: Path) -> InputFile | None:
        """Find what is known of a file, or of the folder that it is in."""
        found = inputs.origin_of(self.known, path)
        return found[1] if found else None

    def place(self, location: str) -> str:
        """Say where a file of the old run is: what is embedded is in the workflow directory."""
        path = locations.to_path(location)
        if path is None:
            return location
        origin = self.of(path)
        if origin is not None and origin.embedded:
            return locations.quoted(Path(origin.embedded) / path.relative_to(origin.origin))
        return locations.to_uri(moved(path, self.moves))

    def uri(self, location: str, root: Path) -> str:
        """Say where a file of the old run is, what is embedded below a new workflow directory."""
        if locations.to_path(location) is None:
            return location
        found = self.place(location)
        return locations.to_uri(root / locations.unquoted(found)) if locations.is_relative(found) else found

    def problem(self, location: str) -> str | None:
        """Say what keeps a file that is only referred to from being used, or None."""
        path = locations.to_path(location)
        origin = self.of(path) if path is not None else None
        if path is None or (origin is not None and origin.embedded):
            return None
        here = moved(path, self.moves)
        shown = str(path) if here == path else f"{path}, now {here}"
        if not paths.is_there(here):
            return f"{shown}: not there{_size(origin)}"
        if origin is None:
            return None
        top = here if origin.origin == str(path) else moved(Path(origin.origin), self.moves)
        difference = self.difference(top, origin)
        return f"{shown}: {difference}" if difference else None

    def difference(self, here: Path, origin: InputFile) -> str | None:
        """Say in what a file differs from the one that the old run took."""
        if here not in self._seen:
            self._seen[here] = _difference(here, origin)
        return self._seen[here]

    _seen: dict[Path, str | None] = field(default_factory=dict, init=False)


def _size(origin: InputFile | None) -> str:
    return f" ({origin.size} bytes)" if origin and origin.size else ""


def _difference(here: Path, origin: InputFile) -> str | None:
    is_folder = paths.is_folder(here)
    if (origin.kind == "Directory") != is_folder:
        return f"not a {origin.kind}"
    if not origin.is_known:
        return None  # it could not be read when the archive was made, or is an empty folder
    try:
        return _difference_of_folder(here, origin) if is_folder else _difference_of_file(here, origin)
    except OSError as error:
        return f"{error.filename or here}: {error.strerror or error}"


def _difference_of_file(here: Path, origin: InputFile) -> str | None:
    size = here.stat().st_size
    if size != origin.size:
        return f"not the same File: {size} bytes instead of {origin.size}"
    return None if sha256_of_size(here, size) == origin.sha256 else "not the same File: its sha256 differs"


def _difference_of_folder(here: Path, origin: InputFile) -> str | None:
    files = {name: path for name, path, is_folder in staging.contents(here) if not is_folder}
    size = sum(path.stat().st_size for path in files.values())
    if size != origin.size:
        return f"not the same Directory: {size} bytes instead of {origin.size}"
    extra = next(iter(files.keys() - {part.name for part in origin.parts}), None)
    if extra is not None:
        return f"not the same Directory: {extra} was not in it"
    different = inputs.different_part(here, origin)
    return None if different is None else f"not the same Directory: the sha256 of {different} in it differs"


@dataclass(frozen=True)
class Given:
    """The new input object, locations inside the workflow directory relative to it. ``missing``: what is not here."""

    job: dict[str, Any]
    missing: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise InputError that lists what is missing."""
        if self.missing:
            raise InputError(
                "inputs that the archive only refers to are not here as they were:\n  "
                + "\n  ".join(self.missing)
                + "\nsay where they are with --map OLD=NEW, or give others with --set NAME=VALUE or --inputs JOB.yml"
            )


def inputs_of(
    layout: Layout,
    graph: Graph,
    old_job: Any,
    origins: Origins,
    settings: Sequence[str],
    job_file: str | None,
    *,
    foreign: bool,
) -> Given:
    """Make the new input object. ``layout``: of the new workflow, documents in place; ``graph``: the archive's.

    ``foreign``: it is somebody else's (beeflow.cwl.guard). Raises InputError for a setting or file of inputs that does
    not fit the workflow.
    """
    if job_file is None and not settings:
        refuse_absent(old_job, origins, layout)
        return Given(_placed(old_job, origins), missing(old_job, origins))
    formats = "".join(dict.fromkeys(each.formats for each in graph.tools.values()))
    document = documents.load_inputs(
        layout.packed, cache_dir(layout), lambda each: origins.uri(each, layout.root), formats
    )
    reader = Settings(document, Path.cwd())
    changed = dict(map(reader.read, settings))
    among = layout.root if foreign else None
    if job_file is not None:
        with _listing(reader):
            order = _whole(document, job_file, changed, among)
        return Given(locations.relative(order, layout.root))
    kept = {name: value for name, value in old_job.items() if name not in changed}
    refuse_absent(kept, origins, layout)
    lacking = missing(kept, origins)
    if lacking:
        return Given({**_placed(kept, origins), **changed}, lacking)
    order = {**locations.absolute(_placed(kept, origins), layout.root), **changed}
    with _listing(reader):
        order = job_order.complete(document, order, Path.cwd(), "--set: ", among)
    return Given(locations.relative(order, layout.root))


@contextlib.contextmanager
def _listing(reader: Settings) -> Iterator[None]:
    """Have an error say which inputs there are."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{error}\n{reader.listed()}") from error


def _whole(document: documents.Document, job_file: str, changed: dict[str, Any], among: Path | None) -> dict[str, Any]:
    overrides: list[Any] = []
    order = job_order.load(document, [str(Path(job_file).absolute())], overrides, changed, among)
    if overrides:
        raise InputError(
            f"{job_file}: has requirements (cwl:requirements or cwltool:overrides), which change the workflow and not "
            "only its inputs; submit that with: bee-submit"
        )
    return order


def _placed(job: Any, origins: Origins) -> dict[str, Any]:
    made: dict[str, Any] = locations.rewritten(job, origins.place)
    return made


def missing(job: Any, origins: Origins) -> tuple[str, ...]:
    """List the files of an input object that are not here as they were."""
    found = (
        f"input {name}: {problem}"
        for name, value in job.items()
        for entry in locations.entries(value)
        if (problem := origins.problem(str(entry.get("location", ""))))
    )
    return tuple(dict.fromkeys(found))


def refuse_absent(job: Any, origins: Origins, layout: Layout) -> None:
    """Raise IncompleteArchiveError that lists the files which should be in the archive and are not."""
    found = (
        f"input {name}: {path}"
        for name, value in job.items()
        for place in map(origins.place, _locations(value))
        if locations.is_relative(place) and not (layout.root / (path := locations.unquoted(place))).exists()
    )
    absent = tuple(dict.fromkeys(found))
    if absent:
        raise IncompleteArchiveError(
            "inputs that should be in the archive are not:\n  "
            + "\n  ".join(absent)
            + "\ngive others with --set NAME=VALUE or --inputs JOB.yml"
        )


def _locations(value: Any) -> Iterator[str]:
    return (entry["location"] for entry in locations.entries(value) if isinstance(entry.get("location"), str))
