"""Copy a workflow's archive: here, or from another system over ssh. Checked by sha256, never overwriting.

examples:
  bee-copy 3fc631bb .
  bee-copy --host user@cluster.example.org 3fc631bb .
  bee-copy 3fc631bb -  > archive.tgz                       to standard output
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from beeflow import cli, copying, remote


def main(argv: Sequence[str]) -> int:
    """Copy."""
    parser = cli.parser("bee-copy", __doc__)
    parser.add_argument("id", metavar="ID", help="a workflow's id, or the beginning of it")
    parser.add_argument("dest", metavar="DEST", nargs="?", default=".", help="a folder, a new file, or - (default: .)")
    parser.add_argument("--framed", action="store_true", help="with -: begin with a line that tells size and sha256")
    cli.add_host_option(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    if arguments.dest == "-" and not arguments.host:
        copying.send(cli.load_config(), arguments.id, sys.stdout.buffer, framed=arguments.framed)
        return 0
    dest = Path(arguments.dest)
    if arguments.host:
        made = remote.copy(arguments.host, arguments.id, dest, os.environ)
    else:
        made = copying.copy(cli.load_config(), arguments.id, dest)
    print(made)
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
