"""What all tests need of the process that they run in."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from beeflow import removal

# A shell starts what it runs in the background with SIGINT ignored, and every program below inherits that; some tests
# interrupt what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Give a folder for what pytest could not remove: it would end the fourth session after with an error."""
    yield tmp_path
    with removal.opened(tmp_path.parent) as parent:
        removal.remove(parent, tmp_path.name)
        os.mkdir(tmp_path.name, dir_fd=parent)
