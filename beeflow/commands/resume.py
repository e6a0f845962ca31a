"""Have paused workflows go on: what bee-pause held is released. Also continues one that is Stalled.

What you held yourself (scontrol hold) before the pause stays held.

examples:
  bee-resume 3fc631bb
  bee-resume --all
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from beeflow import applying, cli
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Resume."""
    return applying.main(Command.RESUME, __doc__, argv)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
