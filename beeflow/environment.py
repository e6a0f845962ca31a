"""Which variables of an environment go on to what is started."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def inherited(patterns: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Pick the variables that some patterns name. A pattern is a name, or how names begin and a star."""
    wanted = list(patterns)
    return {name: value for name, value in environ.items() if any(_matches(name, each) for each in wanted)}


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
