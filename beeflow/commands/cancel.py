"""Cancel workflows: their jobs and only theirs are cancelled in Slurm, and what there is gets archived.

example:
  bee-cancel 3fc631bb 9d0f
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, listing, workflow


def main(argv: Sequence[str]) -> int:
    """Cancel."""
    parser = cli.parser("bee-cancel", __doc__)
    parser.add_argument("ids", metavar="ID", nargs="+", help="a workflow's id, or the beginning of it")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    for found in workflow.resolve_many(cli.load_config(), arguments.ids):
        workflow.cancel(found, listing.scheduler_of(found.record(), os.environ))
        print(f"Cancelling workflow {found.id}.")
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
