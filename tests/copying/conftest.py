from __future__ import annotations

from pathlib import Path

import pytest

from tests.copying.systems import Systems, make_systems


@pytest.fixture
def systems(tmp_path: Path) -> Systems:
    """Two systems, and an ssh between them."""
    return make_systems(tmp_path)
