"""Run a command of beeflow: bee COMMAND ... is bee-COMMAND ..., for every bee-COMMAND on PATH.

examples:
  bee submit --wait workflow.cwl job.yml
  bee list
  bee submit --help
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from beeflow import cli, paths
from beeflow.errors import UsageError

PREFIX = "bee-"
_COMMANDS = Path(__file__).resolve().parent


def main(argv: Sequence[str]) -> int:
    """Become the command, or say which there are."""
    folders = tuple(search_path(os.environ))
    if argv and not argv[0].startswith("-"):
        become(find(argv[0], folders), argv[1:])
    parser = cli.parser("bee", __doc__, usage="bee COMMAND ...", epilog=render(find_all(folders)))
    parser.parse_args(argv)
    parser.print_help()
    return 0


def become(program: Path, argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program."""
    sys.stdout.flush()
    os.execv(program, [str(program), *argv])  # noqa: S606 - an argument list, as in process.py


def search_path(env: Mapping[str, str]) -> Iterator[Path]:
    """Where commands are: first where this one is, so that they are of one version, then PATH."""
    here = Path(sys.argv[0])
    if here.name == "bee":
        yield here.absolute().parent
    yield Path(sys.executable).parent
    yield _COMMANDS.parent.parent / "bin"
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        if folder:
            yield Path(folder)


def find(name: str, folders: Sequence[Path]) -> Path:
    """Find a command; raises UsageError with what the user may have meant."""
    for folder in folders:
        path = folder / f"{PREFIX}{name}"
        if "/" not in name and _is_program(path):
            return path
    close = difflib.get_close_matches(name, find_all(folders), n=3)
    meant = f"did you mean {' or '.join(close)}?" if close else "to see all: bee --help"
    raise UsageError(f"bee: there is no command {name!r}; {meant}")


def _is_program(path: Path) -> bool:
    return paths.is_file(path) and os.access(path, os.X_OK)


def find_all(folders: Sequence[Path]) -> list[str]:
    """List the names of all commands."""
    found = set()
    for folder in folders:
        try:
            found |= {path.name.removeprefix(PREFIX) for path in folder.glob(f"{PREFIX}*") if _is_program(path)}
        except OSError:
            continue
    return sorted(found)


def render(names: Sequence[str]) -> str:
    """Write the commands as a table: name and purpose."""
    width = max((len(name) for name in names), default=0)
    room = shutil.get_terminal_size((100, 24)).columns - width - 4
    lines = [
        f"  {name:{width}}  {textwrap.shorten(purpose(name), max(room, 20), placeholder='...')}".rstrip()
        for name in names
    ]
    return "\n".join(["commands:", *lines])


def purpose(name: str) -> str:
    """Return how our own command's docstring begins, "" for a command of somebody else; imports nothing."""
    source = _COMMANDS / f"{name.replace('-', '_')}.py"
    if not source.is_file():
        return ""
    doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return re.split(r"[.:] |\.?\n|$", doc, maxsplit=1)[0].rstrip(".")


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
