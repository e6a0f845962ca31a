"""What the tasks of an archive made, as far as a re-execution may take it and it is not the archive's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from beeflow import locations
from beeflow.trust import reach

# Where results are read from (beeflow.attempts, beeflow.layout).
_RESULTS = re.compile(r"tasks/[^/]+/[^/]+/[^/]+/(?:(?:result|lost)\.json|[^/]+/tasks\.jsonl)")
_KEYS = ("class", "location", "path", "basename", "dirname")

Entries = tuple[Mapping[str, Any], ...]


def is_result(name: str) -> bool:
    """True for a file of an archive that says what tasks made."""
    return _RESULTS.fullmatch(name) is not None


def reaching_out(name: str, data: bytes) -> Entries:
    """List the Files and Directories that are not in the archive, or are put elsewhere: where, and their names.

    Of what cannot be read nothing is taken either.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for value in _values(name, data.decode(errors="surrogateescape")):
        for entry in locations.possible_entries(value):
            if any(reach.location_leads_out(place) for _, place in locations.places(entry)) or reach.odd_names(entry):
                kept = {key: entry[key] for key in _KEYS if key in entry}
                found[json.dumps(kept)] = kept
    return tuple(found.values())


def _values(name: str, text: str) -> Iterator[Any]:
    for each in text.splitlines() if name.endswith(".jsonl") else [text]:
        try:
            yield json.loads(each)
        except (ValueError, RecursionError):
            continue
