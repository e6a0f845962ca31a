"""Whether a bee_workdir is the user's own: for every command that writes there, and strictly for bee-clean.

bee-clean tidies up without anybody at the terminal: only what is surely the user's own, and ours. It reaches everything
through the descriptors of folders; no link is followed.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beeflow import locking, publishing, removal, sharing, store
from beeflow.config import Config
from beeflow.errors import ConfigError, SystemFileError

# Whoever writes into a bee_workdir leaves this there, so that bee-clean knows it however little is left in it.
MARK = ".bee_workdir"
_MARK_TEXT = "A bee_workdir: beeflow keeps its workflows here, and bee-clean removes what is old.\n"
_MAX_LINKS = 40


@dataclass(frozen=True)
class WorkDir:
    """An open bee_workdir. ``path``: where it really is. None: there is no such folder."""

    path: Path
    top: int
    workflows: int | None
    archives: int | None
    images: int | None


def prepare(config: Config) -> None:
    """Make the bee_workdir if there is none, the user's alone or shared; raises ConfigError as check does.

    Also for a folder that bee-clean would not touch, so that nothing of ours begins to lie there.
    """
    gid = sharing.gid_of(config.share_with_group)
    try:
        if not os.path.lexists(config.bee_workdir):
            sharing.make_folder(config.bee_workdir, gid)
        check(config)
        check_place(config, os.stat(config.bee_workdir))
        if gid is not None:
            for folder in (config.bee_workdir, config.workflows_dir, *_inner_archives(config)):
                sharing.make_folder(folder, gid)
        check_file_system(config)
        mark(config.bee_workdir)
    except OSError as error:
        raise SystemFileError(f"{error.filename or config.bee_workdir}: {error.strerror or error}") from error


def check_file_system(config: Config) -> None:
    """Raise ConfigError where two jobs could not settle which of them is first; OSError where nobody can write.

    Also where there are not the locks that bee.conf asks for: a workflow keeps the kind that it was submitted with.
    """
    folder = config.workflows_dir if config.workflows_dir.is_dir() else config.bee_workdir
    if not publishing.takes_one_step(folder):
        raise refusal(
            config,
            "is on a file system that knows neither hard links nor a rename that overwrites nothing, and beeflow needs "
            "one of them; set bee_workdir elsewhere",
        )
    why = locking.why_no_locks(folder) if config.lock == locking.FCNTL else ""
    if why:
        raise refusal(config, f"is on a file system without the locks of lock = fcntl ({why}); set lock = soft")


def check(config: Config) -> None:
    """Raise ConfigError for a bee_workdir in which somebody else may put or replace what we write and read."""
    for folder in (config.bee_workdir, config.workflows_dir, *_inner_archives(config)):
        real = resolve(config, folder)
        try:
            status = os.lstat(real)
        except FileNotFoundError:
            continue
        shown = "" if folder == config.bee_workdir else f"has a folder {folder.name} that "
        if not stat.S_ISDIR(status.st_mode):
            raise refusal(config, f"{shown}is not a folder")
        if status.st_uid != os.geteuid():
            raise refusal(config, f"{shown}belongs to {removal.owner_name(status.st_uid)}, not to you")
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise refusal(config, f"{shown}can be written by everybody (run: chmod o-w {folder})")


def _inner_archives(config: Config) -> list[Path]:
    """The folder of archives, where it is inside; elsewhere it may be anybody's who lets us write."""
    return [config.bee_archive_dir] if config.bee_archive_dir == config.bee_workdir / "archives" else []


@contextlib.contextmanager
def opened(config: Config) -> Iterator[WorkDir]:
    """Open the bee_workdir; raises ConfigError, with what to do, when it may not be one of ours."""
    path = resolve(config)
    with contextlib.ExitStack() as stack:
        try:
            top = stack.enter_context(removal.opened(path))
        except FileNotFoundError:
            raise refusal(config, "is not there; is its file system mounted?") from None
        except OSError as error:
            raise refusal(config, f"cannot be opened: {error.strerror or error}") from error
        check_place(config, os.fstat(top))
        check_owner(config, top)
        workflows = open_workflows(stack, config, top)
        # Archives elsewhere are out of bounds.
        archives = _inner(stack, top, "archives") if _inner_archives(config) else None
        yield WorkDir(path, top, workflows, archives, _inner(stack, top, "images"))


def refusal(config: Config, why: str) -> ConfigError:
    """Say why nothing is done, and where bee_workdir comes from."""
    where = config.origins.get("DEFAULT.bee_workdir", "default")
    return ConfigError(f"{where}: bee_workdir: {config.bee_workdir} {why}; nothing was done")


def resolve(config: Config, folder: Path | None = None) -> Path:
    """Follow the links to the bee_workdir, or a folder in it; raises ConfigError for one that others could replace."""
    here, parts, links = Path("/"), list((folder or config.bee_workdir).parts[1:]), 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            here = here.parent
            continue
        if not (here / part).is_symlink():
            here = here / part
            continue
        links += 1
        if links > _MAX_LINKS:
            raise refusal(config, "is reached through links that go round in a circle")
        if not _is_safe_link(here / part):
            raise refusal(config, f"is reached through {here / part}, a link that somebody else could replace")
        target = Path(os.readlink(here / part))
        here = Path("/") if target.is_absolute() else here
        parts = [each for each in target.parts if each != "/"] + parts
    return here


def _is_safe_link(link: Path) -> bool:
    folder, mine = os.stat(link.parent), (0, os.geteuid())
    return folder.st_uid in mine and os.lstat(link).st_uid in mine and not _is_open_to_others(folder)


def _is_open_to_others(status: os.stat_result) -> bool:
    """True when somebody else may remove or rename what is in a folder."""
    mode = status.st_mode
    can_write = bool(mode & stat.S_IWOTH) or (bool(mode & stat.S_IWGRP) and not _is_private_group(status.st_gid))
    return can_write and not mode & stat.S_ISVTX


def _is_private_group(gid: int) -> bool:
    """True for a group that has the user's name and nobody else in it: many systems give each user such a one."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def check_owner(config: Config, top: int) -> None:
    """Refuse a folder of somebody else's, and one where others could put things."""
    status = os.fstat(top)
    if status.st_uid != os.geteuid():
        raise refusal(config, f"belongs to {removal.owner_name(status.st_uid)}, not to you")
    if _is_open_to_others(status):
        raise refusal(config, f"can be written by others (run: chmod go-w {config.bee_workdir})")


def check_place(config: Config, status: os.stat_result) -> None:
    """Refuse /, the home folder, and what either is in."""
    homes = {os.environ.get("HOME") or "/"}
    with contextlib.suppress(KeyError):
        homes.add(pwd.getpwuid(os.geteuid()).pw_dir)
    for home in homes:
        real = Path(os.path.realpath(home))
        for each in (real, *real.parents):
            with contextlib.suppress(OSError):
                if os.path.samestat(status, os.stat(each)):
                    name = "is your home folder" if each == real != Path("/") else f"is {each}, which is not only ours"
                    raise refusal(config, f"{name}; give beeflow a folder of its own")


def mark(folder: Path) -> None:
    """Say in a folder that it is a bee_workdir; raises SystemFileError."""
    if not os.path.lexists(folder / MARK):
        store.publish(folder / MARK, _MARK_TEXT)


def has_mark(work: WorkDir) -> bool:
    """True where mark was called; for a file that only has its name it is not."""
    status = removal.lstat(work.top, MARK)
    is_own = status is not None and stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return is_own and store.read_text(Path(f"/proc/self/fd/{work.top}", MARK)) == _MARK_TEXT


def open_workflows(stack: contextlib.ExitStack, config: Config, top: int) -> int | None:
    """Open the folder of workflows, None when there is none yet; raises ConfigError when it is not surely ours."""
    if removal.lstat(top, "workflows") is None:
        return None
    workflows = _inner(stack, top, "workflows")
    if workflows is None:
        raise refusal(config, "has a folder named workflows that is a link, or somebody else can write")
    names = os.listdir(workflows)
    prefixes = (removal.PREFIX, store.NEW_PREFIX, publishing.PROBE_PREFIX)
    if names and not any(store.is_id(name) or name.startswith(prefixes) for name in names):
        raise refusal(config, f"is not a folder of beeflow's: its workflows/{names[0]} is no workflow")
    return workflows


def _inner(stack: contextlib.ExitStack, top: int, name: str) -> int | None:
    """Open a folder of the bee_workdir; None when there is none that only the user can write."""
    try:
        descriptor = stack.enter_context(removal.opened(name, top))
    except OSError:
        return None
    status = os.fstat(descriptor)
    return descriptor if status.st_uid == os.geteuid() and not _is_open_to_others(status) else None
