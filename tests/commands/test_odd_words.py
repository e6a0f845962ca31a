"""Words that no file and no workflow can have, given to every command: a clear error, no traceback, nothing obeyed."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from beeflow import cli, errors
from beeflow.commands import archive, copy
from tests.commands.place import Place

WORDS = {
    "long": "a" * 300,
    "path": f"./{'a' * 300}/b.tgz",
    "escape": "ab\x1b[31m\ncd",
    "zero": "ab\0cd",
    "bytes": "ab\udcff.tgz",
}
CALLS = [
    *("query {}", "start {}", "cancel {}", "pause {}", "resume {}", "retry {}", "remove --yes {}", "archive {}"),
    *(
        "archive --zip {} {}",
        "verify {}",
        "verify --quick --json {}",
        "inspect {}",
        "rerun {}",
    ),
    *("rerun {} --inputs {} --dry-run", "diff {} {}", "diff {file} {}", "submit {}", "submit {document} {}"),
    *(
        "cwl_runner {}",
        "copy {} .",
        "copy {} -",
        "copy --archive {}",
        "copy --to nowhere.invalid {}",
        "copy --host {} ab .",
    ),
    *("list --host {}", "bee {}"),
]
DOCUMENT = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: [], outputs: []}"


@pytest.fixture
def place(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return place


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("call", CALLS)
def test_a_clear_error(place: Place, capfd: pytest.CaptureFixture[str], call: str, word: str) -> None:
    (place.workdir / "file").write_text("no archive")
    (place.workdir / "flow.cwl").write_text(DOCUMENT)
    command, *arguments = call.split()
    places = {"{}": WORDS[word], "{file}": f"{place.workdir}/file", "{document}": f"{place.workdir}/flow.cwl"}
    main = importlib.import_module(f"beeflow.commands.{command}").main
    try:
        code = cli.guarded(main, [places.get(each, each) for each in arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = "".join(capfd.readouterr())
    assert code not in (0, errors.EXIT_BUG), said
    assert "Traceback" not in said
    assert said.strip()
    assert all(each.isprintable() or each in "\n\t" for each in said)


def test_a_path_to_copy_to(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    (place.workdir / "file").write_text("anything")
    for main, argv in ((copy.main, ["a" * 300]), (archive.main, ["--zip", "a" * 300])):
        assert cli.guarded(main, [f"{place.workdir}/file", *argv]) in (3, 74, 75)
        assert "Traceback" not in capfd.readouterr().err
