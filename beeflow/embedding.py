"""Take what a workflow was made of into its directory: documents, the files that they name, the graph that runs.

What is written names no place of the host where it was submitted but for files that are too large to be copied.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from beeflow import codec, locations, noting, staging, store
from beeflow.errors import SystemFileError
from beeflow.graph import Graph
from beeflow.layout import Layout

# A file or folder that a document names as a default is copied up to this size; a data set is not.
MAX_DOCUMENT_FILE = 64 << 20
# Where the documents are in any workflow directory, to identifiers: they name what is in a document, and are not read.
DOCUMENTS_URI = "file:///cwl/documents/"
# A user's own values in a graph, which may be whatever they want.
_VALUES = ("default", "defaults")


def write(layout: Layout, graph: Graph, job: Any, packed: Any, sources: Sequence[Path]) -> None:
    """Fill a staged workflow directory. ``sources``: the documents, as cwltool loaded them."""
    place = _DocumentFiles(layout)
    made = locations.rewritten(codec.to_json(graph), place)
    store.write_text(layout.graph, codec.dumps(with_neutral_names(made, sources)))
    store.write_json(layout.job, locations.rewritten(job, place.known))
    store.write_json(layout.packed, _with_schemas(locations.rewritten(packed, place.beside_packed), place))
    try:
        _copy_documents(layout.cwl / "documents", sources)
    except OSError as error:
        raise SystemFileError(f"{error.filename or layout.cwl}: {error.strerror or error}") from error
    noting.note(layout)


def with_neutral_names(graph: Any, sources: Sequence[Path]) -> Any:
    """Copy a graph's JSON with identifiers that do not tell where its documents were."""
    common = _common(sources)
    places = {locations.to_uri(path): DOCUMENTS_URI + locations.quoted(path.relative_to(common)) for path in sources}

    def rename(text: str) -> str:
        document, mark, fragment = text.partition("#")
        return places[document] + mark + fragment if document in places else text

    return _renamed(graph, rename)


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return rename(value) if value.startswith("file://") else value
    if isinstance(value, list):
        return [_renamed(each, rename) for each in value]
    if not isinstance(value, dict) or locations.is_entry(value):
        return value
    # What only says what an identifier begins with, or which ontologies were read, is of no use any more.
    kept = {key: each for key, each in value.items() if key != "$schemas"}
    return {key: each if key in _VALUES else _renamed(each, rename) for key, each in kept.items()}


def _with_schemas(packed: Any, place: _DocumentFiles) -> Any:
    """Have a packed document find the ontologies that it names."""
    if not isinstance(packed, dict) or not isinstance(packed.get("$schemas"), list):
        return packed
    found = []
    for each in packed["$schemas"]:
        place(each)
        found.append(place.beside_packed(each))
    return {**packed, "$schemas": found}


class _DocumentFiles:
    """Copies the files and folders that documents name as defaults, and says where they are now."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.places: dict[str, str] = {}

    def __call__(self, location: str) -> str:
        """Copy a document's file or folder; returns its location relative to the workflow directory."""
        path = locations.to_path(location)
        if path is None or location in self.places:
            return self.known(location)
        try:
            if _fits(path):
                target = self.layout.document_files / f"{len(self.places):04}" / path.name
                target.parent.mkdir(parents=True)
                _copy(path, target)
                self.places[location] = locations.quoted(target.relative_to(self.layout.root))
        except OSError as error:
            what = error.filename or path
            raise SystemFileError(f"{path}: cannot be copied into the workflow: {what}: {error.strerror}") from error
        return self.known(location)

    def known(self, location: str) -> str:
        """Return where a file is now: copied, or where it was."""
        return self.places.get(location, location)

    def beside_packed(self, location: str) -> str:
        """The same, relative to cwl/packed.json."""
        return self.known(location).removeprefix("cwl/")


def _fits(path: Path) -> bool:
    """True for a file or folder that is there and not too large to be copied."""
    if not path.is_dir():
        return path.is_file() and path.stat().st_size <= MAX_DOCUMENT_FILE
    size = 0
    for _, each, is_folder in staging.contents(path):
        size += 0 if is_folder else each.stat().st_size
        if size > MAX_DOCUMENT_FILE:
            return False
    return True


def _copy(path: Path, target: Path) -> None:
    """Copy a file or folder so that tasks can be given hard links to it."""
    if path.is_dir():
        staging.place_tree(path, target, None)
        staging.make_read_only(target)
        return
    shutil.copyfile(path, target)
    target.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


def _common(sources: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in sources])) if sources else Path("/")


def _copy_documents(folder: Path, sources: Sequence[Path]) -> None:
    """Copy the documents as they were given, in the folders they were in."""
    common = _common(sources)
    for path in sources:
        target = folder / path.relative_to(common)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
