"""A template that is accepted gives, for any inputs of its shape, exactly the command that cwltool makes of these."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beeflow.cwl import schema_cache, template
from beeflow.locations import to_uri
from beeflow.shape import NoTemplateError, Shape, fill_command
from tests.cwl.routes import compiled

Inputs = dict[str, Any]

# Names and texts that something between document and command might take apart.
ODD = [
    "a",
    "a b",
    "it's",
    '"q"',
    "x.tar.gz",
    "noext",
    ".hidden",
    ".hidden.txt",
    "ends.",
    "-dash",
    "$(inputs.a)",
    "${return 1}",
    "back\\slash",
    "ä€😀",
    "a%20b",
    "per%cent",
    "#hash",
    "a[1]*?",
    "2101000004",
    "0.00000021010000041",
    "~tilde",
    "a:b",
    "a,b",
    "a=b",
    " lead",
    "trail ",
    "new\nline",
    "tab\t",
]
NUMBERS = [0, 1, -1, 7, 2101000004, 1203000004, -(2**31), 2**31 - 1]
FLOATS = [0.5, 1e-7, 1.5e300, -2.25, 3.0, 123456789.125, 2.1010000041e-07, 0.1 + 0.2, 5e-324]


def names() -> list[str]:
    return [each for each in ODD if "/" not in each]


def file(random: random.Random, root: Path, **more: Any) -> Inputs:
    """Make a File that a task made: below the workflow directory, not there yet."""
    name = random.choice(names())
    folder = f"tasks/{random.choice(names())}/{random.randrange(10)}/out"
    relative = to_uri(Path("/", folder, name))[len("file:///") :]
    made = {"class": "File", "location": relative, "basename": name, "size": random.randrange(10**9)}
    return {**made, "checksum": f"sha1${random.randrange(10**9)}", **more}


def text(random: random.Random, _: Path) -> str:
    return random.choice(ODD)


def integer(random: random.Random, _: Path) -> int:
    return random.choice([*NUMBERS, random.randrange(-(2**31), 2**31)])


def number(random: random.Random, _: Path) -> float:
    return random.choice([*FLOATS, random.random(), random.random() * 1e-9])


def array(of: Callable[[random.Random, Path], Any], count: int = 3) -> Callable[[random.Random, Path], Any]:
    return lambda random, root: [of(random, root) for _ in range(count)]


def fixed(value: Any) -> Callable[[random.Random, Path], Any]:
    return lambda *_: value


# name -> a tool, and what its inputs are made of.
HAVE: dict[str, tuple[str, dict[str, Callable[[random.Random, Path], Any]]]] = {
    "words": (
        "{baseCommand: [echo, -n], arguments: [a, {valueFrom: b c, position: 3}], inputs: {s: {type: string, "
        "inputBinding: {position: 1, prefix: -s}}, t: {type: string, inputBinding: {prefix: --t=, separate: false}}}}",
        {"s": text, "t": text},
    ),
    "numbers": (
        "{baseCommand: echo, inputs: {i: {type: int, inputBinding: {prefix: -i}}, l: {type: long, inputBinding: "
        "{prefix: -l, separate: false}}, f: {type: double, inputBinding: {}}, "
        "g: {type: float, inputBinding: {prefix: -g}}}}",
        {"i": integer, "l": integer, "f": number, "g": number},
    ),
    "arrays": (
        "{baseCommand: echo, inputs: {a: {type: 'string[]', inputBinding: {prefix: -a, itemSeparator: ','}}, "
        "b: {type: 'int[]', inputBinding: {prefix: -b}}, c: {type: {type: array, items: string, inputBinding: "
        "{prefix: -c}}, inputBinding: {position: 2}}, d: {type: 'double[]', inputBinding: {}}}}",
        {"a": array(text), "b": array(integer), "c": array(text, 2), "d": array(number, 2)},
    ),
    "files": (
        "{baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}, g: {type: 'File[]', inputBinding: "
        "{prefix: -g}}, d: {type: Directory, inputBinding: {position: 2}}}, arguments: [$(inputs.f.basename), "
        "$(inputs.f.nameroot), x$(inputs.f.nameext), $(inputs.f.dirname), $(inputs.f.size), $(inputs.g.length), "
        "'$(inputs.g[1].path)', $(inputs.d.basename)]}",
        {
            "f": file,
            "g": array(file),
            "d": fixed({"class": "Directory", "location": "tasks/x/y/out/d", "basename": "d"}),
        },
    ),
    "streams": (
        "{baseCommand: cat, stdin: $(inputs.f.path), stdout: $(inputs.s).out, stderr: err-$(inputs.s), "
        "inputs: {f: File, s: string}, outputs: {o: stdout, e: {type: stderr}}}",
        {"f": file, "s": text},
    ),
    "environment": (
        "{baseCommand: env, requirements: {EnvVarRequirement: {envDef: {A: $(inputs.s), B: x$(inputs.i)y, "
        "C: $(inputs.f.path)}}}, inputs: {s: string, i: int, f: File}}",
        {"s": text, "i": integer, "f": file},
    ),
    "shell": (
        "{requirements: {ShellCommandRequirement: {}}, inputs: {s: {type: string, inputBinding: {position: 1}}, "
        "r: {type: string, inputBinding: {position: 2, shellQuote: false}}, i: {type: int, inputBinding: {position: "
        "3}}}, arguments: [echo, {valueFrom: '$(inputs.f.path)', position: 4}, {valueFrom: '| cat', shellQuote: false, "
        "position: 5}], baseCommand: []}",
        {"s": text, "r": fixed("plain"), "i": integer},
    ),
    "runtime": (
        "{baseCommand: echo, arguments: [$(runtime.cores), $(runtime.ram), $(runtime.outdir), '$(runtime.tmpdir)/x', "
        "$(runtime.outdirSize), -c$(runtime.cores)r$(runtime.ram)], inputs: {}}",
        {},
    ),
    "working directory": (
        "{baseCommand: cat, requirements: {InitialWorkDirRequirement: {listing: [{entryname: a.txt, entry: "
        "'x $(inputs.s) $(inputs.i)'}, $(inputs.f), {entryname: '$(inputs.i).dat', entry: $(inputs.g), writable: "
        "true}]}}, inputs: {s: string, i: int, f: File, g: File}}",
        {"s": text, "i": integer, "f": file, "g": file},
    ),
    "nulls and booleans": (
        "{baseCommand: echo, inputs: {n: {type: 'string?', inputBinding: {prefix: -n}}, b: {type: boolean, "
        "inputBinding: {prefix: -b}}, c: {type: boolean, inputBinding: {prefix: -c}}, u: {type: [string, int, File], "
        "inputBinding: {}}, e: {type: string, inputBinding: {}}}}",
        {"n": fixed(None), "b": fixed(True), "c": fixed(False), "u": file, "e": fixed("")},
    ),
    "records": (
        "{baseCommand: echo, inputs: {r: {type: {type: record, fields: {a: {type: string, inputBinding: {prefix: -a}}, "
        "f: {type: File, inputBinding: {prefix: -f}}}}, inputBinding: {position: 1}}}}",
        {"r": lambda random, root: {"a": "same", "f": file(random, root)}},
    ),
    "enum": (
        "{baseCommand: echo, inputs: {e: {type: {type: enum, symbols: [x, y]}, inputBinding: {}}, s: {type: string, "
        "inputBinding: {}}}}",
        {"e": fixed("x"), "s": text},
    ),
    "any": (
        "{baseCommand: echo, inputs: {a: {type: Any, inputBinding: {}}, b: {type: Any, inputBinding: {}}}}",
        {"a": file, "b": integer},
    ),
    "outputs": (
        "{baseCommand: touch, inputs: {s: string, i: int}, outputs: {o: {type: File, outputBinding: {glob: "
        "'$(inputs.s).$(inputs.i)'}}, p: {type: 'File[]', outputBinding: {glob: ['*.x', $(inputs.s)]}}}}",
        {"s": text, "i": integer},
    ),
    "formats": (
        "{baseCommand: cat, inputs: {f: {type: File, format: 'http://x.org/a', inputBinding: {}}}}",
        {"f": lambda random, root: file(random, root, format="http://x.org/a")},
    ),
    "default": (
        "{baseCommand: echo, inputs: {d: {type: string, default: 'as given', inputBinding: {}}, s: {type: string, "
        "inputBinding: {}}}}",
        {"d": fixed(None), "s": text},
    ),
}


def may_be_filled(made: dict[str, Any], shape: Shape) -> bool:
    """Tell whether the runner takes the template for these values."""
    try:
        fill_command(made["command"], shape.values)
    except NoTemplateError:
        return False
    return True


@pytest.mark.parametrize("in_image", [False, True], ids=["host", "image"])
@pytest.mark.parametrize("version", ["v1.0", "v1.2"])
@pytest.mark.parametrize("name", HAVE)
def test_a_template_gives_what_cwltool_does(tmp_path: Path, name: str, version: str, in_image: bool) -> None:
    schema_cache.install(tmp_path.parent / "cache")
    text_of, inputs = HAVE[name]
    if name == "shell":
        inputs = {**inputs, "f": file}
        text_of = text_of.replace("inputs: {s:", "inputs: {f: File, s:")
    if name == "files" and version == "v1.0":
        pytest.skip("v1.0 lists what is in every Directory, and this one is not there yet")
    made = compiled(tmp_path, text_of, version, in_image=in_image)
    chance = random.Random(name)
    root = tmp_path / "workflow"

    def some() -> Inputs:
        return {port: make(chance, root) for port, make in inputs.items()}

    found = template.make(made, some(), root)
    assert found is not None
    shape_text, made_template = found
    same = 0
    for _ in range(30):
        given = some()
        shape = template.new_shape(made, root)
        shape.values += ["folder", "path", 1, 2]
        if shape.of(given) == shape_text and may_be_filled(made_template, shape):
            assert template.agrees(made_template, made, given, root), given
            same += 1
    assert same > 15


NONE: dict[str, tuple[str, Inputs]] = {
    "javascript": (
        "{baseCommand: echo, requirements: {InlineJavascriptRequirement: {}}, arguments: ['$(inputs.s.length > 3)'], "
        "inputs: {s: string}}",
        {"s": "a"},
    ),
    "a whole object": ("{baseCommand: echo, arguments: [x$(inputs)y], inputs: {s: string}}", {"s": "a"}),
    "a position that depends": (
        "{baseCommand: echo, inputs: {i: {type: int, inputBinding: {position: $(self)}}}}",
        {"i": 3},
    ),
    "contents": (
        "{baseCommand: echo, arguments: [$(inputs.f.contents)], inputs: {f: {type: File, loadContents: true}}}",
        {"f": {"class": "File", "location": "tasks/a/out/x", "basename": "x", "size": 1}},
    ),
    "a literal file": (
        "{baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}}",
        {"f": {"class": "File", "location": "_:1", "basename": "x", "contents": "x"}},
    ),
    "another name": (
        "{baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}}",
        {"f": {"class": "File", "location": "tasks/a/out/x", "basename": "y", "size": 1}},
    ),
    "a number as time limit": (
        "{baseCommand: sleep, requirements: {ToolTimeLimit: {timelimit: $(inputs.i)}}, inputs: {i: int}}",
        {"i": 3},
    ),
}


@pytest.mark.parametrize("name", NONE)
def test_where_there_is_no_template(tmp_path: Path, name: str) -> None:
    schema_cache.install(tmp_path.parent / "cache")
    text_of, inputs = NONE[name]
    made = compiled(tmp_path, text_of)
    assert not template.may_have(made) or template.make(made, inputs, tmp_path) is None
