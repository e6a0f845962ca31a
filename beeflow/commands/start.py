"""Start a workflow that was submitted with --no-start, or continue one that is Stalled.

example:
  bee-start 3fc631bb
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, listing, workflow


def main(argv: Sequence[str]) -> int:
    """Start or continue."""
    parser = cli.parser("bee-start", __doc__)
    parser.add_argument("id", metavar="ID", help="a workflow's id, or the beginning of it")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    found = workflow.resolve(cli.load_config(), arguments.id)
    workflow.start(found, listing.scheduler_of(found.record(), os.environ))
    print(f"Started workflow {found.id}.")
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
