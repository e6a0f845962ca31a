"""Write, show and check bee.conf, the configuration file.

  new       write a commented bee.conf to start from; where $SCRATCH is set and usable, with bee_workdir below it
  show      print every key as it counts now, and where its value comes from; the output is a valid bee.conf itself
  validate  read a bee.conf and check sections, keys, values, folders, and pyslurm if it is to be used; exit code 78 if
            something is wrong

bee.conf is read from $BEE_CONFIG if that is set, else from ~/.config/beeflow/bee.conf.

examples:
  bee-config new
  bee-config new --force ./bee.conf
  bee-config show --json
  bee-config validate ./bee.conf
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from beeflow import cli, config, resources, store
from beeflow.config import Config, Setting
from beeflow.errors import ConfigError, SlurmError, SystemFileError
from beeflow.scheduler import libslurm
from beeflow.scheduler.connect import PYSLURM
from beeflow.scheduler.target import environment, find
from beeflow.workdir import check_file_system

SAMPLE = "etc/bee.conf"
# The sample's line that `new` replaces.
WORKDIR_LINE = "#bee_workdir = ~/.beeflow\n"


def make_parser() -> argparse.ArgumentParser:
    """Make the parser."""
    parser = cli.parser("bee-config", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="new | show | validate")
    new = commands.add_parser("new", help="write a commented bee.conf", allow_abbrev=False)
    new.add_argument("--force", action="store_true", help="replace the file if it is there")
    new.add_argument("path", metavar="PATH", nargs="?", type=Path, help="where (default: where it is looked for)")
    show = commands.add_parser("show", help="print every key and where its value comes from", allow_abbrev=False)
    show.add_argument("--json", action="store_true", help="print a JSON object")
    validate = commands.add_parser("validate", help="check a bee.conf", allow_abbrev=False)
    validate.add_argument("file", metavar="FILE", nargs="?", type=Path, help="which (default: the one that counts)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = make_parser().parse_args(argv)
    cli.start_logging(arguments.verbose)
    if arguments.command == "new":
        print(new(arguments.path, os.environ, force=arguments.force))
    elif arguments.command == "show":
        settings = config.settings(cli.load_config())
        print(json.dumps(as_json(settings), indent=1) if arguments.json else as_ini(settings))
    else:
        print(validate(arguments.file, os.environ))
    return 0


def new(path: Path | None, env: Mapping[str, str], *, force: bool) -> str:
    """Write a bee.conf; returns what to tell the user. Raises ConfigError when there is one already."""
    # A link stays a link: its target is written.
    target = (path or config.user_path(env)).resolve()
    text, advice = render(resources.find(SAMPLE).read_text(encoding="utf-8"), env)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemFileError(f"{target.parent}: cannot be made: {error.strerror}") from error
    if force:
        store.write_text(target, text)
    elif not store.publish(target, text):
        raise ConfigError(f"{target}: there already, and left as it is; to replace it: bee-config new --force")
    lines = [f"Wrote {target}", *advice]
    if target != config.user_path(env).resolve():
        lines.append(f"It counts only when BEE_CONFIG names it: export BEE_CONFIG={shlex.quote(str(target))}")
    return "\n".join(lines)


def render(sample: str, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Fill in the sample; returns its text and what to tell the user about it."""
    scratch = env.get("SCRATCH", "")
    if not is_usable(scratch):
        return sample, [f"bee_workdir is not set in it, so ~/.beeflow counts{_why_not(scratch)}"]
    workdir = Path(scratch) / "beeflow"
    why = f"# Proposed by bee-config new: $SCRATCH was {scratch} when it wrote this file.\n"
    text = sample.replace(WORKDIR_LINE, f"{WORKDIR_LINE}{why}bee_workdir = {workdir}\n")
    return text, [f"bee_workdir is {workdir}, because $SCRATCH is {scratch}"]


def is_usable(scratch: str) -> bool:
    """Tell whether $SCRATCH is a folder that we may write, and that bee.conf can name."""
    path = Path(scratch)
    plain = scratch == scratch.strip() and "$" not in scratch and scratch.isprintable()
    return plain and path.is_absolute() and path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _why_not(scratch: str) -> str:
    return f"; $SCRATCH is {scratch!r}, which is no folder that can be used" if scratch else ""


def as_ini(settings: Sequence[Setting]) -> str:
    """Write settings as a bee.conf, each below a comment that says where it comes from."""
    lines: list[str] = []
    section = None
    for setting in settings:
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines += [f"# {setting.origin}", f"{setting.key} = {config.render_value(setting.value)}".rstrip()]
    return "\n".join(lines)


def as_json(settings: Sequence[Setting]) -> dict[str, dict[str, Any]]:
    """Write settings for programs: section -> key -> value and origin."""
    made: dict[str, dict[str, Any]] = {}
    for setting in settings:
        entry = {"value": _json_value(setting.value), "origin": setting.origin}
        made.setdefault(setting.section, {})[setting.key] = entry
    return made


def _json_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return config.render_value(value) if isinstance(value, Path | timedelta) else value


def validate(file: Path | None, env: Mapping[str, str]) -> str:
    """Check a bee.conf; returns what was checked. Raises ConfigError naming file and line."""
    settings = config.load(env) if file is None else config.read(file.absolute(), env)
    config.check_folders(settings)
    return "\n".join([_checked_keys(settings, env), *_checked_folders(settings), *_checked_api(settings, env)])


def _checked_keys(settings: Config, env: Mapping[str, str]) -> str:
    if settings.path is None:
        return f"ok  there is no {config.user_path(env)}; all keys have their defaults"
    given = sum(setting.origin != "default" for setting in config.settings(settings))
    keys = "1 key is" if given == 1 else f"{given} keys are"
    return f"ok  {settings.path}: {keys} set, every section and key is known, every value can be read"


def _checked_folders(settings: Config) -> list[str]:
    if settings.bee_workdir.is_dir():
        check_file_system(settings)
    folders = {"bee_workdir": settings.bee_workdir, "bee_archive_dir": settings.bee_archive_dir}
    return [
        f"ok  {key} {folder}: {'can be written' if folder.is_dir() else 'is not there yet, and can be made'}"
        for key, folder in folders.items()
    ]


def _checked_api(settings: Config, env: Mapping[str, str]) -> list[str]:
    if settings.slurm.api != PYSLURM:
        return []
    try:
        slurm_env = _slurm_environment(settings, env)
        libslurm.check_installed(slurm_env)
        return [f"ok  api pyslurm: pyslurm {libslurm.probe(slurm_env)} can be imported"]
    except SlurmError as error:
        return [f"??  api pyslurm: pyslurm is installed; it cannot be imported without a Slurm ({error})"]
    except ConfigError as error:
        raise ConfigError(f"{settings.origins['slurm.api']}: {error}") from error


def _slurm_environment(settings: Config, env: Mapping[str, str]) -> dict[str, str]:
    try:
        return environment(find(settings, env), env)
    except SlurmError:
        # That pyslurm is missing shows without a Slurm too.
        libslurm.check_installed(env)
        raise


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
