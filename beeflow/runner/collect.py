"""Collect the outputs of a command, where no expression has to be evaluated (CWL v1.2 CommandLineTool, Output binding).

Whatever is out of the ordinary (no match, a symbolic link, cwl.output.json, text that is not UTF-8) is left to
cwltool, and so is every error message.
"""

from __future__ import annotations

import os
import stat

from beeflow.shape import fill, quoted

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

CONTENTS_LIMIT = 64 * 1024
_LARGE = 4 << 20
_CHUNK = 1 << 20


class NeedsCwltoolError(Exception):
    """What the command left is not as plain as its tool's outputs promised."""


class Collector:
    """Collects what one command left. ``out``: its working directory; ``root``: the workflow directory."""

    def __init__(self, root: str, out: str, inputs: dict[str, Any], exit_code: int) -> None:
        self.root = root
        self.out = out
        self.context: dict[str, Any] = {"inputs": inputs, "runtime": {"exitCode": exit_code}}

    def collect(self, ports: list[dict[str, Any]], values: list[Any]) -> dict[str, Any]:
        """Collect all outputs; raises NeedsCwltoolError."""
        if os.path.lexists(f"{self.out}/cwl.output.json"):
            raise NeedsCwltoolError
        return {port["name"]: self.port(fill(port, values)) for port in ports}

    def port(self, port: dict[str, Any]) -> Any:
        """Collect one output."""
        found = [self.entry(path, port) for glob in port["globs"] for path in self.matches(glob)]
        if port["eval"]:
            return check(port, self.evaluate(port["eval"], found))
        for entry in found:
            entry.pop("contents", None)
            if entry["class"] not in port["classes"]:
                raise NeedsCwltoolError
        if port["array"]:
            return found if found or not port["optional"] else None
        if not found and port["optional"]:
            return None
        if len(found) != 1:
            raise NeedsCwltoolError
        return found[0]

    def evaluate(self, reference: list[Any], found: list[dict[str, Any]]) -> Any:
        """Evaluate a parameter reference, taken apart: ["self", 0, "contents"]."""
        value: Any = {**self.context, "self": found}
        for part in reference:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                raise NeedsCwltoolError from None
        return value

    def matches(self, glob: str) -> list[str]:
        """List what a pattern matches, sorted as cwltool does: by location."""
        if not glob or glob == "." or glob.startswith("/") or glob.endswith("/") or ".." in glob or "//" in glob:
            raise NeedsCwltoolError
        if not any(character in glob for character in "*?["):
            path = f"{self.out}/{glob}"
            return [path] if os.path.lexists(path) else []
        if glob.count("*") == 1 and not any(character in glob for character in "?[/"):
            return self.between(*glob.split("*"))
        import glob as globbing  # seldom needed

        return sorted(globbing.glob(f"{globbing.escape(self.out)}/{glob}"), key=quoted)

    def between(self, before: str, after: str) -> list[str]:
        """List the files whose names begin and end so; hidden ones only when asked for."""
        return [
            f"{self.out}/{name}"
            for name in sorted(os.listdir(self.out), key=quoted)
            if name.startswith(before)
            and name.endswith(after)
            and len(name) >= len(before) + len(after)
            and (before or not name.startswith("."))
        ]

    def entry(self, path: str, port: dict[str, Any]) -> dict[str, Any]:
        """Describe a file or folder that a pattern matched."""
        made = self.describe(path)
        if made["class"] == "File" and port["contents"]:
            made["contents"] = contents(path)
        if port["secondary"]:
            made["secondaryFiles"] = self.beside(path, port["secondary"])
        if port["format"]:
            made["format"] = port["format"]
        return made

    def describe(self, path: str) -> dict[str, Any]:
        """Describe a file or folder."""
        status = os.lstat(path)
        name = path.rpartition("/")[2]
        root, extension = os.path.splitext(name)
        made = {"location": quoted(path[len(self.root) + 1 :]), "basename": name}
        if stat.S_ISDIR(status.st_mode):
            return {"class": "Directory", **made}
        if not stat.S_ISREG(status.st_mode):
            raise NeedsCwltoolError
        made.update(nameroot=root, nameext=extension)
        return {"class": "File", **made, "checksum": checksum(path, status.st_size), "size": status.st_size}

    def beside(self, path: str, patterns: list[list[Any]]) -> list[dict[str, Any]]:
        """Find the secondary files of a file. ``patterns``: pattern, and whether it must be there."""
        folder, _, name = path.rpartition("/")
        found = []
        for pattern, required in patterns:
            place = f"{folder}/{substitute(name, pattern)}"
            if os.path.lexists(place):
                found.append(self.describe(place))
            elif required:
                raise NeedsCwltoolError
        return found


def substitute(name: str, pattern: str) -> str:
    """Apply a secondaryFiles pattern: each ^ takes an extension off (CWL v1.2, SecondaryFileSchema)."""
    while pattern.startswith("^"):
        pattern = pattern[1:]
        if "." in name:
            name = name[: name.rindex(".")]
    return name + pattern


def is_text(name: str) -> bool:
    """True for a name that is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def checksum(path: str, size: int) -> str:
    """Return a file's checksum as CWL writes it (CWL v1.2, File: sha1)."""
    digest = _sha1(size)
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"sha1${digest.hexdigest()}"


def _sha1(size: int) -> Any:
    """Return OpenSSL's sha1 for a large file; for others Python's own, which costs no import of OpenSSL."""
    if size < _LARGE:
        try:
            from _sha1 import sha1

            return sha1()
        except ImportError:
            pass
    import hashlib

    return hashlib.sha1(usedforsecurity=False)


def contents(path: str) -> str:
    """Read a file for loadContents."""
    with open(path, "rb") as stream:
        data = stream.read(CONTENTS_LIMIT + 1)
    if len(data) > CONTENTS_LIMIT:
        raise NeedsCwltoolError
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NeedsCwltoolError from None


_BITS = {"int": 32, "long": 64}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}


def check(port: dict[str, Any], value: Any) -> Any:
    """Check the type of what an expression gave."""
    if value is None and port["optional"]:
        return None
    wanted: Any = _TYPES[port["type"]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise NeedsCwltoolError
    if port["type"] in _BITS and value.bit_length() >= _BITS[port["type"]]:
        raise NeedsCwltoolError
    return value


def make_read_only(folder: str) -> None:
    """Take the write permission from all files: others will be given hard links to them.

    Raises NeedsCwltoolError where there is more than plain files and folders, or a name that is not UTF-8.
    """
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if not is_text(entry.name):
            raise NeedsCwltoolError
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            make_read_only(entry.path)
        elif not stat.S_ISREG(status.st_mode) or (status.st_nlink > 1 and status.st_mode & 0o222):
            raise NeedsCwltoolError
        elif status.st_mode & 0o222:
            os.chmod(entry.path, stat.S_IMODE(status.st_mode) & ~0o222)
