"""Compare the outputs of two runs: by hashes, and where these differ and it is asked for, by what is in the files."""

from __future__ import annotations

import fnmatch
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from beeflow.comparing import contents
from beeflow.comparing.files import Content
from beeflow.comparing.runs import Run
from beeflow.comparing.texts import How
from beeflow.comparing.tolerance import EXACT
from beeflow.comparing.values import Values, union
from beeflow.comparing.verdicts import Difference, Item, Verdict, judged
from beeflow.errors import SystemFileError

# Files that are only to be shown are fetched up to this size, and so many of them.
_SHOWN_SIZE = 16 << 20
_SHOWN_FILES = 50


@dataclass(frozen=True)
class Outputs:
    """Compares outputs. ``ignore``: patterns of shells, for names of outputs and files that are not looked at."""

    a: Run
    b: Run
    how: How
    ignore: tuple[str, ...] = ()

    def compare(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Item, ...]:
        """Compare two output objects."""
        values = Values(self.a, self.b, self.how.tolerance or EXACT)
        found = {name: self._marked(list(values.compare(name, a.get(name), b.get(name)))) for name in union(a, b)}
        looked_into = self._look_into([each for differences in found.values() for each in differences])
        return tuple(judged(name, [looked_into.get(id(each), each) for each in found[name]]) for name in found)

    def _marked(self, differences: list[Difference]) -> list[Difference]:
        return [replace(each, verdict=Verdict.IGNORED) if self._is_ignored(each) else each for each in differences]

    def _is_ignored(self, each: Difference) -> bool:
        names = {each.where, each.basename, each.where.removesuffix(".basename")} - {""}
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore for name in names)

    def _look_into(self, differences: Sequence[Difference]) -> dict[int, Difference]:
        """Compare the contents of files whose hashes differ: id() of a difference -> what became of it."""
        wanted = [found for each in differences if each.verdict is Verdict.DIFFERS for found in _readable(each)]
        if not self.how.lenient:
            small = [each for each in wanted if max(each.a.size or 0, each.b.size or 0) <= _SHOWN_SIZE]
            wanted = small[:_SHOWN_FILES] if self.how.lines else []
        if not wanted:
            return {}
        with self._fetched(wanted) as (left, right):
            return {
                id(each.difference): judge(each.difference, left[each.a.name or ""], right[each.b.name or ""], self.how)
                for each in wanted
            }

    @contextmanager
    def _fetched(self, wanted: Sequence[_Pair]) -> Iterator[tuple[dict[str, Path], dict[str, Path]]]:
        try:
            with tempfile.TemporaryDirectory(prefix="bee-diff-") as top:
                folders = Path(top, "a"), Path(top, "b")
                for folder in folders:
                    folder.mkdir()
                yield (
                    self.a.files.fetch([each.a.name or "" for each in wanted], folders[0]),
                    self.b.files.fetch([each.b.name or "" for each in wanted], folders[1]),
                )
        except OSError as error:
            raise SystemFileError(f"{error.filename or tempfile.gettempdir()}: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Pair:
    difference: Difference
    a: Content
    b: Content


def _readable(difference: Difference) -> Iterator[_Pair]:
    """Yield the two files of a difference that is one of contents, if both can be had."""
    if difference.pair is not None and all(each.name for each in difference.pair):
        yield _Pair(difference, *difference.pair)


def judge(difference: Difference, a: Path, b: Path, how: How) -> Difference:
    """Look into two files."""
    found = contents.compare(a, b, how)
    verdict = Verdict.EQUIVALENT if found.same else Verdict.DIFFERS
    return replace(difference, verdict=verdict, detail=found.detail, lines=found.lines)
