"""Which node JavaScript of others runs in, and that it is not one that confines nothing."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from beeflow.cwl.confined import ConfinedEngine
from beeflow.process import ProgramMissingError


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a script that stands before node on PATH."""
    found = shutil.which("node") or shutil.which("nodejs")
    assert found is not None
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("REAL", found)
    monkeypatch.setattr(ConfinedEngine, "localdata", threading.local())
    return tmp_path / "nodejs"


def write(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text.replace('$REAL', os.environ['REAL'])}\n")
    path.chmod(0o755)


def test_a_node_of_a_module_finds_its_libraries(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(node, 'if [ "$LD_LIBRARY_PATH" != /opt/lib ]; then echo no libnode.so >&2; exit 127; fi; exec $REAL "$@"')
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert ConfinedEngine().eval("{return 1 + 1;}") == 2


def test_a_node_that_is_older_confines_nothing(node: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(node, 'case "$*" in --version) echo v18.20.4 ;; *permission*) exit 9 ;; *) exec $REAL "$@" ;; esac')
    assert ConfinedEngine().eval("{return 1 + 1;}") == 2
    assert f"{node} is older than 20" in caplog.text


LACKING = "echo no libnode.so >&2; exit 1"
ODD = f'case "$1" in --permission) echo $1: bad option >&2; exit 9 ;; *) {LACKING} ;; esac'


@pytest.mark.parametrize(
    ("version", "script", "said"),
    [
        ("echo v20.1.0", "echo $1: bad option >&2; exit 9", "--permission: bad option"),
        (
            "echo v24.0.0",
            f'case "$1" in --permission) echo $1: bad option >&2; exit 9 ;; *) {LACKING} ;; esac',
            "libnode",
        ),
        ("echo what is that", "exit 0", "what is that"),
        (LACKING, LACKING, "no libnode.so"),
    ],
)
def test_a_newer_one_that_cannot_is_not_run(node: Path, version: str, script: str, said: str) -> None:
    write(node, f'if [ "$1" = --version ]; then {version}; exit; fi; {script}')
    for _ in range(2):
        with pytest.raises(ProgramMissingError, match=f"^{node}: JavaScript .*{said}.*Node.js 20 or newer"):
            ConfinedEngine().eval("{return 1 + 1;}")
