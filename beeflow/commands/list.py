"""List the workflows: name, id and status, oldest first.

examples:
  bee-list
  bee-list --json
  bee-list --host user@cluster.example.org      the workflows of another system, over ssh
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, codec, listing, tables


def main(argv: Sequence[str]) -> int:
    """List."""
    parser = cli.parser("bee-list", __doc__)
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    cli.add_host_option(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    if arguments.host:
        from beeflow import remote

        summaries = remote.list_all(arguments.host, os.environ)
    else:
        summaries = listing.list_all(cli.load_config(), os.environ)
    if arguments.json:
        print(json.dumps([codec.to_json(summary) for summary in summaries], indent=1))
    else:
        print(tables.render_workflows(summaries))
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
