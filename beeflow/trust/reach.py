"""Where a path or an address in a document leads: below its own folder, or out of it."""

from __future__ import annotations

import posixpath
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beeflow import locations

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# Where any program of a system is: PATH would lead there, too.
_SYSTEM = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/")
_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr"})


def leads_out(path: str) -> bool:
    """True for a path that is absolute, in a home folder, or above where it begins."""
    return path.startswith(("/", "~")) or posixpath.normpath(path).split("/")[0] == ".."


def is_address(text: str) -> bool:
    """True for an address with a scheme, as in a location."""
    return _SCHEME.match(text) is not None


def document_leads_out(document: str, reference: str, root: str) -> bool:
    """True when a document's reference to another (run, $import, $include) is not below ``root``."""
    target = reference.partition("#")[0]
    if not target:
        return False
    if is_address(target) or target.startswith(("/", "~")):
        return True
    met = posixpath.normpath(posixpath.join(posixpath.dirname(document), urllib.parse.unquote(target)))
    return not f"{met}/".startswith(root)


def location_leads_out(location: str) -> bool:
    """True when a File's location is not below the workflow directory, nor a literal."""
    if location.startswith("_:"):
        return "/" in location
    return is_address(location) or leads_out(urllib.parse.unquote(location))


def odd_names(entry: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """List what says that a File or Directory is put elsewhere than into the folder made for it: key, value."""
    found = [("basename", entry["basename"])] if "basename" in entry and not is_plain_name(entry["basename"]) else []
    return [*found, ("dirname", entry["dirname"])] if "dirname" in entry else found


def is_plain_name(name: Any) -> bool:
    """True for the name of a file in a folder."""
    return isinstance(name, str) and "/" not in name and name not in (".", "..")


def host_path(location: str) -> Path | None:
    """Return the path of a file URI; None for anything else, and for what cannot be one."""
    try:
        return locations.to_path(location)
    except ValueError:
        return None


def is_foreign_program(word: str) -> bool:
    """True for a program that is neither one of the system's nor looked up on PATH, nor made by the workflow."""
    return leads_out(word) and not (word.startswith(_SYSTEM) and posixpath.normpath(word) == word)


def is_foreign_argument(word: str) -> bool:
    """True for an argument that names a file of the host."""
    return leads_out(word) and ("/" in word or word == "~") and word not in _DEVICES and not word.startswith(_SYSTEM)
