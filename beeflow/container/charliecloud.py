"""Charliecloud: unprivileged containers by ch-run (seen on 0.31, Debian 12)."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from pathlib import Path

from beeflow import process, staging
from beeflow.archive.hashing import sha256_of
from beeflow.config import Config
from beeflow.errors import InputError, SystemFileError, UnsupportedError
from beeflow.graph import Container

RUNTIME = "Charliecloud"
_UNPACK_TIMEOUT_S = 1800.0
_ROOT_FOLDERS = ("bin", "usr", "etc")


def find(wanted: str, config: Config, *, given: bool, unpack: bool = True) -> Container | None:
    """Find an image: a path the document gives, or a name in Charliecloud's storage; None when it is not there.

    ``unpack``: so that what is packed can be run. Raises InputError when a given path is not an image, UnsupportedError
    when Charliecloud is not installed.
    """
    if given:
        path = Path(os.path.expandvars(wanted)).expanduser()
        if not path.is_absolute() or not path.exists():
            raise InputError(
                f"image {wanted!r}: {path} is not there; give an absolute path of a folder, .sqfs or .tar.gz "
                "(a DockerRequirement that is a hint is ignored with [container] runtime = none)"
            )
        if process.find("ch-run") is None:
            raise UnsupportedError(f"image {wanted!r}: Charliecloud is not installed (ch-run is not on PATH)")
        return _from_path(path, config, unpack=unpack)
    stored = storage() / "img" / storage_name(wanted)
    if wanted and stored.is_dir() and _is_mine(storage()) and _is_mine(stored) and process.find("ch-run"):
        return Container(RUNTIME, str(stored), wanted, tree_hash(stored), *_own_command(stored))
    return None


def _own_command(image: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read ENTRYPOINT and CMD of a pulled image, which ch-run ignores (CWL v1.2 CommandLineTool, DockerRequirement)."""
    try:
        config = json.loads((image / "ch/config.pulled.json").read_text(encoding="utf-8")).get("config") or {}
        entrypoint, command = (tuple(map(str, config.get(key) or ())) for key in ("Entrypoint", "Cmd"))
    except (OSError, ValueError, AttributeError, TypeError):
        return (), ()
    return entrypoint, command


def missing(wanted: str) -> str:
    """Say what to do about an image that is not there."""
    if process.find("ch-run") is None:
        return "Charliecloud is not installed (ch-run is not on PATH)"
    return (
        f"not in Charliecloud's storage ({storage()}), and nothing is pulled on a compute node; on a login node: "
        f"ch-image pull {wanted}, or name a folder, .sqfs or .tar.gz with beeflow:useContainer"
    )


def storage() -> Path:
    """Return Charliecloud's storage directory (ch-image(1): $CH_IMAGE_STORAGE, else /var/tmp/<user>.ch)."""
    return Path(os.environ.get("CH_IMAGE_STORAGE") or f"/var/tmp/{getpass.getuser()}.ch")  # noqa: S108


def _is_mine(folder: Path) -> bool:
    """True for a folder of the user's own: the storage is in a place where anybody could have made it."""
    return folder.lstat().st_uid == os.geteuid()


def storage_name(image: str) -> str:
    """Write an image's name as a folder of the storage: "/" is "%" and ":" is "+" (seen on Charliecloud 0.31)."""
    return image.replace("/", "%").replace(":", "+")


def _from_path(path: Path, config: Config, *, unpack: bool) -> Container:
    if path.is_dir():
        return Container(RUNTIME, str(path), str(path), tree_hash(path))
    digest = sha256_of(path)
    if path.name.endswith((".sqfs", ".sqsh", ".squashfs")):
        return Container(RUNTIME, str(path), str(path), digest)
    if not path.name.endswith((".tar.gz", ".tgz")):
        raise InputError(f"image {path}: neither a folder nor .sqfs nor .tar.gz")
    unpacked = config.bee_workdir / "images" / digest
    if unpack and not unpacked.is_dir():
        _unpack(path, unpacked)
    return Container(RUNTIME, str(unpacked), str(path), digest)


def _unpack(path: Path, unpacked: Path) -> None:
    """Unpack a packed image once; every task reads the folder. Devices stay out: ch-run binds the host's.

    By tar, not ch-convert: Debian packs that with image builders that need a Docker.
    """
    made = unpacked.with_name(f".{unpacked.name}.{os.getpid()}")
    argv = ["tar", "--extract", "--gzip", "--no-same-owner", "--delay-directory-restore", "--exclude=dev/*"]
    try:
        made.mkdir(parents=True)
        done = process.run([*argv, f"--file={path}", f"--directory={made}"], timeout_s=_UNPACK_TIMEOUT_S)
        if done.returncode != 0:
            raise InputError(f"image {path}: cannot be unpacked: {done.message}")
        inside = list(made.iterdir())
        # Some tools pack the image's folder, some what is in it.
        is_wrapped = len(inside) == 1 and inside[0].is_dir() and inside[0].name not in _ROOT_FOLDERS
        (inside[0] if is_wrapped else made).rename(unpacked)
    except OSError as error:
        if unpacked.is_dir():
            return  # another submit was faster
        raise SystemFileError(f"image {path}: cannot be unpacked to {unpacked}: {error.strerror or error}") from error
    finally:
        if made.exists():
            staging.remove_tree(made)


def tree_hash(root: Path) -> str:
    """Hash an image that is a folder: names, modes, links and the contents of files we may read, sorted."""
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*names, *folders]):
            path = Path(parent, name)
            line = f"{path.relative_to(root)}\0{path.lstat().st_mode:o}\0{_contents(path)}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _contents(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    if not path.is_file():
        return "special"
    try:
        return sha256_of(path)
    except PermissionError:
        return "unreadable"
