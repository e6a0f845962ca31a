"""Run commands in container images: find an image at submit, wrap a command on the node."""

from __future__ import annotations

from beeflow.command import Command
from beeflow.container import charliecloud

__all__ = ["wrap"]


def wrap(command: Command) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the command line and environment that run a command in its image."""
    return charliecloud.wrap(command)
