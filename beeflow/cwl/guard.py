"""Keep the expressions of somebody else's archive to its own files, and to its inputs.

What an archive reaches for is found by reading it (beeflow.trust), but for what an expression makes, which shows only
when it is evaluated. There is one place where values come back from JavaScript, the engine: a File or Directory among
them that is elsewhere than it may be is refused before anything looks at it. Names that are only text (a glob, a
secondary file) become paths as cwltool asks the file system for them, and locations as they are mapped.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cwl_utils.sandboxjs import JSEngine, NodeJSEngine, get_js_engine, set_js_engine
from cwltool.errors import WorkflowException
from cwltool.stdfsaccess import StdFsAccess, abspath

from beeflow import locations
from beeflow.cwl.confined import ENGINE
from beeflow.cwl.places import Places
from beeflow.errors import BeeError
from beeflow.tables import one_line

WHY = (
    "reads a file or folder of this host, whatever is in it, and the archive is not one of yours: this takes trust in "
    "who made it; look at it with bee-inspect, and if that is what you want, re-execute it with --trust"
)
_NAMES = ("id", "class", "name")
_WIDTH = 1000


class Guard:
    """What expressions may name as they are evaluated for one task or step.

    ``root``: the workflow directory; ``given``: values with the files that they were given, locations absolute.
    ``document``: where the expressions are, to say which it was. ``beside``: see Places.
    """

    def __init__(self, root: Path, given: Any, document: Any, *, beside: bool = False) -> None:
        self.root = str(root)
        self.document = document
        self.places = Places((self.root,), self.root, beside).give(given)
        self.beside = beside
        self.refused: str | None = None

    @contextlib.contextmanager
    def watching(self, kind: type[BeeError], what: str = "") -> Iterator[None]:
        """Look at all that expressions make meanwhile; raises an error of the given kind for what is refused.

        cwltool makes other errors of ours, or none. ``what``: begins the message.
        """
        engine = get_js_engine()
        # What stands in for node says of no expression what it would make (beeflow.cwl.template).
        set_js_engine(_Watched(ENGINE if type(engine) is NodeJSEngine else engine, self))
        try:
            yield
        except Exception as error:
            if self.refused is None:
                raise
            raise kind(f"{what}{self.refused}") from error
        finally:
            set_js_engine(engine)
        if self.refused is not None:
            raise kind(f"{what}{self.refused}")

    def files(self, base: str) -> StdFsAccess:
        """Return what cwltool asks for files (RuntimeContext.make_fs_access)."""
        return _Files(base, self.check_place)

    def check_place(self, place: str) -> None:
        """Refuse a location or path that is elsewhere."""
        if not self.places.admit(place):
            self._refuse("an expression, or a text that is taken for a path,", place)

    def check_value(self, made: Any, code: str, library: str) -> None:
        """Refuse what an expression made. ``library``: what was written for JavaScript of what it was given."""
        # Most make a text or a number, which is looked at where it is taken for a path.
        if not any(True for _ in locations.possible_entries(made, inner=True)):
            return
        fields = list(_where(self.document, f"${code}"))
        # What goes along with a file needs no class.
        is_inner = any(each.endswith("secondaryFiles/pattern") for each in fields)
        own = self._places_of(library)
        for entry in locations.possible_entries(made, inner=is_inner):
            for _, place in locations.places(entry):
                refused = own.refused(place)
                if refused:
                    self._refuse(f"{next(iter(fields), 'an expression')}: ${one_line(code, 80)}", refused)

    def _places_of(self, library: str) -> Places:
        """Return where an expression may find files: what it was given, and its own folders."""
        inputs, context, runtime = given_to(library)
        found = Places((self.root,), runtime.get("outdir") or self.root, self.beside).give([inputs, context])
        found.folders.update(each for each in (runtime.get("outdir"), runtime.get("tmpdir")) if isinstance(each, str))
        return found

    def _refuse(self, what: str, place: str) -> None:
        self.refused = self.refused or f"{what} makes {one_line(place, _WIDTH)}: {WHY}"
        raise WorkflowException(self.refused)


def given_to(library: str) -> tuple[Any, Any, dict[str, Any]]:
    """Read inputs, self and runtime as an expression has them; nothing where they are not there.

    They stand at the end of what goes before it (cwl_utils.expression.jshead), whatever an expressionLib may say.
    """
    text, found = f"\n{library}", []
    end = text.rfind("\nvar inputs = ")
    try:
        for name in ("inputs", "self", "runtime"):
            begin = f"\nvar {name} = "
            if end < 0 or not text.startswith(begin, end):
                return None, None, {}
            value, end = json.JSONDecoder().raw_decode(text, end + len(begin))
            found.append(value)
            end += 1  # the semicolon
    except ValueError:
        return None, None, {}
    inputs, context, runtime = found
    return (inputs, context, runtime) if end == len(text) and isinstance(runtime, dict) else (None, None, {})


def _where(value: Any, text: str) -> Iterator[str]:
    """Yield where a text is in a document: "inputs/f/secondaryFiles/pattern"."""
    if isinstance(value, str) and text in value:
        yield ""
    pairs: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        pairs = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        pairs = [(_name(each), each) for each in value]
    for name, each in pairs:
        for inner in _where(each, text):
            yield "/".join(part for part in (name, inner) if part)


def _name(value: Any) -> str:
    found = [str(value[key]) for key in _NAMES if key in value] if isinstance(value, dict) else []
    return found[0].rpartition("#")[2].rpartition("/")[2] if found else ""


class _Watched(JSEngine):
    """Another engine, with somebody who looks at what comes back."""

    def __init__(self, engine: JSEngine, guard: Guard) -> None:
        self.engine = engine
        self.guard = guard

    def eval(self, scan: str, jslib: str = "", *args: Any, **kwargs: Any) -> Any:
        """Evaluate JavaScript."""
        made = self.engine.eval(scan, jslib, *args, **kwargs)
        self.guard.check_value(made, scan, jslib)
        return made

    def regex_eval(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate a parameter reference: what it finds is a part of what it was given."""
        return self.engine.regex_eval(*args, **kwargs)


class _Files(StdFsAccess):
    """The files that there are for cwltool."""

    def __init__(self, base: str, check: Callable[[str], None]) -> None:
        super().__init__(base)
        self.check = check

    def _abs(self, p: str) -> str:
        path = str(abspath(p, self.basedir))
        self.check(p if p.startswith("_:") else path)
        return path
