"""Read and write JSON files, whole or not at all, without importing json (which imports re and enum)."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

try:
    from _json import encode_basestring_ascii as _quote
except ImportError:  # a Python without the C accelerator
    from json.encoder import encode_basestring_ascii as _quote

VERSION = 1
_CONSTANTS = {None: "null", True: "true", False: "false"}
# As json writes and reads them.
_ODD_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class _Context:
    """What the C scanner takes from json.JSONDecoder."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner's own


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    context: Any = _Context()
    try:
        from _json import make_scanner

        scan: Any = make_scanner(context)
    except ImportError:
        from json.decoder import JSONDecoder

        decoder: Any = JSONDecoder(strict=False)
        scan = decoder.scan_once
    return scan  # type: ignore[no-any-return]


_scan = _scanner()


def loads(text: str) -> Any:
    """Read JSON text; raises ValueError."""
    text = text.strip()
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):
        # The scanner looks for json's own exception among the modules, and json is not imported (Python 3.11).
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("more than one JSON value")
    return value


def dumps(value: Any) -> str:
    """Write a value as JSON text."""
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, dict):
        return "{" + ", ".join([f"{_key(key)}: {dumps(each)}" for key, each in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join([dumps(each) for each in value]) + "]"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        text = float.__repr__(value)
        return _ODD_FLOATS.get(text, text)
    raise TypeError(f"{type(value).__name__} is not JSON: {value!r}")


def _key(key: Any) -> str:
    """Write a name in an object: a number, a boolean or a null becomes text, as json has it."""
    return _quote(key) if isinstance(key, str) else _quote(dumps(key))


def read(path: str) -> Any:
    """Read a JSON file; None when it is not there. Raises ValueError, which names the file, when it is damaged."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
    except FileNotFoundError:
        return None
    try:
        return loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: damaged: {error}") from error


def write_new(path: str, data: Any) -> None:
    """Write a file that only its writer knows of yet, whole or not at all."""
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(dumps(data) + "\n")
    os.rename(f"{path}.new", path)


def publish(path: str, text: str) -> bool:
    """Create a file whole unless it is there, to last; False when somebody else was first."""
    folder, _, name = path.rpartition("/")
    made = f"{folder}/.{name}.{os.uname().nodename}.{os.getpid()}"
    with open(made, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        _name(made, path)
    except FileExistsError:
        return False
    finally:
        if os.path.lexists(made):
            os.unlink(made)
    sync(folder)
    return True


def _name(made: str, path: str) -> None:
    """Give a file its name; raises FileExistsError when that is taken."""
    try:
        os.link(made, path)
    except FileExistsError:
        raise
    except OSError:
        from pathlib import Path  # seldom needed

        from beeflow import publishing

        publishing.publish(Path(made), Path(path))


def sync(folder: str) -> None:
    """Make what was created in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
