"""Read bee.conf: where the workflow directories are, and what every sbatch of ours says.

``load`` looks at $BEE_CONFIG, then ~/.config/beeflow/bee.conf, then takes the defaults. Reading writes nothing.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from beeflow import paths, policy, sharing
from beeflow.errors import ConfigError
from beeflow.graph import RetryPolicy
from beeflow.models import EMBED, EMBED_AUTO, REFERENCE, ArchivePolicy

DRIVES = ("job", "here")
APIS = ("cli", "pyslurm")
AUTO = "auto"
LOCKS = (AUTO, "fcntl", "soft")
_OF_SLURM = ("SLURM", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_")
RUNTIMES = (AUTO, "charliecloud", "none")
POLICIES = (EMBED_AUTO, EMBED, REFERENCE)


@dataclass(frozen=True)
class SlurmConfig:
    """The [slurm] section: options for every job of ours."""

    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    time_limit: timedelta = timedelta(hours=1)
    driver_time_limit: timedelta = timedelta(minutes=30)
    drive: str = "job"
    api: str = "cli"
    pass_mem: bool = True
    tasks_per_element: int | None = None
    pass_tmp: bool = False
    max_jobs: int = 0
    driver_options: tuple[str, ...] = ()
    task_options: tuple[str, ...] = ()
    srun_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContainerConfig:
    """The [container] section."""

    runtime: str = "auto"


@dataclass(frozen=True)
class ModulesConfig:
    """The [modules] section. ``packages``: name, or name/version, in lower case -> words of ``module load``."""

    init: str = "/etc/profile.d/modules.sh"
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskConfig:
    """The [task] section. ``preserve_environment``: names of variables; one that ends in a star: how they begin."""

    preserve_environment: tuple[str, ...] = ()


# The origin of what an option or a variable of sbatch says, for this one workflow.
GIVEN = "given"


@dataclass(frozen=True)
class Config:
    """All of bee.conf. ``origins``: "section.key" -> "file:line" or "default"."""

    bee_workdir: Path
    workload_scheduler: str = "Slurm"
    use_archive: bool = True
    bee_archive_dir: Path = Path()
    delete_completed_workflow_dirs: bool = False
    input_copy_limit_mib: int = 1024
    lock: str = AUTO
    share_with_group: str = ""
    slurm: SlurmConfig = field(default_factory=SlurmConfig)
    container: ContainerConfig = field(default_factory=ContainerConfig)
    modules: ModulesConfig = field(default_factory=ModulesConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    retry: RetryPolicy = policy.DEFAULT
    archive: ArchivePolicy = field(default_factory=ArchivePolicy)
    path: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def workflows_dir(self) -> Path:
        """Where the workflow directories are."""
        return self.bee_workdir / "workflows"


def parse_bool(text: str) -> bool:
    """Read a boolean as configparser does: yes/no, true/false, on/off, 1/0."""
    try:
        return configparser.ConfigParser.BOOLEAN_STATES[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is not a boolean; write True or False") from None


def parse_time_limit(text: str) -> timedelta:
    """Read a Slurm time: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS (sbatch(1), --time)."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a time limit; write minutes, HH:MM:SS or D-HH:MM:SS")
    days, first, second, third = (None if part is None else int(part) for part in match.groups())
    assert first is not None  # noqa: S101 - the pattern has it
    if days is not None:
        limit = timedelta(days=days, hours=first, minutes=second or 0, seconds=third or 0)
    elif third is not None:
        limit = timedelta(hours=first, minutes=second or 0, seconds=third)
    else:
        limit = timedelta(minutes=first, seconds=second or 0)
    if limit <= timedelta(0):
        raise ValueError(f"{text!r}: a time limit of nothing; write minutes, HH:MM:SS or D-HH:MM:SS")
    return limit


def format_time_limit(limit: timedelta) -> str:
    """Write a time limit as sbatch takes it, D-HH:MM:SS."""
    hours, rest = divmod(limit.seconds, 3600)
    return f"{limit.days}-{hours:02}:{rest // 60:02}:{rest % 60:02}"


def _path(text: str) -> Path:
    path = Path(os.path.expandvars(text)).expanduser()
    if not text.strip() or not path.is_absolute():
        raise ValueError(f"{text!r} is not an absolute path (~ and $VARIABLES are replaced)")
    return path


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for word in words:
            if text.strip().lower() == word.lower():
                return word
        raise ValueError(f"{text!r} is not one of {', '.join(words)}")

    return parse


def _size(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is not a whole number of MiB")
    return int(text)


def _number(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _auto_or_number(text: str) -> int | None:
    """Read "auto" (None) or a number of at least 1."""
    if text.strip().lower() == AUTO:
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is neither auto nor a whole number of at least 1")
    return int(text)


def _plain(text: str) -> str:
    if any(character in text for character in "\n\0"):
        raise ValueError(f"{text!r}: a value is one line")
    return text.strip()


def _variables(text: str) -> tuple[str, ...]:
    """Read names of environment variables. What Slurm and its programs take theirs from is not for us to hand on."""
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*\*?", name):
            raise ValueError(f"{name!r} is not the name of a variable, nor the beginning of names and a star")
        if any(name.startswith(each) or (name[-1] == "*" and each.startswith(name[:-1])) for each in _OF_SLURM):
            raise ValueError(f"{name!r}: a job gets these from Slurm itself")
    return names


def _words(text: str) -> tuple[str, ...]:
    words = _options(text)
    if not words:
        raise ValueError("a package takes the words of a module load")
    return words


def _options(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


Parser = Callable[[str], Any]

KEYS: dict[str, dict[str, Parser]] = {
    "DEFAULT": {
        "bee_workdir": _path,
        "workload_scheduler": _one_of("Slurm"),
        "use_archive": parse_bool,
        "bee_archive_dir": _path,
        "delete_completed_workflow_dirs": parse_bool,
        "input_copy_limit_mib": _size,
        "lock": _one_of(*LOCKS),
        "share_with_group": _plain,
    },
    "slurm": {
        "account": _plain,
        "partition": _plain,
        "qos": _plain,
        "reservation": _plain,
        "time_limit": parse_time_limit,
        "driver_time_limit": parse_time_limit,
        "drive": _one_of(*DRIVES),
        "api": _one_of(*APIS),
        "pass_mem": parse_bool,
        "tasks_per_element": _auto_or_number,
        "pass_tmp": parse_bool,
        "max_jobs": _number,
        "driver_options": _options,
        "task_options": _options,
        "srun_options": _options,
    },
    "archive": {"inputs": _one_of(*POLICIES), "outputs": _one_of(*POLICIES), "output_limit_mib": _size},
    "container": {"runtime": _one_of(*RUNTIMES)},
    "task": {"preserve_environment": _variables},
    "retry": dict(policy.KEYS),
    "modules": {"init": _plain},
}
# Where every other key is a package's name (configparser makes it lower case).
OPEN_SECTIONS: dict[str, Parser] = {"modules": _words}


def user_path(env: Mapping[str, str]) -> Path:
    """Where bee.conf is looked for, and written by ``bee-config new``."""
    if env.get("BEE_CONFIG"):
        return Path(env["BEE_CONFIG"]).absolute()
    return Path(env.get("HOME") or Path.home()) / ".config/beeflow/bee.conf"


def load(env: Mapping[str, str]) -> Config:
    """Find and read bee.conf; raises ConfigError naming file and line."""
    path = user_path(env)
    if paths.is_file(path):
        return read(path, env)
    if env.get("BEE_CONFIG"):
        raise ConfigError(f"{path}: $BEE_CONFIG names this file, and it is not there; unset it or run: bee-config new")
    return _build({}, None, env)


def read(path: Path, env: Mapping[str, str]) -> Config:
    """Read one bee.conf; raises ConfigError naming file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    # No section inherits from another: [DEFAULT] is a section like any other.
    parser = configparser.ConfigParser(default_section="\0", interpolation=None)
    try:
        parser.read_string(text, source=str(path))
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next((n for n, _ in getattr(error, "errors", [])), "?")
        what = error.message.splitlines()[0] if error.message else str(error)
        raise ConfigError(f"{path}:{line}: not an INI file: {what}") from error
    values: dict[str, dict[str, Any]] = {}
    for section in parser.sections():
        if section not in KEYS:
            known = ", ".join(f"[{name}]" for name in KEYS)
            raise ConfigError(f"{path}:{_line(text, section)}: unknown section [{section}]; known are {known}")
        for key, raw in parser.items(section):
            where = f"{path}:{_line(text, section, key)}"
            parse = KEYS[section].get(key, OPEN_SECTIONS.get(section))
            if parse is None:
                raise ConfigError(f"{where}: unknown key {key!r} in [{section}]; known are {', '.join(KEYS[section])}")
            try:
                values.setdefault(section, {})[key] = (parse(raw), where)
            except ValueError as error:
                raise ConfigError(f"{where}: {key}: {error}") from error
    return _build(values, path, env)


def _build(values: Mapping[str, Mapping[str, Any]], path: Path | None, env: Mapping[str, str]) -> Config:
    origins = {f"{section}.{key}": "default" for section, keys in KEYS.items() for key in keys}
    plain: dict[str, dict[str, Any]] = {section: {} for section in KEYS}
    for section, keys in values.items():
        for key, (value, where) in keys.items():
            plain[section][key] = value
            origins[f"{section}.{key}"] = where
    top = plain["DEFAULT"]
    top.setdefault("bee_workdir", Path(env.get("HOME") or Path.home()) / ".beeflow")
    top.setdefault("bee_archive_dir", top["bee_workdir"] / "archives")
    return Config(
        **top,
        slurm=SlurmConfig(**plain["slurm"]),
        container=ContainerConfig(**plain["container"]),
        modules=_modules(plain["modules"]),
        task=TaskConfig(**plain["task"]),
        retry=replace(policy.DEFAULT, **plain["retry"]),
        archive=ArchivePolicy(**plain["archive"]),
        path=path,
        origins=origins,
    )


def _modules(given: Mapping[str, Any]) -> ModulesConfig:
    packages = {name: words for name, words in given.items() if name not in KEYS["modules"]}
    return ModulesConfig(packages=packages, **{name: given[name] for name in KEYS["modules"] if name in given})


def _line(text: str, section: str, key: str | None = None) -> int:
    """Find the line of a section's header or of a key below it (configparser does not keep them)."""
    current = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\[(.+)\]", line)
        if header:
            current = header.group(1)
            if key is None and current == section:
                return number
        elif key and current == section and re.split(r"[=:]", line, maxsplit=1)[0].strip().lower() == key:
            return number
    return 0


def check_folders(config: Config) -> None:
    """Raise ConfigError when a folder that will be written to cannot be made or written, or shared as asked."""
    try:
        sharing.gid_of(config.share_with_group)
    except ConfigError as error:
        raise ConfigError(f"{config.origins.get('DEFAULT.share_with_group', 'default')}: {error}") from error
    for key in ("bee_workdir", "bee_archive_dir"):
        folder: Path = getattr(config, key)
        where = config.origins.get(f"DEFAULT.{key}", "default")
        if "\\" in str(folder):
            raise ConfigError(f"{where}: {key}: {folder}: Slurm takes no backslash in the path of a job")
        if obstacle := paths.obstacle(folder):
            raise ConfigError(f"{where}: {key}: {obstacle}")


@dataclass(frozen=True)
class Setting:
    """One key of bee.conf, its value, and where the value comes from: "file:line" or "default"."""

    section: str
    key: str
    value: Any
    origin: str


def settings(config: Config) -> tuple[Setting, ...]:
    """List every key, in the order of KEYS, and the packages of [modules] last."""
    packages = (
        Setting("modules", name, words, config.origins.get(f"modules.{name}", "default"))
        for name, words in config.modules.packages.items()
    )
    known = tuple(
        Setting(
            section,
            key,
            getattr(config if section == "DEFAULT" else getattr(config, section), key),
            config.origins.get(f"{section}.{key}", "default"),
        )
        for section, keys in KEYS.items()
        for key in keys
    )
    return (*known, *packages)


def override(config: Config, **slurm: Any) -> Config:
    """Return the configuration with [slurm] values that a command line gave (None: not given)."""
    given = {key: value for key, value in slurm.items() if value is not None}
    origins = {**config.origins, **{f"slurm.{key}": GIVEN for key in given}}
    return replace(config, slurm=replace(config.slurm, **given), origins=origins)


def render_value(value: Any) -> str:
    """Write a value as bee.conf has it."""
    if isinstance(value, tuple):
        return shlex.join(value)
    if isinstance(value, timedelta):
        return format_time_limit(value)
    return AUTO if value is None else str(value)
