"""Ask beeflow on another system, over the system's ssh: hosts, keys and jumps are the user's ssh configuration."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from beeflow import codec, copying, process
from beeflow.errors import ArchiveError, RemoteError, UsageError
from beeflow.models import Summary

LIST_TIMEOUT_S = 120.0
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:%\[\]-]*")
_NAME = re.compile(r"[0-9a-f-]{36}(\.v\d+)?\.tgz")
_MAX_BANNER_LINES = 1000
# ssh's own failure is 255; 127 is the remote shell not finding the program.
_SSH_FAILED, _NOT_FOUND = 255, 127


def ssh_argv(host: str, words: Sequence[str]) -> list[str]:
    """Build an ssh command line; raises UsageError for a host name that ssh could take for something else."""
    if not _HOST.fullmatch(host):
        raise UsageError(f"--host {host!r}: not a host name; write [user@]host")
    return ["ssh", "-T", "--", host, shlex.join(words)]


def list_all(host: str, env: Mapping[str, str]) -> list[Summary]:
    """List the workflows of another system."""
    try:
        done = process.run(ssh_argv(host, ["bee-list", "--json"]), timeout_s=LIST_TIMEOUT_S, env=env)
    except process.ProgramTimeoutError as error:
        raise RemoteError(f"{host}: {error}") from error
    if done.returncode != 0:
        raise RemoteError(_failure(host, "bee-list", done.returncode, done.message))
    # What a login shell prints first is not ours: the array begins on a line of its own.
    found = re.search(r"^\[\]?$", done.stdout, re.MULTILINE)
    try:
        return [codec.from_json(Summary, each) for each in json.loads(done.stdout[found.start() if found else 0 :])]
    except ValueError as error:
        raise RemoteError(f"{host}: bee-list printed something else than JSON: {error}") from error


def copy(host: str, text: str, dest: Path, env: Mapping[str, str]) -> Path:
    """Fetch an archive from another system."""
    argv = ssh_argv(host, ["bee-copy", "--framed", text, "-"])
    with process.stream(argv, env=env) as program:
        try:
            name, size, sha256 = _read_frame(program.stdout)
        except EOFError as error:
            raise RemoteError(_failure(host, "bee-copy", *program.end())) from error
        target = copying.target_of(dest, name)
        try:
            return copying.receive(program.stdout, target, sha256, size)
        except ArchiveError as error:
            code, said = program.end()
            if code == 0:
                raise
            raise RemoteError(f"{error}; {_failure(host, 'bee-copy', code, said)}") from error


def _read_frame(stream: IO[bytes]) -> tuple[str, int, str]:
    """Read the line that begins an archive, past whatever a login shell printed; raises EOFError without one."""
    for _ in range(_MAX_BANNER_LINES):
        line = stream.readline(1 << 16)
        if not line:
            break
        words = line.split()
        if len(words) == 4 and words[0] == copying.FRAME and _NAME.fullmatch(words[1].decode(errors="replace")):
            return words[1].decode(), int(words[2]), words[3].decode()
    raise EOFError


def _failure(host: str, command: str, code: int, said: str) -> str:
    if code == _SSH_FAILED:
        return f"{host}: ssh failed: {said}"
    if code == _NOT_FOUND:
        return f"{host}: {command} is not on the PATH that ssh gives there; install beeflow and put it on PATH: {said}"
    return f"{host}: {command}: {said}"
