"""Where a value decides more than what stands in its place: the template gives what cwltool does, or nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from beeflow.cwl import schema_cache, template
from tests.cwl.routes import Inputs, Routes, compiled


def file(name: str = "x", folder: str = "tasks/a/out", **more: Any) -> Inputs:
    """Make a File that a task made."""
    return {"class": "File", "location": f"{folder}/{name}", "basename": name, "size": 1, **more}


def routes(tmp_path: Path, text_of: str, version: str = "v1.2", *, in_image: bool = False) -> Routes:
    schema_cache.install(tmp_path.parent / "cache")
    return Routes(compiled(tmp_path, text_of, version, in_image=in_image), tmp_path / "workflow")


ECHO_INT = "{baseCommand: echo, inputs: {i: {type: int, inputBinding: {}}}}"
ECHO_FLOAT = "{baseCommand: echo, inputs: {f: {type: double, inputBinding: {}}}}"
CAT = "{baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}}}"
CAT_TWO = "{baseCommand: cat, inputs: {f: {type: File, inputBinding: {}}, g: {type: File, inputBinding: {}}}}"
NAMED = (
    "{baseCommand: cat, requirements: {InitialWorkDirRequirement: {listing: [{entryname: $(inputs.s), entry: x}]}}, "
    "inputs: {s: string}}"
)
SHELL = (
    "{requirements: {ShellCommandRequirement: {}}, baseCommand: [], inputs: {s: string, t: string}, "
    "arguments: [$(inputs.s), {valueFrom: $(inputs.t), shellQuote: false}, '-$(inputs.s)', \"it's $(inputs.s)\", a b]}"
)
RECORDS = (
    "{baseCommand: echo, inputs: {r: {type: [{type: record, name: A, fields: {x: {type: int, inputBinding: {prefix: "
    "-i}}}}, {type: record, name: B, fields: {x: {type: long, inputBinding: {prefix: -l}}}}]}}}"
)
STAGED_DEFAULT = (
    "{baseCommand: cat, requirements: {InitialWorkDirRequirement: {listing: [$(inputs.g)]}}, inputs: {f: {type: File, "
    "inputBinding: {}}, g: {type: File, default: {class: File, location: 'file:///data/x'}}}}"
)
STAGED_GIVEN = (
    "{baseCommand: cat, requirements: {InitialWorkDirRequirement: {listing: [$(inputs.g)]}}, "
    "inputs: {f: {type: File, inputBinding: {}}, g: File}}"
)
USER = {"class": "File", "location": "file:///data/y", "basename": "y", "size": 1}
STAGED_AS = (
    "{baseCommand: cat, requirements: {InitialWorkDirRequirement: {listing: [{entryname: %s, entry: $(inputs.g)}]}}, "
    "arguments: [$(inputs.g.nameroot), $(inputs.g.basename)], inputs: {g: File, s: string}}"
)
STREAM = "{baseCommand: cat, %s: $(inputs.s), inputs: {s: string}}"
ROOM = "{baseCommand: echo, arguments: [$(runtime.outdirSize)], requirements: {ResourceRequirement: {%s}}, inputs: %s}"

# What the tool is; inputs that a template is made for; inputs of that shape, or nearly, for which it may not do.
CASES: dict[str, tuple[str, Inputs, list[Inputs]]] = {
    "an int of 33 bits": (ECHO_INT, {"i": 7}, [{"i": 2**31}, {"i": -(2**31) - 1}, {"i": 2**31 - 1}, {"i": 2**70}]),
    "a long of 65 bits": (
        ECHO_INT.replace("type: int", "type: long"),
        {"i": 2**40},
        [{"i": 2**63 - 1}, {"i": 2**63}, {"i": -(2**63)}, {"i": 5}],
    ),
    "a double that is an int": (ECHO_FLOAT, {"f": 7}, [{"f": 2**31}, {"f": 2**70}, {"f": -7}]),
    "any int": (ECHO_INT.replace("int,", "Any,"), {"i": 7}, [{"i": 2**31}, {"i": 2**70}]),
    "a record with an int or a long": (RECORDS, {"r": {"x": 7}}, [{"r": {"x": 2**31}}, {"r": {"x": -1}}]),
    "a float that is no number": (
        ECHO_FLOAT,
        {"f": 0.5},
        [{"f": float("inf")}, {"f": float("-inf")}, {"f": float("nan")}, {"f": -0.0}, {"f": 1e22}, {"f": 1.8e308}],
    ),
    "a size from a float": (
        ROOM % ("outdirMin: $(inputs.x)", "{x: double}"),
        {"x": 0.5},
        [{"x": 12.5}, {"x": 2000000.0}],
    ),
    "a size from a float, for the scratch folder": (
        (ROOM % ("tmpdirMin: $(inputs.x)", "{x: double}")).replace("runtime.outdir", "runtime.tmpdir"),
        {"x": 0.5},
        [{"x": 12.5}],
    ),
    "a size from an int": (ROOM % ("outdirMin: $(inputs.x)", "{x: long}"), {"x": 5}, [{"x": 7}, {"x": 2**40}]),
    "a name that is absolute": (NAMED, {"s": "a"}, [{"s": "/abs/a"}, {"s": "//abs"}, {"s": "/"}]),
    "a name to be made shorter": (
        NAMED,
        {"s": "a"},
        [{"s": each} for each in ("a/./b", "a//b", "./a", "a/", "a/.", "..", "../a", "a/../b", ".", "a/b", "a..b")],
    ),
    "a place to be made shorter": (
        CAT,
        file(),
        [
            {"f": {**USER, "location": each}}
            for each in (
                "file:///data//y",
                "file:///data/./y",
                "file:////data/y",
                "file:///data/../y",
                "file:///data/%2E/y",
            )
        ],
    ),
    "characters that mean something in a URI": (
        CAT,
        {"f": USER},
        [
            {"f": {**USER, "location": f"file:///data/{each}", "basename": name}}
            for each, name in (
                ("a#b", "a#b"),
                ("a#b", "a"),
                ("a%23b", "a#b"),
                ("a?b", "a?b"),
                ("a;b", "a;b"),
                ("a\tb", "a\tb"),
                ("a%3Fb", "a?b"),
            )
        ],
    ),
    "a file without a name": (
        CAT,
        {"f": USER},
        [{"f": {"class": "File", "location": f"file:///data/{each}", "size": 1}} for each in ("y", "a;b", "a%FF")],
    ),
    "a name that is not UTF-8": (
        STAGED_GIVEN,
        {"f": USER, "g": {**USER, "location": "file:///data/z", "basename": "z"}},
        [{"f": USER, "g": {**USER, "location": "file:///data/a%FF", "basename": "a\udcff"}}],
    ),
    "one file given twice": (
        STAGED_GIVEN,
        {"f": file("x"), "g": file("y")},
        [{"f": file("x"), "g": file("x")}, {"f": file("y"), "g": file("x")}],
    ),
    "a file given that is another's default": (
        STAGED_DEFAULT,
        {"f": USER, "g": None},
        [{"f": {**USER, "location": "file:///data/x", "basename": "x"}, "g": None}],
    ),
    "a secondary file elsewhere": (
        CAT,
        {"f": file(secondaryFiles=[file("x.idx")])},
        [
            {"f": {**file(), "location": "a%2Fx", "secondaryFiles": [{**file("y"), "location": "b%2Fy"}]}},
            {"f": file(secondaryFiles=[file("x.idx", folder="tasks/b/out")])},
        ],
    ),
    "a size that is none": (
        "{baseCommand: cat, arguments: [$(inputs.f.size)], inputs: {f: File}}",
        {"f": file()},
        [{"f": file(size=each)} for each in (None, "12", 1.5, True, 2**63, -1, 0, 2**40)],
    ),
    "a checksum that is none": (
        "{baseCommand: cat, arguments: [$(inputs.f.checksum)], inputs: {f: File}}",
        {"f": file(checksum="sha1$1")},
        [{"f": file(checksum=each)} for each in (None, "", 7, "x y")],
    ),
    "secondary files that are none": (
        CAT.replace("type: File", "type: File, secondaryFiles: [.idx]"),
        {"f": file(secondaryFiles=[file("x.idx")])},
        [{"f": file(secondaryFiles=each)} for each in ([], None, [None], "x", [{"class": "What"}])] + [{"f": file()}],
    ),
    "a record with a class": (
        "{baseCommand: echo, inputs: {r: {type: Any, inputBinding: {}}}}",
        {"r": {"class": "x"}},
        [{"r": {"class": "y"}}, {"r": {"class": "File"}}, {"r": {"class": 3}}],
    ),
    "the words of a shell": (
        SHELL,
        {"s": "a b", "t": "cd"},
        [{"s": "A=b", "t": "true"}, {"s": "if", "t": "true;"}, {"s": "a'b", "t": "x' '"}, {"s": "%", "t": "'"}]
        + [{"s": each, "t": each} for each in ("~", "-", "a\x04b", "\x05", "ä", "a=b:c,d@e/f%g+h_i-j.k", "\n")],
    ),
    "a number of ranks": (
        "{$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}, baseCommand: echo, requirements: "
        "{'cwltool:MPIRequirement': {processes: $(inputs.i)}}, inputs: {i: int}}",
        {"i": 4},
        [{"i": 0}, {"i": -1}, {"i": 2}],
    ),
    "the tool's own PATH": (
        "{baseCommand: echo, requirements: {EnvVarRequirement: {envDef: {PATH: $(inputs.s)}}}, inputs: {s: string}}",
        {"s": "/bin"},
        [{"s": "/usr/bin"}, {"s": "/somewhere:/bin"}],
    ),
    "a name that is taken apart": (
        STAGED_AS % "$(inputs.s)",
        {"g": file(), "s": "a"},
        [{"g": file(), "s": each} for each in ("a.txt", "a/b", ".a", "b")],
    ),
    "a part of a name that is taken apart": (
        STAGED_AS % "$(inputs.g.nameroot)",
        {"g": file("x.txt"), "s": "a"},
        [{"g": file(each), "s": "a"} for each in ("x.tar.gz", "y.txt", "y")],
    ),
    "an extension that is none": (
        "{baseCommand: cat, stdin: $(inputs.f.nameext), inputs: {f: File}}",
        {"f": file("x.txt")},
        [{"f": file("x")}, {"f": file("y.gz")}],
    ),
    "an absolute name of a stream": (
        STREAM % "stdout",
        {"s": "a"},
        [{"s": each} for each in ("/abs", "a/b", "../a", "a..b", "a/", "a//b", "./a")],
    ),
    "an absolute name of errors": (STREAM % "stderr", {"s": "a"}, [{"s": each} for each in ("/abs", "..", "a/b")]),
    "an absolute name to read": (STREAM % "stdin", {"s": "a"}, [{"s": each} for each in ("/abs", "..", "a/b", "./a")]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_template_does_not_outrun_cwltool(tmp_path: Path, name: str) -> None:
    text_of, first, others = CASES[name]
    both = routes(tmp_path, text_of)
    both.light(first)
    for inputs in (first, *others):
        assert both.light(inputs) in (None, both.cwltool(inputs)), inputs


# Where one template does for many values.
LIGHT: dict[str, tuple[str, list[Inputs]]] = {
    "ints": (ECHO_INT, [{"i": 7}, {"i": -(2**31)}, {"i": 2**31 - 1}]),
    "longs": (ECHO_INT.replace("type: int", "type: long"), [{"i": 2**40}, {"i": -(2**62)}, {"i": 2**63 - 1}]),
    "floats": (ECHO_FLOAT, [{"f": 0.5}, {"f": 1e22}, {"f": -0.0}]),
    "names": (NAMED, [{"s": "a"}, {"s": "a/b"}, {"s": "a..b"}]),
    "words of a shell": (
        SHELL,
        [{"s": each, "t": each} for each in ("a b", "A=b", "if", "a'b", "ä", "plain", "a\x04b", "\n", "~x")],
    ),
    "sizes": (ROOM % ("outdirMin: $(inputs.x)", "{x: int}"), [{"x": 5}, {"x": 7}]),
}


@pytest.mark.parametrize("name", LIGHT)
def test_one_template_does_for_all_values_of_a_shape(tmp_path: Path, name: str) -> None:
    text_of, inputs = LIGHT[name]
    both = routes(tmp_path, text_of)
    assert [both.light(each) for each in inputs] == [both.cwltool(each) for each in inputs]
    assert None not in [both.light(each) for each in inputs]
    assert len(both.templates) == 1


def test_what_is_staged_exists(tmp_path: Path) -> None:
    both = routes(tmp_path, STAGED_GIVEN)
    for name in ("x", "y"):
        path = both.root / "tasks" / "a" / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    inputs = {"f": file("x"), "g": file("y")}
    guessed = {"f": file("v"), "g": file("w")}
    assert both.light(guessed) == both.cwltool(guessed)
    assert both.light(inputs) == both.cwltool(inputs) is not None
    assert len(both.templates) == 1


@pytest.mark.parametrize("in_image", [False, True])
def test_a_path_of_programs_as_the_tool_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_image: bool) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    setting = "requirements: {EnvVarRequirement: {envDef: {PATH: '/usr/bin:/bin'}}}"
    both = routes(tmp_path, ECHO_INT.replace("inputs:", f"{setting}, inputs:"), in_image=in_image)
    assert both.light({"i": 7}) == both.cwltool({"i": 7}) is not None


def test_an_absolute_name_in_an_image(tmp_path: Path) -> None:
    both = routes(tmp_path, NAMED.replace("entryname: $(", "entryname: /$("), in_image=True)
    for value in ("opt/x", "opt/y", "tmp/x", "tmp/cwl/out/x", "opt/../x"):
        assert both.light({"s": value}) in (None, both.cwltool({"s": value})), value


@pytest.mark.parametrize("in_image", [False, True])
def test_no_folder_is_made_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_image: bool) -> None:
    made: list[object] = []
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **named: made.append(named))
    both = routes(tmp_path, ECHO_INT, in_image=in_image)
    assert both.light({"i": 7}) == both.cwltool({"i": 7}) is not None
    assert made == []


POSITIONS = [
    "{baseCommand: echo, inputs: {n: {type: int, inputBinding: {position: \"$(inputs['n'])\"}}, m: {type: int, "
    "inputBinding: {position: 5}}}}",
    "{baseCommand: echo, inputs: {n: {type: int, inputBinding: {position: $(inputs.n)}}, m: {type: int, "
    "inputBinding: {position: 5}}}}",
    "{baseCommand: echo, arguments: [{valueFrom: a, position: $(inputs.n)}], inputs: {n: int, m: {type: int, "
    "inputBinding: {position: 5}}}}",
    "{baseCommand: echo, requirements: {SchemaDefRequirement: {types: [{type: record, name: R, fields: {n: {type: int, "
    "inputBinding: {position: $(inputs.m)}}, o: {type: int, inputBinding: {position: 5}}}}]}}, inputs: {m: int, "
    "r: '#R'}}",
]


@pytest.mark.parametrize("text_of", POSITIONS)
def test_no_template_where_a_value_gives_a_position(tmp_path: Path, text_of: str) -> None:
    both = routes(tmp_path, text_of)
    assert not template.may_have(both.tool)


OUTPUTS = "{baseCommand: echo, inputs: {s: string, i: int, d: {type: 'int?', default: 5}}, outputs: {o: %s}%s}"
INPUTS = {"s": "a", "i": 7, "d": None}


def test_no_light_ports_where_a_listing_is_wanted(tmp_path: Path) -> None:
    folder = "{type: Directory, outputBinding: {glob: $(inputs.s)%s}}"
    deep, none = (folder % f", loadListing: {each}" for each in ("deep_listing", "no_listing"))
    required = ", requirements: {LoadListingRequirement: {loadListing: shallow_listing}}"
    assert routes(tmp_path, OUTPUTS % (folder % "", ""), "v1.0").ports(INPUTS) is None
    assert routes(tmp_path, OUTPUTS % (deep, "")).ports(INPUTS) is None
    assert routes(tmp_path, OUTPUTS % (folder % "", required)).ports(INPUTS) is None
    for text_of in (OUTPUTS % (folder % "", ""), OUTPUTS % (none, required)):
        assert routes(tmp_path, text_of).ports(INPUTS)


def test_no_light_ports_for_what_only_cwltool_fills_in(tmp_path: Path) -> None:
    port = "{type: 'int?', outputBinding: {outputEval: $(inputs.%s)}}"
    assert routes(tmp_path, OUTPUTS % (port % "d", "")).ports(INPUTS) is None
    assert routes(tmp_path, OUTPUTS % (port % "i", "")).ports(INPUTS)


def test_no_light_ports_for_a_format_that_is_no_text(tmp_path: Path) -> None:
    text_of = OUTPUTS % ("{type: File, format: $(inputs.d), outputBinding: {glob: x}}", "")
    assert routes(tmp_path, text_of.replace(", default: 5", "")).ports(INPUTS) is None


def test_javascript_in_a_glob_costs_no_template(tmp_path: Path) -> None:
    port = "{type: File, outputBinding: {glob: \"$(inputs.s + 'x')\"}}"
    both = routes(tmp_path, OUTPUTS % (port, ", requirements: {InlineJavascriptRequirement: {}}"))
    assert both.ports(INPUTS) is None
    assert both.light(INPUTS) == both.cwltool(INPUTS) is not None
    found = template.make(both.tool, INPUTS, both.root)
    assert found is not None
    assert template.agrees(found[1], both.tool, INPUTS, both.root)


def test_a_template_that_cwltool_does_not_agree_with(tmp_path: Path) -> None:
    both = routes(tmp_path, CAT)
    found = template.make(both.tool, {"f": file()}, both.root)
    assert found is not None
    assert template.agrees(found[1], both.tool, {"f": file("y")}, both.root)
    found[1]["command"]["argv"][0] = "dog"
    assert not template.agrees(found[1], both.tool, {"f": file("y")}, both.root)
    assert not template.agrees(found[1], both.tool, {"f": {**USER, "location": "file:///a#b"}}, both.root)
