"""A program: run an element, and send itself SIGTERM at the n-th line of the runner that is executed.

interrupted.py N SAID ROOT GROUP KEY:OFFSET. Writes into SAID how many lines there were, and what it was doing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

REPOSITORY = str(Path(__file__).parents[2])
sys.path.append(REPOSITORY)

from beeflow.runner import main  # noqa: E402

SIGTERM = 15


class Tracer:
    """Counts lines. ``at``: when to send the signal."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.seen = 0
        self.pid = os.getpid()
        self.doing: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        """Count a line of an element's work in the runner, from the first on that is ready for the signal."""
        if f"{REPOSITORY}/beeflow/runner/" not in frame.f_code.co_filename:
            return None
        if event == "line" and os.getpid() == self.pid and "run" in (names := stack(frame)):
            self.seen += 1
            if self.seen == self.at:
                self.doing = names
                os.kill(self.pid, SIGTERM)
        return self


def stack(frame: FrameType | None) -> list[str]:
    """List the methods that are being executed, the innermost first; "ended" where a command has."""
    names = []
    while frame is not None:
        if "self" in frame.f_locals:
            names.append(frame.f_code.co_name)
        if "ended" in frame.f_locals:
            names.append("ended")
        frame = frame.f_back
    return names


if __name__ == "__main__":
    at, said, *argv = sys.argv[1:]
    tracer = Tracer(int(at))
    sys.settrace(tracer)
    code = main.main(argv)
    sys.settrace(None)
    Path(said).write_text(f"{tracer.seen} {' '.join(tracer.doing)}")
    os._exit(code)
