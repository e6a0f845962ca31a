"""A conversation with the beeflow of another system: one ssh for many archives."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping

from beeflow import process
from beeflow.copying import exchange
from beeflow.copying.messages import PROTOCOL, Done, Get, Hello, Put
from beeflow.copying.offers import Held, Offer, is_id_like
from beeflow.copying.taking import Place, Taken, Watch
from beeflow.copying.wire import BadArchiveError, CutError, RefusedError, Wire
from beeflow.errors import ArchiveError, BeeError, RemoteError, UsageError
from beeflow.remote import ssh

log = logging.getLogger(__name__)

COMMAND = "bee-copy"
# How a warning of ours begins on stderr (beeflow/cli.py).
_WARNING = "WARNING: "
_ARGV = (COMMAND, "--serve")


class UnreachableError(RemoteError):
    """There is no talking to the other system: neither of this nor of any other archive."""


class Session:
    """Connects when it is needed, and again after the connection was cut. ``watch``: sees how copies go."""

    def __init__(self, host: str, env: Mapping[str, str], watch: Watch) -> None:
        ssh.check_host(host)
        self.host = host
        self._env = env
        self._watch = watch
        self._program: process.Stream | None = None
        self._wire: Wire | None = None

    def get(self, text: str, place: Place) -> Taken:
        """Fetch the archive of a workflow."""
        check_id(text)
        wire = self._connected()
        with self._explained():
            wire.send(Get(text))
            offer = wire.expect(Offer)
            if not offer.name.startswith(text.lower()):
                raise RemoteError(f"offers {offer.name}, which is not what was asked for: {text}")
            return exchange.receive(wire, offer, place, self)

    def put(self, held: Held) -> Done:
        """Have an archive of ours be put into the archive folder there."""
        wire = self._connected()
        with self._explained():
            try:
                wire.send(Put(held.offer))
                return exchange.give(wire, held, self)
            except CutError as error:
                kept = "what has come there is kept; give the command again to continue"
                raise CutError(f"{held.path}: {error}; {kept}") from error

    def finish(self) -> None:
        """End the conversation in good order, and hand on what the other side warned of."""
        if self._program is not None:
            _, said = self._program.end()
            for line in said.splitlines():
                if line.startswith(_WARNING):
                    log.warning("%s: %s", self.host, ssh.safe(line.removeprefix(_WARNING)))
        self.close()

    def close(self) -> None:
        """End the conversation at once."""
        if self._program is not None:
            self._program.close()
        self._program = self._wire = None

    # -- for whom copies: tells the user, and the other side ----------------------------------------------------------

    def start(self, offer: Offer, offset: int) -> None:
        self._watch.start(offer, offset)

    def advance(self, count: int) -> None:
        self._watch.advance(count)

    def alive(self) -> None:
        """Tell the other side, if there is one, that we are at it."""
        self._watch.alive()
        if self._wire is not None:
            with contextlib.suppress(CutError):
                self._wire.alive()

    # ------------------------------------------------------------------------------------------------------------------

    def _connected(self) -> Wire:
        if self._wire is None:
            try:
                program = self._program = process.Stream(ssh.argv(self.host, _ARGV), self._env, is_two_way=True)
            except process.ProgramMissingError as error:
                raise UnreachableError(f"{self.host}: {error}") from error
            wire = Wire(program.stdout.fileno(), program.stdin.fileno())
            try:
                hello = wire.greeting()
            except RemoteError as error:
                raise UnreachableError(self._why(error)) from error
            self._check(hello)
            self._wire = wire
        return self._wire

    def _check(self, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            self.close()
            where = "here" if hello.protocol > PROTOCOL else "there"
            raise UnreachableError(
                f"{self.host}: beeflow {hello.version} there copies by protocol {hello.protocol}, and this one by "
                f"{PROTOCOL}; install a newer beeflow {where}"
            )

    def _why(self, error: RemoteError) -> str:
        """End the conversation; returns why there was none."""
        if self._program is None:
            return f"{self.host}: {error}"
        code, said = self._program.end()
        self.close()
        if not isinstance(error, CutError):
            return f"{self.host}: {error}"
        if code == ssh.USAGE:
            return (
                f"{self.host}: the beeflow there is older, and knows no {' '.join(_ARGV)}; install a newer one there: "
                f"{ssh.safe(said)}"
            )
        if code == 0:
            return f"{self.host}: {COMMAND} there did not say what it should: {ssh.safe(str(error))}"
        return ssh.failure(self.host, COMMAND, code, said)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say where it happened; what leaves the conversation in the middle ends it."""
        try:
            yield
        except (RefusedError, BadArchiveError) as error:
            kind = ArchiveError if isinstance(error, BadArchiveError) else RemoteError
            raise kind(f"{self.host}: {ssh.safe(str(error))}") from error
        except RemoteError as error:
            raise RemoteError(self._cut(error)) from error
        except BeeError:
            # It happened here, and the other side has been told.
            raise
        except BaseException:
            self.close()
            raise

    def _cut(self, error: RemoteError) -> str:
        said = ""
        if self._program is not None:
            code, words = self._program.end()
            said = f" ({ssh.safe(words)})" if words and code else ""
            self.close()
        return f"{self.host}: {ssh.safe(str(error))}{said}"


def check_id(text: str) -> None:
    """Raise UsageError for what cannot be an id on any system."""
    if not is_id_like(text):
        raise UsageError(f"{text!r}: not a workflow's id, nor the beginning of one; see: bee-list --host")
