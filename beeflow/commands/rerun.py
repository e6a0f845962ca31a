"""Re-execute an archived workflow under a new id: verify, unpack, clear all state, submit.

An archive that is not one of yours, made here, is refused (81) when it would reach outside itself: read documents or
files of this host, run programs or images that are not in it, build images, or set variables that decide which programs
and libraries run. Each such thing is named; bee-inspect shows what it would run. --trust runs it all the same.

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
    parser.add_argument("--trust", action="store_true", help="run it though it may do what only its owner meant")
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
        trust=arguments.trust,
    )
    made = rerun.rerun(request, settings, os.environ)
    print(f"Job submitted! Your workflow id is {made.id}.", flush=True)
    return submit_command.wait(made) if arguments.wait else 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
