"""Pack a CWL document and all it refers to into one that others can read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import cwltool.pack

from beeflow.cwl.documents import Document, translated
from beeflow.errors import DocumentError


def pack(document: Document) -> dict[str, Any]:
    """Return the document and all it refers to as one CWL document; what it names on disk stays a file:// URI."""
    with translated(DocumentError, f"{document.path}: cannot be packed: "), _written_out():
        packed = cwltool.pack.pack(document.context, document.uri)
    graph = packed["$graph"]
    plain: dict[str, Any] = json.loads(json.dumps(packed if len(graph) > 1 else graph[0], default=str))
    return plain


@contextlib.contextmanager
def _written_out() -> Iterator[None]:
    """Have cwltool write out what it would refer to, as it has seen its identifier before.

    It takes whatever has the same identifier for the same thing, so a step called what an input of its workflow is
    called is lost, and refers to types in ways that it does not read (cwltool.pack.import_embed, 3.3.20260925135507).
    """
    before = cwltool.pack.import_embed
    cwltool.pack.import_embed = lambda *_: None
    try:
        yield
    finally:
        cwltool.pack.import_embed = before
