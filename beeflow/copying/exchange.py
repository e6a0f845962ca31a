"""Give and take an archive over a wire: the same on both sides, whoever of them is the server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from beeflow.copying import offers
from beeflow.copying.messages import Done, Failed, Resume, Sent
from beeflow.copying.offers import Held, Offer
from beeflow.copying.taking import Place, Taken, Watch, take
from beeflow.copying.wire import CutError, RefusedError, Wire
from beeflow.errors import ArchiveError, BeeError, RemoteError, SystemFileError

# More than pipes and ssh's windows can hold.
_MAX_DRAINED = 256 << 20


def give(wire: Wire, held: Held, watch: Watch) -> Done:
    """Give an archive that was offered to whom it was offered; returns what became of it there.

    Raises ArchiveError or SystemFileError when it cannot be read here, RemoteError or ArchiveError when the taker could
    not take it.
    """
    failure: BeeError | None = None
    while True:
        try:
            answer = wire.expect(Resume, Done)
        except CutError:
            raise
        except BeeError as error:
            raise failure or error from error
        if isinstance(answer, Done):
            return answer
        failure = _send(wire, held, answer.offset, watch)


def _send(wire: Wire, held: Held, offset: int, watch: Watch) -> BeeError | None:
    """Send the bytes; returns what went wrong in reading them. The taker may say that it has had enough."""
    failure: BeeError | None = None
    watch.start(held.offer, offset)
    digest = hashlib.sha256()
    try:
        for data in offers.read(held.path, offset, held.offer.size):
            if wire.has_input():
                break
            wire.send_chunk(data)
            digest.update(data)
            watch.advance(len(data))
        else:
            if offset == 0 and digest.hexdigest() != held.offer.sha256:
                failure = ArchiveError(f"{held.path}: damaged: it does not have the sha256 that it was archived with")
    except SystemFileError as error:
        failure = error
    wire.send_chunk(b"")
    wire.send(failed(failure) if failure else Sent())
    return failure


def receive(wire: Wire, offer: Offer, place: Place, watch: Watch) -> Taken:
    """Take an archive that was offered, and say what became of it."""
    incoming = _Incoming(wire)
    try:
        taken = take(offer, place, incoming.read, watch)
    except BeeError as error:
        if not isinstance(error, RemoteError) or isinstance(error, RefusedError):
            wire.send(failed(error))
            incoming.drain()
        raise
    wire.send(Done(str(taken.path), taken.is_new))
    return taken


class _Incoming:
    """The bytes of an archive, as they come."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_coming = False

    def read(self, offset: int) -> Iterator[bytes]:
        self._wire.send(Resume(offset))
        self._is_coming = True
        while data := self._wire.read_chunk():
            yield data
        self._is_coming = False
        self._wire.expect(Sent)

    def drain(self) -> None:
        """Read on to the end, which comes soon: the giver has been told to stop."""
        if not self._is_coming:
            return
        left = _MAX_DRAINED
        while data := self._wire.read_chunk():
            left -= len(data)
            if left < 0:
                raise CutError("the other side does not stop sending")
        self._is_coming = False
        self._wire.expect(Sent, Failed)


def failed(error: BeeError) -> Failed:
    """Say what went wrong."""
    # Its path may be no UTF-8, and is not needed in full.
    return Failed(str(error)[:2000], isinstance(error, ArchiveError))
