"""Random inputs of the types that a tool declares: a template gives what cwltool makes of them, or there is none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beeflow.cwl import schema_cache
from beeflow.cwl.documents import short_name
from beeflow.locations import to_uri
from tests.cwl.routes import Command, Inputs, Routes, compiled
from tests.cwl.test_template import FLOATS, NUMBERS, ODD

TEXTS = [
    *ODD,
    "",
    "A=b",
    "if",
    "!",
    "a/b",
    "/abs",
    "a//b",
    "./a",
    "../a",
    "a/../b",
    "..",
    "a\0b",
    "ünï",
    "\x02'4s\x03",
    "x" * 300,
]
LONGS = [2**31, -(2**31) - 1, 2**40, 2**63 - 1, -(2**63), 2**63, 10**30]
REALS = [*FLOATS, -0.0, 1e22, 1e16, 1.8e308, float("inf"), float("nan"), 7, 2**33]
WRONG = [None, True, 3, 2.5, "text", [], ["a"], {}, {"a": 1}, {"class": "File"}]
# What enums of the tools below have.
SYMBOLS = ["p", "q", "x", "y"]
FORMATS = ["http://x.org/a", "http://x.org/b"]
# So often a value is not of its type.
RARELY = 0.03


class Chance:
    """Makes values of types. ``root``: the workflow directory."""

    def __init__(self, seed: str, root: Path) -> None:
        self.random = random.Random(seed)
        self.root = root

    def of(self, kind: Any) -> Any:
        """Make a value of a type as a resolved document has it."""
        if self.random.random() < RARELY:
            return self.random.choice(WRONG)
        if isinstance(kind, list):
            return self.of(self.random.choice(kind))
        if isinstance(kind, dict):
            return self.compound(kind)
        makers: dict[str, Callable[[], Any]] = {
            "null": lambda: None,
            "boolean": lambda: self.random.random() < 0.5,
            "string": lambda: self.random.choice(TEXTS),
            "int": lambda: self.whole(0.1),
            "long": lambda: self.whole(0.4),
            "float": lambda: self.random.choice([*REALS, self.random.random()]),
            "double": lambda: self.random.choice([*REALS, self.random.random() * 1e9]),
            "File": self.file,
            "Directory": self.folder,
            "Any": lambda: self.of(self.random.choice(["string", "int", "double", "File", "boolean", ANYTHING])),
        }
        return makers[kind]()

    def compound(self, kind: dict[str, Any]) -> Any:
        """Make a value of a type with a name or with parts."""
        if kind["type"] == "array":
            return [self.of(kind["items"]) for _ in range(self.random.choice([0, 1, 1, 2, 3]))]
        if kind["type"] == "enum":
            return short_name(self.random.choice(kind["symbols"])).rpartition("/")[2]
        if kind["type"] == "record":
            return {short_name(each["name"]).rpartition("/")[2]: self.of(each["type"]) for each in kind["fields"]}
        return self.of(kind["type"])

    def whole(self, long: float) -> int:
        """Make a whole number, sometimes of more than 32 bits."""
        return self.random.choice(LONGS if self.random.random() < long else NUMBERS)

    def place(self) -> tuple[str, str]:
        """Choose where a file is: a location, and its name. Some are there."""
        name = self.random.choice([each for each in ODD if "/" not in each])
        folder = self.random.choice(["tasks/a/out", "tasks/b c/out", f"tasks/{self.random.choice(ODD)}/out"])
        if self.random.random() < 0.3:
            path = Path("/nowhere", self.random.choice(["a", "b c", "tasks"]), name)
            return to_uri(path), name
        if self.random.random() < 0.5:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
            (self.root / folder / name).touch()
        location = to_uri(Path("/", folder, name))[len("file:///") :]
        return (f"{to_uri(self.root)}/{location}" if self.random.random() < 0.1 else location), name

    def file(self) -> Inputs:
        """Make a File."""
        location, name = self.place()
        made = {"class": "File", "location": location, "basename": name}
        extras: Inputs = {
            "size": self.random.choice([0, 12, 2**33]),
            "checksum": f"sha1${self.random.randrange(10**9)}",
            "format": self.random.choice(FORMATS),
            "secondaryFiles": [
                {**made, "location": f"{location}{each}", "basename": f"{name}{each}", "size": 1}
                for each in self.random.choice([[".idx"], [".idx", ".two"], []])
            ],
            "contents": "text",
            "nameroot": "wrong",
        }
        for extra, chance in zip(extras, (0.9, 0.5, 0.3, 0.3, 0.02, 0.1), strict=True):
            if self.random.random() < chance:
                made[extra] = extras[extra]
        if self.random.random() < 0.05:
            made["basename"] = "another"
        if self.random.random() < 0.02:
            del made["location"]
        return made

    def varied(self, value: Any) -> Any:
        """Make another value that looks the same."""
        if isinstance(value, dict) and value.get("class") in ("File", "Directory") and "location" in value:
            return self.moved(value)
        if isinstance(value, dict):
            return {name: self.varied(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.varied(each) for each in value]
        if value is None or isinstance(value, bool) or value in ("", *SYMBOLS) or self.random.random() < 0.2:
            return value
        if isinstance(value, str):
            return self.random.choice(TEXTS)
        return self.random.choice(REALS) if isinstance(value, float) else self.whole(0.3)

    def moved(self, entry: Inputs) -> Inputs:
        """Make another File or Directory with the same fields."""
        location, name = self.place()
        made = {**entry, "location": location, "basename": name}
        if "size" in made:
            made["size"] = self.random.randrange(2**40)
        if made.get("secondaryFiles"):
            ends = [each["basename"][len(entry["basename"]) :] for each in entry["secondaryFiles"]]
            made["secondaryFiles"] = [
                {**each, "location": f"{location}{end}", "basename": f"{name}{end}"}
                for each, end in zip(entry["secondaryFiles"], ends, strict=True)
            ]
        return made

    def folder(self) -> Inputs:
        """Make a Directory."""
        location, name = self.place()
        made: Inputs = {"class": "Directory", "location": location, "basename": name}
        if self.random.random() < 0.1:
            made["location"] += "/"
        if self.random.random() < 0.1:
            made["listing"] = [self.file()]
        return made


ANYTHING = {
    "type": "array",
    "items": ["string", "int", {"type": "record", "fields": [{"name": "a", "type": ["string", "File"]}]}],
}

TOOLS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("random_tools.yml").read_text(encoding="utf-8"))
IN_VERSION = {
    "optional secondary files": ["v1.1", "v1.2"],
    "limits": ["v1.1", "v1.2"],
    "made objects": ["v1.2"],
    "records": ["v1.2"],
}
# Where hardly any input is that cwltool takes, or all are left to it.
SELDOM_LIGHT = {"staged by another name", "more of files", "anything", "sizes", "limits"}


@pytest.mark.parametrize(("version", "in_image"), [("v1.0", False), ("v1.1", True), ("v1.2", False)])
@pytest.mark.parametrize("name", TOOLS)
def test_random_inputs(tmp_path: Path, name: str, version: str, in_image: bool) -> None:
    if version not in IN_VERSION.get(name, [version]):
        pytest.skip("of a later version")
    made = list(random_commands(tmp_path, name, version, in_image=in_image, count=10))
    for light, wanted, inputs in made:
        assert light in (None, wanted), inputs
    assert any(light for light, *_ in made) or name in SELDOM_LIGHT or version == "v1.0"


Made = tuple[Command | None, Command | None, Inputs]


def random_commands(folder: Path, name: str, version: str, *, in_image: bool, count: int) -> Iterator[Made]:
    """Yield what comes of random inputs, and of others that look the same: by a template, by cwltool, and of what."""
    schema_cache.install(folder.parent / "cache")
    both = Routes(compiled(folder, yaml.safe_dump(TOOLS[name]), version, in_image=in_image), folder / "workflow")
    chance = Chance(f"{name} {version} {in_image}", both.root)
    for _ in range(count):
        first = {short_name(each["id"]): chance.of(each["type"]) for each in both.tool.document["inputs"]}
        for inputs in (first, chance.varied(first), chance.varied(first)):
            light = both.light(inputs)
            yield light, both.cwltool(inputs) if light else None, inputs
