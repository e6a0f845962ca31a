"""Templates of commands: what cwltool made of a tool once, with holes for what differs from task to task.

The *shape* of a task's inputs is all that may decide how a command is built: types, lengths, nulls, booleans. What is
left, the *values* (strings, numbers, the parts of paths), only shows in places. beeflow.cwl.template has cwltool
prepare the command for stand-ins of a shape, one a value, finds them again in what comes out, and checks the result.
Here, shape and values are taken off real inputs, and the holes filled.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

# A stand-in for value 12 is BEGIN + "12" + kind + END. What is quoted for a shell is no hole: whether it has to be is
# for the value to say.
BEGIN, END = "\x02'", "\x03"
# Kinds of holes: a text, one that is the input itself, the extension of a name, a float without an exponent.
TEXT, STRING, EXTENSION, DECIMAL = "s", "t", "e", "f"
# Around a word that a shell takes as it is: whether it has to be quoted shows once it is filled.
OPEN, CLOSE = "\x04", "\x05"

# The kinds of whole numbers, and how many bits CWL gives them.
INT, LONG = "int", "long"
_INT_BITS, _LONG_BITS = 32, 64

# The values that every task has.
FOLDER, PATH, CORES, RAM = range(4)
FIRST = 4

# Characters that a location has as they are.
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
PLAIN = frozenset(_WORD + ".-~/")
# Characters that shlex.quote does not quote; cwltool has it quote the words of a shell's command.
_NOT_QUOTED = frozenset(_WORD + "@%+=:,./-")
# Characters that end the path of a URI, or that Python's reader of URIs leaves out.
_OF_URIS = frozenset("#?\t\r\n")

_FILE_KEYS = {"class", "location", "basename", "nameroot", "nameext", "size", "checksum", "secondaryFiles", "format"}
_FOLDER_KEYS = {"class", "location", "basename"}


class NoTemplateError(Exception):
    """These inputs need cwltool on the node."""


class Shape:
    """The shape and the values of a task's inputs.

    ``root``: the workflow directory. ``apart``: where a container sees the folders of users' files by their names, so
    that these are part of the shape.
    """

    def __init__(self, root: str, *, apart: bool, literal: list[str]) -> None:
        self.root = root
        self.apart = apart
        self.literal = literal
        self.values: list[Any] = []
        self.places: set[str] = set()

    def of(self, inputs: dict[str, Any]) -> str:
        """Take the shape off inputs, and keep their values; raises NoTemplateError."""
        return repr({name: self.one(inputs[name], name in self.literal) for name in sorted(inputs)})

    def one(self, value: Any, literal: bool) -> Any:
        """Take the shape off one value."""
        if isinstance(value, dict):
            if value.get("class") == "File":
                return self.file(value)
            if value.get("class") == "Directory":
                return self.folder(value)
            if "class" in value:
                raise NoTemplateError
            return {name: self.one(value[name], literal) for name in sorted(value)}
        if isinstance(value, list):
            return [self.one(each, literal) for each in value]
        if value is None or isinstance(value, bool) or literal or value == "":
            return ("=", value)
        self.values.append(value)
        return kind_of(value)

    def file(self, entry: dict[str, Any]) -> Any:
        """Take the shape off a File."""
        if not _FILE_KEYS.issuperset(entry):
            raise NoTemplateError
        where = self.place(entry)
        self.values.append(self.size(entry))
        if "checksum" in entry:
            if not isinstance(entry["checksum"], str):
                raise NoTemplateError
            self.values.append(entry["checksum"])
        beside = [self.beside(each, entry) for each in entry.get("secondaryFiles") or ()]
        return ("File", where, "checksum" in entry, entry.get("format"), beside)

    def size(self, entry: dict[str, Any]) -> int:
        """Return the size of a File (bytes)."""
        size = entry.get("size")
        if size is None:
            try:
                return os.stat(self.path(entry)).st_size
            except (OSError, ValueError):
                raise NoTemplateError from None
        if kind_of(size) not in (INT, LONG) or isinstance(size, bool):
            raise NoTemplateError
        made: int = size
        return made

    def folder(self, entry: dict[str, Any]) -> Any:
        """Take the shape off a Directory."""
        if not _FOLDER_KEYS.issuperset(entry):
            raise NoTemplateError
        return ("Directory", self.place(entry))

    def beside(self, entry: Any, primary: dict[str, Any]) -> Any:
        """Take the shape off a secondary file, which must be where its primary file is."""
        if not isinstance(entry, dict) or entry.get("class") not in ("File", "Directory"):
            raise NoTemplateError
        if self.path(entry).rpartition("/")[0] != self.path(primary).rpartition("/")[0]:
            raise NoTemplateError
        return self.one(entry, literal=False)

    def path(self, entry: dict[str, Any]) -> str:
        """Return where a File or Directory is."""
        return path_of(str(entry.get("location", "_:")), self.root)

    def place(self, entry: dict[str, Any]) -> Any:
        """Keep the folder and the name of what is under its own name; anything else has to be staged."""
        path = self.path(entry)
        folder, _, name = path.rpartition("/")
        if entry.get("basename") != name or not folder or name == "..":
            raise NoTemplateError
        if os.path.normpath(path) != path or path.startswith("//"):
            # cwltool would write it otherwise.
            raise NoTemplateError
        if path in self.places:
            # cwltool knows a file by its place: where one of two is staged, both are.
            raise NoTemplateError
        self.places.add(path)
        own = folder.startswith(self.root + "/")
        self.values.append(folder[len(self.root) + 1 :] if own else folder[1:])
        self.values.extend(os.path.splitext(name))
        return own if own or not self.apart else folder


def kind_of(value: Any) -> str:
    """Name the kind of a text or number: what fits one CWL type fits it with all of its kind (validate_ex)."""
    if isinstance(value, str):
        return "str"
    if isinstance(value, int) and value.bit_length() < _LONG_BITS:
        is_int = -(1 << _INT_BITS - 1) <= value < 1 << _INT_BITS - 1
        return INT if is_int else LONG
    if isinstance(value, float) and abs(value) < float("inf"):
        return "float"
    raise NoTemplateError


def path_of(location: str, root: str) -> str:
    """Return the path of a location: a file URI, or relative to the workflow directory."""
    if location.startswith("file:///") and not _OF_URIS.isdisjoint(location):
        raise NoTemplateError
    if location.startswith("file:///"):
        return unquoted(location[len("file://") :])
    if location.startswith(("_:", "/")) or ":" in location.partition("/")[0]:
        raise NoTemplateError
    return f"{root}/{unquoted(location)}"


def unquoted(text: str) -> str:
    """Undo percent signs."""
    if "%" not in text:
        return text
    import urllib.parse  # seldom needed

    try:
        return urllib.parse.unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise NoTemplateError from None


def quoted(path: str) -> str:
    """Write a path as a location has it."""
    if PLAIN.issuperset(path):
        return path
    import urllib.parse  # seldom needed

    return urllib.parse.quote(os.fsencode(path))


def fill(template: Any, values: list[Any]) -> Any:
    """Copy a template with its holes filled."""
    if isinstance(template, str):
        return fill_text(template, values) if BEGIN in template else template
    if isinstance(template, dict):
        return {fill(key, values): fill(value, values) for key, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [fill(value, values) for value in template]
    return template


def fill_command(template: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """Fill the template of a command; raises NoTemplateError for what cwltool would refuse, or stage otherwise."""
    command: dict[str, Any] = fill(template, values)
    # Whether the folders above have dots is nobody's concern here.
    below = len(values[FOLDER]) + 2
    targets = [stage["target"][below:] for stage in command["stage"]]
    if any(os.path.normpath(name) != name or "\0" in name for name in targets) or len(set(targets)) < len(targets):
        raise NoTemplateError
    for name in (command["stdout"][below:], command["stderr"][below:]):
        if ".." in name or "\0" in name:
            raise NoTemplateError
    if ".." in (command["stdin"] or "").split("/"):
        # A file that may be the tool's to read, or not (beeflow.cwl.guard).
        raise NoTemplateError
    for path in (command["stdin"] or "", command["stdout"], command["stderr"]):
        # An absolute name is another file or none, and an empty one is as none was given.
        if "//" in path or path.endswith("/"):
            raise NoTemplateError
    return command


def fill_text(text: str, values: list[Any]) -> str:
    """Fill the holes of a text."""
    first, *parts = text.split(OPEN)
    made = [fill_holes(first, values)]
    for part in parts:
        word, _, rest = part.partition(CLOSE)
        made += [shell_quoted(fill_holes(word, values)), fill_holes(rest, values)]
    return "".join(made)


def shell_quoted(word: str) -> str:
    """Quote a word as shlex.quote does, which would take long to import."""
    return word if _NOT_QUOTED.issuperset(word) and word else "'" + word.replace("'", "'\"'\"'") + "'"


def fill_holes(text: str, values: list[Any]) -> str:
    """Fill the holes of a text, or of one word of a shell's."""
    first, *parts = text.split(BEGIN)
    made = [first]
    for part in parts:
        token, _, rest = part.partition(END)
        value, kind = values[int(token[:-1])], token[-1]
        if kind == EXTENSION:
            # The stand-in has a dot of its own before it, so that it is an extension.
            made[-1] = made[-1][:-1]
        made.append(as_decimal(value) if kind == DECIMAL else str(value))
        made.append(rest)
    return "".join(made)


def as_decimal(value: Any) -> str:
    """Write a float without an exponent (CWL v1.2 CommandLineTool, Input binding: decimals only)."""
    text = repr(float(value))
    if "e" not in text:
        return text
    from decimal import Decimal  # seldom needed

    return format(Decimal(text), "f")
