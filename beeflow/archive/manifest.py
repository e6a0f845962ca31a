"""manifest-sha256.txt, as ``sha256sum -c`` reads it."""

from __future__ import annotations

import re

from beeflow.errors import ArchiveError
from beeflow.layout import MANIFEST


def format_line(digest: str, name: str) -> str:
    """Write one line as sha256sum does: a name with a newline or backslash is escaped and the line marked."""
    if "\\" in name or "\n" in name or "\r" in name:
        escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        return f"\\{digest}  {escaped}\n"
    return f"{digest}  {name}\n"


def parse(text: str) -> dict[str, str]:
    """Read a manifest: name -> sha256. Raises ArchiveError on a line sha256sum would not read."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            continue
        match = re.fullmatch(r"(\\?)([0-9a-f]{64})  (.+)", line)
        if not match:
            raise ArchiveError(f"{MANIFEST}: cannot read the line {line[:80]!r}")
        marked, digest, name = match.groups()
        if marked:
            name = re.sub(r"\\(.)", lambda each: {"n": "\n", "r": "\r"}.get(each.group(1), each.group(1)), name)
        found[name] = digest
    return found
