"""bee-inspect: what would run is shown, whether it is here, and what takes trust; nothing gets at the terminal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from beeflow import cli
from beeflow.commands import inspect, rerun
from beeflow.inspecting import rendering
from tests.archive import raw
from tests.archive.raw import archive, file, write
from tests.commands.place import Place

Capture = pytest.CaptureFixture[str]


def on_terminal(argv: list[str], columns: int) -> str:
    """Run a program with stdout on a terminal of so many columns; returns what that shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(argv, env={**os.environ, "COLUMNS": str(columns)}, stdout=theirs) as program:
        os.close(theirs)
        shown = b""
        # EIO: nobody has the terminal open any more.
        with contextlib.suppress(OSError):
            while data := os.read(ours, 4096):
                shown += data
    os.close(ours)
    assert program.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def run(*argv: str | Path) -> int:
    return cli.guarded(inspect.main, [str(each) for each in argv])


def link(*sources: str) -> dict[str, Any]:
    return {"sources": list(sources)}


MAKE: dict[str, Any] = {
    "class": "CommandLineTool",
    "baseCommand": ["sh", "run.sh"],
    "arguments": [{"prefix": "--level", "valueFrom": "$(inputs.level + 1)"}, "a b"],
    "inputs": [
        {"id": "file:///w.cwl#make/level", "type": "int"},
        {"id": "file:///w.cwl#make/given", "type": "File", "inputBinding": {"position": 2, "prefix": "-i"}},
        {"id": "file:///w.cwl#make/joined", "type": "int", "inputBinding": {"prefix": "n=", "separate": False}},
    ],
    "stdout": "made.txt",
    "requirements": [
        {"class": "InitialWorkDirRequirement", "listing": [{"entryname": "run.sh", "entry": "echo one\necho two\n"}]},
        {"class": "EnvVarRequirement", "envDef": [{"envName": "GREETING", "envValue": "hello"}]},
        {"class": "InlineJavascriptRequirement", "expressionLib": ["function f() { return 1; }"]},
    ],
}
IN_IMAGE = {
    "class": "CommandLineTool",
    "baseCommand": "/opt/tool",
    "requirements": [{"class": "DockerRequirement", "dockerPull": "debian:12"}],
}
GRAPH: dict[str, Any] = {
    "tools": {"make": {"document": MAKE}, "tool": {"document": IN_IMAGE}},
    "workflow": {
        "steps": [
            {"name": "make", "tool": "make", "inputs": {"level": link("level")}, "scatter": ["level"]},
            {"name": "inner", "workflow": {"steps": [{"name": "tool", "tool": "tool", "when": "$(inputs.x > 1)"}]}},
        ]
    },
}


def made(place: Place, changed: dict[str, Any] | None = None) -> Path:
    """Write an archive, with other records than these; None leaves one out."""
    here = place.top / "here.txt"
    here.write_text("here")
    other = place.top / "other.txt"
    other.write_text("othr")
    sha256 = hashlib.sha256(b"here").hexdigest()
    inputs = [
        {"origin": "/data/in.txt", "kind": "File", "size": 5, "embedded": "inputs/0000/in.txt"},
        {"origin": str(here), "kind": "File", "size": 4, "sha256": sha256},
        {"origin": str(other), "kind": "File", "size": 4, "sha256": sha256},
        {"origin": "/data/gone.txt", "kind": "File", "size": 7, "sha256": sha256},
    ]
    job = {
        "level": [1, 2],
        "files": [{"class": "File", "location": f"file://{each['origin']}"} for each in inputs],
        "literal": {"class": "File", "location": "_:1", "contents": "x"},
    }
    records: dict[str, Any] = {
        "cwl/graph.json": GRAPH,
        "cwl/packed.json": {"$graph": [MAKE, IN_IMAGE]},
        "job.json": job,
        "inputs.json": {"files": inputs},
        "workflow.json": {"options": {}},
        **(changed or {}),
    }
    files = {name: json.dumps(value).encode() for name, value in records.items() if value is not None}
    files["inputs/0000/in.txt"] = b"given"
    data = archive(*(file(name, data) for name, data in files.items()), vouched=files)
    return write(place.top / "x.tgz", data)


def test_what_would_run_is_shown(place: Place, capsys: Capture) -> None:
    assert run(made(place)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"n  {raw.ID}" in out
    command = "sh run.sh --level '$(inputs.level + 1)' 'a b' 'n=<joined>' -i <given> > made.txt"
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert f"make (for each level) the host {command}" in lines
    assert "inner/tool image debian:12 /opt/tool" in lines
    assert "sh /usr/bin/sh" in lines or "sh /bin/sh" in lines
    assert "make EnvVar, InitialWorkDir, InlineJavascript" in lines
    for each in ("variable GREETING=hello", "file run.sh:", "| echo one", "| echo two", "when $(inputs.x > 1)"):
        assert each in lines
    assert "| function f() { return 1; }" in lines
    assert "| $(inputs.level + 1)" in lines
    assert "Nothing in it reaches outside the archive" in out


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_command_has_the_room_of_the_terminal(place: Place, columns: int) -> None:
    text = on_terminal([sys.executable, "-m", "beeflow.commands.inspect", str(made(place))], columns)
    table = text.partition("What it would run")[2].partition("Programs of the host")[0]
    lines = table.splitlines()
    assert max(map(len, lines)) <= columns
    # All of it, however many lines that takes, each below the one before.
    command = "sh run.sh --level '$(inputs.level + 1)' 'a b' 'n=<joined>' -i <given> > made.txt"
    start = next(line for line in lines if "sh run.sh" in line).index("sh run.sh")
    assert command in "".join(line[start:].ljust(columns - start) for line in lines[3:])


@pytest.mark.parametrize("columns", [None, 80])
def test_a_workflow_without_steps_is_shown(columns: int | None) -> None:
    assert rendering.steps([], columns).splitlines()[1].split() == ["Step", "In", "Command"]


def test_inputs_and_where_they_are(place: Place, capsys: Capture) -> None:
    path = made(place)
    assert run("--json", path) == 0
    found = json.loads(capsys.readouterr().out)
    states = {Path(each["value"]).name: (each["state"], each["size"]) for each in found["inputs"]}
    assert states == {
        "[1, 2]": ("value", None),
        "in.txt": ("embedded", 5),
        "here.txt": ("here", 4),
        "other.txt": ("differs", 4),
        "gone.txt": ("missing", 7),
        "_:1": ("literal", None),
    }
    assert found["steps"][0]["scripts"][0]["text"] == "echo one\necho two\n"
    assert found["description"]["id"] == raw.ID
    assert run("--quick", "--json", path) == 0
    assert [each["state"] for each in json.loads(capsys.readouterr().out)["inputs"]].count("differs") == 0


@pytest.mark.parametrize("name", ["result.json", "lost.json", "7.0/tasks.jsonl"])
def test_results_that_are_files_of_the_host(place: Place, capsys: Capture, name: str) -> None:
    name = f"tasks/001-make/000/000000/{name}"
    places = ["file:///etc/passwd", "file:///data/in.txt", "tasks/001-make/000/000000/7.0/0/out/x"]
    outputs = [{"class": "File", "location": each, "basename": "x"} for each in places]
    record = {"tasks": {"0": {"state": "COMPLETED", "outputs": {"o": outputs}}}}
    assert run("--json", made(place, {name: record})) == 0
    found = json.loads(capsys.readouterr().out)["risks"]
    assert [(each["where"], each["what"]) for each in found] == [(name, "file:///etc/passwd")]


@pytest.mark.parametrize("size", [0, 4, None])
def test_what_is_longer_than_it_says_is_not_read_to_its_end(place: Place, capsys: Capture, size: int | None) -> None:
    endless = "/proc/self/pagemap"
    record = {"files": [{"origin": endless, "kind": "File", "size": size, "sha256": "0" * 64}]}
    job = {"x": {"class": "File", "location": f"file://{endless}"}}
    assert run("--json", made(place, {"inputs.json": record, "job.json": job})) == 0
    (found,) = json.loads(capsys.readouterr().out)["inputs"]
    assert found["state"] == ("here" if size is None else "differs")


def folder(top: Path) -> dict[str, Any]:
    """Make a folder of two files, and say what an archive has of it."""
    made = top / "folder"
    (made / "inner").mkdir(parents=True)
    (made / "empty").mkdir()
    files = {"one": b"1", "inner/two.x": b"22"}
    for name, data in files.items():
        (made / name).write_bytes(data)
    parts = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    ]
    return {"origin": str(made), "kind": "Directory", "size": 3, "parts": parts}


def inspected(place: Place, capsys: Capture, origin: dict[str, Any], inner: str = "", *argv: str) -> tuple[str, str]:
    """Inspect an archive that refers to a folder, of which something may be the input."""
    kind = "File" if "." in inner else "Directory"
    job = {"x": {"class": kind, "location": f"file://{origin['origin']}{inner}"}}
    assert run("--json", *argv, made(place, {"inputs.json": {"files": [origin]}, "job.json": job})) == 0
    (found,) = json.loads(capsys.readouterr().out)["inputs"]
    return found["state"], found["detail"]


def test_a_folder_that_is_here_is_compared(place: Place, capsys: Capture) -> None:
    origin = folder(place.top)
    top = Path(origin["origin"])
    assert inspected(place, capsys, origin) == ("here", "the same names, sizes and sha256")
    assert inspected(place, capsys, origin, "", "--quick") == ("here", "the same names and sizes")
    assert inspected(place, capsys, origin, "/inner/two.x") == ("here", "the same sha256")
    assert inspected(place, capsys, origin, "/inner") == ("here", "the same names, sizes and sha256")
    (top / "inner/two.x").write_bytes(b"33")
    assert inspected(place, capsys, origin) == ("differs", "another sha256: inner/two.x")
    assert inspected(place, capsys, origin, "/inner/two.x") == ("differs", "another sha256")
    assert inspected(place, capsys, origin, "", "--quick")[0] == "here"
    (top / "inner/two.x").write_bytes(b"2")
    assert inspected(place, capsys, origin, "", "--quick") == ("differs", "1 bytes here: inner/two.x")
    (top / "inner/two.x").unlink()
    assert inspected(place, capsys, origin) == ("differs", "not here: inner/two.x")
    (top / "more").touch()
    assert inspected(place, capsys, origin) == ("differs", "only here: more")
    assert inspected(place, capsys, {**origin, "parts": []}) == ("here", "what was in it is not known")
    assert inspected(place, capsys, {**origin, "parts": 7}) == ("here", "what was in it is not known")
    assert inspected(place, capsys, {**origin, "kind": "File"}) == ("differs", "a folder here")
    shutil.rmtree(top)
    assert inspected(place, capsys, origin) == ("missing", "")
    lost = {"origin": str(top), "kind": "Directory", "size": 0}
    assert inspected(place, capsys, lost) == ("missing", "nor was it to be read when it was archived")
    # Of what has no end, a part is looked at.
    assert inspected(place, capsys, {**origin, "origin": "/proc"})[0] in ("differs", "missing")


def test_an_embedded_input_that_is_not_there(place: Place, capsys: Capture) -> None:
    record = {"files": [{"origin": "/data/a", "kind": "File", "size": 5, "embedded": "inputs/0009/a"}]}
    job = {"a": {"class": "File", "location": "file:///data/a"}}
    assert run("--json", made(place, {"inputs.json": record, "job.json": job})) == 0
    (found,) = json.loads(capsys.readouterr().out)["inputs"]
    assert (found["state"], found["detail"]) == ("missing", "inputs/0009/a is not in the archive")


def test_what_takes_trust_is_named_and_a_graph_that_differs(place: Place, capsys: Capture) -> None:
    evil = {**MAKE, "baseCommand": "/home/eve/run.sh"}
    graph = {**GRAPH, "tools": {**GRAPH["tools"], "make": {"document": evil}}}
    assert run(made(place, {"cwl/graph.json": graph})) == 0
    out = capsys.readouterr().out
    assert "baseCommand: /home/eve/run.sh" in out
    assert "is not the command of any tool in cwl/packed.json" in out
    assert "bee-rerun refuses it, unless you add --trust." in out
    assert "/home/eve/run.sh --level" in out


def test_nothing_of_an_archive_gets_at_the_terminal(place: Place, capsys: Capture) -> None:
    evil = "\x1b]0;evil\x07\x9b31m\r\n\u202e\udcff"
    tool = {
        "class": evil,
        "baseCommand": [evil],
        "stdin": evil,
        "requirements": [
            {"class": "InitialWorkDirRequirement", "listing": [evil, {"entryname": evil, "entry": evil}]},
            {"class": "EnvVarRequirement", "envDef": [{"envName": evil, "envValue": evil}]},
            {"class": "DockerRequirement", "dockerPull": evil},
            {"class": evil},
        ],
        "inputs": [{"id": evil, "inputBinding": {"prefix": evil, "valueFrom": f"$({evil})"}}],
    }
    for kind in (evil, "CommandLineTool"):
        graph = {
            "tools": {evil: {"document": {**tool, "class": kind}}},
            "workflow": {"steps": [{"name": evil, "tool": evil, "scatter": [evil], "when": evil}]},
        }
        job = {evil: evil, "f": {"class": "File", "location": f"file:///{evil}"}}
        assert run(made(place, {"cwl/graph.json": graph, "job.json": job})) == 0
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in out.removesuffix("\n").split("\n"))
        assert r"\x1b]0;evil\x07\x9b31m\r\n\u202e\xff" in out
        assert err == ""


@pytest.mark.parametrize("name", ["cwl/graph.json", "job.json", "inputs.json", "workflow.json"])
@pytest.mark.parametrize(
    "value", [[], "x", 5, {"tools": 5}, {"files": 5}, {"workflow": {"steps": [5, {}, None]}}, {"a\0b": "\0"}, None]
)
def test_records_that_make_no_sense(place: Place, capsys: Capture, name: str, value: Any) -> None:
    assert run(made(place, {name: value})) in (0, 75)
    assert "Traceback" not in capsys.readouterr().err


KEYS = (
    "baseCommand arguments inputs outputs requirements hints stdin listing tool name workflow scatter when "
    "srun_options modules modules_init container document"
)


@pytest.mark.parametrize("where", ["document", "step", "tool"])
def test_graphs_that_make_no_sense(place: Place, capsys: Capture, where: str) -> None:
    odd: list[Any] = [None, 5, "x", "\0", [], [5, None], {}, {"a": 5}, [[[]]]]
    for key in KEYS.split():
        for value in odd:
            parts: dict[str, Any] = {"document": {"class": "CommandLineTool"}, "step": {"name": "s", "tool": "t"}}
            parts["tool"] = {"document": parts["document"]}
            parts[where][key] = value
            graph = {"tools": {"t": parts["tool"]}, "workflow": {"steps": [parts["step"]]}}
            assert run(made(place, {"cwl/graph.json": graph})) in (0, 75), (key, value)
            assert "Traceback" not in capsys.readouterr().err, (key, value)


def test_a_damaged_archive_is_not_shown(place: Place, capsys: Capture) -> None:
    path = made(place)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert run(path) in (75, 79)
    assert capsys.readouterr().out == ""


def test_ones_own_archive(place: Place, capsys: Capture) -> None:
    one = place.make(name="mine")
    assert run(one.id[:8]) == 0
    out = capsys.readouterr().out
    assert one.id in out
    assert "as it was archived" in out


def test_nothing_is_executed_or_written(place: Place) -> None:
    evil = {**MAKE, "baseCommand": ["touch", f"{place.top}/ran"], "arguments": [f"$(`touch {place.top}/ran`)"]}
    graph = {**GRAPH, "tools": {**GRAPH["tools"], "make": {"document": evil}}}
    path = made(place, {"cwl/graph.json": graph})
    before = sorted(place.top.rglob("*"))
    script = (
        "import sys, os\n"
        "def hook(event, args):\n"
        "    flags = args[2] if event == 'open' and isinstance(args[2], int) else 0\n"
        "    writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)\n"
        "    if writes or event in ('os.system', 'os.exec', 'os.posix_spawn', 'subprocess.Popen', 'socket.connect'):\n"
        "        print('FORBIDDEN', event, args, file=sys.stderr)\n"
        "sys.dont_write_bytecode = True\n"
        "from beeflow.commands import inspect\n"
        "sys.addaudithook(hook)\n"
        "sys.exit(inspect.main(sys.argv[1:]))\n"
    )
    argv = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=place.env())
    assert "FORBIDDEN" not in done.stderr
    assert sorted(place.top.rglob("*")) == before


def test_nothing_of_a_command_is_cut_off(place: Place, capsys: Capture) -> None:
    evil = {**MAKE, "baseCommand": ["sh", "-c", "true;" + " " * 500 + "evil"]}
    graph = {**GRAPH, "tools": {**GRAPH["tools"], "make": {"document": evil}}}
    assert run(made(place, {"cwl/graph.json": graph})) == 0
    assert "evil" in capsys.readouterr().out


def test_rerun_says_where_to_look(place: Place) -> None:
    with pytest.raises(SystemExit):
        rerun.main(["--help"])
