"""The tasks of a group's array elements on disk: two files a group, whatever its width.

An element reads its own line only: elements.index has a number of fixed width a line, the offset of each
element's line in elements.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from beeflow import codec, store
from beeflow.errors import SystemFileError
from beeflow.layout import Layout
from beeflow.models import ElementSpec

_WIDTH = 20


def write(layout: Layout, key: str, specs: Sequence[ElementSpec]) -> None:
    """Write what the elements of a group run."""
    lines = [json.dumps(codec.to_json(spec), ensure_ascii=True) + "\n" for spec in specs]
    offsets, position = [], 0
    for line in lines:
        offsets.append(f"{position:{_WIDTH}}\n")
        position += len(line)
    store.write_text(layout.elements(key), "".join(lines))
    store.write_text(layout.elements_index(key), "".join(offsets))


def read(layout: Layout, key: str, number: int) -> ElementSpec:
    """Read what one element runs."""
    try:
        with layout.elements_index(key).open("rb") as index:
            index.seek(number * (_WIDTH + 1))
            offset = int(index.read(_WIDTH))
        with layout.elements(key).open("rb") as lines:
            lines.seek(offset)
            return codec.from_json(ElementSpec, json.loads(lines.readline()))
    except (OSError, ValueError) as error:
        raise SystemFileError(f"{layout.elements(key)}: element {number} cannot be read: {error}") from error
