"""Tidy up: remove the directories of workflows that are archived, and what killed processes left.

A directory goes when its workflow ended long enough ago, Slurm has no job of it, and its archive is whole. The archives
stay, and bee-list goes on showing them. A workflow that has been Stalled for as long is ended as bee-cancel ends it,
and archived. Without options that is what ended more than 30 days ago. Never touched: what is not over, what belongs to
another user, what is outside bee_workdir or behind a link.

Silent when there is nothing to do, so that cron sends no mail; one at a time, a second one ends at once with 0.
Problems are told on stderr, and the exit code is not 0.

examples:
  bee-clean --dry-run                          say what would be done
  bee-clean --older-than 2w --keep-last 10
  bee-clean --older-than 0d --state Archived

Every night, by a line of your crontab (crontab -e). cron's PATH is short, so say where Slurm's programs are:
  PATH=/opt/slurm/bin:/usr/bin:/bin
  17 4 * * * $HOME/beeflow-env/bin/bee-clean --older-than 30d

Where cron is forbidden, by Slurm itself (scrontab -e):
  #SCRON --time=30 --job-name=bee-clean
  17 4 * * * $HOME/beeflow-env/bin/bee-clean --older-than 30d

For users of a whole system: etc/cron.d/beeflow.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import NoReturn

from beeflow import cleaning, cli, tables
from beeflow.cleaning import Policy
from beeflow.states import WorkflowState

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def main(argv: Sequence[str]) -> int:
    """Tidy up."""
    parser = cli.parser("bee-clean", __doc__)
    parser.add_argument(
        "--older-than",
        type=parse_age,
        metavar="AGE",
        default=cleaning.DEFAULT_AGE,
        help="what ended at least so long ago: 30d (the default), 2w, 12h, 90m",
    )
    parser.add_argument(
        "--state",
        type=parse_states,
        metavar="STATE",
        action="append",
        help=f"only these, separated by commas: {', '.join(state.value for state in cleaning.STATES)}",
    )
    parser.add_argument(
        "--keep-last", type=parse_count, metavar="N", default=0, help="keep the directories of the N that ended last"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="do nothing, and say what would be done")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    states = frozenset(state for each in arguments.state or [cleaning.STATES] for state in each)
    policy = Policy(arguments.older_than, states, arguments.keep_last, arguments.dry_run)
    report = cleaning.clean(cli.load_config(), policy, os.environ)
    if report is None:
        if sys.stderr.isatty():
            print("another bee-clean is at work here; nothing was done", file=sys.stderr)
        return 0
    if report.done:
        print(tables.render_cleaned(report.done, dry_run=policy.dry_run))
    for problem in report.problems:
        cli.error(str(problem))
    codes = {problem.exit_code for problem in report.problems}
    return codes.pop() if len(codes) == 1 else int(bool(codes))


def parse_age(text: str) -> timedelta:
    """Read 30d, 2w, 12h or 90m."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip().lower(), re.ASCII)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age; write 90m, 12h, 30d or 2w")
    return timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


def parse_states(text: str) -> tuple[WorkflowState, ...]:
    """Read the words that bee-list shows, of those states that bee-clean may do something about."""
    known = {state.value.lower(): state for state in cleaning.STATES}
    try:
        return tuple(known[word.strip().lower()] for word in text.split(","))
    except KeyError as error:
        words = ", ".join(state.value for state in cleaning.STATES)
        raise argparse.ArgumentTypeError(f"{error.args[0]!r} is not one of {words}") from error


def parse_count(text: str) -> int:
    """Read a number that may be 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
