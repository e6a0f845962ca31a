"""FormalParameters: the inputs and outputs of workflows and tools, and CWL's types in schema.org's words.

https://www.researchobject.org/workflow-run-crate/cwl_param_mapping says what becomes of each type.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from beeflow.crate.terms import Entity, fragment, without_nothing
from beeflow.masking import mask

INPUT, OUTPUT = "input", "output"

_ANYTHING = "DataType"
_TYPES = {
    "string": "Text",
    "int": "Integer",
    "long": "Integer",
    "float": "Float",
    "double": "Float",
    "boolean": "Boolean",
    "File": "File",
    "stdin": "File",
    "stdout": "File",
    "stderr": "File",
    "Directory": "Dataset",
}


@dataclass
class Type:
    """What a CWL type allows. ``names``: schema.org's words. ``symbols``: of an enum."""

    names: list[str] = field(default_factory=list)
    is_optional: bool = False
    is_many: bool = False
    symbols: list[str] = field(default_factory=list)

    def allow(self, given: Any) -> None:
        """Add what a type, as a resolved document has it, allows."""
        if isinstance(given, list):
            for each in given:
                self.allow(each)
        elif isinstance(given, dict):
            self._allow_structure(given)
        elif given == "null":
            self.is_optional = True
        else:
            self._name(_TYPES.get(str(given), _ANYTHING))

    def _allow_structure(self, given: dict[str, Any]) -> None:
        kind = given.get("type")
        if kind == "array":
            self.is_many = True
            self.allow(given.get("items"))
        elif kind == "record":
            self.is_many = True
            self._name("PropertyValue")
        elif kind == "enum":
            self.symbols += [short_name(str(each)) for each in given.get("symbols", ())]
            self._name("Text")
        else:
            self.allow(kind)

    def _name(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)


def short_name(identifier: str) -> str:
    """Return the last part of a CWL identifier."""
    return identifier.rpartition("#")[2].rpartition("/")[2]


def parameter_id(direction: str, path: str, name: str) -> str:
    """Name a parameter. ``path``: of the step whose tool or workflow it is of; "": of the workflow itself."""
    return fragment(direction, path, name)


def parameters(direction: str, path: str, names: Iterable[str], documented: dict[str, Any]) -> Iterator[Entity]:
    """Describe parameters. ``documented``: name -> what the CWL document says of it."""
    for name in names:
        about = documented.get(name, {})
        found = Type()
        found.allow(about.get("type", _ANYTHING))
        if about.get("secondaryFiles"):
            found.names.append("Collection")
        names_of_types = found.names or [_ANYTHING]
        is_input = direction == INPUT
        yield without_nothing(
            {
                "@id": parameter_id(direction, path, name),
                "@type": "FormalParameter",
                "additionalType": names_of_types[0] if len(names_of_types) == 1 else names_of_types,
                "name": name,
                "description": text_of(about.get("doc") or about.get("label")),
                "encodingFormat": about.get("format") if isinstance(about.get("format"), str) else None,
                "multipleValues": "True" if found.is_many else None,
                "valueRequired": str(not found.is_optional and "default" not in about) if is_input else None,
                "defaultValue": _default(about.get("default")),
                "valuePattern": "|".join(found.symbols),
            }
        )


def by_name(listed: Any) -> dict[str, Any]:
    """Index the parameters of a CWL document."""
    found: dict[str, Any] = {}
    for each in listed if isinstance(listed, list) else ():
        # cwltool's packing writes an $import in the place of an output that an input shares its name with.
        name = short_name(str(each.get("id") or each.get("$import") or "")) if isinstance(each, dict) else ""
        if name and "type" in each:
            found[name] = each
    return found


def text_of(doc: Any) -> str | None:
    """Return a CWL ``doc`` as one text, without credentials: it is said again here."""
    if isinstance(doc, list):
        return mask("\n".join(str(each) for each in doc))
    return None if doc is None else mask(str(doc))


def _default(value: Any) -> str | None:
    if isinstance(value, (list, dict)) or value is None:
        return value.get("location") if isinstance(value, dict) else None
    return mask(plain_text(value))


def plain_text(value: Any) -> str:
    """Write a simple value: "True", "42", "3.14", or the text itself."""
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
