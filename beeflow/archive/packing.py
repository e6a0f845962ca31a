"""Pack a workflow directory into one archive; nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from beeflow import publishing, sharing, store
from beeflow.archive import deflating, room, verifying, writing
from beeflow.archive.contents import Source
from beeflow.archive.deflating import Codec
from beeflow.archive.limits import UNLIMITED
from beeflow.archive.verifying import Packed
from beeflow.archive.writing import Changed, Finish, Look, Member
from beeflow.errors import SystemFileError
from beeflow.layout import ARCHIVE_SUFFIX

__all__ = ["Finish", "Member", "TakenError", "pack"]

PART_SUFFIX = ".part"
# Of random names for the temporary one is free at once.
_TRIES = 10


class TakenError(Exception):
    """There is an archive of that name; nothing was overwritten."""


def pack(
    top: str,
    sources: Sequence[Source],
    archive_dir: Path,
    name: str | None = None,
    gid: int | None = None,
    *,
    finish: Finish = lambda _: (),
    look: Look = writing.as_it_is,
    changed: Changed = writing.refuse,
    codec: Codec | None = None,
    threads: int | None = None,
) -> Packed:
    """Write <archive_dir>/<name, else top>.tgz: temporary beside it, fsync, read back, link without overwriting.

    DESCRIPTION, if it is among the sources, comes first; the others in the order of their names. Raises TakenError when
    there is an archive of that name, ArchiveError or SystemFileError (no space, no permission, a file that changed),
    and leaves nothing behind. ``gid``: of the group that may read it. ``look``: says what to pack of a file, just
    before it is. ``changed``: told of a source that vanished or became shorter.
    """
    final = archive_dir / f"{name or top}{ARCHIVE_SUFFIX}"
    count = deflating.threads(os.environ, len(os.sched_getaffinity(0))) if threads is None else threads
    try:
        if not archive_dir.is_dir():
            sharing.make_folder(archive_dir, gid)
        if os.path.lexists(final):
            raise TakenError(final)
        reap(archive_dir, top)
        with _temporary(final) as (temporary, descriptor):
            with os.fdopen(descriptor, "wb", buffering=0, closefd=False) as raw:
                room.reserve(raw.fileno(), final, sources)
                how = codec or deflating.fastest()
                writing.write(raw, top, sources, finish, codec=how, threads=count, look=look, changed=changed)
                # What was reserved and not needed goes back.
                raw.truncate()
                os.fsync(raw.fileno())
            packed = verifying.verify(temporary, top, UNLIMITED)
            sharing.settle_file(temporary, gid)
            publishing.publish(temporary, final)
            store.sync_folder(archive_dir)
    except FileExistsError as error:
        raise TakenError(final) from error
    except OSError as error:
        hint = f"; make room in {archive_dir} and archive again" if error.errno in room.NO_ROOM else ""
        raise SystemFileError(f"{final}: the archive was not written: {error.strerror or error}{hint}") from error
    return Packed(final, packed.sha256, packed.size)


@contextlib.contextmanager
def _temporary(final: Path) -> Iterator[tuple[Path, int]]:
    """Make a file beside the one that it is to become, open and locked as long as we live; it goes in any case."""
    names = (str(os.getpid()), *(str(random.randrange(10**9, 10**10)) for _ in range(_TRIES)))  # noqa: S311 - no secret
    for each in names:
        path = final.with_name(f".{final.name}.{each}{PART_SUFFIX}")
        descriptor = _create(path)
        if descriptor is not None:
            break
    else:
        raise SystemFileError(f"{final}: no name is free for what is to become it")
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def _create(path: Path) -> int | None:
    """Create a file and lock it; None when the name is taken, or somebody took it for a leftover just now."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return None
    try:
        with contextlib.suppress(OSError):
            # Only tells others that it is in use: a file system without locks is no reason not to write.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def reap(archive_dir: Path, top: str) -> None:
    """Remove what killed archivers of a workflow left; where locks do not tell, it is bee-clean's, once it is old."""
    for path in archive_dir.glob(f".{top}*{PART_SUFFIX}"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
