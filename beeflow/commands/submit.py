"""Submit a CWL workflow (or a single CWL tool) to Slurm and return.

The document and its inputs are checked completely first, and Slurm is asked whether it would take the jobs.
What is wrong is said with file and line, and nothing is left behind.

examples:
  bee-submit workflow.cwl job.yml
  bee-submit --name "run 7" --wait workflow.cwl --grid 256 --input data.nc
  bee-submit --no-start workflow.cwl job.yml       then later: bee-start ID

bee-submit's own options stand before the document; what follows it are inputs, as with any CWL runner.
exit codes: 2 usage, 33 unsupported CWL, 65 invalid document, 66 wrong inputs, 69 no Slurm, 77 refused by Slurm,
78 wrong bee.conf.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, tables, watch
from beeflow.errors import InputError, UsageError
from beeflow.models import Summary
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir


def parser() -> argparse.ArgumentParser:
    """Make the parser."""
    made = cli.parser("bee-submit", __doc__)
    made.add_argument("--name", help="what to call the workflow (default: the document's name)")
    cli.add_run_options(made)
    made.add_argument("workflow", metavar="WORKFLOW.cwl", help="a CWL document, with #id if it holds several processes")
    made.add_argument(
        "inputs", metavar="JOB.yml | --input value", nargs=argparse.REMAINDER, help="a file of inputs, or options"
    )
    return made


def main(argv: Sequence[str]) -> int:
    """Submit; with --wait, follow to the end."""
    made = parser()
    arguments = made.parse_args(argv)
    cli.start_logging(arguments.verbose)
    settings = cli.run_settings(arguments, os.environ)
    # Half a second of imports that a usage error need not pay for.
    from beeflow import submit

    request = submit.Request(
        document=arguments.workflow,
        arguments=arguments.inputs,
        name=arguments.name,
        start=not arguments.no_start,
        outdir=arguments.outdir,
        mail_type=arguments.mail_type or "",
        mail_user=arguments.mail_user or "",
        on_error=arguments.on_error,
    )
    try:
        workflow = submit.submit(request, settings, os.environ)
    except InputError as error:
        misplaced = [word for word in arguments.inputs if word in made._option_string_actions]
        if misplaced:
            raise UsageError(f"{misplaced[0]}: bee-submit's own options stand before the document\n{error}") from error
        raise
    print(f"Job submitted! Your workflow id is {workflow.id}.", flush=True)
    return wait(workflow) if arguments.wait else 0


def wait(workflow: WorkflowDir) -> int:
    """Show progress until the workflow has ended; returns the exit code."""
    try:
        summary = show_progress(workflow)
    except KeyboardInterrupt:
        print(f"\nnot waiting any longer; the workflow goes on: bee-query {workflow.id}", file=sys.stderr)
        return cli.EXIT_INTERRUPT
    if summary.state.outcome is WorkflowState.COMPLETED:
        return 0
    print(f"{tables.one_line(summary.reason, 1000)}\nsee: bee-query {workflow.id}", file=sys.stderr)
    return 1


def show_progress(workflow: WorkflowDir) -> Summary:
    """Print what changes: on a terminal one line that is written over, else a line each."""
    begin, end = ("\r\x1b[K", "") if sys.stdout.isatty() else ("", "\n")
    for summary, tasks in watch.follow(workflow, os.environ):
        line = f"{summary.state.value}: {tables.render_counts(tasks)}"
        print(f"{begin}{_fitting(line) if begin else line}", end=end, flush=True)
    if begin:
        print()
    return summary


def _fitting(line: str) -> str:
    """Cut a line to the terminal's width: one that wraps cannot be written over."""
    width = shutil.get_terminal_size().columns - 1
    return line if len(line) <= width else line[: width - 1] + "…"


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
