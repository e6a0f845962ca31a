"""Run commands in container images: find an image at submit, wrap a command on the node."""

from __future__ import annotations

from collections.abc import Mapping

from beeflow.command import Command
from beeflow.container import charliecloud

__all__ = ["wrap"]


def wrap(command: Command, inherited: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command line and environment that run a command in its image; it sees ``inherited`` too."""
    return charliecloud.wrap(command, inherited)
