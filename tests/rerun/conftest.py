"""What all tests of bee-rerun begin with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rerun.local import Local


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def site(tmp_path: Path) -> Local:
    return Local(tmp_path / "site")


@pytest.fixture
def other_site(tmp_path: Path) -> Local:
    """Give a place that has nothing of the first."""
    return Local(tmp_path / "elsewhere")
