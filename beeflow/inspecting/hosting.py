"""Look whether what an archive only refers to is on this host, and the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import staging
from beeflow.archive.hashing import sha256_of_size
from beeflow.inputs import InputPart

HERE, MISSING, DIFFERS = "here", "missing", "differs"
# An archive may name any folder of the host: so much of it is looked at.
_MOST = 20_000


@dataclass(frozen=True)
class Then:
    """What a file or folder was, as far as that is known. ``kind``: File, Directory or ""."""

    kind: str = ""
    size: int | None = None
    sha256: str | None = None
    parts: tuple[InputPart, ...] = ()

    def inside(self, name: str) -> Then:
        """Say what something in the folder was."""
        for each in self.parts:
            if each.name == name:
                return Then("File", each.size, each.sha256)
        prefix = f"{name}/"
        inner = (each for each in self.parts if each.name.startswith(prefix))
        parts = tuple(replace(each, name=each.name[len(prefix) :]) for each in inner)
        return Then("Directory", sum(each.size for each in parts), parts=parts) if parts else Then()


def compare(path: Path, then: Then, *, hashes: bool) -> tuple[str, str]:
    """Return HERE, MISSING or DIFFERS, and by what that was seen. ``hashes``: read what is of the same size."""
    try:
        if path.is_dir():
            return _folder(path, then, hashes=hashes)
        if path.is_file():
            return _file(path, then, hashes=hashes)
    except OSError as error:
        return MISSING, error.strerror or str(error)
    is_known = then.sha256 or then.parts or not then.kind
    return MISSING, "" if is_known else "nor was it to be read when it was archived"


def _file(path: Path, then: Then, *, hashes: bool) -> tuple[str, str]:
    if then.kind == "Directory":
        return DIFFERS, "a file here"
    now = path.stat().st_size
    if then.size is not None and then.kind == "File" and now != then.size:
        return DIFFERS, f"{now} bytes here"
    if not then.sha256 or then.size is None:
        return HERE, "its sha256 is not known"
    if not hashes:
        return HERE, "of the same size"
    same = sha256_of_size(path, then.size) == then.sha256
    return (HERE, "the same sha256") if same else (DIFFERS, "another sha256")


def _folder(path: Path, then: Then, *, hashes: bool) -> tuple[str, str]:
    if then.kind == "File":
        return DIFFERS, "a folder here"
    if not then.parts:
        return HERE, "what was in it is not known"
    parts = {each.name: each for each in then.parts}
    most = max(_MOST, 2 * len(parts))
    inside = list(itertools.islice(staging.contents(path), most))
    found = {name: each for name, each, is_folder in inside if not is_folder}
    extra = next((name for name in found if name not in parts), None)
    if extra is not None:
        return DIFFERS, f"only here: {extra}"
    if len(inside) == most:
        return HERE, f"not compared: there are more than {most} files and folders in it"
    difference = next(_differences(found, parts, hashes=hashes), None)
    if difference:
        return DIFFERS, difference
    return HERE, "the same names, sizes and sha256" if hashes else "the same names and sizes"


def _differences(found: Mapping[str, Path], parts: Mapping[str, InputPart], *, hashes: bool) -> Iterator[str]:
    """Yield in what a folder is not what it was; what takes no reading first."""
    yield from (f"not here: {name}" for name in parts if name not in found)
    for name, path in found.items():
        size = path.stat().st_size
        if size != parts[name].size:
            yield f"{size} bytes here: {name}"
    for name, path in found.items() if hashes else ():
        if parts[name].sha256 != sha256_of_size(path, parts[name].size):
            yield f"another sha256: {name}"
