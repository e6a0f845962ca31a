"""Load pyslurm and call it. libslurm, which it wraps, has ways that everybody who calls it must know.

It reads slurm.conf once in a process, when pyslurm is imported, and ends the process when it cannot: after a minute of
looking for a file that is not there (seen on Slurm 22.05.8). So the file is looked at first, and a process has one
Slurm.

It takes its settings from the process's environment, and pyslurm hands every SLURM_* there to the jobs: so both only
run while the SLURM_* there are those that Slurm's programs would be given.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from beeflow import process
from beeflow.errors import ConfigError
from beeflow.scheduler import SlurmUnreachableError
from beeflow.scheduler.target import SITE_CONFS

PROBE_TIMEOUT_S = 90.0
_PROBE = "import pyslurm; print(pyslurm.__version__)"

# The SLURM_CONF that libslurm was loaded with ("": it found its own). Of the process, as the library's is.
_loaded: list[str] = []


@contextlib.contextmanager
def environment(env: Mapping[str, str]) -> Iterator[None]:
    """Have exactly the SLURM_* of ``env`` in the process's environment for a while."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("SLURM_")}
    _replace(env)
    try:
        yield
    finally:
        _replace(kept)


def _replace(env: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_") and name not in env]:
        del os.environ[name]
    os.environ.update({name: value for name, value in env.items() if name.startswith("SLURM_")})


def load(env: Mapping[str, str]) -> Any:
    """Import pyslurm for the Slurm of an environment; raises ConfigError when it cannot be, or serves another Slurm."""
    conf = env.get("SLURM_CONF", "")
    if env.get("SLURM_CLUSTERS"):
        raise ConfigError(
            f"[slurm] api = pyslurm: SLURM_CLUSTERS={env['SLURM_CLUSTERS']} chooses a cluster, which only Slurm's own "
            "programs do; set api = cli"
        )
    if _loaded and _loaded != [conf]:
        raise ConfigError(
            f"this process talks to the Slurm of {_loaded[0] or 'this site'} through pyslurm and cannot talk to that "
            f"of {conf or 'this site'} too; run another command for it, or set [slurm] api = cli"
        )
    if not _loaded:
        if sys.modules.get("pyslurm"):
            raise ConfigError("something else has imported pyslurm, for whichever Slurm; set [slurm] api = cli")
        check_conf(conf)
        try:
            with environment(env):
                importlib.import_module("pyslurm")
        except ImportError as error:
            raise ConfigError(unusable(str(error), env)) from error
        _loaded.append(conf)
    return sys.modules["pyslurm"]


def check_conf(conf: str) -> None:
    """Raise SlurmUnreachableError when libslurm would not find a slurm.conf."""
    confs = (Path(conf),) if conf else SITE_CONFS
    if not any(path.is_file() and os.access(path, os.R_OK) for path in confs):
        raise SlurmUnreachableError(f"{' or '.join(map(str, confs))}: cannot be read, so there is no Slurm to ask")


def check_installed(env: Mapping[str, str]) -> None:
    """Raise ConfigError when there is no pyslurm."""
    if importlib.util.find_spec("pyslurm") is None:
        raise ConfigError(unusable("No module named 'pyslurm'", env))


def probe(env: Mapping[str, str]) -> str:
    """Import pyslurm in a process of its own, and return its version; raises ConfigError when it cannot be."""
    check_conf(env.get("SLURM_CONF", ""))
    done = process.run([sys.executable, "-c", _PROBE], timeout_s=PROBE_TIMEOUT_S, env=env)
    if done.returncode != 0:
        raise ConfigError(unusable(done.message.splitlines()[-1], env))
    return done.stdout.strip()


def unusable(why: str, env: Mapping[str, str]) -> str:
    """Say that pyslurm cannot be used: what is installed, what Slurm runs, and what to do."""
    try:
        installed = f"pyslurm {importlib.metadata.version('pyslurm')} is installed"
    except importlib.metadata.PackageNotFoundError:
        installed = f"pyslurm is not installed for {sys.executable}"
    version = slurm_version(env)
    return (
        f"[slurm] api = pyslurm: {why}; {installed}, Slurm is {version or 'of unknown version'}: install the pyslurm "
        f"whose version begins with {release(version) or 'the same two numbers'}, or set api = cli"
    )


def slurm_version(env: Mapping[str, str]) -> str:
    """Ask the version of Slurm's programs; "" when there are none."""
    try:
        told = process.run(["sbatch", "--version"], timeout_s=PROBE_TIMEOUT_S, env=env).stdout
    except process.ProgramMissingError:
        return ""
    # "slurm 22.05.8", or "slurm-wlm 22.05.8" (Debian).
    return told.strip().rpartition(" ")[2]


def release(version: str) -> str:
    """Write a version of Slurm as pyslurm's versions begin: "22.05.8" -> "22.5"."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return f"{int(match.group(1))}.{int(match.group(2))}" if match else ""
