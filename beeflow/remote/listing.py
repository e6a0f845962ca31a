"""List the workflows of another system."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

from beeflow import codec, process, store
from beeflow.errors import RemoteError
from beeflow.models import Summary
from beeflow.remote import ssh

log = logging.getLogger(__name__)

LIST_TIMEOUT_S = 120.0
MAX_BYTES = 64 << 20
# So many lines are tried; somebody could print many thousand.
_CANDIDATES = 10
_COMMAND = "bee-list"
_FIELDS = frozenset(each.name for each in dataclasses.fields(Summary))


def list_all(host: str, env: Mapping[str, str]) -> list[Summary]:
    """List the workflows of another system; raises RemoteError when it does not say."""
    try:
        code, said, text = _ask(host, env)
    except (process.ProgramMissingError, process.ProgramTimeoutError, process.ProgramFloodError) as error:
        raise RemoteError(f"{host}: {error}") from error
    if code != 0:
        raise RemoteError(ssh.failure(host, _COMMAND, code, said))
    found = [_summary(each) for each in parse(host, text)]
    made = [each for each in found if each]
    if len(made) < len(found):
        log.warning("%s: left out: %d workflows that this beeflow cannot read", host, len(found) - len(made))
    return made


def _ask(host: str, env: Mapping[str, str]) -> tuple[int, str, str]:
    """Run bee-list there; returns its exit code, what it said on stderr, and what it printed."""
    with process.stream(ssh.argv(host, [_COMMAND, "--json"]), env=env) as program:
        text = program.read_all(MAX_BYTES, LIST_TIMEOUT_S).decode(errors="replace")
        return (*program.end(), text)


def parse(host: str, text: str) -> list[Any]:
    """Find the JSON array in what bee-list printed; what a login shell printed before it is not ours.

    The array begins on a line of its own, as no line in it does, or behind a banner that has no line's end. A banner
    may have such a line too: the last one that begins an array counts.
    """
    for pattern in (r"^\[\]?\r?$", r"\[\]?\r?$"):
        begins = [found.start() for found in re.finditer(pattern, text, re.MULTILINE)]
        for begin in reversed(begins[-_CANDIDATES:]):
            try:
                data, _ = json.JSONDecoder().raw_decode(text, begin)
            except (ValueError, RecursionError):
                continue
            if isinstance(data, list):
                return data
    raise RemoteError(f"{host}: bee-list there printed something else than a JSON array: {ssh.safe(text[:200])}")


def _summary(data: Any) -> Summary | None:
    """Read one workflow; fields that this beeflow does not know are left out."""
    try:
        summary = codec.from_json(Summary, {key: value for key, value in data.items() if key in _FIELDS})
    except (ValueError, AttributeError):
        return None
    return summary if store.is_id(summary.id) else None
