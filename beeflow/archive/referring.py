"""Leave files out of an archive: what it says of them, so that they are known again where they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from beeflow.archive.contents import Source
from beeflow.archive.description import Referenced
from beeflow.archive.hashing import whole
from beeflow.archive.writing import Changed
from beeflow.models import EMBED, REFERENCE, ArchivePolicy

_FILE = "File"
# tasks/GROUP/000/000000/ATTEMPT/LABEL/out/ (beeflow.layout, beeflow.command)
_OUT_AT, _OUT = 6, "out"


@dataclass(frozen=True)
class Chosen:
    """What of a workflow directory is packed, and what is only referred to."""

    sources: tuple[Source, ...]
    referenced: tuple[Referenced, ...]


def choose(sources: Iterable[Source], policy: ArchivePolicy, changed: Changed) -> Chosen:
    """Leave out the outputs that the policy does not want, the workflow's own being the last to go.

    ``changed``: told of one that vanishes before it is read.
    """
    if policy.outputs == EMBED:
        return Chosen(tuple(sources), ())
    left = 0 if policy.outputs == REFERENCE else policy.output_limit_mib << 20
    why = "outputs = reference" if policy.outputs == REFERENCE else f"does not fit output_limit_mib = {left >> 20}"
    kept: list[Source] = []
    referenced: list[Referenced] = []
    for source in sorted(sources, key=lambda each: (not each.name.startswith("outputs/"), each.name)):
        if not is_output(source):
            kept.append(source)
        elif source.size > left or policy.outputs == REFERENCE:
            try:
                referenced.append(refer(source, why))
            except FileNotFoundError:
                changed(source, "vanished")
        else:
            left -= source.size
            kept.append(source)
    return Chosen(tuple(kept), tuple(referenced))


def is_output(source: Source) -> bool:
    """True for a file that a task made: one of the workflow's outputs, or in a task's own output folder."""
    if source.path is None:
        return False
    parts = source.name.split("/")
    return parts[0] == "outputs" or (parts[0] == "tasks" and len(parts) > _OUT_AT + 1 and parts[_OUT_AT] == _OUT)


def refer(source: Source, why: str) -> Referenced:
    """Read a file, and say what it takes to know it again; raises OSError when it cannot be read."""
    path = source.path or ""
    digest, size = whole(Path(path))
    return Referenced(source.name, path, _FILE, size, digest, why)
