"""Charliecloud: unprivileged containers by ch-run (seen on 0.31, Debian 12)."""

from __future__ import annotations

import getpass
import hashlib
import os
from pathlib import Path

from beeflow import process
from beeflow.archive import sha256_of
from beeflow.command import Command
from beeflow.config import Config
from beeflow.errors import InputError, TaskError, UnsupportedError
from beeflow.graph import Container

RUNTIME = "Charliecloud"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CONVERT_TIMEOUT_S = 1800.0


def wrap(command: Command) -> tuple[tuple[str, ...], dict[str, str]]:
    """Build the ch-run command line. The command sees the image's environment and its own, nothing of the node's."""
    spec = command.container
    if spec is None:
        raise TaskError("no container to run in")
    argv = ["ch-run", "--private-tmp", f"--cd={spec.workdir}", "--unset-env=*", f"--set-env=PATH={_PATH}", "--set-env"]
    argv += [f"--set-env={name}={value}" for name, value in command.env.items() if name != "PATH"]
    argv += [f"--bind={host}:{inside}" for host, inside in spec.binds.items()]
    env = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
    env.setdefault("USER", "nobody")  # ch-run aborts when it is unset
    return (*argv, spec.image, "--", *command.argv), env


def find(wanted: str, config: Config, *, given: bool) -> Container | None:
    """Find an image: a path the document gives, or a name in Charliecloud's storage; None when it is not there.

    Raises InputError when a given path is not an image, UnsupportedError when Charliecloud is not installed.
    """
    if given:
        path = Path(os.path.expandvars(wanted)).expanduser()
        if not path.is_absolute() or not path.exists():
            raise InputError(
                f"image {wanted!r}: {path} is not there; give an absolute path of a folder, .sqfs or .tar.gz"
            )
        if process.find("ch-run") is None:
            raise UnsupportedError(f"image {wanted!r}: Charliecloud is not installed (ch-run is not on PATH)")
        return _from_path(path, config)
    stored = storage() / "img" / storage_name(wanted)
    if wanted and stored.is_dir() and process.find("ch-run"):
        return Container(RUNTIME, str(stored), wanted, tree_hash(stored))
    return None


def missing(wanted: str) -> str:
    """Say what to do about an image that is not there."""
    return (
        f"not in Charliecloud's storage ({storage()}), and nothing is pulled on a compute node; on a login node: "
        f"ch-image pull {wanted}, or name a folder, .sqfs or .tar.gz with beeflow:useContainer"
    )


def storage() -> Path:
    """Return Charliecloud's storage directory (ch-image(1): $CH_IMAGE_STORAGE, else /var/tmp/<user>.ch)."""
    return Path(os.environ.get("CH_IMAGE_STORAGE") or f"/var/tmp/{getpass.getuser()}.ch")  # noqa: S108


def storage_name(image: str) -> str:
    """Write an image's name as a folder of the storage: "/" is "%" and ":" is "+" (seen on Charliecloud 0.31)."""
    return image.replace("/", "%").replace(":", "+")


def _from_path(path: Path, config: Config) -> Container:
    if path.is_dir():
        return Container(RUNTIME, str(path), str(path), tree_hash(path))
    digest = sha256_of(path)
    if path.name.endswith((".sqfs", ".sqsh", ".squashfs")):
        return Container(RUNTIME, str(path), str(path), digest)
    if not path.name.endswith((".tar.gz", ".tgz")):
        raise InputError(f"image {path}: neither a folder nor .sqfs nor .tar.gz")
    unpacked = config.bee_workdir / "images" / digest
    if not unpacked.is_dir():
        _convert(path, unpacked)
    return Container(RUNTIME, str(unpacked), str(path), digest)


def _convert(path: Path, unpacked: Path) -> None:
    """Unpack a packed image once; every task reads the folder."""
    staging = unpacked.with_name(f".{unpacked.name}.{os.getpid()}")
    staging.parent.mkdir(parents=True, exist_ok=True)
    argv = ["ch-convert", "-i", "tar", "-o", "dir", str(path), str(staging)]
    done = process.run(argv, timeout_s=_CONVERT_TIMEOUT_S)
    if done.returncode != 0:
        raise InputError(f"image {path}: ch-convert cannot unpack it: {done.message}")
    staging.rename(unpacked)


def tree_hash(root: Path) -> str:
    """Hash an image that is a folder: names, modes, links and the contents of files, sorted."""
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*names, *(each for each in folders if os.path.islink(os.path.join(parent, each)))]):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            contents = "special"
            if path.is_symlink():
                contents = os.readlink(path)
            elif path.is_file():
                contents = sha256_of(path)
            digest.update(f"{path.relative_to(root)}\0{mode:o}\0{contents}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
