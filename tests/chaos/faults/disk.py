"""The disk is full."""

from __future__ import annotations

import contextlib
import random
import time
from typing import TYPE_CHECKING

from tests.chaos.faults.base import POLL_S, CannotError, Fault, May

if TYPE_CHECKING:
    from tests.chaos.run import Run


class DiskFull(Fault):
    """The disk of the workflows is full for a while."""

    name = "disk-full"
    may = May.FAIL | May.STALL | May.REFUSE
    patience_s = 60.0

    def __init__(self, draw: random.Random) -> None:
        super().__init__(draw)
        self.length = round(draw.uniform(0.3, 4), 2)

    def inject(self, run: Run) -> str:
        """Fill it, and make room."""
        if not run.place.can_fill:
            raise CannotError("no small disk can be mounted here")
        ballast = run.place.disk / "ballast"
        try:
            deadline = time.monotonic() + self.length
            with ballast.open("wb", buffering=0) as stream:
                while time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        while stream.write(b"x" * 65536):
                            pass
                    with contextlib.suppress(OSError):
                        while stream.write(b"x" * 512):
                            pass
                    time.sleep(POLL_S)
        finally:
            ballast.unlink()
        return f"for {self.length:g} s"
