"""Put files in place on the node: hard links to what is ours and read-only, copies of everything else.

Standard library only. Never a symbolic link: a tool that packs its inputs would pack links to nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from beeflow import removal
from beeflow.command import COPY, CREATE, LINK, MKDIR, UPDATE, Stage
from beeflow.errors import TaskError

_FICLONE = 0x40049409  # ioctl_ficlone(2): share the blocks, where the file system can
# How it is told what is left out of a folder; what a link points to follows.
LINK_TO, NO_FILE = "a symbolic link to ", "not a regular file"
_NOT_LINKABLE = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)


def put(stages: tuple[Stage, ...], own: Path) -> None:
    """Stage what a command needs. ``own``: the workflow directory; only its files are ever hard-linked.

    Raises TaskError when two things want one place.
    """
    for stage in stages:
        target = Path(stage.target)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not (stage.action == MKDIR and target.is_dir()):
            raise TaskError(f"two inputs want to be staged as {target.name!r}; rename one (basename or entryname)")
        _ACTIONS[stage.action](stage, target, own)


def _create(stage: Stage, target: Path, _: Path) -> None:
    target.write_text(stage.contents, encoding="utf-8")
    target.chmod(0o644 if stage.writable else 0o444)


def _mkdir(_: Stage, target: Path, __: Path) -> None:
    target.mkdir(exist_ok=True)


def _link(stage: Stage, target: Path, own: Path) -> None:
    _tree(Path(stage.source), target, functools.partial(link_or_copy, own=own))


def _copy(stage: Stage, target: Path, _: Path) -> None:
    _tree(Path(stage.source), target, copy_writable)


def _update(stage: Stage, target: Path, own: Path) -> None:
    """Give the command a copy to change: what a killed attempt left half done must not be what the next begins with."""
    older = Path(stage.older)
    older.parent.mkdir(parents=True, exist_ok=True)
    if older.exists():
        _copy(replace(stage, source=stage.older), target, own)
        return
    _seen(older).write_text(_identity(Path(stage.source)))
    _copy(stage, target, own)


def _seen(older: Path) -> Path:
    return older.with_name(f"{older.name}.seen")


def _identity(path: Path) -> str:
    return str(os.stat(path).st_ino)


def replace_updated(stages: tuple[Stage, ...], own: Path) -> None:
    """Put what a command updated where it was taken from, so that all who name that place see it.

    The old one moves aside: who has a hard link to it keeps what is in it. May be repeated after any interruption.
    Raises TaskError when it is not what was staged any more.
    """
    for stage in stages:
        if stage.action == UPDATE and os.path.exists(stage.target):
            _replace_one(stage, Path(stage.source), Path(stage.older), own)


def _replace_one(stage: Stage, source: Path, older: Path, own: Path) -> None:
    made = older.with_name(f"{older.name}.new")
    _remove(made)
    _tree(Path(stage.target), made, functools.partial(link_or_copy, own=own))
    if not older.exists():
        if _identity(source) != _seen(older).read_text():
            raise TaskError(
                f"{source.name}: another task updated it in place meanwhile; let one take the other's output"
            )
        source.rename(older)
    _remove(source)
    made.rename(source)


def _remove(path: Path) -> None:
    if path.is_dir():
        remove_tree(path)
    path.unlink(missing_ok=True)


_ACTIONS = {CREATE: _create, MKDIR: _mkdir, LINK: _link, COPY: _copy, UPDATE: _update}


def _is_own(source: str, own: Path) -> bool:
    return Path(os.path.realpath(source)).is_relative_to(os.path.realpath(own))


def contents(
    root: Path, left_out: Callable[[str, str], object] = lambda _, __: None
) -> Iterator[tuple[str, Path, bool]]:
    """Yield what is in a folder, links followed: relative name, path, whether it is a folder; folders first.

    What cannot be copied is left out: a link to nowhere or to a folder that it is itself in, a pipe, a device.
    ``left_out`` is told its name, and what it is.
    """
    # Each folder that we are in: what is yet to be looked at, its path, what names in it begin with, and what it is.
    way = [(_listed(root), root, "", os.path.realpath(root))]
    while way:
        names, folder, prefix, _ = way[-1]
        if not names:
            way.pop()
            continue
        name = names.pop()
        path = folder / name
        if path.is_dir():
            real = os.path.realpath(path)
            if all(real != above for _, _, _, above in way):
                yield prefix + name, path, True
                way.append((_listed(path), path, f"{prefix}{name}/", real))
                continue
        elif path.is_file():
            yield prefix + name, path, False
            continue
        left_out(prefix + name, f"{LINK_TO}{os.readlink(path)}" if path.is_symlink() else NO_FILE)


def _listed(folder: Path) -> list[str]:
    return sorted(os.listdir(folder), reverse=True)


Place = Callable[[str, str], None]


def _tree(source: Path, target: Path, place: Place) -> None:
    if not source.is_dir():
        place(str(source), str(target))
        return
    target.mkdir(exist_ok=True)
    for name, path, is_folder in contents(source):
        if is_folder:
            (target / name).mkdir(exist_ok=True)
        else:
            place(str(path), str(target / name))


def replace_tree(source: Path, target: Path) -> None:
    """Copy a file or folder over what may be there: each file whole or not at all, and no other is touched."""
    _tree(source, target, _replace)


def _replace(source: str, target: str) -> None:
    folder, _, name = target.rpartition("/")
    made = f"{folder}/.{name[:200]}.{os.getpid()}"
    try:
        copy_writable(source, made)
        os.replace(made, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
        raise


def make_readable(folder: Path) -> None:
    """Give the owner back what a command took: to read every file and to enter every folder."""
    waiting = [os.fspath(folder)]
    while waiting:
        with _reachable(), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with _reachable():
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        os.chmod(entry.path, stat.S_IMODE(mode) | stat.S_IRWXU)
                        waiting.append(entry.path)
                    elif stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
                        os.chmod(entry.path, stat.S_IMODE(mode) | stat.S_IRUSR)


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    """Pass over what has vanished, and what no path leads to."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise


def place_tree(source: Path, target: Path, own: Path | None) -> None:
    """Put a file or folder somewhere else: hard links to what is below ``own``, else copies that may be changed."""
    _tree(source, target, copy_writable if own is None else functools.partial(link_or_copy, own=own))


def remove_tree(folder: Path) -> None:
    """Remove a folder of a task, whatever modes and owners its files and folders have; what resists stays."""
    with contextlib.suppress(FileNotFoundError), removal.opened(os.path.realpath(folder.parent)) as parent:
        removal.remove(parent, folder.name, own_only=False)


def link_or_copy(source: str, target: str, own: Path) -> None:
    """Hard-link a read-only file below ``own``; copy any other, and where the file system refuses."""
    real = os.path.realpath(source)
    if os.stat(real).st_mode & 0o222 or not _is_own(real, own):
        copy(real, target)
        return
    try:
        os.link(real, target)
    except OSError as error:
        if error.errno not in _NOT_LINKABLE:
            raise
        copy(real, target)


def copy(source: str, target: str) -> None:
    """Copy a file with its times and mode, sharing blocks where the file system can."""
    with open(source, "rb") as given, open(target, "xb") as made:
        try:
            fcntl.ioctl(made.fileno(), _FICLONE, given.fileno())
        except OSError:
            shutil.copyfileobj(given, made, 1 << 20)
    shutil.copystat(source, target)


def copy_writable(source: str, target: str) -> None:
    """Copy a file that the command may change."""
    copy(source, target)
    os.chmod(target, os.stat(target).st_mode | stat.S_IWUSR | stat.S_IRUSR)


def _own_inode(path: str, status: os.stat_result) -> None:
    """Give a file that a command hard-linked to a writable one, a user's input perhaps, an inode of its own."""
    if status.st_nlink > 1 and status.st_mode & 0o222:
        made = f"{path}.{os.getpid()}"
        copy(path, made)
        os.replace(made, path)


def make_read_only(folder: Path) -> None:
    """Take the write permission from the files of a folder: others will be given hard links to them."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    _own_inode(path, status)
                    os.chmod(path, status.st_mode & ~0o222)
