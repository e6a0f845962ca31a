"""What the CWL documents say beyond what runs: names, descriptions, types, a licence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from beeflow.crate.parameters import short_name, text_of

PACKED = "cwl/packed.json"
_GIVEN = "cwl/documents/"


class Documents:
    """The packed document (cwl/packed.json), looked into by the names of steps."""

    def __init__(self, packed: Any) -> None:
        self._known: dict[str, Any] = {}
        self.top: dict[str, Any] = packed if isinstance(packed, dict) else {}
        listed = self.top.get("$graph")
        if isinstance(listed, list):
            self._known = {str(each.get("id")): each for each in listed if isinstance(each, dict)}
            self.top = self._known.get("#main") or {}

    def process(self, path: str) -> dict[str, Any]:
        """Find what a step runs ("outer/inner"; "": the whole); nothing when it cannot be found."""
        found = self.top
        for name in path.split("/") if path else ():
            found = self._run_of(found, name)
        return found

    def _run_of(self, workflow: dict[str, Any], name: str) -> dict[str, Any]:
        for step in workflow.get("steps", ()):
            if isinstance(step, dict) and short_name(str(step.get("id"))) == name:
                run = step.get("run")
                found = self._known.get(run) if isinstance(run, str) else run
                return found if isinstance(found, dict) else {}
        return {}

    @property
    def license(self) -> str | None:
        """What licence the workflow says that it has (schema.org's or Dublin Core's property)."""
        for name, value in self.top.items():
            if name.rpartition("/")[2] in ("license", "rights") and "://" in name and isinstance(value, str):
                return value
        return None

    @property
    def description(self) -> str | None:
        """What the workflow says of itself."""
        return text_of(self.top.get("doc"))


def main_document(document: str, members: Mapping[str, object]) -> str:
    """Find the workflow among an archive's files: the document as it was given, else the packed one.

    ``document``: its path then; documents lie in the archive as they lay to each other.
    """
    parts = PurePosixPath(document.partition("#")[0]).parts
    for count in range(len(parts), 0, -1):
        name = _GIVEN + "/".join(parts[-count:])
        if name in members:
            return name
    return PACKED
