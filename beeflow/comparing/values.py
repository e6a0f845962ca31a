"""Compare two CWL values, and the files and folders in them. Pure: it asks both runs what their files are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from beeflow import tables
from beeflow.comparing.files import EMPTY_FOLDER, UNKNOWN, Content
from beeflow.comparing.tolerance import EXACT, Gap, Tolerance, gap, is_number
from beeflow.comparing.verdicts import Difference, Verdict

T = TypeVar("T")

Entry = dict[str, Any]
# What is in a folder, by its path there; an empty folder, and one of which nothing is known, is "path/". A listing may
# have several of one name.
Tree = dict[str, tuple[Content, ...]]
_NOT_KNOWN = "cannot be compared: what is in it is not known"


class Holder(Protocol):
    """Who knows the files that the File and Directory objects of a run mean."""

    def content(self, entry: Entry) -> Content:
        """Say what a File is."""

    def tree(self, entry: Entry) -> Tree | None:
        """List the files of a Directory; None when unknown."""


@dataclass(frozen=True)
class Values:
    """Compares values of run A with values of run B.

    ``named``: a file by another name is another file, though its contents are the same.
    """

    a: Holder
    b: Holder
    tolerance: Tolerance = EXACT
    named: bool = True

    def compare(self, where: str, a: Any, b: Any) -> Iterator[Difference]:
        """Yield where two values differ."""
        if a is None or b is None:
            if a is not b:
                yield Difference(where, Verdict.EXTRA if a is None else Verdict.MISSING, shown(a), shown(b))
        elif kind_of(a) != kind_of(b):
            yield Difference(where, Verdict.DIFFERS, shown(a), shown(b))
        elif kind_of(a) == "File":
            yield from self._files(where, a, b)
        elif kind_of(a) == "Directory":
            yield from self._folders(where, a, b)
        elif isinstance(a, dict):
            yield from self._records(where, a, b)
        elif isinstance(a, list):
            yield from self._arrays(where, a, b)
        elif a != b and not (is_number(a) and gap(a, b) == Gap()):
            close = is_number(a) and self.tolerance.close(a, b)
            yield Difference(where, Verdict.EQUIVALENT if close else Verdict.DIFFERS, a, b)

    def _records(self, where: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[Difference]:
        for key in union(a, b):
            yield from self.compare(f"{where}.{key}", a.get(key), b.get(key))

    def _arrays(self, where: str, a: list[Any], b: list[Any]) -> Iterator[Difference]:
        for index in range(max(len(a), len(b))):
            place = f"{where}[{index}]"
            if index < min(len(a), len(b)):
                yield from self.compare(place, a[index], b[index])
            elif index < len(a):
                yield Difference(place, Verdict.MISSING, shown(a[index]))
            else:
                yield Difference(place, Verdict.EXTRA, None, shown(b[index]))

    def _files(self, where: str, a: Entry, b: Entry) -> Iterator[Difference]:
        names = str(a.get("basename") or ""), str(b.get("basename") or "")
        different = list(self._contents(where, names[1] or names[0], self.a.content(a), self.b.content(b)))
        yield from different
        if self.named and names[0] != names[1]:
            detail = "" if different else "the same contents by another name"
            yield Difference(f"{where}.basename", Verdict.DIFFERS, names[0], names[1], detail)
        yield from self.compare(f"{where}.format", a.get("format"), b.get("format"))
        beside = [_beside(entry, name) for entry, name in zip((a, b), names, strict=True)]
        for name in union(*beside):
            for place, left, right in _paired(f"{where} + {name}", *(each.get(name, ()) for each in beside)):
                yield from self.compare(place, left, right)

    def _contents(self, where: str, name: str, a: Content, b: Content) -> Iterator[Difference]:
        same = a.same_as(b)
        if same is None:
            yield Difference(where, Verdict.UNKNOWN, _size(a), _size(b), _NOT_KNOWN, name, (a, b))
        elif not same:
            yield Difference(where, Verdict.DIFFERS, _size(a), _size(b), "", name, (a, b))

    def _folders(self, where: str, a: Entry, b: Entry) -> Iterator[Difference]:
        names = str(a.get("basename") or ""), str(b.get("basename") or "")
        if self.named and names[0] != names[1]:
            yield Difference(f"{where}.basename", Verdict.DIFFERS, names[0], names[1])
        left, right = self.a.tree(a), self.b.tree(b)
        if left is None or right is None:
            yield Difference(where, Verdict.UNKNOWN, shown(a), shown(b), _NOT_KNOWN)
            return
        unknown = tuple({*_unknown(left), *_unknown(right)})
        for path in union(left, right):
            name = path.rstrip("/").rpartition("/")[2]
            if path in unknown:
                yield Difference(f"{where}/{path}", Verdict.UNKNOWN, detail=_NOT_KNOWN, basename=name)
            elif not path.startswith(unknown):
                yield from self._entries(f"{where}/{path}", name, left.get(path, ()), right.get(path, ()))

    def _entries(self, where: str, name: str, a: Sequence[Content], b: Sequence[Content]) -> Iterator[Difference]:
        for place, left, right in _paired(where, a, b):
            if left is None or right is None:
                verdict = Verdict.EXTRA if left is None else Verdict.MISSING
                yield Difference(place, verdict, _size(left), _size(right), basename=name)
            else:
                yield from self._contents(place, name, left, right)


def kind_of(value: Any) -> str:
    """Name what a JSON value is, as far as it can be compared only with its like; 1 and 1.0 are both numbers."""
    if isinstance(value, dict):
        return str(value["class"]) if value.get("class") in ("File", "Directory") else "record"
    return "number" if is_number(value) else type(value).__name__


def union(a: Iterable[str], b: Iterable[str]) -> list[str]:
    """List the names of both, those of A first in their order."""
    return list(dict.fromkeys([*a, *b]))


def shown(value: Any) -> Any:
    """Reduce a value to what is worth showing: a file to its name, and no value to null."""
    if kind_of(value) in ("File", "Directory"):
        name = value.get("basename") or str(value.get("location") or "").rpartition("/")[2]
        return f"{value['class']} {name}".strip()
    if isinstance(value, dict):
        return {key: shown(inner) for key, inner in value.items()}
    return [shown(inner) for inner in value] if isinstance(value, list) else value


def listed(holder: Holder, listing: Iterable[Entry]) -> Tree:
    """List the files of a folder as its listing has them; the secondaryFiles of one of them lie beside it."""
    found: Tree = {}
    for entry in listing:
        for path, contents in _flat(holder, entry):
            found[path] = (*found.get(path, ()), *contents)
    return found


def _flat(holder: Holder, entry: Entry) -> Iterator[tuple[str, tuple[Content, ...]]]:
    name = str(entry.get("basename") or "")
    if entry.get("class") == "File":
        yield name, (holder.content(entry),)
    else:
        inner = holder.tree(entry)
        if not inner:
            yield f"{name}/", (UNKNOWN if inner is None else EMPTY_FOLDER,)
        for path, contents in (inner or {}).items():
            yield f"{name}/{path}", contents
    yield from listed(holder, entry.get("secondaryFiles") or ()).items()


def _unknown(tree: Tree) -> Iterator[str]:
    """Yield the folders of which nothing is known."""
    return (path for path, contents in tree.items() if path.endswith("/") and UNKNOWN in contents)


def _paired(where: str, a: Sequence[T], b: Sequence[T]) -> Iterator[tuple[str, T | None, T | None]]:
    """Pair what both have of one name, and number its place where that is more than one."""
    is_one = max(len(a), len(b)) == 1
    for number, (left, right) in enumerate(itertools.zip_longest(a, b), 1):
        yield (where if is_one else f"{where} ({number})"), left, right


def _size(content: Content | None) -> str | None:
    if content is None:
        return None
    return "?" if content.size is None else tables.size(content.size)


def _beside(entry: Entry, name: str) -> dict[str, tuple[Entry, ...]]:
    """Key secondaryFiles by how their names end after their file's, written as CWL's patterns; that name may differ."""
    found: dict[str, tuple[Entry, ...]] = {}
    root = os.path.splitext(name)[0]
    for inner in entry.get("secondaryFiles") or []:
        own = str(inner.get("basename") or "")
        if name and own.startswith(name):
            key = own[len(name) :]
        else:
            key = f"^{own[len(root) :]}" if root and own.startswith(root) else own
        found[key] = (*found.get(key, ()), inner)
    return found
