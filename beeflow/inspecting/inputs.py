"""The inputs of an archived workflow: in the archive, on this host, or missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import codec
from beeflow.archive.hashing import sha256_of_size
from beeflow.inputs import origin_of
from beeflow.trust import reach
from beeflow.trust.documents import is_embedded
from beeflow.trust.reading import places
from beeflow.trust.shipped import JOB, Shipped

EMBEDDED, HERE, MISSING, DIFFERS, LITERAL, VALUE = "embedded", "here", "missing", "differs", "literal", "value"


@dataclass(frozen=True)
class Input:
    """An input, or one file or folder of it. ``value``: as it is given, or where the file was on the host of then.

    ``state``: EMBEDDED in the archive; HERE at the same place with the size and sha256 it had, as far as these are
    known (``detail``); MISSING there; there and DIFFERS; LITERAL: written in the input object itself; VALUE: no file.
    """

    name: str
    value: str
    state: str
    size: int | None = None
    detail: str = ""


def shown(shipped: Shipped, *, hashes: bool) -> Iterator[Input]:
    """Yield the inputs, and each file and folder in them."""
    known = shipped.origins()
    for name, value in shipped.mapping(JOB).items():
        found = list(dict.fromkeys(places(value)))
        if not found:
            if name != "version":
                yield Input(str(name), json.dumps(value), VALUE)
            continue
        for place in found:
            yield _of_file(str(name), place, known, shipped, hashes=hashes)


def _of_file(name: str, place: str, known: Mapping[Path, dict[str, Any]], shipped: Shipped, *, hashes: bool) -> Input:
    if place.startswith("_:"):
        return Input(name, place, LITERAL)
    path = reach.host_path(place)
    if path is None:
        size = _size_in(shipped, place)
        return Input(name, place, MISSING if size is None else EMBEDDED, size)
    _, origin = origin_of(known, path) or (path, {})
    embedded = origin.get("embedded")
    if isinstance(embedded, str):
        size = _size_in(shipped, embedded) if is_embedded(embedded) else None
        if size is None:
            return Input(name, str(path), MISSING, detail=f"{embedded} is not in the archive")
        return Input(name, str(path), EMBEDDED, size)
    return _of_host(name, path, origin, hashes=hashes)


def _size_in(shipped: Shipped, place: str) -> int | None:
    """Return the size of a file or folder in the archive; None when it is not there."""
    sizes = [size for each, size in shipped.sizes.items() if each == place or each.startswith(f"{place}/")]
    return sum(sizes) if sizes else None


def _of_host(name: str, path: Path, origin: dict[str, Any], *, hashes: bool) -> Input:
    """Look whether what an archive only refers to is here, and the same."""
    size, sha256 = origin.get("size"), origin.get("sha256")
    size = size if codec.is_size(size) else None
    try:
        if path.is_dir():
            return Input(name, str(path), HERE, size, "a folder: what is in it is not compared")
        if not path.is_file():
            return Input(name, str(path), MISSING, size)
        now = path.stat().st_size
        if size is not None and origin.get("kind") == "File" and now != size:
            return Input(name, str(path), DIFFERS, size, f"{now} bytes here")
        if not isinstance(sha256, str) or size is None:
            return Input(name, str(path), HERE, size, "its sha256 is not known")
        if not hashes:
            return Input(name, str(path), HERE, size, "of the same size")
        same = sha256_of_size(path, size) == sha256
    except OSError as error:
        return Input(name, str(path), MISSING, size, error.strerror or str(error))
    return Input(name, str(path), HERE if same else DIFFERS, size, "the same sha256" if same else "another sha256")
