"""Archive workflows by hand, and print where each archive is: <id>.tgz or, where there is one, <id>.v2.tgz and so on.

A workflow that has ended gets its archive without that: this is for one whose archive could not be made, or that
bee.conf had not archived (use_archive), and for another one after something in its directory was put right. bee-list,
bee-copy and bee-rerun take the newest.

Any other is archived as it is at the moment, with what its tasks have made so far. That archive says so, and only its
path leads to it: bee-inspect, bee-rerun and tar read it.

examples:
  bee-archive 3fc631bb
  bee-archive 3fc631bb 9d0f2c11           # each for itself
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import by_hand, cli, workflow
from beeflow.errors import BeeError
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Archive; returns the worst exit code."""
    parser = cli.parser("bee-archive", __doc__)
    parser.add_argument("ids", metavar="ID", nargs="+", help="a workflow's id, or the beginning of it")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    settings, worst = cli.load_own_config(), 0
    for text in arguments.ids:
        try:
            print(by_hand.archive(settings, workflow.resolve(settings, text, Command.ARCHIVE), os.environ))
        except BeeError as error:
            cli.error(str(error))
            worst = max(worst, error.exit_code)
    return worst


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
