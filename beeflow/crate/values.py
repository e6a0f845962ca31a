"""CWL values as entities: files and folders of the archive, and PropertyValues for what is no file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from beeflow.crate.parameters import plain_text
from beeflow.crate.payload import FILE, FOLDER, Payload, format_of, shown
from beeflow.crate.terms import Entity, fragment, quoted, ref, refs, without_nothing
from beeflow.masking import HIDDEN, is_named
from beeflow.secret_values import SecretValues


class Values:
    """Refers to values, and remembers what has to be described because of that."""

    def __init__(self, payload: Payload, secrets: SecretValues) -> None:
        self.payload = payload
        self.secrets = secrets
        # What of the archive's files is referred to -> the parameters it was given to or came out of. Few combinations
        # of them occur, so each is kept once.
        self._realized: dict[str, tuple[str, ...]] = {}
        self._combinations: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}
        self._other_names: dict[str, str] = {}
        self._formats: dict[str, str] = {}
        self._logs: dict[str, str] = {}
        # What is not in a file: id -> entity.
        self._contextual: dict[str, Entity] = {}
        self._known: set[str] = set()
        self._fresh: list[Entity] = []

    def refer(self, value: Any, parameter: str | None, name: str, path: str) -> list[str]:
        """Return the identifiers of what stands for a value. ``parameter``: that it realizes; ``path``: whose it is."""
        if value is None:
            return []
        if isinstance(value, dict) and value.get("class") in (FILE, FOLDER):
            found = self._entry(value, parameter)
            return [found] if found else []
        if isinstance(value, list) and _has_entries(value):
            return [found for each in value for found in self.refer(each, parameter, name, path)]
        inner = [found for each in _entries_of(value) if (found := self._entry(each, parameter))]
        return [self._property_value(value, parameter, name, path), *inner]

    def fresh(self) -> Iterator[Entity]:
        """Yield, once each, the PropertyValues that were referred to since the last time."""
        yield from self._fresh
        self._fresh.clear()

    def once(self, entity: Entity) -> str:
        """Have an entity described, unless one of its identifier was; returns that."""
        identifier: str = entity["@id"]
        if identifier not in self._known:
            self._known.add(identifier)
            self._fresh.append(entity)
        return identifier

    def property_value(self, identifier: str, name: str, value: str, property_id: str, unit: str | None = None) -> str:
        """Have a figure described; returns its identifier."""
        if identifier not in self._known:
            made = {"@id": identifier, "@type": "PropertyValue", "name": name, "propertyID": property_id}
            self.once(made | ({"unitCode": ref(unit)} if unit else {}) | {"value": value})
        return identifier

    def record(self, name: str, about: str, words: str) -> None:
        """Describe a file of the archive that is no data of the workflow, if it is there. ``about``: which action."""
        if name in self.payload.members:
            self._realized.setdefault(name, ())
            self._logs[name] = json.dumps({"about": ref(about), "description": words})

    def mentioned(self) -> list[str]:
        """List what the root should mention: sets of files that belong together."""
        return [identifier for identifier, each in self._contextual.items() if each["@type"] == "Collection"]

    def files(self, parts: list[str]) -> Iterator[Entity]:
        """Describe all that was referred to, each once; adds the identifiers of what is in files to ``parts``."""
        described: set[str] = set()
        for identifier, entity in self._contextual.items():
            yield entity | self._more(identifier)
        # Folders last: what is in them may have been referred to for itself.
        for is_folder in (False, True):
            for key in self._realized:
                if key in self._contextual or key.endswith("/") is not is_folder:
                    continue
                for entity in self.payload.entities(key, self._more(key)):
                    if entity["@id"] not in described:
                        described.add(entity["@id"])
                        yield entity
                parts.append(identifier_of(key))

    def _more(self, key: str) -> Entity:
        more: Entity = json.loads(self._logs.get(key, "{}"))
        realized = self._realized.get(key)
        if realized:
            more["exampleOfWork"] = refs(realized)
        if key in self._formats:
            more["encodingFormat"] = [format_of(key), self._formats[key]]
        if key in self._other_names:
            more["alternateName"] = shown(self._other_names[key])
        return more

    def _realize(self, key: str, parameter: str | None) -> None:
        before = self._realized.get(key, ())
        if parameter is None or parameter in before:
            self._realized.setdefault(key, before)
        else:
            made = self._combinations.setdefault((before, parameter), (*before, parameter))
            self._realized[key] = made

    def _entry(self, entry: dict[str, Any], parameter: str | None) -> str | None:
        """Refer to a File or Directory, and to what belongs to it."""
        location = str(entry.get("location", "_:"))
        if location.startswith("_:"):
            return self._literal(entry, parameter)
        key = self.payload.place(location, entry["class"])
        if key is None:
            return None
        beside = [found for each in entry.get("secondaryFiles") or () if (found := self._entry(each, None))]
        if isinstance(entry.get("format"), str):
            self._formats[key] = entry["format"]
        if beside:
            return self._collection(key, beside, parameter)
        self._realize(key, parameter)
        name = entry.get("basename")
        if name and name != key.rstrip("/").rpartition("/")[2] and "://" not in key:
            self._other_names[key] = str(name)
        return identifier_of(key)

    def _collection(self, key: str, beside: list[str], parameter: str | None) -> str:
        """Describe a file with its secondaryFiles (Process Run Crate, Representing multi-file objects)."""
        self._realize(key, None)
        main = identifier_of(key)
        made = {"@type": "Collection", "mainEntity": ref(main), "hasPart": refs([main, *beside])}
        return self._describe(fragment("collection", key), made, parameter)

    def _literal(self, entry: dict[str, Any], parameter: str | None) -> str | None:
        """Describe a File or Directory that is written down, not on disk."""
        name = str(entry.get("basename") or "")
        if entry["class"] == FOLDER:
            inside = [found for each in entry.get("listing") or () if (found := self._entry(each, None))]
            digest = hashlib.sha256(json.dumps([name, *inside]).encode()).hexdigest()
            return self._describe(
                fragment("folder", digest), {"@type": "Collection", "name": name, "hasPart": refs(inside)}, parameter
            )
        text = self.secrets.masked_given("contents", entry.get("contents"))
        if text is None:
            return None
        digest = hashlib.sha256(f"{name}\n{text}".encode(errors="surrogatepass")).hexdigest()
        return self._describe(
            fragment("literal", digest), {"@type": "CreativeWork", "name": name, "text": text}, parameter
        )

    def _describe(self, identifier: str, entity: Entity, parameter: str | None) -> str:
        self._contextual.setdefault(identifier, without_nothing({"@id": identifier, **entity}))
        self._realize(identifier, parameter)
        return identifier

    def _property_value(self, value: Any, parameter: str | None, name: str, path: str) -> str:
        """Describe a value that is no file. Equal values of one parameter are one entity."""
        # Not of a credential: whoever guesses one could tell by the digest that it is that.
        digest = hashlib.sha256(json.dumps(self._hidden(name, value), sort_keys=True).encode()).hexdigest()[:16]
        identifier = f"{fragment('value', path, name)}/{digest}"
        if identifier not in self._known:
            made = {"@type": "PropertyValue", "name": name, "value": self._plain(value, identifier, name)}
            self.once(
                without_nothing({"@id": identifier, **made, "exampleOfWork": ref(parameter) if parameter else None})
            )
        return identifier

    def _plain(self, value: Any, identifier: str, name: str) -> Any:
        """Write a value as a PropertyValue's: a record is a set of PropertyValues, an array is several values."""
        if isinstance(value, dict):
            return [
                ref(self._part(f"{identifier}/{quoted(key)}", f"{name}/{key}", inner)) for key, inner in value.items()
            ]
        if isinstance(value, list) and any(isinstance(each, dict) for each in value):
            return [
                ref(self._part(f"{identifier}/{number}", f"{name}/{number}", each)) for number, each in enumerate(value)
            ]
        if isinstance(value, list) and not any(isinstance(each, list) for each in value):
            return [plain_text(each) for each in self._hidden(name, value)]
        return plain_text(self._hidden(name, value))

    def _part(self, identifier: str, name: str, value: Any) -> str:
        if isinstance(value, dict) and value.get("class") in (FILE, FOLDER):
            return self._entry(value, None) or self.once(
                {"@id": identifier, "@type": "PropertyValue", "name": name, "value": str(value.get("location", ""))}
            )
        made = {"@id": identifier, "@type": "PropertyValue", "name": name}
        return self.once({**made, "value": self._plain(value, identifier, name)})

    def _hidden(self, name: str, value: Any) -> Any:
        """Hide what is a credential, or looks like one by itself or by a part of its name: a record's, or its own."""
        *records, own = name.split("/")
        found = self.secrets.masked_given(own, value)
        return HIDDEN if isinstance(found, str) and found and any(map(is_named, records)) else found


def identifier_of(key: str) -> str:
    """Return the identifier of a file, a folder, or what is in none."""
    return key if key.startswith("#") or "://" in key else quoted(key)


def _has_entries(values: list[Any]) -> bool:
    """True for an array of files, of arrays of files, or of nulls among them."""
    found = [each for each in values if each is not None]
    return bool(found) and all(
        _has_entries(each) if isinstance(each, list) else isinstance(each, dict) and each.get("class") in (FILE, FOLDER)
        for each in found
    )


def _entries_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the files in a record, or in an array of records."""
    if isinstance(value, dict):
        if value.get("class") in (FILE, FOLDER):
            yield value
        else:
            for inner in value.values():
                yield from _entries_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries_of(inner)
