"""Remove finished workflows: their directories and, with --archive, their archives.

Without --archive the archive stays: bee-list shows it, bee-rerun runs it again. Only what is over can be removed; for
any other workflow the error says what to do first. Nothing is removed unless all that were named can be.

examples:
  bee-remove 3fc631bb 9d0f
  bee-remove --archive 3fc6          also the archive, or only that where the directory is gone
  bee-remove --all --yes             all that are over, without a question
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, finished, tables
from beeflow.config import Config
from beeflow.errors import BeeError, SystemFileError, TransitionError, UsageError
from beeflow.finished import Target

_SHOWN = 20


def main(argv: Sequence[str]) -> int:
    """Remove."""
    parser = cli.parser("bee-remove", __doc__)
    parser.add_argument("ids", metavar="ID", nargs="*", help="a workflow's id, or the beginning of it")
    parser.add_argument("--all", action="store_true", help="all workflows that are over")
    parser.add_argument("--archive", action="store_true", help="remove the archives, too")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args(argv)
    if arguments.all == bool(arguments.ids):
        raise UsageError("name the workflows, or say --all; see: bee-remove --help")
    cli.start_logging(arguments.verbose)
    settings = cli.load_own_config()
    targets = choose(settings, arguments)
    there = [each for each in targets if each.workflow or each.half_removed or (arguments.archive and each.archive)]
    if not arguments.all:
        for each in targets:
            if each not in there:
                print(f"Workflow {each.id} has no directory any more. Its archive stays; to remove it: --archive")
    if not there:
        if arguments.all:
            print("There is nothing to remove.")
        return 0
    if not arguments.yes and not agrees(there, archive=arguments.archive):
        return 1
    return remove(settings, there, archive=arguments.archive)


def choose(settings: Config, arguments: argparse.Namespace) -> list[Target]:
    """Find what is to be removed; raises when something that was named may not be."""
    if not arguments.all:
        targets = finished.find(settings, arguments.ids)
        refused = list(finished.check_all(settings, targets, os.environ).values())
        if refused:
            kinds = {type(error) for error in refused}
            raise (kinds.pop() if len(kinds) == 1 else TransitionError)("\n".join(map(str, refused)))
        return targets
    targets = finished.find_all(settings)
    stay = finished.check_all(settings, targets, os.environ)
    for error in stay.values():
        if not isinstance(error, TransitionError):
            cli.error(str(error))
    if stay:
        print(f"Not over, or not to be told: {len(stay)}. They stay.")
    return [each for each in targets if each.id not in stay]


def agrees(targets: Sequence[Target], *, archive: bool) -> bool:
    """Show what would go, and ask."""
    queues = finished.Asked(os.environ)
    found = [finished.describe(each, queues) for each in targets[:_SHOWN]]
    print(tables.render_workflows([each for each in found if each]))
    if len(targets) > _SHOWN:
        print(f"and {len(targets) - _SHOWN} more")
    what = "directories and archives" if archive else "directories"
    return cli.agrees(f"Remove the {what} of {len(targets)} workflow{'s' if len(targets) > 1 else ''}?")


def remove(settings: Config, targets: Sequence[Target], *, archive: bool) -> int:
    """Remove one after the other; what cannot be removed does not keep the rest."""
    code = 0
    for each in targets:
        try:
            removed = finished.remove(settings, each, archive=archive)
        except BeeError as error:
            cli.error(str(error))
            code = error.exit_code
            continue
        for line in removed.left:
            cli.error(f"not removed: {line}")
        if removed.left_count:
            code = SystemFileError.exit_code
            cli.error(f"workflow {each.id}: {removed.left_count} files or folders are left")
        else:
            print(f"Removed workflow {each.id}: {tables.size(removed.size)}.")
    return code


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
