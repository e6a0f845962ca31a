"""Start workflows that were submitted with --no-start, or continue those that are Stalled.

examples:
  bee-start 3fc631bb
  bee-start --all
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from beeflow import applying, cli
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Start."""
    return applying.main(Command.START, __doc__, argv)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
