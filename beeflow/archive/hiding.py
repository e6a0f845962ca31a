"""Keep credentials out of an archive: in the records that we write, which may quote a command line or a message."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

from beeflow.archive.contents import Source, json_source
from beeflow.masking import HIDDEN
from beeflow.secret_values import SecretValues

# All but what is the user's: documents, inputs, outputs, and what tasks print.
_OURS = (
    *("workflow.json", "state.json", "tasks.json", "jobs/*", "metadata/*", "log/*", "control/*"),
    *("tasks/*/slurm/*", "tasks/*/result*.json", "tasks/*/lost*.json", "tasks/*/started*.json"),
    *("tasks/*/tasks*.jsonl", "tasks/*/moved.json", "tasks/*/taken.json"),
    # Copies of what is in the input object: a re-execution makes them of that.
    *("tasks/*/elements.jsonl", "tasks/*/shared.json", "tasks/*/run.json"),
    # The input object of a run that this one re-executed: nothing starts from it any more.
    "provenance/*job.json",
)
# tasks/GROUP/000/000000/ATTEMPT/started.json: what is below that is a task's.
_DEEPEST = 6
# A record of more is not held in memory: that of 100,000 tasks has 50 MiB.
_MOST = 256 << 20


def without_credentials(source: Source, known: SecretValues) -> Source:
    """Return what to pack of a file: itself, or its contents with what looks like a credential, or is one, hidden."""
    if source.path is None or source.size > _MOST or not is_ours(source):
        return source
    try:
        given = Path(source.path).read_bytes().decode(errors="surrogateescape")
    except OSError:
        # Whoever packs it says so.
        return source
    data = _hidden(given, source.name, known)
    return source if data is None else Source(source.name, None, data, len(data))


def is_ours(source: Source) -> bool:
    """True for a record of ours that is no user's data."""
    parts = source.name.split("/")
    if parts[0] == "tasks" and len(parts) > _DEEPEST:
        return False
    return any(fnmatch.fnmatchcase(source.name, pattern) for pattern in _OURS)


def _hidden(text: str, name: str, known: SecretValues) -> bytes | None:
    """Return a record with credentials hidden, or None when it has none."""
    if not known.may_be_in(text):
        return None
    if name.endswith(".jsonl"):
        made = "\n".join(_hidden_line(line, known) for line in text.split("\n"))
        return made.encode(errors="surrogateescape") if made != text else None
    if name.endswith(".json"):
        try:
            data = json.loads(text)
            made = known.masked(data)
            return json_source(name, made).data if made != data else None
        except (ValueError, RecursionError):
            pass
    made = known.mask(text)
    return made.encode(errors="surrogateescape") if made != text else None


def _hidden_line(line: str, known: SecretValues) -> str:
    """Hide credentials in a line of JSON: all of it where it was cut off, for words are only known side by side."""
    if not known.may_be_in(line):
        return line
    try:
        data = json.loads(line)
    except ValueError:
        return HIDDEN
    made = known.masked(data)
    if made == data:
        return line
    # As long as it was: elements.index has the offsets of lines. What hides a short word is longer than that.
    text = json.dumps(made)
    return (text if len(text) <= len(line) else json.dumps(made, separators=(",", ":"))).ljust(len(line))
