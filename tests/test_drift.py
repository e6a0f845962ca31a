"""bin/, beeflow/commands/, pyproject.toml and README.rst name the same commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

TOP = Path(__file__).resolve().parents[1]
# For a checkout only: it runs the examples that lie there.
BIN_ONLY = {"bee-demo"}


def scripts() -> dict[str, str]:
    """Read [project.scripts]."""
    found = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return {str(name): str(target) for name, target in found.items()}


def in_bin() -> set[str]:
    return {path.name for path in (TOP / "bin").iterdir()}


def in_commands() -> set[str]:
    """Name the command of each module: cwl_runner -> bee-cwl-runner, bee -> bee."""
    stems = {path.stem for path in (TOP / "beeflow" / "commands").glob("*.py")} - {"__init__"}
    return {"bee" if stem == "bee" else "bee-" + stem.replace("_", "-") for stem in stems}


def test_bin_has_a_file_for_every_module() -> None:
    assert in_bin() == in_commands()


def test_pyproject_has_a_script_for_every_module() -> None:
    assert set(scripts()) == in_commands() - BIN_ONLY


@pytest.mark.parametrize(("name", "target"), scripts().items())
def test_scripts_point_to_their_module(name: str, target: str) -> None:
    module = "bee" if name == "bee" else name.removeprefix("bee-").replace("-", "_")
    assert target == f"beeflow.commands.{module}:run"


@pytest.mark.parametrize("name", sorted(in_bin()))
def test_programs_are_short_and_can_be_run(name: str) -> None:
    path = TOP / "bin" / name
    assert os.access(path, os.X_OK)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 10


@pytest.mark.parametrize("name", sorted(in_commands()))
def test_every_command_says_what_it_does(name: str) -> None:
    module = "beeflow.commands." + ("bee" if name == "bee" else name.removeprefix("bee-").replace("-", "_"))
    argv = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name} ")


@pytest.mark.parametrize("name", sorted(in_commands()))
def test_the_readme_mentions_every_command(name: str) -> None:
    text = (TOP / "README.rst").read_text(encoding="utf-8")
    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
