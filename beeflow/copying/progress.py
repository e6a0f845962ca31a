"""A bar, the rate and the time left, on a terminal: of a copy that takes longer than a moment."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

from beeflow.copying.offers import Offer
from beeflow.tables import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

_MOMENT_S = 1.0
# Columns: of all but the name, and the fewest that still tell archives apart.
_REST, _FEWEST = 52, 9


class Bar:
    """Shows how copies go, one at a time."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._progress: Progress | None = None
        self._name = ""
        self._size = self._offset = self._done = 0
        self._began = 0.0

    def start(self, offer: Offer, offset: int) -> None:
        self.end()
        self._name, self._size, self._offset, self._done = one_line(offer.name, 44), offer.size, offset, offset
        self._began = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=self._done)
        elif self._is_terminal and time.monotonic() - self._began > _MOMENT_S:
            self._progress = self._shown()

    def alive(self) -> None:
        """What moves no bytes is not shown."""

    def end(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None

    def _shown(self) -> Progress:
        # A third of a second of imports, which no short copy should pay for.
        from rich import progress
        from rich.console import Console
        from rich.table import Column

        console, one = Console(file=self._stream), Column(no_wrap=True)
        made = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(None),
            progress.DownloadColumn(binary_units=True, table_column=one),
            progress.TransferSpeedColumn(table_column=one),
            progress.TimeRemainingColumn(table_column=one),
            console=console,
            transient=True,
        )
        name = one_line(self._name, max(_FEWEST, console.width - _REST))
        made.add_task(name, total=self._size, completed=self._done)
        made.start()
        return made
