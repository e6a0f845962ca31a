"""Dependencies point down only (STYLE.md, "The house")."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "beeflow"

LAYERS = {
    0: "states errors terminal",
    1: "models graph command codec",
    2: "plan ordering values layout process tables locations resources shape windows environment removal procs sharing "
    "policy tries masking paths publishing hints secret_values",
    3: "store archive attempts elements results cwl scheduler container config private_slurm inputs staging scripts "
    "site workdir locking embedding credentials noting recognising",
    4: "workflow control actions holding submit rerun copying remote watch listing reduction submission driver epilog "
    "passes look group_jobs groups interrupted settling outcome successor node finished cleaning retry regrouping "
    "archiving archived surroundings by_hand enclosing earlier comparing trust crate inspecting",
    5: "cli applying commands advance runner",
}
LAYER = {room: layer for layer, rooms in LAYERS.items() for room in rooms.split()}

CWL_LIBRARIES = {"cwltool", "schema_salad", "cwl_utils", "ruamel", "rdflib"}
# What may print and end the process: what is a program itself.
PROGRAMS = {"cli", "applying", "commands", "advance", "runner.__main__", "runner.launch", "private_slurm.rename_host"}
# Modules that no command that only looks, and no pass that only waits, must pay for.
HEAVY = {"cwltool", "schema_salad", "cwl_utils", "ruamel", "rdflib", "pyslurm", "matplotlib", "numpy"}


def modules() -> dict[str, ast.Module]:
    """Parse all modules: dotted name below beeflow ("" is the package itself) -> tree."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield every imported module, wherever the import stands; "from a import b" as a.b where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports are not read here"
            for each in node.names:
                name = f"{node.module}.{each.name}"
                yield name if name.removeprefix("beeflow.") in MODULES else str(node.module)


def edges(name: str) -> set[str]:
    """List what a module of ours imports of ours."""
    ours = (each for each in imported(MODULES[name]) if each.startswith("beeflow."))
    return {each.removeprefix("beeflow.") for each in ours}


def room(name: str) -> str:
    """Name the room of the house that a module is in."""
    return name.partition(".")[0]


def test_every_module_has_a_layer() -> None:
    assert {room(name) for name in MODULES if name} - {"data"} == set(LAYER)


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_point_down(name: str) -> None:
    mine = LAYER[room(name)]
    upward = sorted(each for each in edges(name) if LAYER[room(each)] > mine)
    assert not upward, f"beeflow.{name} (layer {mine}) imports {', '.join(upward)}"


def test_there_are_no_cycles() -> None:
    graph = {name: edges(name) for name in MODULES}
    done: set[str] = set()
    for start in graph:
        path: list[str] = []

        def visit(name: str, path: list[str] = path) -> None:
            assert name not in path, " -> ".join([*path[path.index(name) :], name])
            if name not in done:
                path.append(name)
                for each in sorted(graph.get(name, ())):
                    visit(each)
                path.pop()
                done.add(name)

        visit(start)


def test_rooms_of_one_layer_do_not_need_each_other_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for name in MODULES:
        rooms.setdefault(room(name), set()).update(room(each) for each in edges(name))
    for name, needed in rooms.items():
        both = {each for each in needed - {name} if name in rooms.get(each, set())}
        assert not both, f"{name} and {both} import each other"


@pytest.mark.parametrize("name", list(MODULES))
def test_libraries_have_one_importer(name: str) -> None:
    tops = {each.partition(".")[0] for each in imported(MODULES[name])}
    if room(name) != "cwl":
        assert not tops & CWL_LIBRARIES
    if name != "process":
        assert "subprocess" not in tops
    if room(name) != "scheduler":
        assert "pyslurm" not in tops


@pytest.mark.parametrize("name", [name for name in MODULES if not {name, room(name)} & PROGRAMS])
def test_only_programs_print_and_exit(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "quit", "os._exit"), f"line {node.lineno}: {called}"
        assert ast.unparse(node) != "SystemExit" if isinstance(node, ast.Name) else True


LIGHT = (
    "commands.list commands.query commands.cancel commands.start commands.remove commands.clean commands.verify "
    "commands.inspect advance"
)


@pytest.mark.parametrize("module", LIGHT.split())
def test_what_mostly_needs_no_cwltool_does_not_load_it(module: str) -> None:
    script = f"import sys, beeflow.{module}; print(*sys.modules)"
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert f"beeflow.{module}" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
