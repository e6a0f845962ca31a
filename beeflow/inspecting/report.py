"""The answer of bee-inspect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow.archive import verifying
from beeflow.archive.description import Description
from beeflow.archive.limits import Limits
from beeflow.config import Config
from beeflow.inspecting import inputs, steps
from beeflow.inspecting.inputs import Input
from beeflow.inspecting.steps import StepShown
from beeflow.trust import checking, shipped
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import Shipped


@dataclass(frozen=True)
class Part:
    """A folder of the archive, or a file at its top."""

    name: str
    files: int
    size: int


@dataclass(frozen=True)
class Report:
    """All there is to say. ``own``: an archive that this user's own workflow made here; no risk counts then."""

    path: str
    sha256: str
    size: int
    unpacked_size: int
    files: int
    has_sidecar: bool
    own: bool
    description: Description
    steps: tuple[StepShown, ...]
    inputs: tuple[Input, ...]
    parts: tuple[Part, ...]
    risks: tuple[Risk, ...]


def report(path: Path, config: Config, allowed: Limits, *, hashes: bool) -> Report:
    """Verify an archive and say what it is; raises ArchiveError. ``hashes``: compare the inputs that are here, too."""
    found, documents = shipped.of_archive(path, allowed)
    with shipped.making_sense(path):
        return Report(
            path=str(path),
            sha256=found.packed.sha256,
            size=found.packed.size,
            unpacked_size=found.unpacked_size,
            files=found.files,
            has_sidecar=verifying.compare_with_sidecar(found.packed),
            own=checking.is_own(found.packed, config),
            description=found.description,
            steps=tuple(steps.shown(documents)),
            inputs=tuple(inputs.shown(documents, hashes=hashes)),
            parts=tuple(parts(documents)),
            risks=tuple(checking.risks(documents)),
        )


def parts(documents: Shipped) -> list[Part]:
    """Sum the files up by the folders at the top."""
    made: dict[str, Part] = {}
    for name, size in documents.sizes.items():
        top, slash, _ = name.partition("/")
        before = made.get(top + slash, Part(top + slash, 0, 0))
        made[top + slash] = Part(top + slash, before.files + 1, before.size + size)
    return sorted(made.values(), key=lambda part: (-part.size, part.name))
