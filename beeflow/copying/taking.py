"""Take an archive that somebody offers: continue a part, check it, and only then give it its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from beeflow.copying import offers, parts
from beeflow.copying.offers import Held, Offer
from beeflow.copying.parts import Part
from beeflow.errors import ArchiveError, BeeError, SystemFileError


class Place(Protocol):
    """Where archives are copied to."""

    def target(self, offer: Offer) -> Path:
        """Name the copy; raises BeeError where there can be none."""

    def prepare(self, part: Path, offer: Offer) -> None:
        """Look at what arrived, before it gets its name; raises ArchiveError for what does not belong there."""

    def complete(self, target: Path, offer: Offer) -> None:
        """Do what is to be done once it has its name."""


class Watch(Protocol):
    """Somebody who is told how it goes."""

    def start(self, offer: Offer, offset: int) -> None:
        """The bytes from ``offset`` on are coming."""

    def advance(self, count: int) -> None:
        """So many more have come."""

    def alive(self) -> None:
        """Work is done that moves no bytes."""


class Unwatched:
    """Nobody."""

    def start(self, offer: Offer, offset: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""

    def alive(self) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Taken:
    """A copy. ``is_new``: it was not there before."""

    path: Path
    is_new: bool


# Gives the bytes of an archive from some offset on.
Source = Callable[[int], Iterator[bytes]]


def take(offer: Offer, place: Place, source: Source, watch: Watch) -> Taken:
    """Take an archive to a place.

    Raises ArchiveError when it is damaged or another file is there. On any other error what arrived is kept, and the
    message says so.
    """
    target = place.target(offer)
    if os.path.lexists(target):
        return _found(target, offer, place, watch)
    with parts.opened(target, offer, watch.alive) as part, _kept(target, part):
        part.check_room()
        _fill(part, source, watch)
        part.sync()
        place.prepare(part.path, offer)
        is_new = part.publish(target)
        if not is_new:
            part.discard()
    if not is_new:
        return _found(target, offer, place, watch)
    place.complete(target, offer)
    return Taken(target, is_new=True)


def _fill(part: Part, source: Source, watch: Watch) -> None:
    while not _filled(part, source, watch):
        if not part.is_continued:
            raise ArchiveError("damaged: its sha256 is not the one that it should have")
        # What an earlier copy left may not have been on disk when the host went down.
        part.restart()


def _filled(part: Part, source: Source, watch: Watch) -> bool:
    watch.start(part.offer, part.offset)
    for data in source(part.offset):
        if part.offset + len(data) > part.offer.size:
            raise ArchiveError("more bytes came than it has")
        part.append(data)
        watch.advance(len(data))
    return part.is_right


@contextlib.contextmanager
def _kept(target: Path, part: Part) -> Iterator[None]:
    """Say what becomes of a part when something goes wrong."""
    try:
        yield
    except ArchiveError as error:
        part.discard()
        raise type(error)(f"{target}: {error}; nothing was kept") from error
    except BeeError as error:
        kept = f"; {part.described}" if part.offset else ""
        raise type(error)(f"{target}: {error}{kept}") from error
    except OSError as error:
        kept = f"; {part.described}" if part.offset else ""
        raise SystemFileError(f"{target}: {error.strerror or error}{kept}") from error


def _found(target: Path, offer: Offer, place: Place, watch: Watch) -> Taken:
    if not (target.is_file() and offers.matches(Held(target, offer), watch.alive)):
        raise ArchiveError(f"{target}: there already, and another file; nothing is overwritten")
    place.complete(target, offer)
    return Taken(target, is_new=False)
