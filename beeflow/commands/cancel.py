"""Cancel workflows: their jobs and only theirs are cancelled in Slurm, and what there is gets archived.

examples:
  bee-cancel 3fc631bb 9d0f
  bee-cancel --all --yes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from beeflow import applying, cli
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Cancel."""
    return applying.main(Command.CANCEL, __doc__, argv)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
