"""bee-diff on runs made by hand, as a user calls it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from beeflow import cli, inputs, store
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.commands import diff
from beeflow.comparing import archived
from beeflow.errors import ArchiveError
from beeflow.models import SubmitOptions
from beeflow.states import WorkflowState
from tests.commands.place import Place
from tests.comparing.made import Made, graph, tool


@pytest.fixture
def runs(place: Place) -> tuple[Made, Made]:
    """Two runs that are the same; the second re-executes the first."""
    a = Made(place.workdir, name="first")
    b = Made(place.workdir, graph=graph(tool(home="bob")), name="second", parent=a.id)
    for made in (a, b):
        made.outputs = {"o": made.put("o.txt", b"one\ntwo\n"), "n": 1.5, "none": None}
    return a, b


class Asked:
    """Calls bee-diff as the program does."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out, self.err = "", ""

    def __call__(self, *argv: Any) -> int:
        code = cli.guarded(diff.main, [str(each) for each in argv])
        self.out, self.err = self.capsys.readouterr()
        return code

    def verdicts(self, *argv: Any) -> dict[str, str]:
        """Return the verdict of each output."""
        self("--json", *argv)
        return {name: item["verdict"] for name, item in json.loads(self.out)["sections"]["outputs"]["items"].items()}


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asked:
    return Asked(capsys)


def test_the_same(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = (made.archive() for made in runs)
    assert ask(a, b) == 0
    assert "B is a re-execution of A." in ask.out
    for line in (
        "workflow     2 identical",
        "inputs       1 identical",
        "images       none",
        "outputs      3 identical",
    ):
        assert line in ask.out.splitlines()
    assert "\033" not in ask.out
    assert ask(a, a) == 0
    assert "Both are of one workflow." in ask.out


def test_ids_mean_archives_and_directories(runs: tuple[Made, Made], ask: Asked) -> None:
    runs[0].archive()
    root = runs[1].write()
    assert ask(runs[0].id[:8], runs[1].id) == 0
    assert ask(root, runs[0].id) == 0


def test_an_output_differs(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    b.outputs["o"] = b.put("o.txt", b"one\n\x1b[31mred\n")
    assert ask(a.archive(), b.archive()) == 1
    assert "outputs      2 identical, 1 differs" in ask.out.splitlines()
    assert ask.out.endswith("--- A o\n+++ B o\n@@ -1 +1 @@\n one\n-two\n+\\x1b[31mred\n")
    assert ask(a.id, b.id, "--brief") == 1
    assert "---" not in ask.out.partition("outputs  ")[2]
    assert ask(a.id, b.id, "--outputs-only", "--text-lines", "0") == 1
    assert "workflow" not in ask.out
    assert "red" not in ask.out
    assert ask(a.id, b.id, "--ignore", "o*") == 0
    assert ask(a.id, b.id, "--ignore", "*.txt") == 0
    assert ask(a.id, b.id, "--ignore", "*.TXT") == 1
    assert ask(a.id, b.id, "--ignore-line", "two|red") == 0
    assert ask.verdicts(a.id, b.id, "--ignore-line", "two|red") == {
        "o": "equivalent",
        "n": "identical",
        "none": "identical",
    }


def test_outputs_come_and_go(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    b.outputs = {"o": None, "none": 3, "new": "x", "n": 1.5}
    assert ask.verdicts(a.archive(), b.archive()) == {
        "o": "missing",
        "n": "identical",
        "none": "extra",
        "new": "extra",
    }
    assert ask(a.id, b.id) == 1


def test_numbers_in_values_and_files(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    a.outputs = {"n": 1.0, "t": [a.put("t.csv", b"x,y\n1,1e-3\n"), a.put("u", b"1\n")]}
    b.outputs = {"n": 1.0001, "t": [b.put("t.csv", b"x,y\n1,0.00100001\n"), b.put("u", b"1.0\n")]}
    assert ask(a.archive(), b.archive()) == 1
    assert ask(a.id, b.id, "--rtol", "1e-3") == 0
    assert ask.verdicts(a.id, b.id, "--atol", "1e-6") == {"n": "differs", "t": "equivalent"}
    assert ask.verdicts(a.id, b.id, "--tolerance", "0") == {"n": "differs", "t": "differs"}
    assert ask(a.id, b.id, "--tolerance", "0.1", "--brief") == 0


def test_folders_and_records(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    for made, text in ((a, b"1"), (b, b"2")):
        inner = [made.put("d/sub/x", text), made.put("d/y", b"y")]
        sub = {"class": "Directory", "basename": "sub", "location": "outputs/d/sub", "listing": inner[:1]}
        folder = {"class": "Directory", "basename": "d", "location": "outputs/d", "listing": [sub, inner[1]]}
        made.outputs = {"r": {"folder": folder, "n": 1}}
    ask("--json", a.archive(), b.archive())
    (found,) = json.loads(ask.out)["sections"]["outputs"]["items"]["r"]["differences"]
    assert found["where"] == "r.folder/sub/x"
    assert found["lines"] == ["@@ -1 +1 @@", "-1  (no newline at the end)", "+2  (no newline at the end)"]
    assert ask(a.id, b.id, "--ignore", "r.folder/sub/*") == 0


@pytest.mark.parametrize("embed", [True, False])
def test_inputs_are_compared_by_contents(runs: tuple[Made, Made], ask: Asked, tmp_path: Path, embed: bool) -> None:
    texts = {"one": b"same", "two": b"same", "three": b"other"}
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
    a, b = runs
    c = Made(a.top, outputs={"o": None, "n": 1.5})
    for made, name in zip((a, b, c), texts, strict=True):
        made.job = {"word": "hi", "f": made.take(tmp_path / name, embed=embed)}
        made.archive()
    assert ask(a.id, b.id) == 0
    assert ask("--json", b.id, c.id) == 1
    items = json.loads(ask.out)["sections"]["inputs"]["items"]
    assert {name: each["verdict"] for name, each in items.items()} == {"word": "identical", "f": "differs"}


def test_inputs_lie_where_they_are_for_a_directory(runs: tuple[Made, Made], ask: Asked, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"same")
    for made in runs:
        made.job = {"f": made.take(tmp_path / "in", embed=True)}
    runs[0].archive()
    root = runs[1].write()
    (root / inputs.RECORD).unlink()
    assert ask(runs[0].id, runs[1].id) == 0
    (tmp_path / "in").write_bytes(b"diff")
    assert ask(runs[0].id, runs[1].id) == 1


@pytest.mark.parametrize("is_archive", [True, False])
def test_what_is_no_file_in_a_folder_is_compared(
    runs: tuple[Made, Made], ask: Asked, tmp_path: Path, is_archive: bool
) -> None:
    """Links to folders and to nowhere, and pipes: of a folder that no listing tells of."""
    for made in runs:
        made.put("d/sub/x", b"x")
        made.outputs = {"d": {"class": "Directory", "basename": "d", "location": "outputs/d"}}

    def verdict(*left: tuple[str, str], right: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        for made, links in zip(runs, (left, right), strict=True):
            for name, target in links:
                (made.layout.outputs / "d" / name).symlink_to(target)
        code = ask("--json", *(each.archive() if is_archive else each.write() for each in runs))
        for each in runs:
            shutil.rmtree(each.top / "archives", ignore_errors=True)
            for path in (each.layout.outputs / "d").iterdir():
                if path.is_symlink():
                    path.unlink()
        return code, json.loads(ask.out)["sections"]["outputs"]["items"]["d"]["verdict"]

    assert verdict() == (0, "identical")
    assert verdict(("l", "sub"), right=[("l", "sub")]) == (0, "identical")
    assert verdict(("l", "sub")) == (1, "differs")
    assert verdict(("l", "nowhere"), right=[("l", "sub")]) == (1, "differs")
    assert verdict(("l", "nowhere")) == (1, "differs")
    assert verdict(("l", str(tmp_path)), right=[("l", str(tmp_path))]) == (1, "unknown")
    assert verdict(("l", "../.."), right=[("l", "../..")]) == (1, "unknown")
    for made in runs:
        os.mkfifo(made.layout.outputs / "d" / "pipe")
    assert verdict() == (1, "unknown")
    assert "cannot be compared" in ask.out


def test_defaults_are_inputs(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    a.graph, a.job = graph(word="hi"), {}
    b.graph, b.job = graph(word="hi"), {"word": "hi"}
    assert ask(a.archive(), b.archive()) == 0


def test_slurm_and_environment_count_only_with_strict(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    b.record = {"options": SubmitOptions(3600, 1800, account="b")}
    for made, kernel in zip(runs, ("6.1", "6.2"), strict=True):
        made.layout.root.mkdir(parents=True, exist_ok=True)
        store.write_json(made.layout.root / "environment.json", {"version": 1, "os": {"kernel": kernel}})
    assert ask(a.archive(), b.archive()) == 0
    assert "2 differ (not counted; --strict has them count)" in ask.out
    assert "environment.os.kernel" in ask.out
    assert ask("--strict", a.id, b.id) == 1


def test_the_workflow_counts(runs: tuple[Made, Made], ask: Asked) -> None:
    a, b = runs
    b.graph = graph(tool(baseCommand=["echo", "-e"]))
    assert ask(a.archive(), b.archive()) == 1
    assert re.search(r"say\.run\.baseCommand\[1\] +differs +-n +-e", ask.out)
    assert ask("--outputs-only", a.id, b.id) == 0


def test_odd_names_are_escaped(runs: tuple[Made, Made], ask: Asked) -> None:
    odd = os.fsdecode(b"a\n\x1b]0;x\x07\xff\xe2\x80\xae")
    for made, text in zip(runs, (b"1", b"2"), strict=True):
        entry = made.put(odd, text)
        made.outputs = {odd: [entry, text.decode() + odd]}
        made.name = odd
    assert ask(runs[0].archive(), runs[1].archive()) == 1
    assert all(character.isprintable() or character == "\n" for character in ask.out)
    assert "a\\n\\x1b]0;x\\x07\\xff\\u202e[0]" in ask.out
    assert ask.verdicts(runs[0].id, runs[1].id) == {odd: "differs"}


class TestTrouble:
    """Everything that keeps runs from being compared is 2."""

    def test_not_there(self, runs: tuple[Made, Made], ask: Asked) -> None:
        a = runs[0].archive()
        for other in ("ffff", "./none.tgz", "none.tgz", a.parent):
            assert ask(a, other) == 2
            assert ask.err.startswith("error: ")
            assert not ask.out

    def test_not_over(self, runs: tuple[Made, Made], ask: Asked) -> None:
        runs[1].state = WorkflowState.RUNNING
        runs[1].write()
        assert ask(runs[0].archive(), runs[1].id) == 2
        assert "Running" in ask.err

    def test_damaged(self, runs: tuple[Made, Made], ask: Asked, tmp_path: Path) -> None:
        a = runs[0].archive()
        data = bytearray(a.read_bytes())
        for name, damaged in (("cut", data[:-20]), ("none", b""), ("text", b"hello" * 100)):
            (tmp_path / f"{name}.tgz").write_bytes(damaged)
            assert ask(a, tmp_path / f"{name}.tgz") == 2
            assert f"{name}.tgz" in ask.err
        data[len(data) // 2] ^= 1
        (tmp_path / "flipped.tgz").write_bytes(data)
        assert ask(a, tmp_path / "flipped.tgz") == 2

    def test_more_comes_out_than_is_allowed(self, runs: tuple[Made, Made]) -> None:
        a = runs[0].archive()
        with pytest.raises(ArchiveError, match="unsafe"):
            archived.read(a, Limits(size=100))
        assert archived.read(a, UNLIMITED).title().name == "first"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("outputs.json", "[]"),
            ("outputs.json", "{"),
            ("outputs.json", "[" * 5000),
            ("outputs.json", '{"o": ' + "[" * 500 + "]" * 500 + "}"),
            ("outputs.json", '{"o": {"class": "File", "secondaryFiles": 3}}'),
            ("outputs.json", '{"o": {"class": "Directory", "listing": ["x"]}}'),
            ("outputs.json", '{"o": {"class": "File", "basename": 3}}'),
            ("environment.json", "3"),
            ("workflow.json", '{"version": 1}'),
            ("workflow.json", '{"version": 2}'),
            ("state.json", "null"),
            ("cwl/graph.json", '{"version": 1, "tools": 3}'),
            ("inputs.json", "{}"),
        ],
    )
    def test_records_that_make_no_sense(self, runs: tuple[Made, Made], ask: Asked, name: str, text: str) -> None:
        root = runs[0].write()
        (root / name).write_text(text)
        assert ask(root, runs[1].archive()) == 2
        assert name in ask.err

    def test_no_record_at_all(self, runs: tuple[Made, Made], ask: Asked) -> None:
        root = runs[0].write()
        runs[0].layout.graph.unlink()
        assert ask(root, runs[1].archive()) == 2
        assert "graph.json" in ask.err

    @pytest.mark.parametrize(
        "option", ["--rtol=-1", "--atol=nan", "--tolerance=inf", "--text-lines=x", "--ignore-line=("]
    )
    def test_options_that_make_no_sense(self, ask: Asked, option: str) -> None:
        with pytest.raises(SystemExit) as ended:
            ask("a", "b", option)
        assert ended.value.code == 2

    def test_no_room(
        self, runs: tuple[Made, Made], ask: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        runs[1].outputs["o"] = runs[1].put("o.txt", b"x")
        (tmp_path / "full").mkdir()
        monkeypatch.setattr("tempfile.tempdir", "/nowhere")
        assert ask(runs[0].archive(), runs[1].archive()) == 2
        assert "/nowhere" in ask.err


def test_nothing_stays_behind(
    runs: tuple[Made, Made], ask: Asked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    runs[1].outputs["o"] = runs[1].put("o.txt", b"x")
    assert ask(runs[0].archive(), runs[1].archive()) == 1
    assert not list((tmp_path / "tmp").iterdir())


def test_many_differences_are_summed_up(runs: tuple[Made, Made], ask: Asked) -> None:
    for number, made in enumerate(runs):
        made.outputs = {"n": [each + number for each in range(1000)]}
    assert ask(runs[0].archive(), runs[1].archive()) == 1
    assert "... and 980 more of n" in ask.out
    assert len(ask.out.splitlines()) < 50


def test_long_values_are_shown_where_they_differ(runs: tuple[Made, Made], ask: Asked) -> None:
    for number, made in enumerate(runs):
        made.outputs = {"s": "x" * 500 + f"here {number} " + "y" * 500}
    ask(runs[0].archive(), runs[1].archive())
    assert "...xxxxxhere 0 yyy" in ask.out
    assert "...xxxxxhere 1 yyy" in ask.out


def test_the_help_tells_the_exit_codes(ask: Asked) -> None:
    with pytest.raises(SystemExit):
        ask("--help")
    assert "2 trouble" in ask.capsys.readouterr().out


def test_what_is_known_of_the_hosts_of_one_run_only_is_not_compared(runs: tuple[Made, Made], ask: Asked) -> None:
    for made, names in ((runs[0], {"host": "n1", "nodes": ["n1"]}), (runs[1], {"host": "n2", "nodes": ["n2"]})):
        made.layout.root.mkdir(parents=True, exist_ok=True)
        store.write_json(made.layout.root / "environment.json", {"version": 1, "kernel": "6.1", **names})
    assert ask("--strict", runs[0].archive(), runs[1].write()) == 0
    (runs[1].layout.root / "environment.json").unlink()
    assert ask("--strict", runs[0].id, runs[1].layout.root) == 0
