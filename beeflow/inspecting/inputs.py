"""The inputs of an archived workflow: in the archive, on this host, or missing."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import codec, locations
from beeflow.inputs import InputPart, origin_of
from beeflow.inspecting import hosting
from beeflow.inspecting.hosting import MISSING, Then
from beeflow.trust import reach
from beeflow.trust.documents import is_embedded
from beeflow.trust.shipped import JOB, Shipped, listed

EMBEDDED, LITERAL, VALUE = "embedded", "literal", "value"


@dataclass(frozen=True)
class Input:
    """An input, or one file or folder of it. ``value``: as it is given, or where the file was on the host of then.

    ``state``: EMBEDDED in the archive; HERE at the same place with the names, sizes and sha256 it had, as far as
    these are known (``detail``); MISSING there; there and DIFFERS; LITERAL: written in the input object itself;
    VALUE: no file.
    """

    name: str
    value: str
    state: str
    size: int | None = None
    detail: str = ""


def shown(shipped: Shipped, *, hashes: bool) -> Iterator[Input]:
    """Yield the inputs, and each file and folder in them."""
    known, sizes = shipped.origins(), _sizes(shipped)
    for name, value in shipped.mapping(JOB).items():
        entries = locations.possible_entries(value)
        found = list(dict.fromkeys(place for entry in entries for _, place in locations.places(entry)))
        if not found:
            if name != "version":
                yield Input(str(name), json.dumps(value), VALUE)
            continue
        for place in found:
            yield _of_file(str(name), place, known, sizes, hashes=hashes)


def _of_file(
    name: str, place: str, known: Mapping[Path, dict[str, Any]], sizes: Mapping[str, int], *, hashes: bool
) -> Input:
    if place.startswith("_:"):
        return Input(name, place, LITERAL)
    path = reach.host_path(place)
    if path is None:
        size = sizes.get(place)
        return Input(name, place, MISSING if size is None else EMBEDDED, size)
    top, origin = origin_of(known, path) or (path, {})
    embedded = origin.get("embedded")
    if isinstance(embedded, str):
        size = sizes.get(embedded) if is_embedded(embedded) else None
        if size is None:
            return Input(name, str(path), MISSING, detail=f"{embedded} is not in the archive")
        return Input(name, str(path), EMBEDDED, size)
    size, sha256 = origin.get("size"), origin.get("sha256")
    then = Then(
        str(origin.get("kind") or ""),
        size if codec.is_size(size) else None,
        sha256 if isinstance(sha256, str) else None,
        tuple(_parts(origin.get("parts"))),
    )
    then = then.inside(str(path.relative_to(top))) if top != path else then
    state, detail = hosting.compare(path, then, hashes=hashes)
    return Input(name, str(path), state, then.size, detail)


def _parts(value: Any) -> Iterator[InputPart]:
    for each in listed(value):
        with contextlib.suppress(codec.DecodeError):
            yield codec.from_json(InputPart, each)


def _sizes(shipped: Shipped) -> Mapping[str, int]:
    """Sum up what is in files, and in the folders that inputs may be (beeflow.inputs, beeflow.embedding)."""
    made: Counter[str] = Counter()
    for name, size in shipped.sizes.items():
        parts = name.split("/")
        is_inside = parts[0] == "inputs" or parts[:2] == ["cwl", "files"]
        for end in range(1, len(parts)) if is_inside else ():
            made["/".join(parts[:end])] += size
        made[name] += size
    return made
