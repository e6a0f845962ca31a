"""Something in an archive that takes trust."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Risk:
    """``where``: the document, and the place in it; ``what``: as it is written there; ``why`` it takes trust."""

    where: str
    what: str
    why: str
