"""A bee_workdir of its own for each test of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.place import Place, make_place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A bee_workdir that commands find."""
    made = make_place(tmp_path)
    for name, value in made.env().items():
        monkeypatch.setenv(name, value)
    return made
