"""Verify an archive: all of it, as it is read once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import codec, store
from beeflow.archive import manifest, reading, seal
from beeflow.archive.description import Description
from beeflow.archive.lacking import Lacks
from beeflow.archive.limits import Limits
from beeflow.archive.reading import Archive, Member
from beeflow.errors import ArchiveError, IncompleteArchiveError, SystemFileError
from beeflow.layout import MANIFEST, SIDECAR_SUFFIX
from beeflow.models import Sidecar

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Packed:
    """An archive that was written and read back. ``sha256``: of the whole file.

    ``lacks``: what it was to have; of one that was just made.
    """

    path: Path
    sha256: str
    size: int
    lacks: Lacks = field(default_factory=Lacks)


@dataclass(frozen=True)
class Verified:
    """What was found in an archive that is whole. ``files``: how many, with ``unpacked_size`` bytes in all."""

    packed: Packed
    description: Description
    files: int
    unpacked_size: int


def verify(path: Path, top: str | None = None, allowed: Limits | None = None) -> Packed:
    """Read an archive, compare every file with the manifest, and every byte of itself with its seal.

    Raises ArchiveVersionError, IncompleteArchiveError or another ArchiveError, which name what is wrong.
    """
    return examine(path, top, allowed).packed


def examine(path: Path, top: str | None = None, allowed: Limits | None = None) -> Verified:
    """Verify, and say what it is."""
    files = size = 0
    with reading.opened(path, top or "", allowed) as archive:
        for member, pieces in checked(archive):
            for piece in pieces:
                size += len(piece)
            files += not member.is_folder
        return summary(archive, files, size)


def examine_quickly(path: Path, allowed: Limits | None = None) -> Verified:
    """Compare an archive's bytes with its seal, and read its description; nothing else is unpacked.

    That finds whatever happened to it since it was packed, truncation included. That its maker sealed files which its
    manifest does not vouch for is not found. ``files`` and ``unpacked_size`` are 0.
    """
    found = reading.description_of(path, allowed)
    sealed = seal.Sealed(path)
    with reading.opened_raw(path) as raw:
        while chunk := raw.read(1 << 20):
            sealed.update(chunk)
    return Verified(Packed(path, sealed.finish(), sealed.size), found, 0, 0)


def compare_with_sidecar(packed: Packed) -> bool:
    """Compare an archive with what is written beside it of when it was archived; False when nothing is.

    Raises ArchiveError when that is another.
    """
    beside = packed.path.with_suffix(SIDECAR_SUFFIX)
    text = store.read_text(beside)
    if text is None:
        return False
    try:
        found = codec.loads(Sidecar, text, beside)
    except SystemFileError:
        log.warning("%s: not what this beeflow writes beside an archive: not compared with it", beside)
        return False
    if found.sha256 != packed.sha256:
        raise ArchiveError(
            f"{packed.path}: not what was archived: it has another sha256 than {beside.name} beside it says"
        )
    return True


def checked(archive: Archive) -> Iterator[tuple[Member, Iterator[memoryview]]]:
    """Yield all members, each with its contents, which must be read, and compare them with the manifest."""
    digests: dict[str, str] = {}
    for member, contents in archive:
        if member.is_folder:
            yield member, iter(())
        elif member.name == MANIFEST:
            with archive.explained():
                data = contents.read()
                _compare(digests, manifest.parse(data.decode(errors="surrogateescape")))
            yield member, iter((memoryview(data),))
        else:
            digest = hashlib.sha256()
            yield member, _hashed(contents.pieces(), digest)
            digests[member.name] = digest.hexdigest()


def _hashed(pieces: Iterator[memoryview], digest: Any) -> Iterator[memoryview]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _compare(digests: dict[str, str], vouched: dict[str, str]) -> None:
    for name, digest in vouched.items():
        if name not in digests:
            raise IncompleteArchiveError(f"incomplete: {name!r} is in the manifest and not in the archive")
        if digests[name] != digest:
            raise ArchiveError(f"damaged: {name!r} does not have the sha256 of the manifest")
    extra = sorted(set(digests) - set(vouched))
    if extra:
        raise ArchiveError(f"unsafe: {extra[0]!r} is not in the manifest")


def summary(archive: Archive, files: int, unpacked_size: int) -> Verified:
    """Say what was found in an archive that was read to its end."""
    if archive.description is None:
        raise ArchiveError(f"{archive.path}: damaged: no description")
    return Verified(Packed(archive.path, archive.sha256, archive.size), archive.description, files, unpacked_size)
