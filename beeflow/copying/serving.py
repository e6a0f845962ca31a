"""The other end of a copy over ssh: what ``bee-copy --serve`` does there."""

from __future__ import annotations

from beeflow import __version__
from beeflow.config import Config
from beeflow.copying import exchange, offers
from beeflow.copying.messages import PROTOCOL, Get, Hello, Put
from beeflow.copying.offers import Offer
from beeflow.copying.places import ArchiveFolder
from beeflow.copying.wire import CutError, RefusedError, Wire
from beeflow.errors import BeeError, RemoteError, UsageError


class _Heartbeat:
    """Tells the client that we are at work where no bytes move."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def start(self, offer: Offer, offset: int) -> None:
        """The client knows."""

    def advance(self, count: int) -> None:
        """The client knows."""

    def alive(self) -> None:
        self._wire.alive()


def serve(config: Config, wire: Wire) -> None:
    """Answer requests until the client goes away."""
    wire.greet(Hello(PROTOCOL, __version__))
    while True:
        try:
            request = wire.expect(Get, Put)
        except CutError:
            return
        try:
            _answer(config, wire, request)
        except BeeError as error:
            if isinstance(error, RemoteError) and not isinstance(error, RefusedError):
                raise
            # The client knows.


def _answer(config: Config, wire: Wire, request: Get | Put) -> None:
    heartbeat = _Heartbeat(wire)
    if isinstance(request, Put):
        try:
            place = ArchiveFolder(config)
        except BeeError as error:
            wire.send(exchange.failed(error))
            raise
        exchange.receive(wire, request.offer, place, heartbeat)
        return
    try:
        if not offers.is_id_like(request.id):
            raise UsageError(f"{request.id!r}: not the beginning of an id")
        held = offers.of_workflow(config, request.id, wire.alive)
    except BeeError as error:
        wire.send(exchange.failed(error))
        raise
    wire.send(held.offer)
    exchange.give(wire, held, heartbeat)
