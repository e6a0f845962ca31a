"""Frozen dataclasses to JSON and back, checked by their type hints.

Every file of ours carries a schema ``version``; a newer one is refused, an older one never occurs before 1.0.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from beeflow.errors import SystemFileError

VERSION = 1
# A list of more items is written an item a line.
LONG = 100
# What the numbers of a record are below.
MAX = 1 << 63
# Most of what is in a record.
_PLAIN = frozenset({str, int, float, bool, type(None)})

T = TypeVar("T")


class DecodeError(ValueError):
    """The JSON does not have the shape of the record."""


def to_json(record: Any) -> Any:
    """Turn dataclasses, enums, tuples and paths into what json.dump takes."""
    kind: Any = type(record)
    if kind in _PLAIN:
        return record
    names = _names(kind)
    if names is not None:
        return {name: to_json(getattr(record, name)) for name in names}
    if isinstance(record, enum.Enum):
        return record.value
    if isinstance(record, Path):
        return str(record)
    if isinstance(record, dict):
        return {str(key): to_json(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_json(value) for value in record]
    return record


@functools.cache
def _names(kind: Any) -> tuple[str, ...] | None:
    """Name the fields of a dataclass; None for any other type."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def from_json(kind: type[T], data: Any) -> T:
    """Build a record of the given type; raises DecodeError naming the field that does not fit."""
    return typing.cast(T, _decode(kind, data, kind.__name__))


def is_size(value: Any) -> bool:
    """True for what may be the size of a file."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX


class Sized:
    """A record of a file: its size is one."""

    size: int

    def __post_init__(self) -> None:
        if not is_size(self.size):
            raise DecodeError(f"{type(self).__name__}.size: no file has {self.size} bytes")


def dumps(record: Any) -> str:
    """Write a record as the text of a file of ours."""
    return "".join(pieces(record))


def pieces(record: Any) -> Iterator[str]:
    """Write a record, or its JSON, as the text of a file of ours, piece by piece: it may have 100,000 tasks."""
    fields = record if isinstance(record, dict) else {each.name: None for each in dataclasses.fields(record)}
    yield f'{{\n "version": {VERSION}'
    for name in fields:
        yield f",\n {json.dumps(name)}: "
        value = record[name] if isinstance(record, dict) else getattr(record, name)
        yield from (piece.replace("\n", "\n ") for piece in plain_pieces(value))
    yield "\n}\n"


def plain_pieces(data: Any) -> Iterator[str]:
    """Write JSON a person can read: indented, but for a long list, which has an item a line."""
    if not isinstance(data, (list, tuple)) or len(data) <= LONG:
        yield json.dumps(to_json(data), indent=1, ensure_ascii=False)
        return
    separator = "[\n "
    for item in data:
        # With an indent, json leaves its C encoder aside.
        yield separator + json.dumps(to_json(item), ensure_ascii=False)
        separator = ",\n "
    yield "\n]"


def loads(kind: type[T], text: str, source: Path) -> T:
    """Read the text of a file of ours; raises SystemFileError naming the file when it is not what it should be."""
    try:
        data = json.loads(text)
        version = data.pop("version")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise SystemFileError(f"{source}: damaged: {error!r}") from error
    if version != VERSION:
        raise SystemFileError(f"{source}: schema version {version!r}; this beeflow reads {VERSION}: use a newer one")
    try:
        return from_json(kind, data)
    except (DecodeError, RecursionError) as error:
        raise SystemFileError(f"{source}: damaged: {error}") from error


Decoder = Callable[[Any, str], Any]

_DECODERS: dict[Any, Decoder] = {}


def _decode(kind: Any, data: Any, where: str) -> Any:
    return _decoder(kind)(data, where)


def _decoder(kind: Any) -> Decoder:
    """Return what decodes a type; made once, for a list of workflows decodes thousands."""
    try:
        return _DECODERS[kind]
    except KeyError:
        made = _DECODERS[kind] = _make_decoder(kind)
        return made


def _make_decoder(kind: Any) -> Decoder:
    if kind is Any:
        return lambda data, _: data
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(arguments)
    if origin is tuple:
        return _sequence(arguments[0])
    if origin is dict:
        return _mapping(arguments[1])
    if dataclasses.is_dataclass(kind):
        return _record(typing.cast(type[Any], kind))
    if issubclass(kind, (enum.Enum, Path)):
        return _converted(kind)
    return _plain(kind)


def _optional(choices: tuple[Any, ...]) -> Decoder:
    (inner,) = [choice for choice in choices if choice is not type(None)]
    return lambda data, where: None if data is None else _decode(inner, data, where)


def _sequence(inner: Any) -> Decoder:
    return lambda data, where: tuple(_decode(inner, item, f"{where}[]") for item in _expect(list, data, where))


def _mapping(inner: Any) -> Decoder:
    def decode(data: Any, where: str) -> Any:
        items = _expect(dict, data, where).items()
        return {key: _decode(inner, value, f"{where}.{key}") for key, value in items}

    return decode


def _record(kind: type[Any]) -> Decoder:
    hints: dict[str, Any] = {}

    def decode(data: Any, where: str) -> Any:
        # Not before the first use: a record may hold records of its own kind.
        if not hints:
            hints.update({name: _decoder(hint) for name, hint in typing.get_type_hints(kind).items()})
        given = _expect(dict, data, where)
        unknown = set(given) - set(hints)
        if unknown:
            raise DecodeError(f"{where}: unknown field {sorted(unknown)[0]!r}")
        values = {key: hints[key](value, f"{where}.{key}") for key, value in given.items()}
        try:
            return kind(**values)
        except TypeError as error:
            raise DecodeError(f"{where}: {error}") from error

    return decode


def _converted(kind: Any) -> Decoder:
    def decode(data: Any, where: str) -> Any:
        try:
            return kind(data)
        except (ValueError, TypeError) as error:
            raise DecodeError(f"{where}: {error}") from error

    return decode


def _plain(kind: Any) -> Decoder:
    def decode(data: Any, where: str) -> Any:
        if isinstance(data, int) and not -MAX <= data < MAX:
            raise DecodeError(f"{where}: a number of more than 64 bits")
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        return _expect(kind, data, where)

    return decode


def _expect(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, kind) or (kind in (int, float) and isinstance(data, bool)):
        raise DecodeError(f"{where}: {type(data).__name__} instead of {kind.__name__}")
    return data
