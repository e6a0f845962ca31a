"""Find the files that come with beeflow but are not Python: slurm/ and etc/."""

from __future__ import annotations

from pathlib import Path

from beeflow.errors import SystemFileError

_PACKAGE = Path(__file__).resolve().parent


def find(relative: str) -> Path:
    """Return a file or folder below slurm/ or etc/, such as "slurm/private/slurm.conf".

    A wheel carries both folders in beeflow/data (pyproject.toml, force-include); a checkout has them at its top.
    """
    data = _PACKAGE / "data"
    path = (data if data.is_dir() else _PACKAGE.parent) / relative
    if not path.exists():
        raise SystemFileError(f"{path}: not there; this installation of beeflow is incomplete, install it again")
    return path
