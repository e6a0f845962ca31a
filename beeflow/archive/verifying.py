"""Read an archive back and compare every file with the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from beeflow.archive import hashing, manifest, reading
from beeflow.errors import ArchiveError
from beeflow.layout import MANIFEST


@dataclass(frozen=True)
class Packed:
    """An archive that was written and read back. ``sha256``: of the whole file."""

    path: Path
    sha256: str
    size: int


def verify(path: Path, top: str | None = None) -> Packed:
    """Read an archive back and compare every file with the manifest; raises ArchiveError naming what differs."""
    digests: dict[str, str] = {}
    vouched: dict[str, str] | None = None
    with reading.damaged_as_error(path):
        for info, stream in reading.members(path):
            name = reading.checked_name(path, info, top)
            top = top or info.name.split("/")[0]
            if stream is None:
                continue
            if name == MANIFEST:
                vouched = manifest.parse(stream.read().decode(errors="surrogateescape"))
                continue
            if name in digests:
                raise ArchiveError(f"{path}: unsafe: {name!r} is in it twice")
            digest = hashing.Hashing(stream)
            while digest.read(hashing.CHUNK):
                pass
            digests[name] = digest.digest.hexdigest()
    _compare(path, digests, vouched)
    return Packed(path, *hashing.whole(path))


def _compare(path: Path, digests: dict[str, str], vouched: dict[str, str] | None) -> None:
    if vouched is None:
        raise ArchiveError(f"{path}: incomplete: no {MANIFEST} in it; was it copied whole?")
    for name, digest in vouched.items():
        if name not in digests:
            raise ArchiveError(f"{path}: incomplete: {name} is in the manifest and not in the archive")
        if digests[name] != digest:
            raise ArchiveError(f"{path}: damaged: {name} does not have the sha256 of the manifest")
    extra = sorted(set(digests) - set(vouched))
    if extra:
        raise ArchiveError(f"{path}: {extra[0]} is not in the manifest")
