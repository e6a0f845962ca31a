"""The runner's own collection of outputs against cwltool's: it gives the same, or leaves it to cwltool."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from beeflow.command import Folders
from beeflow.cwl import compiler, documents, schema_cache
from beeflow.cwl.ports import ports_of
from beeflow.cwl.prepare import Granted, Prepared, prepare
from beeflow.errors import TaskError
from beeflow.graph import Tool
from beeflow.runner.collect import CONTENTS_LIMIT, Collector, NeedsCwltoolError, make_read_only, substitute

INPUTS = {"s": "a.txt", "n": 3}


def texts(**files: str) -> Callable[[Path], None]:
    """Make files: name -> text. Two underscores stand for a dot."""

    def make(out: Path) -> None:
        for name, text in files.items():
            place(out / name.replace("__", "."), text.encode())

    return make


def named(*names: str) -> Callable[[Path], None]:
    """Make files that hold their own names."""

    def make(out: Path) -> None:
        for name in names:
            place(out / name, os.fsencode(name))

    return make


def place(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def empty_folders(out: Path) -> None:
    for name in ("a.txt", "d", "e.txt"):
        (out / name).mkdir()


def undecodable(out: Path) -> None:
    place(out / "a.txt", b"\xff\xfe")
    Path(os.fsdecode(bytes(out) + b"/\xff.txt")).write_bytes(b"x")


def undecodable_within(out: Path) -> None:
    place(out / "d/x", b"x")
    Path(os.fsdecode(bytes(out) + b"/d/\xff")).write_bytes(b"x")
    Path(os.fsdecode(bytes(out) + b"/\xfe")).mkdir()


def linked(out: Path) -> None:
    place(out / "real", b"x")
    (out / "a.txt").symlink_to("real")
    (out / "d").mkdir()
    (out / "d/l").symlink_to("../real")


def dangling(out: Path) -> None:
    place(out / "b.txt", b"x")
    (out / "a.txt").symlink_to("nowhere")


def piped(out: Path) -> None:
    os.mkfifo(out / "a.txt")


def hard_linked(out: Path) -> None:
    place(out.parent / "an input", b"x")
    os.link(out.parent / "an input", out / "a.txt")


def long(size: int) -> Callable[[Path], None]:
    return lambda out: place(out / "a.txt", b"x" * size)


def split_character(out: Path) -> None:
    """Make a file whose 64 KiB end in the middle of a character."""
    place(out / "a.txt", b"x" * (CONTENTS_LIMIT - 1) + "ä".encode())


FOLDERS: dict[str, Callable[[Path], None]] = {
    "empty": lambda _: None,
    "one": named("a.txt"),
    "several": named("b.txt", "a.txt", "c.dat", "B.txt", "a.TXT"),
    "hidden": named(".a.txt", ".hidden/a.txt", "a.txt"),
    "only hidden": named(".a.txt"),
    "odd": named("a b.txt", "it's.txt", "ä€😀.txt", "a%20b.txt", "#.txt", "[a].txt", "*.txt", "new\nline.txt", "~.txt"),
    "brackets": named("a[1].txt", "a1.txt", "?.txt"),
    "dots": named("a", "a.", "a..txt", "a.tar.gz", "a.b.c", "..a"),
    "deep": named("d/a.txt", "d/e/a.txt", "d/.h/a.txt", "a.txt"),
    "folders": empty_folders,
    "full folder": named("a.txt/inner", "d/b.txt"),
    "index": named("a.txt", "a.txt.idx", "a.idx", "a.txt.opt", "a.tar", "a.tar.gz", "b.txt", "b.txt.idx"),
    "a folder beside": named("a.txt", "a.txt.idx/f", "a.idx/g"),
    "own words": texts(cwl__output__json='{"o": 7}', a__txt="x"),
    "own word is a folder": named("cwl.output.json/x", "a.txt"),
    "empty file": texts(a__txt=""),
    "number": texts(a__txt="7\n"),
    "carriage returns": lambda out: place(out / "a.txt", b"a\r\nb\rc\n"),
    "byte order mark": lambda out: place(out / "a.txt", b"\xef\xbb\xbfa"),
    "nul": lambda out: place(out / "a.txt", b"a\0b"),
    "undecodable": undecodable,
    "undecodable within": undecodable_within,
    "limit": long(CONTENTS_LIMIT),
    "beyond the limit": long(CONTENTS_LIMIT + 1),
    "split character": split_character,
    "large": long((4 << 20) + 1),
    "linked": linked,
    "dangling": dangling,
    "piped": piped,
    "hard-linked": hard_linked,
}

PORTS: dict[str, str] = {
    "a name": "{type: File, outputBinding: {glob: a.txt}}",
    "a name, optional": "{type: 'File?', outputBinding: {glob: a.txt}}",
    "a name, array": "{type: 'File[]', outputBinding: {glob: a.txt}}",
    "a name, optional array": "{type: ['null', {type: array, items: File}], outputBinding: {glob: a.txt}}",
    "an input": "{type: File, outputBinding: {glob: $(inputs.s)}}",
    "all of a kind": "{type: 'File[]', outputBinding: {glob: '*.txt'}}",
    "all": "{type: 'File[]', outputBinding: {glob: '*'}}",
    "all folders": "{type: 'Directory[]', outputBinding: {glob: '*'}}",
    "beginning": "{type: 'File[]', outputBinding: {glob: 'a*'}}",
    "both ends": "{type: 'File[]', outputBinding: {glob: 'a*t'}}",
    "one of a kind": "{type: File, outputBinding: {glob: '*.txt'}}",
    "question mark": "{type: 'File[]', outputBinding: {glob: '?.txt'}}",
    "set": "{type: 'File[]', outputBinding: {glob: '[ab].txt'}}",
    "negated set": "{type: 'File[]', outputBinding: {glob: '[!a].txt'}}",
    "range": "{type: 'File[]', outputBinding: {glob: '[a-c]*'}}",
    "unclosed": "{type: 'File[]', outputBinding: {glob: 'a[1'}}",
    "two stars": "{type: 'File[]', outputBinding: {glob: '*a*'}}",
    "recursive": "{type: 'File[]', outputBinding: {glob: '**/a.txt'}}",
    "in folders": "{type: 'File[]', outputBinding: {glob: '*/a.txt'}}",
    "in a folder": "{type: 'File[]', outputBinding: {glob: 'd/*'}}",
    "hidden ones": "{type: 'File[]', outputBinding: {glob: '.*'}}",
    "several": "{type: 'File[]', outputBinding: {glob: [b.txt, a.txt]}}",
    "several that overlap": "{type: 'File[]', outputBinding: {glob: ['*.txt', 'a*', a.txt]}}",
    "several of which one is there": "{type: File, outputBinding: {glob: [none, a.txt]}}",
    "here": "{type: Directory, outputBinding: {glob: .}}",
    "dot slash": "{type: 'File[]', outputBinding: {glob: ./a.txt}}",
    "dot slash star": "{type: 'File[]', outputBinding: {glob: './*.txt'}}",
    "ends in a slash": "{type: 'Directory[]', outputBinding: {glob: d/}}",
    "stars end in a slash": "{type: 'Directory[]', outputBinding: {glob: '*/'}}",
    "double slash": "{type: 'File[]', outputBinding: {glob: d//a.txt}}",
    "above": "{type: 'File[]', outputBinding: {glob: ../x}}",
    "up and down": "{type: 'File[]', outputBinding: {glob: d/../a.txt}}",
    "two dots in a name": "{type: 'File[]', outputBinding: {glob: a..txt}}",
    "absolute": "{type: 'File[]', outputBinding: {glob: /etc/passwd}}",
    "braces": "{type: 'File[]', outputBinding: {glob: '{a,b}.txt'}}",
    "escaped star": "{type: 'File[]', outputBinding: {glob: '[*].txt'}}",
    "a folder": "{type: Directory, outputBinding: {glob: d}}",
    "a folder, optional": "{type: 'Directory?', outputBinding: {glob: d}}",
    "file or folder": "{type: [File, Directory], outputBinding: {glob: a.txt}}",
    "nothing to look for": "{type: 'File?'}",
    "contents": "{type: string, outputBinding: {glob: a.txt, loadContents: true, outputEval: '$(self[0].contents)'}}",
    "number": "{type: int, outputBinding: {glob: a.txt, loadContents: true, outputEval: '$(self[0].contents)'}}",
    "contents that are not used": "{type: File, outputBinding: {glob: a.txt, loadContents: true}}",
    "name of it": "{type: string, outputBinding: {glob: '*.txt', outputEval: '$(self[0].basename)'}}",
    "root of it": "{type: string, outputBinding: {glob: 'a*', outputEval: '$(self[0].nameroot)'}}",
    "extension of it": "{type: string, outputBinding: {glob: 'a*', outputEval: '$(self[0].nameext)'}}",
    "size of it": "{type: long, outputBinding: {glob: 'a*', outputEval: '$(self[0].size)'}}",
    "checksum of it": "{type: 'string?', outputBinding: {glob: 'a*', outputEval: '$(self[0].checksum)'}}",
    "exit code": "{type: int, outputBinding: {outputEval: $(runtime.exitCode)}}",
    "an input's value": "{type: int, outputBinding: {outputEval: $(inputs.n)}}",
    "an input of another type": "{type: int, outputBinding: {outputEval: $(inputs.s)}}",
    "an input's value, optional": "{type: 'float?', outputBinding: {outputEval: $(inputs.n)}}",
    "one beside": "{type: File, secondaryFiles: .idx, outputBinding: {glob: a.txt}}",
    "one beside, v1.2": "{type: File, secondaryFiles: [{pattern: .idx}], outputBinding: {glob: a.txt}}",
    "one beside, optional": "{type: File, secondaryFiles: ['.idx?'], outputBinding: {glob: a.txt}}",
    "instead of the extension": "{type: File, secondaryFiles: ['^.idx?'], outputBinding: {glob: a.txt}}",
    "two extensions off": "{type: 'File[]', secondaryFiles: ['^^.idx?', '^?'], outputBinding: {glob: 'a*'}}",
    "several beside": "{type: 'File[]', secondaryFiles: ['.idx?', '^.tar?', '.opt?'], outputBinding: {glob: '*.txt'}}",
    "not required beside": "{type: File, secondaryFiles: [{pattern: .no, required: false}, {pattern: .idx, required: "
    "false}], outputBinding: {glob: a.txt}}",
    "required beside": "{type: File, secondaryFiles: [{pattern: .idx, required: true}], outputBinding: {glob: a.txt}}",
    "beside a folder": "{type: [File, Directory], secondaryFiles: ['.idx?'], outputBinding: {glob: a.txt}}",
    "format": "{type: File, format: 'http://x.org/a', outputBinding: {glob: a.txt}}",
    "formats": "{type: 'File[]', format: 'http://x.org/a', secondaryFiles: ['.idx?'], outputBinding: {glob: '*.txt'}}",
    "standard output": "{type: stdout}",
    "any": "{type: Any, outputBinding: {glob: a.txt}}",
}
# What is always left to cwltool: no expression is evaluated, no value put together.
LEFT = {"here", "above", "up and down", "two dots in a name", "absolute", "an input of another type", "any"}
LEFT |= {"number", "ends in a slash", "stars end in a slash", "double slash"}


def tool(folder: Path, port: str, version: str = "v1.2") -> Tool:
    """Compile a tool that has one output port."""
    document = folder / "tool.cwl"
    body = {
        "cwlVersion": version,
        "class": "CommandLineTool",
        "baseCommand": "true",
        "stdout": "a.txt",
        "inputs": {"s": "string", "n": "int"},
        "outputs": {"o": yaml.safe_load(port)},
    }
    document.write_text(yaml.safe_dump(body))
    graph = compiler.compile_graph(documents.load(str(document), folder.parent / "cache"))
    (made,) = graph.tools.values()
    return made


def light(prepared: Prepared, made: Tool, exit_code: int) -> dict[str, Any] | None:
    """Collect without cwltool; None where that is left to it."""
    ports = ports_of(prepared, made)
    if ports is None:
        return None
    out = prepared.folders.out
    try:
        make_read_only(out)
        return Collector(str(prepared.root), out, INPUTS, exit_code).collect(ports, [])
    except NeedsCwltoolError:
        return None


def by_cwltool(prepared: Prepared, exit_code: int) -> Any:
    """Have cwltool collect; returns why it would not, if it would not."""
    try:
        return prepared.collect(exit_code)
    except TaskError as error:
        return error


# What may differ between versions: the limit of loadContents, the listing of folders, what is beside a file.
IN_V1_0 = ("a name", "all of a kind", "contents", "one beside", "a folder", "all folders", "format", "size of it")
CASES = [*((name, "v1.2") for name in PORTS), *((name, "v1.0") for name in IN_V1_0)]


@pytest.mark.parametrize(("name", "version"), CASES)
def test_the_same_as_cwltool_or_left_to_it(tmp_path: Path, name: str, version: str) -> None:
    schema_cache.install(tmp_path.parent / "cache")
    made = tool(tmp_path, PORTS[name], version)
    root = tmp_path / "w"
    how: Counter[str] = Counter()
    wrong = []
    for number, (folder, fill) in enumerate(FOLDERS.items()):
        folders = Folders(f"{root}/tasks/001-s/000/{number:06}/7.0/0")
        os.makedirs(folders.out)
        fill(Path(folders.out))
        prepared = prepare(made, INPUTS, root, folders, Granted(1, 256))
        mine = light(prepared, made, 3)
        if mine is None:
            how["left"] += 1
            continue
        theirs = by_cwltool(prepared, 3)
        if mine != theirs:
            wrong.append(f"{folder}:\n  {mine}\n  {theirs}")
        how["same"] += 1
    assert not wrong, "\n".join(wrong)
    # v1.0 lists what is in a folder.
    is_left = name in LEFT or (version == "v1.0" and PORTS[name].count("Directory") > 0)
    assert (how["same"] == 0) is is_left, how


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.txt", ".idx", "a.txt.idx"),
        ("a.txt", "^.idx", "a.idx"),
        ("a.tar.gz", "^^.idx", "a.idx"),
        ("a", "^^.idx", "a.idx"),
        ("a.b", "x", "a.bx"),
        ("a.b", "^", "a"),
    ],
)
def test_patterns_of_secondary_files(name: str, pattern: str, expected: str) -> None:
    assert substitute(name, pattern) == expected
