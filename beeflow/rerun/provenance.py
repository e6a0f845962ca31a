"""provenance/: what tells about the old run, and what was asked of the new one. Nothing is run by it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from beeflow import codec, store
from beeflow.archive.verifying import Packed
from beeflow.inputs import RECORD
from beeflow.layout import CRATE, DESCRIPTION, ENVIRONMENT, MANIFEST, OMITTED, Layout
from beeflow.masking import masked
from beeflow.models import now
from beeflow.rerun.request import Request
from beeflow.rerun.sources import Source
from beeflow.secret_values import SecretValues

ASKED = "rerun.json"
# Of the archive, where it has them. The folder itself, too: of what that run was a re-execution.
_KEPT = (
    *("workflow.json", "state.json", "tasks.json", "job.json", RECORD, "outputs.json", ENVIRONMENT),
    *("comparison.json", OMITTED, DESCRIPTION, CRATE, MANIFEST, "metadata", "provenance"),
)


@dataclass(frozen=True)
class Asked:
    """provenance/rerun.json: the archive, and in what the user wanted the new run to differ."""

    archive: str
    sha256: str
    parent: str
    at: str
    settings: tuple[str, ...]
    job_file: str | None
    moves: tuple[str, ...]
    only: tuple[str, ...]
    from_steps: tuple[str, ...]
    reuse: bool


def first_cluster(source: Source, unpacked: Path) -> str:
    """Name the cluster that the documents of an archive were first submitted on."""
    found, above = source.description.cluster, unpacked / "provenance"
    while (path := above / "workflow.json").is_file():
        found, above = str(store.read_json(path)["slurm"]["cluster_name"]), above / "provenance"
    return found


def keep(unpacked: Path, layout: Layout, packed: Packed, source: Source, request: Request) -> None:
    """Keep what tells about the old run, and only that."""
    folder = layout.provenance
    folder.mkdir()
    for name in _KEPT:
        if (unpacked / name).exists():
            os.rename(unpacked / name, folder / name)
    asked = Asked(
        archive=source.path.name,
        sha256=packed.sha256,
        parent=source.description.id,
        at=now(),
        settings=tuple(map(SecretValues.of(store.read_json(layout.job)).masked_setting, request.settings)),
        job_file=request.job_file,
        moves=tuple(f"{each.old}={each.new}" for each in request.moves),
        only=request.choice.only,
        from_steps=request.choice.from_steps,
        reuse=request.choice.reuse,
    )
    # It goes into an archive, where it is nobody's input any more.
    store.write_record(folder / ASKED, codec.from_json(Asked, masked(codec.to_json(asked))))
