"""Where files are that an archive only refers to: on another system under other folders, as the user says (--map)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beeflow import codec, locations
from beeflow.errors import UsageError
from beeflow.graph import Graph

# How a DockerRequirement names an image by its path (beeflow.container.images).
_IMAGES = ("useContainer", "copyContainer")


@dataclass(frozen=True)
class Move:
    """What was at or below ``old`` is at or below ``new``."""

    old: Path
    new: Path


def parse(text: str) -> Move:
    """Read OLD=NEW; raises UsageError."""
    old, mark, new = text.partition("=")
    if not mark or not old.startswith("/") or not new:
        raise UsageError(f"--map {text}: write OLD=NEW, where OLD is an absolute path, as the archive has it")
    # An archive has no path with "..", as "$PWD/../data" has.
    return Move(Path(os.path.normpath(old)), Path(new).expanduser().absolute())


def moved(path: Path, moves: Iterable[Move]) -> Path:
    """Say where a file is now: by the longest OLD that it is at or below, each name of it whole."""
    fitting = [each for each in moves if path.is_relative_to(each.old)]
    if not fitting:
        return path
    chosen = max(fitting, key=lambda each: len(each.old.parts))
    return chosen.new / path.relative_to(chosen.old)


def moved_location(location: str, moves: Iterable[Move]) -> str:
    """Say where a location is now; one inside the workflow directory stays."""
    path = locations.to_path(location)
    return location if path is None else locations.to_uri(moved(path, moves))


def moved_graph(graph: Graph, moves: Sequence[Move], place: Callable[[str], str]) -> Graph:
    """Return the graph with the files that documents name, and the images that have a path, where they are now.

    ``place``: says that of a file.
    """
    made = locations.rewritten(codec.to_json(graph), place)
    for tool in made["tools"].values():
        for requirement in [*tool["document"].get("requirements", []), *tool["document"].get("hints", [])]:
            _move_image(requirement, moves)
    return codec.from_json(Graph, made)


def _move_image(requirement: dict[str, Any], moves: Sequence[Move]) -> None:
    for key, value in requirement.items():
        if requirement.get("class") == "DockerRequirement" and key.endswith(_IMAGES) and isinstance(value, str):
            requirement[key] = str(moved(Path(value), moves)) if value.startswith("/") else value
