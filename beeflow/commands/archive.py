"""Archive workflows by hand, and print where each archive is: <id>.tgz or, where there is one, <id>.v2.tgz and so on.

A workflow that has ended gets its archive without that: this is for one whose archive could not be made, or that
bee.conf had not archived (use_archive), and for another one after something in its directory was put right. bee-list,
bee-copy and bee-rerun take the newest.

Any other is archived as it is at the moment, with what its tasks have made so far. That archive says so, and only its
path leads to it: bee-inspect, bee-rerun and tar read it.

With --zip no archive is made: the one that counts, or the .tgz that is named, is written as an RO-Crate in one .zip, as
WorkflowHub and others take it, with ro-crate-metadata.json at its top.

examples:
  bee-archive 3fc631bb
  bee-archive 3fc631bb 9d0f2c11           # each for itself
  bee-archive 3fc631bb --zip              # <id>.zip, here
  bee-archive 3fc631bb --zip crate.zip    # or: --zip 3fc631bb crate.zip
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from beeflow import by_hand, cli, paths, workflow
from beeflow.config import Config
from beeflow.crate.zipping import ZIP_SUFFIX, write_zip
from beeflow.errors import BeeError, SystemFileError, UsageError
from beeflow.states import Command

T = TypeVar("T")


def main(argv: Sequence[str]) -> int:
    """Archive; returns the worst exit code."""
    parser = cli.parser("bee-archive", __doc__)
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="a workflow's id, or the beginning of it; or a .tgz (--zip)"
    )
    parser.add_argument(
        "--zip",
        metavar="DEST",
        nargs="?",
        const=".",
        help="write a .zip: a folder, or a new file that ends in .zip (default: .)",
    )
    cli.add_large(parser, "with --zip: ")
    arguments = parser.parse_args(argv)
    ids, dest = meant(arguments.ids, arguments.zip)
    if not ids:
        parser.error("the following arguments are required: ID")
    cli.start_logging(arguments.verbose)
    settings = cli.load_own_config()
    if dest is None:
        return each_of(ids, lambda text: cli.say(str(archive(settings, text))))
    # Nothing is written before all words are known.
    found: list[Path] = []
    worst = each_of(ids, lambda text: found.append(workflow.locate(settings, text)))
    allowed = cli.limits_of(arguments)
    return worst or each_of(found, lambda path: cli.say(str(write_zip(path, dest, allowed))))


def each_of(words: Iterable[T], do: Callable[[T], None]) -> int:
    """Do something with each word; returns the worst exit code."""
    worst = 0
    for word in words:
        try:
            do(word)
        except BeeError as error:
            cli.error(str(error))
            worst = max(worst, error.exit_code)
    return worst


def meant(ids: list[str], zipped: str | None) -> tuple[list[str], Path | None]:
    """Tell what is to be written from where to write it: the word after --zip, else the last; default: here.

    Raises SystemFileError for a folder that is not there, UsageError for several archives and one file.
    """
    if zipped is None:
        return ids, None
    if is_place(zipped):
        words, dest = ids, zipped
    else:
        words, dest = [zipped, *ids], "."
    if dest == "." and len(words) > 1 and is_place(words[-1]):
        *words, dest = words
    if dest.endswith("/") and not paths.is_folder(dest):
        raise SystemFileError(f"{dest}: no such folder; make it first")
    if len(words) > 1 and not paths.is_folder(dest):
        raise UsageError(f"{dest}: several archives can only go to a folder")
    return words, Path(dest)


def is_place(word: str) -> bool:
    """True for a word that says where to write, and names no archive."""
    return paths.is_folder(word) or word.endswith((ZIP_SUFFIX, "/"))


def archive(settings: Config, text: str) -> Path:
    """Archive one workflow."""
    return by_hand.archive(settings, workflow.resolve(settings, text, Command.ARCHIVE), os.environ)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
