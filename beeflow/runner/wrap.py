"""Put around a command what starts it: modules, srun, a container, and what of the job's environment it may see.

From the outside in: a shell that loads modules, srun, ch-run, the command.
"""

from __future__ import annotations

import os

from beeflow.environment import inherited
from beeflow.errors import TaskError

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

EXIT_NOT_LOADED = 127  # a shell's word for a command that is not there
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_TIMEOUT_S = 60.0
# In the task's own temporary folder, which goes when it is done: what stands in for its image, where it needs that.
_ROOT = "tmp/.image"


def wrap(command: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Make a command (beeflow.command.Command as JSON) ready to start. ``environ``: the job's environment.

    Raises TaskError for a folder that ch-run cannot bind.
    """
    given, own = inherited(command["inherit"], environ), command["env"]
    command["env"] = {**given, **own}
    if command["container"]:
        _contain(command, given, own)
    command["argv"] = [*_loading(command), *command["launcher"], *command["argv"]]


def _loading(command: dict[str, Any]) -> list[str]:
    """Return a shell that loads modules and becomes the command. ``module`` is a function of the shell everywhere."""
    if not command["modules"]:
        return []
    import shlex  # seldom needed

    words = shlex.join(command["modules"])
    init = shlex.quote(command["modules_init"])
    # The site's own file must not see the command's words as its arguments, nor may what it prints be the command's.
    load = f'_bee_command=("$@"); set --; {{ . {init} && module load {words}; }} >&2'
    complaint = shlex.quote(f"beeflow: module load {words}: failed")
    script = f'{load} || {{ echo {complaint} >&2; exit {EXIT_NOT_LOADED}; }}; exec "${{_bee_command[@]}}"'
    return ["/bin/bash", "--noprofile", "--norc", "-c", script, "bash"]


def _contain(command: dict[str, Any], given: dict[str, str], own: dict[str, str]) -> None:
    """Have ch-run start a command: it sees the image's environment and its own, nothing of the node's.

    Only what it inherits stays: ``given``, and what srun sets for each rank.
    """
    spec = command["container"]
    odd = next((host for host in spec["binds"] if ":" in host), None)
    if odd is not None:
        raise TaskError(f"{odd}: ch-run cannot bind a folder with a colon in its name; move the input elsewhere")
    image, binds = _with_places(spec, f"{os.path.dirname(command['workdir'])}/{_ROOT}")
    env = own_environment()
    kept = command["inherit"]
    # ch-run(1): extended globs.
    unset = f"--unset-env=!({'|'.join(kept)})" if kept else "--unset-env=*"
    argv = ["ch-run", "--private-tmp", f"--cd={spec['workdir']}", unset, "--env-no-expand"]
    argv += [f"--set-env=PATH={_PATH}"]
    argv += ["--set-env"] if _has_environment(spec["image"], env) else []
    # ch-run takes one pair of single quotes off a value: these, not the value's own.
    argv += [f"--set-env={name}='{value}'" for name, value in own.items()]
    argv += [f"--bind={host}:{inside}" for host, inside in binds.items()]
    command["argv"] = [*argv, image, "--", *command["argv"]]
    command["env"] = {**env, **given}


def _with_places(spec: dict[str, Any], root: str) -> tuple[str, dict[str, str]]:
    """Return the image and the binds; where the image lacks what is bound to, a root made for this task."""
    image, binds = spec["image"], _below_tmp(spec["binds"])
    lacking = [each for each in binds.values() if not each.startswith("/tmp/") and not os.path.lexists(image + each)]
    if not lacking or not os.path.isdir(image):
        return image, binds
    from pathlib import Path  # seldom needed

    from beeflow.container import skeleton

    wanted = {host: inside for host, inside in binds.items() if inside in lacking}
    return root, {**skeleton.make(Path(image), wanted, Path(root)), **binds}


def _below_tmp(binds: dict[str, str]) -> dict[str, str]:
    """Bind the folder of a file that belongs below the private /tmp: ch-run makes folders there, but no files."""
    made: dict[str, str] = {}
    for host, inside in binds.items():
        is_file = inside.startswith("/tmp/") and not os.path.isdir(host)
        made[os.path.dirname(host) if is_file else host] = os.path.dirname(inside) if is_file else inside
    return made


def own_environment() -> dict[str, str]:
    """Construct the environment of Charliecloud's programs; they abort when USER is unset."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
    env.setdefault("USER", "nobody")
    # An image in the user's own storage ch-run only runs by its name, and we also run what was made of one (0.31).
    env["CH_IMAGE_STORAGE"] = "/nonexistent"
    return env


def _has_environment(image: str, env: dict[str, str]) -> bool:
    """Tell whether an image has a /ch/environment: ch-run refuses to read one that is not there.

    A packed image says so only when it is run.
    """
    if os.path.isdir(image):
        return os.path.isfile(f"{image}/ch/environment")
    from beeflow import process  # seldom needed

    # A folder is no program: this mounts, reads, and ends.
    done = process.run(["ch-run", "--set-env", image, "--", "/"], timeout_s=_PROBE_TIMEOUT_S, env=env)
    return "/ch/environment" not in done.stderr
