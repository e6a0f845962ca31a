"""Verify archives: say whether each is whole, and if not what is wrong with which file of it. Nothing is written.

All of an archive is read once: every file is compared with the manifest, every byte of the archive with the seal at its
end, and the whole with what is written beside it, where that is there. Anything is refused that beeflow does not put
into archives: links, devices, names that lead elsewhere, files that the manifest does not know.

With --quick the archive is not unpacked. Its bytes are compared with its seal, and with what is written beside it, and
its description is read: that finds all that happened to it since it was packed. It does not find that somebody packed
what he should not have: files that the manifest does not vouch for, or what is unsafe to unpack.

exit code, the greatest of all archives: 0 whole; 75 damaged or unsafe; 79 incomplete; 80 none of beeflow's, or of a
newer beeflow; 3 there is none; 4 the workflow has none of its end yet; 74 it cannot be read

examples:
  bee-verify 3fc631bb
  bee-verify --quick ~/.beeflow/archives/*.tgz
  bee-verify --json ./from-a-stranger.tgz
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from beeflow import cli, paths, tables, workflow
from beeflow.archive import verifying
from beeflow.archive.lacking import say_lost
from beeflow.archive.limits import Limits
from beeflow.archive.verifying import Verified
from beeflow.errors import ArchiveError, BeeError
from beeflow.layout import split_archive_name

_WIDTH = 1000


@dataclass(frozen=True)
class Verdict:
    """What came of one archive. ``asked``: the user's word for it."""

    asked: str
    found: Verified | None = None
    has_sidecar: bool = False
    error: BeeError | None = None

    @property
    def exit_code(self) -> int:
        """0 when it is whole."""
        return self.error.exit_code if self.error else 0


def main(argv: Sequence[str]) -> int:
    """Verify."""
    parser = cli.parser("bee-verify", __doc__)
    parser.add_argument("archives", metavar="ARCHIVE|ID", nargs="+", help="an archive, or the id of a workflow")
    parser.add_argument("--quick", action="store_true", help="compare its bytes with its seal, and unpack nothing")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    cli.add_large(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    verdicts = []
    for text in arguments.archives:
        verdict = judge(text, quick=arguments.quick, allowed=cli.limits_of(arguments))
        verdicts.append(verdict)
        if not arguments.json:
            show(verdict, quick=arguments.quick)
    if arguments.json:
        print(json.dumps([as_json(each) for each in verdicts], indent=1))
    return max(each.exit_code for each in verdicts)


def judge(text: str, *, quick: bool, allowed: Limits) -> Verdict:
    """Verify one archive."""
    try:
        path, top = Path(text), None
        if not paths.is_file(path):
            path = workflow.locate(cli.load_config(), text)
            top = split_archive_name(path.stem)[0]
        found = verifying.examine_quickly(path, allowed) if quick else verifying.examine(path, top, allowed)
        if top is not None and found.description.id != top:
            raise ArchiveError(f"{path}: it is the archive of {found.description.id}, not of {top}")
        return Verdict(text, found, verifying.compare_with_sidecar(found.packed))
    except BeeError as error:
        return Verdict(text, error=error)


def show(verdict: Verdict, *, quick: bool) -> None:
    """Print a line: the verdict on stdout, and on stderr that there is none."""
    if verdict.found is None:
        if isinstance(verdict.error, ArchiveError):
            print(tables.one_line(str(verdict.error).replace("\n  ", " "), _WIDTH), flush=True)
        else:
            cli.error(str(verdict.error))
        return
    packed, what = verdict.found.packed, verdict.found.description
    parts = [f"{tables.one_line(what.name)} ({what.state.value})", tables.size(packed.size)]
    if not quick:
        files = "1 file" if verdict.found.files == 1 else f"{verdict.found.files} files"
        parts.append(f"{files}, {tables.size(verdict.found.unpacked_size)} unpacked")
    parts.append("as it was archived" if verdict.has_sidecar else "nothing beside it to compare with")
    if what.lost:
        parts.append(say_lost(len(what.lost)))
    print(
        f"{tables.one_line(str(packed.path), _WIDTH)}: {'ok as packed' if quick else 'ok'}: {', '.join(parts)}",
        flush=True,
    )


def as_json(verdict: Verdict) -> dict[str, Any]:
    """Say it for programs."""
    made: dict[str, Any] = {"archive": verdict.asked, "ok": verdict.found is not None, "exit_code": verdict.exit_code}
    if verdict.found is None:
        return {**made, "error": str(verdict.error)}
    packed, what = verdict.found.packed, verdict.found.description
    return {
        **made,
        "path": str(packed.path),
        "id": what.id,
        "name": what.name,
        "state": what.state.value,
        "format": what.format,
        "size": packed.size,
        "sha256": packed.sha256,
        "sidecar": verdict.has_sidecar,
        "lost": list(what.lost),
        "files": verdict.found.files or None,
        "unpacked_size": verdict.found.unpacked_size or None,
    }


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
