"""Tell whoever submits a workflow what looks like a credential and is archived as it is: inputs, and documents."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from beeflow import secret_values, tables
from beeflow.graph import Graph
from beeflow.hints import is_called
from beeflow.masking import is_surely_one

log = logging.getLogger(__name__)

_INSTEAD = "give tasks such things by [task] preserve_environment of bee.conf, or in a file that they read themselves"
_WHERE = f"will be in job.json and in the workflow's archive as written; {_INSTEAD}"


def warn(graph: Graph, job: Mapping[str, Any]) -> None:
    """Warn of inputs that look like credentials, by name or value, or that a hint says are, and of documents' own."""
    said = ", ".join(dict.fromkeys(_hinted(graph)))
    if said:
        log.warning("the hint cwltool:Secrets is ignored: %s %s", tables.one_line(said, 1000), _WHERE)
    found = sorted(name for name, value in job.items() if is_surely_one(name, value))
    if found:
        many = len(found) > 1
        what = ("inputs", "look like credentials") if many else ("input", "looks like a credential")
        log.warning("%s %s %s, and %s", what[0], tables.one_line(", ".join(found), 1000), what[1], _WHERE)
    given = (item for each in secret_values.written(graph) for item in each.items())
    written = {name for name, value in given if name not in found and is_surely_one(name, value)}
    if written:
        shown = tables.one_line(", ".join(sorted(written)), 1000)
        log.warning(
            "the documents have values that look like credentials (%s), which will be in the workflow's archive as "
            "written; %s",
            *(shown, _INSTEAD),
        )


def _hinted(graph: Graph) -> Iterator[str]:
    """Yield what hints name: an input of the workflow, or STEP/INPUT."""
    for tool in graph.tools.values():
        for hint in tool.document.get("hints", ()):
            if is_called(hint["class"], "Secrets"):
                said = hint.get("secrets") or ()
                # As a document that nobody checked may have it: one name in place of a list.
                names = said if isinstance(said, (list, tuple)) else [said]
                yield from (str(each).rpartition("#")[2].removeprefix("main/") for each in names)
