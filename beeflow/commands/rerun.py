"""Re-execute an archived workflow under a new id: verify, unpack, clear all state, submit.

Inputs that the archive has or refers to are taken again; --set gives another value to one of them, --inputs replaces
them all. Everything about the site comes from bee.conf here and from the Slurm options; of the old run only a record
stays, under provenance/. What is wrong is said before anything is submitted, and nothing is left behind.

An archive that is not one of yours, made here, is refused (81) when it would reach outside itself: read documents or
files of this host, run programs or images that are not in it, build images, or set variables that decide which programs
and libraries run. Each such thing is named; bee-inspect shows what it would run. --trust runs it all the same.

examples:
  bee-rerun 3fc631bb --name "second try"
  bee-rerun ./3fc631bb-93cd-468e-9777-9b00ce9b22fd.tgz --wait
  bee-rerun 3fc631bb --set grid=512 --set mesh=fine.vtk --set 'levels=[1, 2, 4]'
  bee-rerun 3fc631bb --inputs other.yml --account climate --time 2:00:00
  bee-rerun 3fc631bb --from solve --set tolerance=1e-6
  bee-rerun 3fc631bb --reuse --set grid=512
  bee-rerun run.tgz --map /lustre/old/data=/scratch/data --dry-run

exit codes: 2 usage, 3 no such archive, 4 the workflow has no archive yet, 33 unsupported here (an image that is not
there), 66 inputs that are missing or do not fit, 69 no Slurm, 75, 79 and 80 damaged, incomplete or unknown archive,
77 refused by Slurm, 78 wrong bee.conf.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli
from beeflow.commands import submit as submit_command


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    made = cli.parser("bee-rerun", __doc__)
    made.add_argument("archive", metavar="ARCHIVE|ID", help="an archive, or the id of a workflow that has one")
    made.add_argument("--name", help="what to call the new workflow (default: the old name)")
    group = made.add_argument_group("what differs from the old run")
    group.add_argument(
        "--set",
        dest="settings",
        metavar="INPUT=VALUE",
        action="append",
        default=[],
        help="another value for an input: text, a path, or YAML, as the input's type has it; may be repeated",
    )
    group.add_argument("--inputs", dest="job_file", metavar="JOB.yml", help="a file of inputs, in place of them all")
    group.add_argument(
        "--map",
        dest="moves",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="where files are now that the archive only refers to (a folder above them will do); may be repeated",
    )
    group = made.add_argument_group("what runs (default: everything)")
    for name, what in (("--only", "these steps alone"), ("--from", "these steps and all that takes from them")):
        group.add_argument(
            name,
            dest=name.strip("-") + "_steps",
            metavar="STEP",
            action="append",
            default=[],
            help=f"{what}; of the others, what went well is taken from the archive; may be repeated",
        )
    group.add_argument(
        "--reuse",
        action="store_true",
        help="only what the archive has no task for with the same tool, command, image and contents of inputs",
    )
    made.add_argument("--trust", action="store_true", help="run it though it may do what only its owner meant")
    made.add_argument(
        "--dry-run", action="store_true", help="say what would run, and with which sbatch options, and what is missing"
    )
    cli.add_run_options(made)
    return made


def main(argv: Sequence[str]) -> int:
    """Re-execute."""
    arguments = parser().parse_args(argv)
    cli.start_logging(arguments.verbose)
    settings = cli.run_settings(arguments, os.environ, writes=not arguments.dry_run)
    # Half a second of imports that a usage error need not pay for.
    from beeflow.rerun import again, previewing, relocating
    from beeflow.rerun.choice import Choice
    from beeflow.rerun.request import Request

    request = Request(
        archive=arguments.archive,
        name=arguments.name,
        start=not arguments.no_start,
        outdir=arguments.outdir,
        mail_type=arguments.mail_type or "",
        mail_user=arguments.mail_user or "",
        on_error=arguments.on_error,
        settings=tuple(arguments.settings),
        job_file=arguments.job_file,
        moves=tuple(map(relocating.parse, arguments.moves)),
        choice=Choice(tuple(arguments.only_steps), tuple(arguments.from_steps), arguments.reuse),
        trust=arguments.trust,
    )
    if arguments.dry_run:
        found = again.preview(request, settings, os.environ)
        print(previewing.render(found), flush=True)
        if found.error is not None:
            raise found.error
        return 0
    made = again.rerun(request, settings, os.environ)
    print(f"Job submitted! Your workflow id is {made.id}.", flush=True)
    return submit_command.wait(made) if arguments.wait else 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
