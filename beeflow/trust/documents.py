"""What takes trust in the documents as they were given, in the inputs, and in how it was submitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beeflow import inputs, locations
from beeflow.trust import reach, tools
from beeflow.trust.reading import mappings, parse
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import DOCUMENTS, GRAPH, INPUTS, JOB, PACKED_CWL, WORKFLOW, Shipped, listed

_WEB = ("https://", "http://")
_REFERENCES = ("run", "$import", "$include", "$mixin")
_SUFFIXES = (".cwl", ".yml", ".yaml", ".json")


def risks(shipped: Shipped) -> Iterator[Risk]:
    """Yield all of them."""
    for name, data in shipped.documents():
        yield from _of_original(name, data)
    for name, size in shipped.too_large():
        yield Risk(name, f"{size} bytes", "is too large to see what it refers to")
    for each in references(shipped.record(PACKED_CWL)):
        if not each.startswith("#"):
            yield Risk(PACKED_CWL, each, "reads a document that is not in the archive")
    yield from _of_schemas(shipped)
    yield from _of_ports(shipped)
    for record in (GRAPH, PACKED_CWL, JOB):
        for entry in locations.possible_entries(shipped.record(record)):
            yield from _of_names(record, entry)
    yield from _of_defaults(shipped)
    yield from _of_job(shipped)
    yield from _of_results(shipped)
    options = shipped.mapping(WORKFLOW).get("options")
    for field in ("driver_options", "task_options"):
        for option in listed(options.get(field) if isinstance(options, dict) else None):
            for what, why in tools.dangerous_option(field, option):
                yield Risk(f"{WORKFLOW}: options", what, why)


def _of_ports(shipped: Shipped) -> Iterator[Risk]:
    """Name what goes along with inputs by packed.json alone, which other inputs (--set) are completed by."""
    known = set(tools.secondary_files([tool["document"] for _, tool in shipped.tools()]))
    for found in tools.secondary_files(shipped.record(PACKED_CWL)):
        if found not in known:
            yield Risk(PACKED_CWL, *found)


def _of_schemas(shipped: Shipped) -> Iterator[Risk]:
    """Ontologies: we keep what matters of them in the graph, but whoever runs packed.json otherwise reads them."""
    packed = shipped.record(PACKED_CWL)
    for each in listed(packed.get("$schemas") if isinstance(packed, dict) else None):
        if not isinstance(each, str) or (reach.location_leads_out(each) and not each.startswith(_WEB)):
            yield Risk(PACKED_CWL, f"$schemas: {each}", "reads what is not in the archive")


def _of_original(name: str, data: bytes) -> Iterator[Risk]:
    found = parse(data)
    if found is None and data.strip() and name.endswith(_SUFFIXES):
        yield Risk(name, "no YAML", "nobody can see what it refers to")
    for each in references(found):
        if reach.document_leads_out(name, each, DOCUMENTS):
            yield Risk(name, each, "reads a document that is not in the archive")


def references(document: Any) -> Iterator[str]:
    """Yield what a document runs, imports and includes."""
    for each in mappings(document):
        yield from (each[key] for key in _REFERENCES if isinstance(each.get(key), str))


def _of_names(where: str, entry: Mapping[Any, Any]) -> Iterator[Risk]:
    """What is put into the folder of a task or of the outputs goes by its name there."""
    for key, name in reach.odd_names(entry):
        yield Risk(where, f"{key}: {name}", "is put outside the folder that is made for it")


def _of_defaults(shipped: Shipped) -> Iterator[Risk]:
    """What documents name as a default: one that is not in the archive is taken as it is here, whatever it was."""
    known = {path: each for path, each in shipped.origins().items() if each.get("embedded")}
    for record in (GRAPH, PACKED_CWL):
        for place, why in _reaching(shipped.record(record), known):
            yield Risk(record, place, why)


def _of_job(shipped: Shipped) -> Iterator[Risk]:
    known = shipped.origins()
    for each in known.values():
        embedded = each.get("embedded")
        if embedded is not None and (not isinstance(embedded, str) or not is_embedded(embedded)):
            yield Risk(INPUTS, f"embedded: {embedded}", "is not among the archive's inputs")
    for place, why in _reaching(shipped.record(JOB), known):
        yield Risk(JOB, place, why)


def _of_results(shipped: Shipped) -> Iterator[Risk]:
    """What tasks made may be taken (--only, --from, --reuse)."""
    known = shipped.origins()
    for name, found in shipped.results.items():
        if found is None:
            yield Risk(name, f"{shipped.sizes[name]} bytes", "is too large to see what it refers to")
        for entry in found or ():
            for place, why in _reaching_one(entry, known):
                yield Risk(name, place, why)
            yield from _of_names(name, entry)


def _reaching(value: Any, known: Mapping[Path, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield where files and folders are that are neither in the archive nor known to it, and why that takes trust."""
    for entry in locations.possible_entries(value):
        yield from _reaching_one(entry, known)


def _reaching_one(entry: Mapping[str, Any], known: Mapping[Path, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for key, place in locations.places(entry):
        if reach.location_leads_out(place):
            # Only a location of the very classes is looked up among what is known (beeflow.locations).
            is_looked_up = key == "location" and locations.is_entry(entry)
            why = _why_not_known(place, known if is_looked_up else {})
            if why:
                yield place, why


def _why_not_known(place: str, known: Mapping[Path, dict[str, Any]]) -> str | None:
    """Say why a place out of the archive is none that the archive vouches for, or None."""
    path = reach.host_path(place) if place.startswith("file:///") else None
    if path is None:
        return "reads what is not in the archive"
    where, origin = inputs.origin_of(known, path) or (path, {})
    # Nobody can have a file read whose sha256 he does not know.
    is_vouched = bool(origin.get("sha256")) and origin.get("kind") == "File" and where == path
    if ".." in path.parts or not (origin.get("embedded") or is_vouched):
        return "reads a file or folder of this host, whatever is in it"
    return None


def is_embedded(name: str) -> bool:
    """True for the place of an input in an archive."""
    return name.startswith("inputs/") and not reach.leads_out(name) and ".." not in name.split("/")
