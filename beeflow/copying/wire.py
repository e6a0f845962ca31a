"""Messages, and the bytes of archives between them, over a pair of descriptors."""

from __future__ import annotations

import os
import select
import stat
import struct
import time
from typing import Any, TypeVar, overload

from beeflow.archive.hashing import CHUNK
from beeflow.copying import messages
from beeflow.copying.messages import Busy, Failed, Hello, Message
from beeflow.errors import ArchiveError, RemoteError

# So long nobody says nothing at all; BUSY_S is when who is busy says so.
SILENCE_S = 600.0
BUSY_S = 20.0
_MAX_BANNER_LINES = 1000
_LENGTH = struct.Struct(">I")
_PIECE = 1 << 18

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)


class CutError(RemoteError):
    """The other side went away, or has been silent for too long."""


class RefusedError(RemoteError):
    """The other side says that it did not work."""


class BadArchiveError(ArchiveError):
    """The other side says what is wrong with the archive."""


class Wire:
    """One end of a connection. ``silence_s``: after so long without a sign the other side is taken to be gone."""

    def __init__(self, source: int, sink: int, silence_s: float = SILENCE_S) -> None:
        self._source = source
        self._sink = sink
        self._silence_s = silence_s
        self._read = bytearray()
        self._said = time.monotonic()
        if _is_pipe(sink):
            # A write that has to wait for the other side would wait for ever.
            os.set_blocking(sink, False)

    # -- messages ------------------------------------------------------------------------------------------------------

    def greet(self, hello: Hello) -> None:
        """Begin, as a server."""
        self._write(messages.encode_hello(hello))

    def greeting(self) -> Hello:
        """Wait for a server's first words, past what a login shell printed.

        Raises CutError when it ends instead, RemoteError when it goes on and on.

        For as long as it takes: ssh may be asking the user for a password.
        """
        for _ in range(_MAX_BANNER_LINES):
            hello = messages.decode_hello(self._read_line(None))
            if hello:
                return hello
        raise RemoteError("much was printed there, and no beeflow began to speak")

    def send(self, message: Message) -> None:
        """Say something."""
        self._write(messages.encode(message))

    @overload
    def expect(self, kind: type[A], /) -> A: ...

    @overload
    def expect(self, kind: type[A], other: type[B], /) -> A | B: ...

    def expect(self, *kinds: type[Any]) -> Any:
        """Wait for a message of these kinds; raises RefusedError or BadArchiveError for an unexpected Failed."""
        while isinstance(message := messages.decode(self._read_line(self._silence_s)), Busy):
            continue
        if isinstance(message, kinds):
            return message
        if isinstance(message, Failed):
            raise (BadArchiveError if message.is_of_archive else RefusedError)(message.message)
        raise RemoteError(f"an answer that makes no sense here: {type(message).__name__}")

    def alive(self) -> None:
        """Say, but not too often, that we are busy."""
        if time.monotonic() - self._said > BUSY_S:
            self.send(Busy())

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def send_chunk(self, data: bytes) -> None:
        """Send some bytes; none: that was all."""
        self._write(_LENGTH.pack(len(data)) + data)

    def read_chunk(self) -> bytes:
        """Read what send_chunk sent."""
        (length,) = _LENGTH.unpack(self._read_exactly(_LENGTH.size))
        if length > CHUNK:
            raise RemoteError(f"an answer that makes no sense: {length} bytes at once")
        return self._read_exactly(length)

    def has_input(self) -> bool:
        """True when the other side has said something, or is gone."""
        return bool(self._read) or bool(select.select([self._source], [], [], 0)[0])

    # -- descriptors ---------------------------------------------------------------------------------------------------

    def _read_line(self, silence_s: float | None) -> bytes:
        while (end := self._read.find(b"\n")) < 0:
            if len(self._read) > messages.MAX_LINE:
                raise RemoteError("a line without an end")
            self._fill(silence_s)
        return self._take(end + 1)

    def _read_exactly(self, length: int) -> bytes:
        while len(self._read) < length:
            self._fill(self._silence_s)
        return self._take(length)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._read[:length])
        del self._read[:length]
        return taken

    def _fill(self, silence_s: float | None) -> None:
        if not select.select([self._source], [], [], silence_s)[0]:
            raise CutError(f"no sign of life for {silence_s:g} s")
        try:
            data = os.read(self._source, _PIECE)
        except ConnectionResetError:
            data = b""
        if not data:
            raise CutError("the connection was cut")
        self._read += data

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            if not select.select([], [self._sink], [], self._silence_s)[1]:
                raise CutError(f"nothing was taken for {self._silence_s:g} s")
            try:
                left = left[os.write(self._sink, left[:_PIECE]) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError) as error:
                raise CutError("the connection was cut") from error
        self._said = time.monotonic()


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
