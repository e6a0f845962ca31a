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

# A stand-in for value 12 is BEGIN + QUOTE + "12" + kind + END. The quote shows whether a shell's quoting was applied.
BEGIN, END, QUOTE = "\x02", "\x03", "'"
SHELL_QUOTE = "'\"'\"'"
TEXT, EXTENSION, DECIMAL = "s", "e", "f"

# The values that every task has.
FOLDER, PATH, CORES, RAM = range(4)
FIRST = 4

# Characters that a location has as they are.
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/")

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
            return {name: self.one(value[name], literal) for name in sorted(value)}
        if isinstance(value, list):
            return [self.one(each, literal) for each in value]
        if value is None or isinstance(value, bool) or literal or value == "":
            return ("=", value)
        self.values.append(value)
        return type(value).__name__

    def file(self, entry: dict[str, Any]) -> Any:
        """Take the shape off a File."""
        if not _FILE_KEYS.issuperset(entry):
            raise NoTemplateError
        where = self.place(entry)
        size = entry.get("size")
        self.values.append(os.stat(self.path(entry)).st_size if size is None else size)
        if "checksum" in entry:
            self.values.append(entry["checksum"])
        beside = [self.beside(each, entry) for each in entry.get("secondaryFiles") or ()]
        return ("File", where, "checksum" in entry, entry.get("format"), beside)

    def folder(self, entry: dict[str, Any]) -> Any:
        """Take the shape off a Directory."""
        if not _FOLDER_KEYS.issuperset(entry):
            raise NoTemplateError
        return ("Directory", self.place(entry))

    def beside(self, entry: dict[str, Any], primary: dict[str, Any]) -> Any:
        """Take the shape off a secondary file, which must be where its primary file is."""
        if entry["location"].rpartition("/")[0] != primary["location"].rpartition("/")[0]:
            raise NoTemplateError
        return self.one(entry, literal=False)

    def path(self, entry: dict[str, Any]) -> str:
        """Return where a File or Directory is."""
        return path_of(str(entry.get("location", "_:")), self.root)

    def place(self, entry: dict[str, Any]) -> Any:
        """Keep the folder and the name of what is under its own name; anything else has to be staged."""
        path = self.path(entry)
        folder, _, name = path.rpartition("/")
        if entry.get("basename", name) != name or not folder or name in ("", ".", ".."):
            raise NoTemplateError
        if path in self.places:
            # cwltool knows a file by its place: where one of two is staged, both are.
            raise NoTemplateError
        self.places.add(path)
        own = folder.startswith(self.root + "/")
        self.values.append(folder[len(self.root) + 1 :] if own else folder[1:])
        self.values.extend(os.path.splitext(name))
        return own if own or not self.apart else folder


def path_of(location: str, root: str) -> str:
    """Return the path of a location: a file URI, or relative to the workflow directory."""
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

    return os.fsdecode(urllib.parse.unquote_to_bytes(text))


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
    targets = [stage["target"] for stage in command["stage"]]
    for path in (command["stdout"], command["stderr"], *targets):
        # Whether the folders above have dots is nobody's concern here.
        name = path[len(values[FOLDER]) + 1 :]
        if ".." in name or name.endswith("/") or "\0" in name:
            raise NoTemplateError
    if any("//" in (path or "") for path in (command["stdin"], command["stdout"], command["stderr"])):
        # An absolute name, which is another file or none.
        raise NoTemplateError
    if len({os.path.normpath(target) for target in targets}) < len(targets):
        raise NoTemplateError
    return command


def fill_text(text: str, values: list[Any]) -> str:
    """Fill the holes of a text."""
    first, *parts = text.split(BEGIN)
    made = [first]
    for part in parts:
        token, _, rest = part.partition(END)
        in_shell = token.startswith(SHELL_QUOTE)
        token = token[len(SHELL_QUOTE) :] if in_shell else token[len(QUOTE) :]
        value, kind = values[int(token[:-1])], token[-1]
        if kind == EXTENSION:
            # The stand-in has a dot of its own before it, so that it is an extension.
            made[-1] = made[-1][:-1]
        shown = as_decimal(value) if kind == DECIMAL else str(value)
        made.append(shown.replace("'", SHELL_QUOTE) if in_shell else shown)
        made.append(rest)
    return "".join(made)


def as_decimal(value: Any) -> str:
    """Write a float without an exponent (CWL v1.2 CommandLineTool, Input binding: decimals only)."""
    text = repr(float(value))
    if "e" not in text:
        return text
    from decimal import Decimal  # seldom needed

    return format(Decimal(text), "f")
