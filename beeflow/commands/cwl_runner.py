"""Run a CWL document on Slurm as any cwl-runner does: wait, print the output object on stdout, nothing else.

examples:
  bee-cwl-runner --outdir results workflow.cwl job.yml
  cwltest --tool bee-cwl-runner --test conformance_tests.yaml

exit codes: 0 success, 33 unsupported CWL, 1 anything else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from beeflow import cli, locations, store, watch, workdir
from beeflow.errors import BeeError, UnsupportedError
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir


def main(argv: Sequence[str]) -> int:
    """Submit, wait for the epilog by looking at its files, print the outputs."""
    parser = cli.parser("bee-cwl-runner", __doc__)
    parser.add_argument("--outdir", type=Path, default=Path(), metavar="DIR", help="where the outputs go (default: .)")
    cli.add_on_error_option(parser)
    parser.add_argument("--quiet", action="store_true", help="only errors on stderr")
    parser.add_argument("document", metavar="DOCUMENT")
    parser.add_argument("inputs", metavar="JOB | --input value", nargs="...")
    arguments = parser.parse_args(argv)
    cli.start_logging(0 if arguments.quiet else arguments.verbose)
    from beeflow import submit

    request = submit.Request(arguments.document, arguments.inputs, outdir=arguments.outdir, on_error=arguments.on_error)
    try:
        cli.check_outdir(arguments.outdir)
        # The output object is read from the workflow directory.
        settings = replace(cli.load_config(), delete_completed_workflow_dirs=False)
        workdir.prepare(settings)
        workflow = submit.submit(request, settings, os.environ)
    except UnsupportedError:
        raise
    except BeeError as error:
        cli.error(str(error))
        return 1
    return finish(workflow, arguments.outdir.absolute())


def finish(workflow: WorkflowDir, outdir: Path) -> int:
    """Wait for the end and print the output object, with the files where they were delivered."""
    *_, (summary, _) = watch.follow(workflow, os.environ)
    completed = summary.state.outcome is WorkflowState.COMPLETED
    if workflow.layout.delivered.exists():
        print(json.dumps(absolute(store.read_json(workflow.layout.delivered), outdir), indent=4))
    if not completed:
        cli.error(f"{summary.reason}; see: bee-query {workflow.id}")
    return 0 if completed else 1


def absolute(outputs: Any, outdir: Path) -> Any:
    """Give every file and folder its path beside its location, as CWL runners print it."""
    made = locations.absolute(outputs, outdir)
    for entry in locations.entries(made):
        path = locations.to_path(str(entry.get("location", "")))
        if path is not None:
            entry["path"] = str(path)
    return made


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
