"""What two bee-copy say to each other: one JSON line a message, {"its kind": {its fields}}.

    server   Hello                                 (a line of its own form, which every version reads)
    client   Get(id)                               or Put(name, size, sha256)
    giver    Offer(name, size, sha256)             (of a Get)
    taker    Resume(offset)
    giver    the bytes from there on, in chunks; then Sent or Failed
    taker    Resume again, or Done(path), or Failed

Whoever is busy says Busy now and then; a taker that has had enough says Failed while bytes still come.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from beeflow import codec
from beeflow.copying.offers import Offer
from beeflow.errors import RemoteError

PROTOCOL = 2
MAX_LINE = 1 << 16
_HELLO = re.compile(rb"beeflow-copy (\d{1,9}) ([!-~]{1,100})\r?\n")
_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.v[1-9][0-9]{0,8})?\.tgz")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Hello:
    """The first thing a server says. ``version``: of its beeflow."""

    protocol: int
    version: str


@dataclass(frozen=True)
class Get:
    """Asks for the archive of a workflow, by the beginning of its id."""

    id: str


@dataclass(frozen=True)
class Put:
    """Asks to take an archive."""

    offer: Offer


@dataclass(frozen=True)
class Resume:
    """Asks for the bytes from ``offset`` on."""

    offset: int


@dataclass(frozen=True)
class Sent:
    """All bytes went out, and were right as far as the giver can tell."""


@dataclass(frozen=True)
class Done:
    """The archive is there. ``is_new``: it was not before."""

    path: str
    is_new: bool


@dataclass(frozen=True)
class Failed:
    """It did not work, and why. ``is_of_archive``: an ArchiveError, and no trouble of that system."""

    message: str
    is_of_archive: bool = False


@dataclass(frozen=True)
class Busy:
    """Still at it."""


Message = Get | Put | Offer | Resume | Sent | Done | Failed | Busy
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Get, Put, Offer, Resume, Sent, Done, Failed, Busy)}


def encode_hello(hello: Hello) -> bytes:
    """Write the line that tells a server from what a login shell prints before it, maybe without a line's end."""
    return f"\nbeeflow-copy {hello.protocol} {hello.version}\n".encode()


def decode_hello(line: bytes) -> Hello | None:
    """Read that line; None for any other."""
    match = _HELLO.fullmatch(line)
    return Hello(int(match.group(1)), match.group(2).decode()) if match else None


def encode(message: Message) -> bytes:
    """Write a message."""
    return json.dumps({type(message).__name__: codec.to_json(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read a message; raises RemoteError for what is none."""
    try:
        ((kind, fields),) = json.loads(line).items()
        message = codec.from_json(_KINDS[kind], fields)
        offer = message.offer if isinstance(message, Put) else message
        if isinstance(offer, Offer):
            check(offer)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise RemoteError(f"an answer that makes no sense: {line[:80]!r}") from error
    return message


def check(offer: Offer) -> None:
    """Raise ValueError for an archive that none of ours can be: what comes from elsewhere becomes a path here."""
    if not _NAME.fullmatch(offer.name) or not codec.is_size(offer.size) or not _SHA256.fullmatch(offer.sha256):
        raise ValueError(f"{offer!r} is not an archive")
