"""What all tests of bee-rerun begin with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rerun.local import Local, first


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the archive of DOCUMENT (tests.rerun.local): made once, for it only begins most tests."""
    top = tmp_path_factory.mktemp("archived")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        made = Local(top / "site")
        return Path(made.archive(first(made)))


@pytest.fixture
def site(tmp_path: Path) -> Local:
    return Local(tmp_path / "site")


@pytest.fixture
def other_site(tmp_path: Path) -> Local:
    """Give a place that has nothing of the first."""
    return Local(tmp_path / "elsewhere")
