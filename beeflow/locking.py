"""Locks between processes, on whichever host: the one place for them. What is correct does not hang on any.

fcntl: flock(2), by filelock; the kernel drops it when its holder dies. soft: a file that is there while somebody holds
the lock, for file systems without locks. Which of them: "lock" in bee.conf; auto is fcntl, and soft where the file
system says that it has none.

Beside a lock that is held a file says by whom. A soft lock whose holder was killed stays behind: its host is asked
about the process, or Slurm about the job. It is never judged by its age.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import inspect
import logging
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import filelock

from beeflow import codec, procs, publishing, store
from beeflow.errors import BeeError, SystemFileError, TransitionError
from beeflow.models import Holder, now

log = logging.getLogger(__name__)

AUTO, FCNTL, SOFT = "auto", "fcntl", "soft"
HOLDER_SUFFIX = ".holder"

# Says whether Slurm has a job of the holder's that has not ended; raises BeeError when it does not say.
IsLive = Callable[[Holder], bool]

_POLL_S = 0.1
# A job that held a lock when Slurm was asked may have been killed since.
_ASK_AGAIN_S = 60.0
# What file systems answer that have no locks, or whose lock service is down (flock(2), fcntl(2)).
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
# Later releases of filelock would take soft locks of their own, which they do judge by age.
_STRICT: dict[str, Any] = (
    {"fallback_to_soft": False} if "fallback_to_soft" in inspect.signature(filelock.FileLock).parameters else {}
)


class LockedError(TransitionError):
    """Another process holds the lock, and goes on holding it."""


class StaleLockError(SystemFileError):
    """Nobody can say whether the holder of a soft lock is alive."""


class NoLocksError(SystemFileError):
    """The file system has no locks."""


@dataclass(frozen=True)
class Lock:
    """A lock, by the path of its file. ``is_live``: asks the Slurm whose jobs take it, where one can be asked.

    ``shown``: the path that messages have, where ``path`` is one that only this process knows.
    """

    path: Path
    kind: str = AUTO
    is_live: IsLive | None = None
    shown: Path | None = None

    @property
    def name(self) -> Path:
        """The path that messages have."""
        return self.shown or self.path

    @property
    def holder_path(self) -> Path:
        """Where it is written who holds it; for a soft lock, the lock itself."""
        return holder_path(self.path)

    @contextlib.contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock; raises LockedError when somebody else does for so long, naming who that is."""
        with contextlib.ExitStack() as stack:
            if self.kind == SOFT:
                stack.enter_context(self._soft(timeout_s))
            else:
                try:
                    stack.enter_context(self._fcntl(timeout_s))
                except NoLocksError as error:
                    if self.kind == FCNTL:
                        raise
                    log.info("%s; taking a soft lock", error)
                    stack.enter_context(self._soft(timeout_s))
            yield

    # -- flock ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _fcntl(self, timeout_s: float) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                # The open folder by a name: filelock would make one anew that another command has removed.
                folder = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, folder)
                path = f"/proc/self/fd/{folder}/{self.path.name}"
                stack.enter_context(filelock.FileLock(path, timeout=timeout_s, **_STRICT))
            except filelock.Timeout:
                raise self._locked(read_holder(self.holder_path), timeout_s) from None
            except NotImplementedError as error:
                # Earlier releases of filelock, of ENOSYS.
                raise self._no_locks(os.strerror(errno.ENOSYS)) from error
            except FileNotFoundError:
                # The folder is gone, and what is in it: that may be right.
                raise
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    raise self._no_locks(error.strerror) from error
                raise SystemFileError(f"{self.name}: cannot be locked: {error.strerror or error}") from error
            mine = _me()
            with contextlib.suppress(OSError):
                # Only for messages: what cannot be written is no reason not to work.
                self.holder_path.write_text(codec.dumps(mine), encoding="utf-8")
            try:
                yield
            finally:
                _take_away(self.holder_path, mine)

    def _no_locks(self, why: str | None) -> NoLocksError:
        return NoLocksError(
            f"{self.name}: this file system has no locks ({why}); set lock = soft in bee.conf, [DEFAULT]"
        )

    # -- a file that is there ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _soft(self, timeout_s: float) -> Iterator[None]:
        mine = _me()
        try:
            self._acquire(mine, timeout_s)
            yield
        finally:
            # Also where it was made, and what comes after that failed: from a process that lives nobody takes it.
            _take_away(self.holder_path, mine)

    def _acquire(self, mine: Holder, timeout_s: float) -> None:
        deadline, asked = time.monotonic() + timeout_s, -_ASK_AGAIN_S
        doubt: StaleLockError | None = None
        while not _publish(self.holder_path, mine):
            holder = read_holder(self.holder_path)
            if holder is None and not os.path.lexists(self.holder_path):
                continue
            if time.monotonic() - asked >= _ASK_AGAIN_S:
                asked, doubt = time.monotonic(), None
                try:
                    if self._is_stale(holder) and self._take_over(holder, mine):
                        break
                    # Else somebody does.
                    holder = read_holder(self.holder_path)
                except StaleLockError as error:
                    doubt = error
            if time.monotonic() >= deadline:
                raise doubt or self._locked(holder, timeout_s)
            time.sleep(_POLL_S)

    def _is_stale(self, holder: Holder | None) -> TypeGuard[Holder]:
        """True when the holder has surely died; raises StaleLockError when nobody can say."""
        if holder is None:
            raise self._unknown("what it says cannot be read")
        here = _me()
        if (holder.host, holder.namespace) == (here.host, here.namespace) and holder.boot == here.boot:
            process = procs.read(holder.pid)
            return process is None or process.start_ticks != holder.start_ticks
        if holder.job_id and self.is_live is not None:
            if (holder.job_id, holder.cluster) == (here.job_id, here.cluster) and holder.restarts < here.restarts:
                # An earlier run of this very job.
                return True
            try:
                return not self.is_live(holder)
            except BeeError as error:
                raise self._unknown(
                    f"{described(holder)}, and Slurm does not say whether it lives ({error})"
                ) from error
        if not holder.job_id and holder.host == here.host and holder.boot != here.boot:
            # The host has been started anew since.
            return True
        raise self._unknown(described(holder))

    def _unknown(self, who: str) -> StaleLockError:
        return StaleLockError(
            f"{holder_path(self.name)}: a soft lock, held by {who}; if that process is gone, and only then, remove "
            "this file and try again"
        )

    def _take_over(self, dead: Holder, mine: Holder) -> bool:
        """Take the lock from a holder that died; False where somebody else does. Raises StaleLockError as is_stale.

        Who is to do it is settled by a file that only one can make, and after his death, by the next: were the holder's
        record just taken away, whoever comes late would take away that of the lock's new holder.
        """
        claims = [self._claim(dead, 0)]
        try:
            while not _publish(claims[-1], mine):
                claimant = read_holder(claims[-1])
                if claimant is None or not self._is_stale(claimant):
                    return False
                claims.append(self._claim(dead, len(claims)))
            is_there = store.read_record(Holder, self.holder_path) == dead
            if is_there:
                store.write_record(self.holder_path, mine)
                log.warning("%s: left behind by %s, which is gone", self.name, described(dead))
            # Not if that failed: they are nobody's only once the record of the dead is no longer there.
            for claim in claims[:-1]:
                claim.unlink(missing_ok=True)
            return is_there
        finally:
            # In any case: while its claimant lives nobody else takes the lock over.
            _take_away(claims[-1], mine)

    def _claim(self, dead: Holder, number: int) -> Path:
        """Name a claim, as a temporary file is named, which no archive has (beeflow.archiving)."""
        digest = hashlib.sha256(codec.dumps(dead).encode()).hexdigest()
        return self.holder_path.with_name(f".{self.holder_path.name}.{digest[:16]}.{number:08}")

    # -- both ----------------------------------------------------------------------------------------------------------

    def _locked(self, holder: Holder | None, timeout_s: float) -> LockedError:
        who = described(holder) if holder else "another process"
        waited = f", for longer than {timeout_s:g} s" if timeout_s else ""
        return LockedError(f"{self.name}: held by {who}{waited}; wait for it, then try again")


def why_no_locks(folder: Path) -> str:
    """Say why what is in a folder cannot be locked by the file system; "" where it can."""
    with tempfile.TemporaryFile(prefix=publishing.PROBE_PREFIX, dir=folder) as probe:
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return error.strerror or str(error)
    return ""


def holder_path(path: Path) -> Path:
    """Say where it is written who holds a lock."""
    return path.with_name(path.name + HOLDER_SUFFIX)


def read_holder(path: Path) -> Holder | None:
    """Read who holds a lock; None when nobody does, or it cannot be read."""
    try:
        return store.read_record(Holder, path)
    except SystemFileError:
        return None


def _publish(path: Path, mine: Holder) -> bool:
    """Make a record that only one can make. Of one's own, NFS may say that it was there: a request is sent again."""
    return store.publish_record(path, mine) or read_holder(path) == mine


def _take_away(path: Path, mine: Holder) -> None:
    """Remove what says that we hold a lock, or are about to, if it still does."""
    with contextlib.suppress(OSError):
        if read_holder(path) == mine:
            path.unlink(missing_ok=True)


def described(holder: Holder) -> str:
    """Name the holder of a lock in a message."""
    job = f", job {holder.job_id}" if holder.job_id else ""
    return f"process {holder.pid} on {holder.host}{job}, since {holder.since}"


def _me() -> Holder:
    """Describe this process, so that others can tell whether it lives."""
    process = procs.read(os.getpid())
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return Holder(
        host=socket.gethostname(),
        boot=procs.read_boot_id(),
        namespace=namespace,
        pid=os.getpid(),
        start_ticks=process.start_ticks if process else 0,
        since=now(),
        token=uuid.uuid4().hex,
        job_id=os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID", ""),
        cluster=os.environ.get("SLURM_CLUSTER_NAME", ""),
        restarts=int(os.environ.get("SLURM_RESTART_COUNT") or 0),
    )
