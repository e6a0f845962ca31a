"""manifest-sha256.txt, as ``sha256sum -c`` reads it."""

from __future__ import annotations

import re

from beeflow.errors import ArchiveError
from beeflow.layout import MANIFEST

_LINE = re.compile(r"(\\?)([0-9a-f]{64})  (.+)", re.DOTALL)
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def format_line(digest: str, name: str) -> str:
    """Write one line as sha256sum does: a name with a newline or backslash is escaped and the line marked."""
    if "\\" in name or "\n" in name or "\r" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {name}\n"


def parse(text: str) -> dict[str, str]:
    """Read a manifest: name -> sha256. Raises ArchiveError for what format_line does not write."""
    found: dict[str, str] = {}
    *lines, rest = text.split("\n")
    if rest:
        raise ArchiveError(f"damaged: the last line of {MANIFEST} is cut off: {rest[:80]!r}")
    for line in lines:
        name, digest = _parse_line(f"{line}\n")
        if name in found:
            raise ArchiveError(f"damaged: {MANIFEST} names {name!r} twice")
        found[name] = digest
    return found


def _parse_line(line: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line.removesuffix("\n"))
    if match:
        marked, digest, name = match.groups()
        if marked:
            name = re.sub(r"\\.", lambda each: _ESCAPED.get(each.group(), each.group()), name)
        # What is left to readers' discretion, they would read differently.
        if format_line(digest, name) == line:
            return name, digest
    raise ArchiveError(f"damaged: {MANIFEST}: cannot read the line {line[:80]!r}")
