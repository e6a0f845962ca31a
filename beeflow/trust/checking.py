"""Decide whether what an archive would run may be run: it is the user's own, or needs a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beeflow import archived, store
from beeflow.archive.verifying import Packed
from beeflow.config import Config
from beeflow.errors import TrustError
from beeflow.tables import one_line
from beeflow.trust import agreement, documents, shipped, tools
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import WORKFLOW, Shipped

_WIDTH = 300


def risks(found: Shipped) -> list[Risk]:
    """List what takes trust in an archive, each once; raises ArchiveError for one that makes no sense."""
    with shipped.making_sense(found.path):
        return list(dict.fromkeys([*tools.risks(found), *documents.risks(found), *agreement.risks(found)]))


def check(packed: Packed, unpacked: Path, config: Config, *, trusted: bool) -> None:
    """Raise TrustError, naming each of them, when an archive would do what only its owner may have meant.

    ``unpacked``: the folder it is in. It may if the user says so (``trusted``), or if it is his own.
    """
    if trusted or is_own(packed, config):
        return
    found = risks(shipped.of_folder(packed, unpacked))
    if found:
        lines = (f"  {one_line(each.where)}: {one_line(each.what, _WIDTH)}: {each.why}" for each in found)
        raise TrustError(
            f"{packed.path}: not an archive of yours, and this takes trust in who made it:\n"
            + "\n".join(lines)
            + f"\nlook at it with: bee-inspect {packed.path}\nand if that is what you want, add --trust"
        )


def is_foreign(packed: Packed, unpacked: Path, config: Config, *, trusted: bool) -> bool:
    """True where what the expressions of an archive make is to be looked at as they are evaluated.

    Nobody said that who made them is trusted, here or when the user's own archive was made of somebody else's.
    """
    return not trusted and (not is_own(packed, config) or _was_foreign(unpacked))


def refuse(path: Path, made: Sequence[str]) -> None:
    """Raise TrustError for what expressions of an archive made that is not its own (beeflow.cwl.guard)."""
    if made:
        raise TrustError(f"{path}: " + "\n".join(dict.fromkeys(made)))


def _was_foreign(unpacked: Path) -> bool:
    found = store.read_json(path) if (path := unpacked / WORKFLOW).is_file() else {}
    return bool(found.get("foreign"))


def is_own(packed: Packed, config: Config) -> bool:
    """True for an archive that this user's own workflow made here, and that is still the same."""
    sidecar = archived.own_sidecar(packed.path, config.bee_archive_dir)
    return sidecar is not None and sidecar.sha256 == packed.sha256
