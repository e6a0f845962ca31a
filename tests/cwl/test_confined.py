"""Which node JavaScript of others runs in, and that it is not one that confines nothing."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from cwl_utils.errors import JavascriptException

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


# Ways out of node's vm into node itself, and what is done there.
_WAYS = {
    "global": "globalThis.constructor.constructor",
    "console": "console.log.constructor",
    "stack": "(Error.prepareStackTrace = (_, calls) => calls, new Error().stack[3].constructor.constructor)",
}
SHOWN = "Symbol.for('nodejs.util.inspect.custom')"
_PROCESS = '("return this.process")()'


@pytest.mark.parametrize("way", _WAYS.values(), ids=_WAYS)
def test_there_is_no_way_out(way: str) -> None:
    assert ConfinedEngine().eval(f"{{return typeof {way}{_PROCESS};}}") == "undefined"


@pytest.mark.parametrize(
    "code",
    [
        # What import() fails with is node's own.
        "{import('fs').catch(e => e.constructor.constructor('return process')().stdout.write('out')); return 1;}",
        "{import('fs').catch(e => { e.constructor.constructor.prototype.call = null; }); return 1;}",
        f"{{Promise.reject({{[{SHOWN}](_, __, show) {{ show.constructor('return process')().exit(); }}}}); return 1;}}",
    ],
)
def test_what_happens_later_changes_nothing(code: str) -> None:
    engine = ConfinedEngine()
    assert [engine.eval(each) for each in (code, "{return 1;}", code)] == [1, 1, 1]


NO_VM = """
const tried = (what) => { try { return String(what()); } catch (error) { return error.code; } };
const made = [
  tried(() => require("fs").readFileSync("/etc/passwd", "utf8")),
  tried(() => require("child_process").execSync("true")),
  Object.keys(process.env),
];
process.stdin.on("data", () => {
  process.stdout.write(JSON.stringify(made) + "\\n" + FINISHED);
  process.stderr.write(FINISHED);
});
process.stdin.on("end", process.exit);
"""


def test_node_itself_has_no_files_and_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should somebody find a way out."""
    monkeypatch.setattr("beeflow.cwl.confined._SCRIPT", NO_VM)
    monkeypatch.setattr(ConfinedEngine, "localdata", threading.local())
    made = ConfinedEngine().eval("x")
    assert made == ["ERR_ACCESS_DENIED", "ERR_ACCESS_DENIED", ["PATH"]]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("{throw new Error('what is wrong');}", "what is wrong"),
        ("{throw 'a text';}", "a text"),
        ("{throw null;}", "null"),
        ("{return nothing.here;}", "ReferenceError: nothing is not defined"),
        (f"{{throw {{[{SHOWN}](_, __, show) {{ return show.constructor('return process')().version; }}}};}}", "object"),
        ("{throw {get stack() { throw 1; }};}", "cannot be shown"),
        ("{throw {toString: 1};}", "cannot be shown"),
    ],
)
def test_errors_are_told_without_help_of_node(code: str, said: str) -> None:
    with pytest.raises(JavascriptException, match=said):
        ConfinedEngine().eval(code)


def test_javascript_of_honest_documents_runs_as_ever() -> None:
    code = (
        "{return [eval('1 + 1'), new Function('return 3')(), Function('return this')().Map === Map, '\u00e9\u2028'];}"
    )
    for _ in range(2):
        assert ConfinedEngine().eval(code) == [2, 3, True, "\u00e9\u2028"]
