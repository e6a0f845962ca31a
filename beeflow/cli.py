"""What all commands share: parser, logging, and the only translator from errors to exit codes."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from beeflow import __version__, config, sharing, workdir
from beeflow.errors import BeeError, UsageError
from beeflow.models import ON_ERROR_CONTINUE, ON_ERROR_STOP

EXIT_BUG = 70
EXIT_INTERRUPT = 130
EXIT_PIPE = 141

Main = Callable[[Sequence[str]], int]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The module docstring as it is written, and short option columns."""


def parser(prog: str, doc: str | None, **kwargs: Any) -> argparse.ArgumentParser:
    """Make a command's parser; its module docstring is the --help."""
    made = argparse.ArgumentParser(prog=prog, description=doc, formatter_class=_Formatter, allow_abbrev=False, **kwargs)
    made.add_argument("-v", "--verbose", action="count", default=0, help="say what is done, and on which Slurm")
    made.add_argument("--version", action="version", version=f"beeflow {__version__}")
    return made


def start_logging(verbose: int) -> None:
    """Send the program's log to stderr: warnings, with -v what it does, with -vv everything."""
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(levelname)s: %(message)s" if verbose < 2 else "%(asctime)s %(name)s %(levelname)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )


def load_config(env: Mapping[str, str] | None = None) -> config.Config:
    """Read bee.conf as this process's environment says."""
    settings = config.load(os.environ if env is None else env)
    if settings.share_with_group:
        os.umask(sharing.UMASK)
    return settings


def load_own_config(env: Mapping[str, str] | None = None) -> config.Config:
    """Read bee.conf for a command that writes; raises ConfigError for a bee_workdir that others have a hand in."""
    settings = load_config(env)
    workdir.check(settings)
    return settings


def error(text: str) -> None:
    """Tell the user, on stderr, what went wrong; no control character of somebody else's gets at the terminal."""
    safe = "".join(each if each in "\n\t" or " " <= each <= "~" or each > "\x9f" else repr(each)[1:-1] for each in text)
    print(f"error: {safe}", file=sys.stderr)


def guarded(main: Main, argv: Sequence[str]) -> int:
    """Run a command; an expected error becomes its message and exit code, anything else is a bug."""
    try:
        code = main(argv)
        sys.stdout.flush()
    except BeeError as failure:
        error(str(failure))
        return failure.exit_code
    except KeyboardInterrupt:
        error("interrupted")
        return EXIT_INTERRUPT
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error of ours.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except Exception:
        traceback.print_exc()
        error("this is a bug in beeflow; please report the lines above")
        return EXIT_BUG
    return code


def run(main: Main) -> NoReturn:
    """Run a command as the program that it is."""
    sys.exit(guarded(main, sys.argv[1:]))


SBATCH_OPTIONS = ("account", "partition", "qos", "reservation")


def add_sbatch_options(made: argparse.ArgumentParser) -> None:
    """Add the sbatch options that override bee.conf for one workflow."""
    group = made.add_argument_group("Slurm options, for all jobs of the workflow (they override bee.conf)")
    for name in SBATCH_OPTIONS:
        group.add_argument(f"--{name}", metavar=name.upper())
    group.add_argument("--time", dest="time_limit", metavar="LIMIT", help="time limit of a task, as sbatch's --time")
    group.add_argument("--mail-type", metavar="TYPE", help="BEGIN, END, FAIL or ALL: when Slurm sends mail")
    group.add_argument("--mail-user", metavar="ADDRESS", help="to whom (default: you)")


def with_sbatch_options(
    settings: config.Config, arguments: argparse.Namespace, env: Mapping[str, str]
) -> config.Config:
    """Apply the command line's Slurm options, else sbatch's own variables, to the configuration."""
    given: dict[str, Any] = {
        name: getattr(arguments, name) or env.get(f"SBATCH_{name.upper()}") or None for name in SBATCH_OPTIONS
    }
    time_limit = arguments.time_limit or env.get("SBATCH_TIMELIMIT")
    try:
        given["time_limit"] = config.parse_time_limit(time_limit) if time_limit else None
    except ValueError as failure:
        raise UsageError(f"--time: {failure}") from failure
    return config.override(settings, **given)


def add_run_options(made: argparse.ArgumentParser) -> None:
    """Add what every command that starts a workflow can be told."""
    made.add_argument("--no-start", action="store_true", help="write the workflow and hold it until bee-start")
    made.add_argument("--wait", action="store_true", help="stay, show progress, end with 0 only if it completed")
    made.add_argument("--outdir", type=Path, metavar="DIR", help="also copy the final outputs to this folder")
    add_on_error_option(made)
    add_sbatch_options(made)


def add_on_error_option(made: argparse.ArgumentParser) -> None:
    """Add what a failed task stops."""
    made.add_argument(
        "--on-error",
        choices=(ON_ERROR_STOP, ON_ERROR_CONTINUE),
        default=ON_ERROR_CONTINUE,
        help="when a task fails: start no other, or (the default) run all that does not depend on it",
    )


def run_settings(arguments: argparse.Namespace, env: Mapping[str, str], *, writes: bool = True) -> config.Config:
    """Return the configuration a workflow is started with; raises UsageError or ConfigError before anything is done.

    ``writes``: a bee_workdir is made where there is none.
    """
    if arguments.wait and arguments.no_start:
        raise UsageError("--wait would wait for ever for what --no-start holds; give one of them")
    settings = with_sbatch_options(load_config(env), arguments, env)
    config.check_folders(settings)
    if writes:
        workdir.prepare(settings)
    return settings
