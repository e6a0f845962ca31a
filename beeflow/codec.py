"""Frozen dataclasses to JSON and back, checked by their type hints.

Every file of ours carries a schema ``version``; a newer one is refused, an older one never occurs before 1.0.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from beeflow.errors import SystemFileError

VERSION = 1

T = TypeVar("T")


class DecodeError(ValueError):
    """The JSON does not have the shape of the record."""


def to_json(record: Any) -> Any:
    """Turn dataclasses, enums, tuples and paths into what json.dump takes."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: to_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, enum.Enum):
        return record.value
    if isinstance(record, Path):
        return str(record)
    if isinstance(record, dict):
        return {str(key): to_json(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_json(value) for value in record]
    return record


def from_json(kind: type[T], data: Any) -> T:
    """Build a record of the given type; raises DecodeError naming the field that does not fit."""
    return typing.cast(T, _decode(kind, data, kind.__name__))


def dumps(record: Any) -> str:
    """Write a record as the text of a file of ours."""
    return json.dumps({"version": VERSION, **to_json(record)}, indent=1, ensure_ascii=False) + "\n"


def loads(kind: type[T], text: str, source: Path) -> T:
    """Read the text of a file of ours; raises SystemFileError naming the file when it is not what it should be."""
    try:
        data = json.loads(text)
        version = data.pop("version")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise SystemFileError(f"{source}: damaged: {error!r}") from error
    if version != VERSION:
        raise SystemFileError(f"{source}: schema version {version}; this beeflow reads {VERSION}: use a newer one")
    try:
        return from_json(kind, data)
    except DecodeError as error:
        raise SystemFileError(f"{source}: damaged: {error}") from error


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    """Resolve a dataclass's type hints, once."""
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _decode(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _decode_optional(arguments, data, where)
    if origin is tuple:
        return tuple(_decode(arguments[0], item, f"{where}[]") for item in _expect(list, data, where))
    if origin is dict:
        return {
            key: _decode(arguments[1], value, f"{where}.{key}") for key, value in _expect(dict, data, where).items()
        }
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast(type[Any], kind), _expect(dict, data, where), where)
    if issubclass(kind, (enum.Enum, Path)):
        try:
            return kind(data)
        except (ValueError, TypeError) as error:
            raise DecodeError(f"{where}: {error}") from error
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _expect(kind, data, where)


def _decode_optional(choices: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in choices:
        return None
    (kind,) = [choice for choice in choices if choice is not type(None)]
    return _decode(kind, data, where)


def _decode_dataclass(kind: type[Any], data: dict[str, Any], where: str) -> Any:
    hints = _hints(kind)
    unknown = set(data) - set(hints)
    if unknown:
        raise DecodeError(f"{where}: unknown field {sorted(unknown)[0]!r}")
    values = {key: _decode(hints[key], value, f"{where}.{key}") for key, value in data.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise DecodeError(f"{where}: {error}") from error


def _expect(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, kind) or (kind in (int, float) and isinstance(data, bool)):
        raise DecodeError(f"{where}: {type(data).__name__} instead of {kind.__name__}")
    return data
