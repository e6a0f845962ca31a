"""Re-execute an archived workflow under a new id: verify, unpack, clear all state, submit.

examples:
  bee-rerun 3fc631bb --name "second try"
  bee-rerun ./3fc631bb-93cd-468e-9777-9b00ce9b22fd.tgz --wait
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli
from beeflow.commands import submit as submit_command


def main(argv: Sequence[str]) -> int:
    """Re-execute."""
    parser = cli.parser("bee-rerun", __doc__)
    parser.add_argument("archive", metavar="ARCHIVE|ID", help="an archive, or the id of a workflow that has one")
    parser.add_argument("--name", help="what to call the new workflow (default: the old name)")
    cli.add_run_options(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    settings = cli.run_settings(arguments, os.environ)
    from beeflow import rerun

    request = rerun.Request(
        archive=arguments.archive,
        name=arguments.name,
        start=not arguments.no_start,
        outdir=arguments.outdir,
        mail_type=arguments.mail_type or "",
        mail_user=arguments.mail_user or "",
        on_error=arguments.on_error,
    )
    made = rerun.rerun(request, settings, os.environ)
    print(f"Job submitted! Your workflow id is {made.id}.", flush=True)
    return submit_command.wait(made) if arguments.wait else 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
