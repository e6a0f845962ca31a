"""Wrap a command so that it runs in its image."""

from __future__ import annotations

import os

from beeflow.errors import TaskError

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROBE_TIMEOUT_S = 60.0


def wrap(command: dict[str, Any]) -> None:
    """Make a command run in its image, by ch-run: it sees the image's environment and its own, nothing of the node's.

    Raises TaskError for a folder that ch-run cannot bind.
    """
    spec = command["container"]
    odd = next((host for host in spec["binds"] if ":" in host), None)
    if odd is not None:
        raise TaskError(f"{odd}: ch-run cannot bind a folder with a colon in its name; move the input elsewhere")
    env = own_environment()
    argv = ["ch-run", "--private-tmp", f"--cd={spec['workdir']}", "--unset-env=*", "--env-no-expand"]
    argv += [f"--set-env=PATH={_PATH}"]
    argv += ["--set-env"] if _has_environment(spec["image"], env) else []
    # ch-run takes one pair of single quotes off a value: these, not the value's own.
    argv += [f"--set-env={name}='{value}'" for name, value in command["env"].items()]
    argv += [f"--bind={host}:{inside}" for host, inside in spec["binds"].items()]
    command["argv"] = [*argv, spec["image"], "--", *command["argv"]]
    command["env"] = env


def own_environment() -> dict[str, str]:
    """Construct the environment of Charliecloud's programs; they abort when USER is unset."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "USER", "LOGNAME", "LANG") if name in os.environ}
    env.setdefault("USER", "nobody")
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
