"""Pause workflows: what runs may finish, pending jobs are held, and nothing new is submitted until bee-resume.

A workflow that has nothing left to start ends and is archived, paused or not.

examples:
  bee-pause 3fc631bb 9d0f
  bee-pause --all --yes
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from beeflow import applying, cli
from beeflow.states import Command


def main(argv: Sequence[str]) -> int:
    """Pause."""
    return applying.main(Command.PAUSE, __doc__, argv)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
