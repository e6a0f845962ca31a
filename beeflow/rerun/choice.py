"""What of an archive a re-execution runs, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What of an archive is taken. ``only``, ``from_steps``: what runs, alone and with all that takes from it."""

    only: tuple[str, ...] = ()
    from_steps: tuple[str, ...] = ()
    reuse: bool = False

    @property
    def is_empty(self) -> bool:
        """True when everything runs."""
        return not (self.only or self.from_steps or self.reuse)
