"""The words and the identifiers of a crate."""

from __future__ import annotations

import functools
import os
import urllib.parse
from collections.abc import Iterable
from typing import Any

Entity = dict[str, Any]

RO_CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
CONTEXT = [f"{RO_CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context"]
# What a run is described by, in words and in full.
PROCESS_RUN = ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5")
WORKFLOW_RUN = ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5")
PROVENANCE_RUN = ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5")
WORKFLOW_RO_CRATE = (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0")

WFRUN = "https://w3id.org/ro/terms/workflow-run#"
CWL = "https://w3id.org/workflowhub/workflow-ro-crate#cwl"
OURS = "https://github.com/lanl/BEE"

COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"
ACTIVE = "http://schema.org/ActiveActionStatus"

ROOT = "./"
ENGINE = "#beeflow"
SLURM = "#slurm"
RUN = "#run"
# As urllib.parse.quote, but for "/".
_SAFE = "/"


def ref(identifier: str) -> Entity:
    """Refer to an entity."""
    return {"@id": identifier}


def refs(identifiers: Iterable[str]) -> list[Entity]:
    """Refer to entities, to each once."""
    return [ref(each) for each in dict.fromkeys(identifiers)]


@functools.lru_cache(4096)
def fragment(kind: str, *parts: str) -> str:
    """Name an entity that is nowhere but in the crate: "#step/outer/inner"."""
    return "#" + "/".join([kind, *(quoted(part) for part in parts if part)])


def quoted(name: str) -> str:
    """Write a file's name, whatever its bytes are, as a relative URI."""
    return urllib.parse.quote(os.fsencode(name), safe=_SAFE)


def without_nothing(entity: Entity) -> Entity:
    """Leave out the properties that have no value, and write a single value as such (RO-Crate 1.1, JSON-LD)."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in entity.items()
        if value not in (None, "", [], {})
    }
