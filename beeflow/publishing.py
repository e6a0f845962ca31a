"""Give a finished file its name, if that is free: whatever the file system, nothing is overwritten.

Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import tempfile
from pathlib import Path

# What file systems without hard links say: vfat, sshfs and other ones in user space.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
# What takes_one_step tries with.
PROBE_PREFIX = ".beeflow-"
_AT_FDCWD, _NOREPLACE = -100, 1  # renameat2(2)
# A file system, a kernel or a C library without it.
_NO_RENAME = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def publish(made: Path, final: Path) -> None:
    """Rename a file that is beside its new name; raises FileExistsError when that is taken, and another OSError.

    At any moment ``final`` is not there, or whole; but for file systems that know neither hard links nor a rename that
    does not replace: whoever is killed there between two calls leaves an empty file.
    """
    try:
        os.link(made, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not _renamed(made, final):
            _put_in_place(made, final)
    else:
        made.unlink()


def takes_one_step(folder: Path) -> bool:
    """True where ``publish`` leaves no empty file, whenever it is killed; raises OSError where nobody can write."""
    descriptor, name = tempfile.mkstemp(prefix=PROBE_PREFIX, dir=folder)
    os.close(descriptor)
    made, final = Path(name), Path(f"{name}.new")
    try:
        os.link(made, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _renamed(made, final)
    finally:
        made.unlink(missing_ok=True)
        final.unlink(missing_ok=True)
    return True


def _renamed(made: Path, final: Path) -> bool:
    """Rename in one step, unless the new name is taken; False where nobody can."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(made), _AT_FDCWD, os.fsencode(final), _NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_RENAME:
        return False
    raise OSError(code, os.strerror(code), str(made), None, str(final))


def _put_in_place(made: Path, final: Path) -> None:
    """Take the name with an empty file, which nobody else can do then, and rename over that."""
    descriptor = os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if not os.path.samestat(os.fstat(descriptor), os.lstat(final)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
        os.replace(made, final)
    except BaseException:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(final)):
                os.unlink(final)
        raise
    finally:
        os.close(descriptor)
