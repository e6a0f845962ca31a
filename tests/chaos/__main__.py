"""Disturb workflows at random moments, and see that each ends as if nothing had happened.

Prints a line a run: its seed, site, faults (with the second they came, or "missed"), the commands that had to be given,
and the verdict; at the end a table, fault by outcome. What is wrong is kept: workflow directory, Slurm's logs, and a
timeline. Exit code 1 when any run is wrong, or a fault was drawn five times or more and always missed. A seed always
makes the same workflow and faults at the same times; what they hit is the machine's doing.

Examples:
  python -m tests.chaos --seeds 1-200 --lanes 3
  python -m tests.chaos --seeds 17 --keep
  python -m tests.chaos --seeds 1-20 --fault node-lost --fault sbatch-twice
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Sequence

from tests.chaos import report, suite
from tests.chaos.faults import KINDS


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    what, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.chaos",
        description=what,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=seeds, default=range(1, 21), metavar="A-B", help="these runs (default: 1-20)")
    parser.add_argument("--fault", action="append", choices=sorted(KINDS), metavar="NAME", help="only these faults")
    parser.add_argument("--lanes", type=int, default=1, metavar="N", help="so many Slurms side by side (default: 1)")
    parser.add_argument("--keep", action="store_true", help="keep what is right, too")
    return parser.parse_args(argv)


def seeds(text: str) -> range:
    """Read "A-B" or "A"."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def main(argv: Sequence[str]) -> int:
    """Run, and print the table."""
    arguments = parse(argv)
    kinds = arguments.fault or list(KINDS)
    reports = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runs = suite.run(arguments.seeds, kinds, lanes=arguments.lanes, keep=arguments.keep)
    with contextlib.closing(runs), contextlib.suppress(KeyboardInterrupt):
        for each in runs:
            print(report.line(each), flush=True)
            reports.append(each)
    print(f"\n{report.table(reports)}")
    wrong = [each for each in reports if each.problems]
    print(f"\n{len(reports)} runs, {len(wrong)} wrong" + "".join(f"\n  {each.seed}: {each.kept}" for each in wrong))
    print("".join(f"{each}\n" for each in report.could_not_come(reports)), end="")
    untried = report.never_came(reports)
    print("".join(f"NOT TRIED OUT: {each}\n" for each in untried), end="")
    return 1 if wrong or untried else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
