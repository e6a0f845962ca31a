"""Show what an archive is and what it would run, before it is: nothing of it is executed, evaluated or written.

The archive is verified first. Then: its description; each step's command, image and requirements; the files that steps
make for their commands, and JavaScript; programs of the host; the inputs, and whether they are in the archive, here
with their size and sha256, or missing; sizes; and what takes trust, for it reaches outside the archive. What is shown
is what would run (cwl/graph.json); where the document that people read (cwl/packed.json) has another command, it says
so.

Control characters in anything from the archive are escaped.

exit code: 0 it is whole; else as bee-verify: 75 damaged or unsafe; 79 incomplete; 80 none of beeflow's, or of a newer

examples:
  bee-inspect 3fc631bb
  bee-inspect --json ./from-a-stranger.tgz | jq '.risks'
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli, codec, workflow
from beeflow.inspecting import rendering, report


def main(argv: Sequence[str]) -> int:
    """Inspect."""
    parser = cli.parser("bee-inspect", __doc__)
    parser.add_argument("archive", metavar="ARCHIVE|ID", help="an archive, or the id of a workflow that has one")
    parser.add_argument("--json", action="store_true", help="print a JSON object, with all scripts whole")
    parser.add_argument("--quick", action="store_true", help="compare inputs that are here by size only")
    cli.add_large(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    settings = cli.load_config()
    path = workflow.locate(settings, arguments.archive)
    allowed = cli.limits_of(arguments)
    found = report.report(path, settings, allowed, hashes=not arguments.quick)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print(json.dumps(codec.to_json(found), indent=1) if arguments.json else rendering.render(found, columns))
    return 0


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
