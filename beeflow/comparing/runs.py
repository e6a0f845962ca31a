"""What is known of a run: its records, and its files by their contents."""

from __future__ import annotations

import functools
import os
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import codec, locations
from beeflow.archive.description import Description
from beeflow.comparing import records
from beeflow.comparing.files import Content, Files, beginning, of_entry
from beeflow.comparing.values import Entry, Tree, listed
from beeflow.comparing.verdicts import Title
from beeflow.errors import ArchiveError
from beeflow.graph import Graph
from beeflow.inputs import RECORD as INPUTS
from beeflow.inputs import InputFile, InputFiles
from beeflow.layout import DESCRIPTION, ENVIRONMENT, OMITTED
from beeflow.models import StateRecord, WorkflowRecord

WORKFLOW, STATE, GRAPH = "workflow.json", "state.json", "cwl/graph.json"
JOB, OUTPUTS = "job.json", "outputs.json"
# What of a run is compared besides its files; of an archive nothing else is kept in memory.
RECORDS = frozenset({WORKFLOW, STATE, GRAPH, JOB, OUTPUTS, ENVIRONMENT, INPUTS, DESCRIPTION, OMITTED})
MAX_RECORD = 1 << 29


@dataclass(frozen=True)
class Run:
    """One run. ``texts``: its records as they were read; ``inputs``: origin -> what became of that input file."""

    source: Path
    texts: Mapping[str, str]
    files: Files
    inputs: Mapping[str, InputFile]
    referenced: Mapping[str, Content]

    @classmethod
    def read(cls, source: Path, texts: Mapping[str, str], files: Files) -> Run:
        """Make sense of what was read; raises ArchiveError or SystemFileError where there is none."""
        if WORKFLOW not in texts or GRAPH not in texts:
            raise ArchiveError(f"{source}: not of a workflow: it has no {WORKFLOW if WORKFLOW not in texts else GRAPH}")
        record = codec.loads(InputFiles, texts[INPUTS], source / INPUTS) if INPUTS in texts else InputFiles(())
        inputs = {each.origin: each for each in record.files}
        return cls(source, texts, files, inputs, _referenced(source, texts))

    def document(self, name: str) -> dict[str, Any]:
        """Return a record as JSON; {} when the run has none."""
        return records.parse_object(self.texts[name], f"{self.source}: {name}") if name in self.texts else {}

    def values(self, name: str) -> dict[str, Any]:
        """Return an input or output object; {} when the run has none."""
        return records.parse_values(self.texts[name], f"{self.source}: {name}") if name in self.texts else {}

    def record(self) -> WorkflowRecord:
        """Return what was submitted."""
        return codec.loads(WorkflowRecord, self.texts[WORKFLOW], self.source / WORKFLOW)

    def graph(self) -> Graph:
        """Return the workflow that ran."""
        self.values(GRAPH)
        return codec.loads(Graph, self.texts[GRAPH], self.source / GRAPH)

    def title(self) -> Title:
        """Say which run it is."""
        record = self.record()
        state = codec.loads(StateRecord, self.texts[STATE], self.source / STATE).state if STATE in self.texts else None
        shown = state.outcome.value if state else "not over"
        return Title(str(self.source), record.id, record.name, shown, record.created, record.parent)

    def content(self, entry: Entry) -> Content:
        """Say what a File is, by all that is known of it."""
        name = self._name(entry)
        found = (self.files.content(name) if name else None) or self._left_out(entry)
        return found or of_entry(entry)

    def tree(self, entry: Entry) -> Tree | None:
        """List the files of a Directory, as its listing has them or else as they lie."""
        listing = entry.get("listing")
        if listing is not None:
            return listed(self, listing)
        name = self._name(entry)
        if not name:
            return None
        inside, outside = self.files.below(name), self._left_out_below(f"{name}/")
        if inside is None and not outside:
            return None
        return {path: (content,) for path, content in {**(inside or {}), **outside}.items()}

    def _name(self, entry: Entry) -> str | None:
        """Name a file or folder as it is below the top directory, else by its path; None for a literal."""
        location = str(entry.get("location") or "_:")
        path = locations.to_path(location)
        if path is None:
            return os.fsdecode(urllib.parse.unquote_to_bytes(location)) if locations.is_relative(location) else None
        for origin in (path, *path.parents):
            known = self.inputs.get(str(origin))
            if known and known.embedded:
                return str(Path(known.embedded) / path.relative_to(origin))
        return str(path)

    def _left_out_below(self, prefix: str) -> dict[str, Content]:
        """List what the archive only refers to of a folder."""
        names = beginning(self._referenced_names, prefix)
        return {each.removeprefix(prefix): self.referenced[each] for each in names}

    @functools.cached_property
    def _referenced_names(self) -> list[str]:
        return sorted(self.referenced)

    def _left_out(self, entry: Entry) -> Content | None:
        """Say what is known of a file that the archive only refers to."""
        path = locations.to_path(str(entry.get("location") or ""))
        known = self.inputs.get(str(path))
        if known and known.sha256:
            return Content(known.size, known.sha256)
        return self.referenced.get(str(path) if path else self._name(entry) or "")


def _referenced(source: Path, texts: Mapping[str, str]) -> dict[str, Content]:
    """List what an archive's description says of files that were left out: by name in it, and by origin."""
    if DESCRIPTION not in texts:
        return {}
    described = codec.loads(Description, texts[DESCRIPTION], source / DESCRIPTION)
    files = [each for each in described.referenced if each.sha256]
    return {key: Content(each.size, each.sha256) for each in files for key in (each.name, each.origin)}
