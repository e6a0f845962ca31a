"""Compare two runs: their workflow, inputs, images, Slurm and environment, and each output.

A and B are archives, or ids of workflows that have ended. An output is identical, equivalent (within the tolerance, or
but for ignored lines), differs, is missing (of A only), extra (of B only) or unknown (what is in it cannot be known:
never the same). Files are compared by their sha256; text that differs is shown as by diff -u. Archives are checked
against their manifests, and nothing of them is unpacked but files that have to be looked into.

Exit code: 0 the runs are the same, 1 they differ or something is unknown, 2 trouble: what cannot be read or is not
there. Slurm and environment are shown, and do not count unless --strict is given; with --outputs-only nothing but the
outputs does.

examples:
  bee-diff 3fc631bb 9d0f
  bee-diff ./3fc631bb-93cd-468e-9777-9b00ce9b22fd.tgz 9d0f --rtol 1e-6
  bee-diff 3fc6 9d0f --ignore '*.log' --ignore-line '^# written on'
  bee-diff 3fc6 9d0f --outputs-only --brief
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from beeflow import cli
from beeflow.comparing import locating, rendering, whole
from beeflow.comparing.texts import How
from beeflow.comparing.tolerance import Tolerance
from beeflow.comparing.verdicts import Report
from beeflow.errors import BeeError, ComparisonError


def main(argv: Sequence[str]) -> int:
    """Compare; every error becomes diff(1)'s exit code for trouble."""
    arguments = make_parser().parse_args(argv)
    cli.start_logging(arguments.verbose)
    try:
        report = compare(arguments)
    except BeeError as error:
        raise ComparisonError(str(error)) from error
    print(render(report, arguments))
    return 0 if report.same else 1


def make_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = cli.parser("bee-diff", __doc__)
    parser.add_argument("a", metavar="A", help="an archive, or the beginning of the id of a workflow that has ended")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--outputs-only", action="store_true", help="compare nothing but the outputs")
    parser.add_argument("--strict", action="store_true", help="have differences of Slurm and environment count")
    parser.add_argument("--brief", action="store_true", help="one line a section, and none of what differs")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument(
        "--text-lines", metavar="N", type=count, default=20, help="show N lines of a diff (20; 0: none)"
    )
    cli.add_large(parser)
    group = parser.add_argument_group(
        "numbers, in values, text (CSV, JSON, ...) and .npy files (where NumPy is installed), are the same when they "
        "are apart by at most ATOL, or RTOL times the greater; other text must be the same, but for blanks"
    )
    group.add_argument("--rtol", metavar="RTOL", type=tolerance, help="relative tolerance")
    group.add_argument("--atol", metavar="ATOL", type=tolerance, help="absolute tolerance")
    group.add_argument("--tolerance", metavar="T", type=tolerance, help="both; 0: 1e-3 is 0.001, and no more")
    group = parser.add_argument_group("what is not looked at")
    group.add_argument(
        "--ignore",
        metavar="GLOB",
        action="append",
        default=[],
        help="outputs, and files in them, of such a name or path",
    )
    group.add_argument(
        "--ignore-line", metavar="REGEX", action="append", type=pattern, default=[], help="lines of text that match"
    )
    return parser


def count(text: str) -> int:
    """Read how many."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def tolerance(text: str) -> float:
    """Read how far apart numbers may be."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(text)
    return number


def pattern(text: str) -> re.Pattern[str]:
    """Read a regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def compare(arguments: argparse.Namespace) -> Report:
    """Read and compare."""
    given = arguments.tolerance, arguments.rtol, arguments.atol
    how = How(
        tolerance=None if given == (None, None, None) else limits(*given),
        ignore_lines=tuple(arguments.ignore_line),
        lines=0 if arguments.brief else arguments.text_lines,
    )
    options = whole.Options(how, tuple(arguments.ignore), arguments.outputs_only, arguments.strict)
    settings, allowed = cli.load_config(), cli.limits_of(arguments)
    a, b = (locating.read(text, settings, allowed) for text in (arguments.a, arguments.b))
    return whole.compare(a, b, options)


def limits(both: float | None, rtol: float | None, atol: float | None) -> Tolerance:
    """Combine the options."""
    default = both or 0.0
    return Tolerance(default if rtol is None else rtol, default if atol is None else atol)


def render(report: Report, arguments: argparse.Namespace) -> str:
    """Write the report as it is asked for; in colour on a terminal unless NO_COLOR is set (no-color.org)."""
    if arguments.json:
        return json.dumps(rendering.as_json(report), indent=1)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return rendering.as_text(
        report, brief=arguments.brief, paint=rendering.coloured if colour else rendering.uncoloured
    )


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
