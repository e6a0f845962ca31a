"""Command lines of ssh, and what its end means."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from beeflow import tables
from beeflow.errors import UsageError

# Nothing that ssh could take for an option, nor a shell that an ssh configuration runs (ProxyCommand, Match exec) for
# more than a name.
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,254}"
_NAME = r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,254}"
_HOST = re.compile(rf"(?:{_USER}@)?{_NAME}")
# ssh's own failure is 255; 127 is the remote shell not finding the program.
_SSH_FAILED, _NOT_FOUND = 255, 127
USAGE = 2
_MAX_SAID = 1000


def check_host(host: str) -> None:
    """Raise UsageError for a host name that ssh, or a shell that it starts, could take for something else."""
    if not _HOST.fullmatch(host):
        raise UsageError(f"{host!r}: not a host name; write [user@]host, as your ssh configuration knows it")


def argv(host: str, words: Sequence[str]) -> list[str]:
    """Build an ssh command line; raises UsageError for what is no host name."""
    check_host(host)
    return ["ssh", "-T", "--", host, shlex.join(words)]


def failure(host: str, command: str, code: int, said: str) -> str:
    """Say what the end of ssh, or of the command there, means. ``said``: on stderr."""
    words = safe(said)
    if code == _SSH_FAILED:
        return f"{host}: ssh failed: {words or 'it did not say why'}"
    if code == _NOT_FOUND:
        return (
            f"{host}: {command} is not on the PATH that ssh gives there; install beeflow there, and set PATH where a "
            f"shell that is no login shell reads it (bash: at the top of ~/.bashrc): {words}"
        )
    if code < 0:
        return f"{host}: ssh was ended by signal {-code}: {words}"
    return f"{host}: {command}: {words or f'exit code {code}'}"


def safe(said: str) -> str:
    """Make what another system says fit for a message: no control characters, the end of it if it is long."""
    lines = [tables.one_line(line.strip(), _MAX_SAID) for line in said.splitlines() if line.strip()]
    text = " / ".join(lines)
    return text if len(text) <= _MAX_SAID else "…" + text[-_MAX_SAID:]
