"""Copy archives: here, from another system, or to one, over ssh. Checked by sha256, never overwriting.

An archive is named by the beginning of its workflow's id, or by its path. The last word is a folder, or a new file; for
several archives it is a folder. With --archive they go to your own archive folder, and with --to to that of another
system: there bee-list shows them, and bee-rerun takes their ids. What is there already is never overwritten, and
no error when it is the very same.

A copy that is cut off leaves a hidden file that ends in .copy.part; the same command goes on from there. Ports, keys
and jumps are your ssh configuration's business.

examples:
  bee-copy 3fc631bb .
  bee-copy --host user@cluster.example.org 3fc631bb .
  bee-copy --host cluster 3fc631bb 9d0f ~/archives         several, to a folder
  bee-copy --host cluster --archive 3fc631bb               to your own archive folder
  bee-copy --to cluster 3fc631bb ./9d0f6a2e.tgz            to the other system's archive folder
  bee-copy --archive ./9d0f6a2e.tgz                        a file that somebody gave you
  bee-copy 3fc631bb -  > archive.tgz                       to standard output
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from beeflow import cli, paths, workdir
from beeflow.config import Config
from beeflow.copying import local, offers
from beeflow.copying.places import ArchiveFolder, Destination
from beeflow.copying.progress import Bar
from beeflow.copying.taking import Place, Taken
from beeflow.errors import BeeError, UsageError
from beeflow.remote import ssh
from beeflow.remote.session import Session, UnreachableError, check_id

STDOUT = "-"
# So much of an id is surely no name of a file.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]{0,27})?")
# As scp names what is on another system.
_SCP = re.compile(r"([^/:]+):(.*)", re.DOTALL)

# Copies one archive, and says where it is now.
Copier = Callable[[str], str]


def main(argv: Sequence[str]) -> int:
    """Copy; returns the worst exit code."""
    arguments = parse(argv)
    cli.start_logging(arguments.verbose)
    if arguments.serve:
        return serve()
    words, dest = split(arguments)
    if dest == STDOUT:
        local.send(cli.load_config(), words[0], sys.stdout.buffer)
        return 0
    bar = Bar(sys.stderr)
    with contextlib.ExitStack() as stack:
        stack.callback(bar.end)
        return copy_all(words, stack.enter_context(copier(arguments, dest, bar)), bar)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    usage = "bee-copy [--host H | --to H] [--archive] ID|FILE ... [DEST]"
    parser = cli.parser("bee-copy", __doc__, usage=usage)
    parser.add_argument(
        "words", metavar="ID|FILE ... DEST", nargs="*", help="ids or archives; a folder, a new file, or - (default: .)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--host", "--from", metavar="[USER@]HOST", help="copy from this system, over ssh")
    where.add_argument("--to", metavar="[USER@]HOST", help="copy to the archive folder of this system, over ssh")
    where.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--archive", action="store_true", help="copy to your own archive folder; there is no DEST then")
    return parser.parse_args(argv)


def split(arguments: argparse.Namespace) -> tuple[list[str], str]:
    """Tell the archives from where they go ("": to an archive folder); raises UsageError where that makes no sense."""
    words: list[str] = arguments.words
    refuse_scp(arguments)
    to_archive_folder = arguments.archive or arguments.to is not None
    if arguments.to is not None and arguments.archive:
        raise UsageError("--to copies to an archive folder already, the other system's; leave out --archive")
    if to_archive_folder:
        dest = ""
    else:
        dest = words.pop() if len(words) > 1 else "."
        if _ID.fullmatch(dest) and not os.path.lexists(dest):
            raise UsageError(f"where to? The last word is a folder or a new file, and {dest} looks like an id; add a .")
    if not words:
        raise UsageError("say which archives: the ids of workflows (see: bee-list), or paths")
    if dest == STDOUT and (arguments.host is not None or len(words) > 1):
        raise UsageError("only one archive of this system can go to standard output")
    if len(words) > 1 and dest and not paths.is_folder(dest):
        raise UsageError(f"{dest}: several archives can only go to a folder, and this is none; make it first")
    if arguments.host is not None:
        for word in words:
            check_id(word)
    return words, dest


def refuse_scp(arguments: argparse.Namespace) -> None:
    """Raise UsageError, with what was meant, for HOST:ID and HOST:FOLDER, as scp and rsync take them."""
    words: list[str] = arguments.words
    for position, word in enumerate(words):
        found = _SCP.fullmatch(word)
        if found is None or os.path.lexists(word):
            continue
        host, rest = found.groups()
        is_last = position == len(words) - 1
        # With --archive there is no DEST, and an id is none.
        if position and is_last and not (arguments.archive or _ID.fullmatch(rest)):
            meant = ["--to", host, *words[:-1]]
        else:
            name = rest if offers.is_id_like(rest) else "ID"
            dest = ["." if is_last else words[-1]]
            meant = ["--host", host, *(["--archive", name] if arguments.archive else [name, *dest])]
        raise UsageError(
            f"{word}: another system is said by --host or --to, as in: bee-copy {shlex.join(meant)}\n"
            f"or a file, as: ./{word}"
        )


@contextlib.contextmanager
def copier(arguments: argparse.Namespace, dest: str, bar: Bar) -> Iterator[Copier]:
    """Give what copies one archive; everything is checked that can be before a connection is made."""
    host = arguments.host if arguments.to is None else arguments.to
    place: Place = Destination.named(dest)
    if arguments.archive:
        place = ArchiveFolder(cli.load_own_config())
    if host is None:
        config = cli.load_config()
        yield lambda word: said(local.copy_to(config, word, place, bar, for_archives=arguments.archive))
        return
    with contextlib.closing(Session(host, os.environ, bar)) as session:
        if arguments.to is not None:
            config = cli.load_config()
            yield lambda word: put(session, config, word)
        else:
            yield lambda word: said(session.get(word, place))
        session.finish()


def put(session: Session, config: Config, word: str) -> str:
    """Copy one archive to another system."""
    done = session.put(offers.find(config, word, session.alive, for_archives=True))
    return f"{session.host}:{ssh.safe(done.path)}{'' if done.is_new else ' (there already)'}"


def said(taken: Taken) -> str:
    """Write where a copy is."""
    return f"{taken.path}{'' if taken.is_new else ' (there already)'}"


def copy_all(words: Sequence[str], copy: Copier, bar: Bar) -> int:
    """Copy each archive; one that fails does not keep the others from it."""
    worst = 0
    for number, word in enumerate(words):
        try:
            line = copy(word)
        except BeeError as error:
            bar.end()
            cli.error(str(error))
            worst = max(worst, error.exit_code)
            if isinstance(error, UnreachableError):
                for left in words[number + 1 :]:
                    cli.error(f"{left}: not copied")
                break
        except KeyboardInterrupt:
            bar.end()
            cli.error("interrupted; what has come is kept: give the same command again, and it goes on from there")
            return cli.EXIT_INTERRUPT
        else:
            bar.end()
            cli.say(line)
    return worst


def serve() -> int:
    """Be the other end of a copy: bee-copy --host and --to start this, over ssh."""
    from beeflow.copying import serving
    from beeflow.copying.wire import Wire

    settings = cli.load_config()
    workdir.check(settings)
    serving.serve(settings, Wire(sys.stdin.fileno(), sys.stdout.fileno()))
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
