"""Read ``NAME=VALUE`` as a value of an input's CWL type.

A string, an enum's symbol and the path of a File or Directory are taken as they are written; everything else is YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from beeflow import locations
from beeflow.cwl.compiler import plain
from beeflow.cwl.documents import Document
from beeflow.errors import InputError, UsageError

_FILES = ("File", "Directory")
_AS_WRITTEN = ("string", "enum", *_FILES)
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "string": (str,),
}
_BITS = {"int": 32, "long": 64}


class _MisfitError(Exception):
    """A value is not of a type."""


class Settings:
    """Reads values for the inputs of one document. ``base``: what paths are relative to."""

    def __init__(self, document: Document, base: Path) -> None:
        schema = plain(document.process.inputs_record_schema)
        self.types: dict[str, Any] = {each["name"]: each["type"] for each in schema["fields"]}
        self.named: dict[str, Any] = plain(document.process.schemaDefs)
        self.base = base

    def read(self, text: str) -> tuple[str, Any]:
        """Read one setting: name and value; raises InputError, UsageError for none, that list the inputs."""
        name, mark, given = text.partition("=")
        if not mark or not name:
            raise UsageError(f"--set {text}: write INPUT=VALUE\n{self.listed()}")
        if name not in self.types:
            raise InputError(f"{text}: the workflow has no input {name!r}\n{self.listed()}")
        kind = self.types[name]
        try:
            return name, self.value(kind, given)
        except _MisfitError as error:
            raise InputError(f"{text}: {name} takes {self.shown(kind)}: {error}\n{self.listed()}") from error

    def listed(self) -> str:
        """List the inputs and their types."""
        lines = (f"  {name}: {self.shown(kind)}" for name, kind in sorted(self.types.items()))
        return "\n".join(["its inputs are:", *lines]) if self.types else "it has no inputs"

    def value(self, kind: Any, text: str) -> Any:
        """Read a text as a value of a type."""
        kinds = [each for each in self.kinds(kind) if each != "null"]
        if text == "null" and "null" in self.kinds(kind):
            return None
        is_mapping = text.startswith("{") and _word(kinds[0]) in _FILES
        if len(kinds) == 1 and _word(kinds[0]) in _AS_WRITTEN and not is_mapping:
            return self.shaped(kinds[0], text)
        try:
            return self.shaped(kind, YAML(typ="safe", pure=True).load(text))
        except YAMLError as error:
            raise _MisfitError(f"not YAML: {' '.join(str(error).split())}") from error

    def kinds(self, kind: Any) -> list[Any]:
        """List the choices of a type, names resolved."""
        found = [self.named.get(each, each) if isinstance(each, str) else each for each in _listed(kind)]
        return [each.rpartition(".")[2] if isinstance(each, str) else each for each in found]

    def shaped(self, kind: Any, value: Any) -> Any:
        """Give a YAML value the shape of a type; raises _MisfitError."""
        complaints = []
        for each in self.kinds(kind):
            try:
                return self.one(each, value)
            except _MisfitError as error:
                complaints.append(str(error))
        raise _MisfitError(complaints[-1])

    def one(self, kind: Any, value: Any) -> Any:
        word = _word(kind)
        if word in _FILES:
            return self.entry(word, value)
        if word == "array":
            if not isinstance(value, list):
                raise _MisfitError(f"{value!r} is not an array: write [A, B]")
            return [self.shaped(kind["items"], each) for each in value]
        if word == "record":
            return self.record(kind, value)
        if word == "enum":
            symbols = [each.rpartition("/")[2] for each in kind["symbols"]]
            if value not in symbols:
                raise _MisfitError(f"{value!r} is none of {', '.join(symbols)}")
        elif word in _SCALARS and not _is_scalar(word, value):
            raise _MisfitError(f"{value!r} is not of type {word}")
        return value

    def entry(self, word: str, value: Any) -> Any:
        """Make a File or Directory of a path, or of an object with one."""
        if isinstance(value, str):
            value = {"class": word, "path": value}
        if not isinstance(value, dict) or value.get("class", word) != word:
            raise _MisfitError(f"{value!r} is not a {word}: write its path")
        entry = {"class": word, **value}
        path = entry.pop("path", None)
        if path == "":
            # It would be the folder that the user is in.
            raise _MisfitError(f"an empty path is no {word}; write null for none")
        if path is not None:
            is_uri = locations.to_path(str(path)) is not None
            entry["location"] = path if is_uri else locations.to_uri(self.base / Path(str(path)).expanduser())
        return entry

    def record(self, kind: Any, value: Any) -> dict[str, Any]:
        fields = {str(each["name"]).rpartition("/")[2]: each["type"] for each in kind["fields"]}
        if not isinstance(value, dict) or set(value) - set(fields):
            raise _MisfitError(f"{value!r} is not a record of {', '.join(fields)}: write {{NAME: VALUE}}")
        return {name: self.shaped(each, value.get(name)) for name, each in fields.items()}

    def shown(self, kind: Any) -> str:
        """Write a type as CWL does."""
        kinds = self.kinds(kind)
        some = [self.shown_one(each) for each in kinds if each != "null"]
        return " or ".join(some or ["null"]) + ("?" if some and "null" in kinds else "")

    def shown_one(self, kind: Any) -> str:
        word = _word(kind)
        if word == "array":
            return f"{self.shown(kind['items'])}[]"
        if word == "enum":
            return f"one of {', '.join(each.rpartition('/')[2] for each in kind['symbols'])}"
        if word == "record":
            fields = (f"{str(each['name']).rpartition('/')[2]}: {self.shown(each['type'])}" for each in kind["fields"])
            return f"{{{', '.join(fields)}}}"
        return word


def _listed(kind: Any) -> Sequence[Any]:
    return kind if isinstance(kind, list) else [kind]


def _word(kind: Any) -> str:
    return str(kind["type"]) if isinstance(kind, dict) else str(kind)


def _is_scalar(word: str, value: Any) -> bool:
    wanted = _SCALARS[word]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        return False
    return not isinstance(value, int) or word not in _BITS or value.bit_length() < _BITS[word]
