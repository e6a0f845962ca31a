"""Render the batch scripts of slurm/ and say what Python runs them."""

from __future__ import annotations

import shlex
import string
import sys
from pathlib import Path

import beeflow
from beeflow import resources


class _Script(string.Template):
    """A batch script whose own dollars stay: what we fill in is @{name}."""

    delimiter = "@"


def render(name: str, **values: str) -> str:
    """Fill a template of slurm/; every value becomes one shell word."""
    template = _Script(resources.find(f"slurm/{name}").read_text(encoding="utf-8"))
    words = {key: shlex.quote(value) for key, value in {**interpreter(), **values}.items()}
    return template.substitute(words)


def interpreter() -> dict[str, str]:
    """Name the Python of this process, where it finds beeflow, and the program of task jobs."""
    package = Path(beeflow.__file__).parent
    return {
        "python": sys.executable,
        "pythonpath": str(package.parent),
        "runner": str(package / "runner" / "__main__.py"),
    }
