"""Keep credentials out of an archive: in the records that we write, which may quote a command line or a message."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Callable
from typing import IO

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


def without_credentials(source: Source, known: SecretValues, make_file: Callable[[], IO[bytes]]) -> Source:
    """Return what to pack of a file: itself, or its contents with what looks like a credential, or is one, hidden.

    ``make_file``: opens an empty file, until all is packed, for what is too large for the memory. Raises OSError.
    """
    if source.path is None or not is_ours(source):
        return source
    try:
        stream = open(source.path, "rb")  # noqa: SIM115 - below
    except FileNotFoundError:
        # Whoever packs it says so.
        return source
    with stream:
        source = source._replace(inode=os.fstat(stream.fileno()).st_ino)
        if source.size > _MOST:
            return _by_lines(source, stream, known, make_file)
        given = stream.read()
    data = _hidden(given.decode(errors="surrogateescape"), source.name, known)
    # What is added to it from now on nobody looked at.
    return source._replace(most=len(given)) if data is None else Source(source.name, None, data, len(data))


def _by_lines(source: Source, given: IO[bytes], known: SecretValues, make_file: Callable[[], IO[bytes]]) -> Source:
    """Hide credentials in a large record line by line: it has an item of its lists a line (beeflow.codec)."""
    if not any(known.may_be_in(line.decode(errors="surrogateescape")) for line in given):
        return source._replace(most=given.tell())
    made = make_file()
    hide = _hidden_line if source.name.endswith(".jsonl") else _hidden_item
    given.seek(0)
    for line in given:
        made.write(hide(line.decode(errors="surrogateescape"), known).encode(errors="surrogateescape"))
    made.flush()
    status = os.fstat(given.fileno())
    os.utime(made.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    return Source(source.name, f"/proc/self/fd/{made.fileno()}", size=made.tell())


def _hidden_item(line: str, known: SecretValues) -> str:
    """Hide credentials in a line that has an item of a list or an object, or is no JSON by itself."""
    if not known.may_be_in(line):
        return line
    item = line.rstrip().removesuffix(",")
    for before, after in (("", ""), ("{", "}")):
        try:
            made = json.dumps(known.masked(json.loads(f"{before}{item}{after}")))
        except ValueError:
            continue
        return made.removeprefix(before).removesuffix(after) + line[len(item) :]
    return known.mask(line)


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
    end = "\n" if line.endswith("\n") else ""
    try:
        data = json.loads(line)
    except ValueError:
        return HIDDEN + end
    made = known.masked(data)
    if made == data:
        return line
    # As long as it was: elements.index has the offsets of lines. What hides a short word is longer than that.
    text = json.dumps(made)
    text = text if len(text) < len(line) else json.dumps(made, separators=(",", ":"))
    return text.ljust(len(line) - len(end)) + end
