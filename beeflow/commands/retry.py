"""Retry workflows that failed, were cancelled or are Stalled, in place: what went well is kept, the rest runs again.

Earlier attempts stay on record, and the new archive is written beside the old one, as <id>.v2.tgz. For a run of
everything elsewhere, or under a new id, see bee-rerun.

examples:
  bee-retry 3fc631bb
  bee-retry 3fc631bb --from align         # also align, and all that takes from it
  bee-retry 3fc631bb --step plot          # also plot, though what took from it is kept
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, listing, retry, workflow
from beeflow.errors import BeeError
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Retry; returns the worst exit code."""
    parser = cli.parser("bee-retry", __doc__)
    parser.add_argument("ids", metavar="ID", nargs="+", help="a workflow's id, or the beginning of it")
    for name, dest, what in (("--step", "steps", "alone"), ("--from", "froms", "and all that follows from it")):
        text = f"run this step again though it went well, {what} (repeatable)"
        parser.add_argument(name, metavar="STEP", action="append", default=[], dest=dest, help=text)
    parser.add_argument("--force-rerun", action="store_true", help="run everything again")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    choice = retry.Choice(tuple(arguments.steps), tuple(arguments.froms), arguments.force_rerun)
    known, patience, worst = workflow.Known.read(cli.load_own_config()), Patience(COMMAND_S), 0
    for text in arguments.ids:
        try:
            found = known.resolve(text, Command.RETRY)
            made = retry.retry(found, listing.scheduler_of(found.record(), os.environ, patience), choice)
            if made.cancelled:
                print(f"Workflow {found.id} was retried, but another command cancelled it meanwhile.")
                continue
            print(f"Retrying workflow {found.id}: tasks kept: {made.kept}; to run again: {made.again}.")
        except BeeError as error:
            cli.error(str(error))
            worst = max(worst, error.exit_code)
    return worst


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
