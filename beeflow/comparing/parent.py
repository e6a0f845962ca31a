"""Compare the outputs of a re-executed workflow with its parent's, by the checksums that both have: nothing is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from beeflow import archived, store
from beeflow.archive import reading
from beeflow.comparing import records
from beeflow.comparing.files import Content, of_entry
from beeflow.comparing.values import Entry, Tree, Values, listed, union
from beeflow.comparing.verdicts import Verdict, count, judged, words
from beeflow.config import Config
from beeflow.errors import ArchiveError, BeeError
from beeflow.layout import Layout
from beeflow.models import Summary, WorkflowRecord

# Of each output, so many places that differ are kept: it may have 100,000 files.
_PLACES = 20


@dataclass(frozen=True)
class Compared:
    """One output. ``places``: where it differs, or the first of these: "frames[3]", "folder/sub/file.txt"."""

    name: str
    verdict: Verdict
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """comparison.json. ``reason``: why there is nothing to compare with."""

    parent: str
    outputs: tuple[Compared, ...] = field(default_factory=tuple)
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return f"not compared with those of {self.parent}: {self.reason}"
        if all(each.verdict is Verdict.IDENTICAL for each in self.outputs):
            return f"identical to those of {self.parent}"
        told = words(count(each.verdict for each in self.outputs))
        return f"{told}, compared with those of {self.parent}{self._examples()}"

    def _examples(self) -> str:
        names = [each.name for each in self.outputs if each.verdict is not Verdict.IDENTICAL]
        return f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


class _Checksums:
    """Knows of files what an output object tells (CWL v1.2, File: checksum, size)."""

    def content(self, entry: Entry) -> Content:
        return of_entry(entry)

    def tree(self, entry: Entry) -> Tree | None:
        listing = entry.get("listing")
        return None if listing is None else listed(self, listing)


def write(layout: Layout, record: WorkflowRecord) -> None:
    """Write comparison.json of a workflow that has ended, if it re-executes another."""
    if record.parent is not None:
        store.write_record(layout.comparison, compare(layout, record.parent))


def compare(layout: Layout, parent: str) -> Comparison:
    """Compare; what the parent left may be anything, and must not keep a workflow from its end."""
    kept = layout.provenance / layout.output_object.name
    try:
        text = store.read_text(kept)
        if text is None:
            return Comparison(parent, reason="its archive has no outputs.json")
        before = records.parse_values(text, str(kept.relative_to(layout.root)))
        now = records.parse_values(store.read_text(layout.output_object) or "{}", layout.output_object.name)
    except BeeError as error:
        return Comparison(parent, reason=str(error))
    values = Values(_Checksums(), _Checksums())
    items = [judged(name, list(values.compare(name, before.get(name), now.get(name)))) for name in union(before, now)]
    return Comparison(
        parent,
        tuple(Compared(item.name, item.verdict, tuple(x.where for x in item.differences[:_PLACES])) for item in items),
    )


def read(summary: Summary, config: Config) -> Comparison | None:
    """Read what was found of a workflow, from its directory, else its archive; None where there is nothing (yet)."""
    layout = Layout(config.workflows_dir / summary.id)
    # What is being retried may have that of the time before.
    if summary.parent is None or not summary.state.final:
        return None
    if layout.root.is_dir():
        return store.read_record(Comparison, layout.comparison)
    archive = Path(summary.archive or "")
    try:
        allowed = archived.allowed(archive, config.bee_archive_dir)
        return reading.read_record(Comparison, archive, layout.comparison.name, allowed)
    except ArchiveError:
        # Archived by hand before it had ended: whoever asks has read other records of the archive.
        return None
