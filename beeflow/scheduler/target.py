"""Which Slurm to use, and the environment its programs and our jobs run in."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beeflow import process
from beeflow.config import Config
from beeflow.environment import inherited
from beeflow.errors import SlurmError
from beeflow.private_slurm import running_conf

log = logging.getLogger(__name__)

SITE_CONFS = (Path("/etc/slurm/slurm.conf"), Path("/etc/slurm-llnl/slurm.conf"), Path("/run/slurm/conf/slurm.conf"))

# What a job of ours inherits. --export=NONE and lists load the login environment and leak SLURM_* (seen on
# Slurm 22.05.8), so sbatch gets an environment with nothing else in it and a plain --export=ALL.
KEPT = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "BEE_CONFIG", "SCRATCH")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Target:
    """The Slurm of a workflow. ``conf``: SLURM_CONF, or "" where the programs find theirs themselves.

    ``preserve``: patterns of the variables that its jobs get besides (bee.conf, [task] preserve_environment).
    """

    conf: str
    clusters: str
    origin: str
    preserve: tuple[str, ...] = ()


def find(config: Config, env: Mapping[str, str]) -> Target:
    """Choose the site's Slurm when there is one, else the running private one; raises SlurmError when neither."""
    clusters, preserve = env.get("SLURM_CLUSTERS", ""), config.task.preserve_environment
    if env.get("SLURM_CONF"):
        return Target(env["SLURM_CONF"], clusters, "the Slurm that $SLURM_CONF names", preserve)
    site = next((conf for conf in SITE_CONFS if conf.exists()), None)
    if site and process.find("sbatch", env):
        return Target("", clusters, f"the site's Slurm ({site})", preserve)
    private = running_conf(config)
    if private:
        return Target(str(private), "", f"the private Slurm ({private})", preserve)
    raise SlurmError(
        "no Slurm here: neither $SLURM_CONF nor a slurm.conf of the site, and no private one runs; start one with: "
        "bee-slurm up"
    )


def environment(target: Target, env: Mapping[str, str]) -> dict[str, str]:
    """Construct the environment for Slurm's programs and, through --export=ALL, for our jobs."""
    made = {**inherited(target.preserve, env), **{name: env[name] for name in KEPT if env.get(name)}}
    made.setdefault("USER", getpass.getuser())
    made.setdefault("LOGNAME", made["USER"])
    made.setdefault("HOME", str(Path.home()))
    made.setdefault("PATH", SYSTEM_PATH)
    made["SLURM_TIME_FORMAT"] = "%s"
    made["SLURM_BITSTR_LEN"] = "0"
    if target.conf:
        made["SLURM_CONF"] = target.conf
    if target.clusters:
        made["SLURM_CLUSTERS"] = target.clusters
    log.info("using %s", target.origin)
    return made
