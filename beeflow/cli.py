"""What all commands share: parser, logging, and the only translator from errors to exit codes."""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from beeflow import __version__, config, paths, sharing, terminal, workdir
from beeflow.archive.limits import UNLIMITED, Limits
from beeflow.errors import EXIT_BUG, BeeError, SystemFileError, UsageError
from beeflow.models import ON_ERROR_CONTINUE, ON_ERROR_STOP

EXIT_INTERRUPT = 130
EXIT_PIPE = 141
# What may stay of a text of several lines.
_LINES = "\n\t"
# What is wrong with the system, or with a path that somebody gave, and not with us.
_OF_SYSTEM = frozenset(
    [
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EIO, errno.ESTALE, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
    ]
)

log = logging.getLogger(__name__)

Main = Callable[[Sequence[str]], int]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """The module docstring as it is written, and short option columns."""


class _Parser(argparse.ArgumentParser):
    """Quotes what it does not understand so that no terminal obeys it."""

    def error(self, message: str) -> NoReturn:
        super().error(terminal.escaped(message, _LINES))


def parser(prog: str, doc: str | None, **kwargs: Any) -> argparse.ArgumentParser:
    """Make a command's parser; its module docstring is the --help."""
    made = _Parser(prog=prog, description=doc, formatter_class=_Formatter, allow_abbrev=False, **kwargs)
    made.add_argument("-v", "--verbose", action="count", default=0, help="say what is done, and on which Slurm")
    made.add_argument("--version", action="version", version=f"beeflow {__version__}")
    return made


def start_logging(verbose: int) -> None:
    """Send the program's log to stderr: warnings, with -v what it does, with -vv everything."""
    handler = logging.StreamHandler(sys.stderr)
    short, long = "%(levelname)s: %(message)s", "%(asctime)s %(name)s %(levelname)s: %(message)s"
    handler.setFormatter(_LogFormatter(short if verbose < 2 else long))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, handlers=[handler], force=True)


class _LogFormatter(logging.Formatter):
    """Keeps control characters of somebody else's from the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return terminal.escaped(super().format(record), _LINES)


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
    print(f"error: {terminal.escaped(text, _LINES)}", file=sys.stderr)


def say(text: str) -> None:
    """Print a path or what else a script may read; on a terminal no control character of it is obeyed."""
    print(terminal.escaped(text, _LINES) if sys.stdout.isatty() else text, flush=True)


def agrees(question: str) -> bool:
    """Ask on the terminal, and say so where nothing is to be done; raises UsageError when nobody can answer."""
    try:
        answer = input(f"{question} [y/N] ").strip().lower()
    except KeyboardInterrupt:
        print()
        raise
    except EOFError:
        print()
        if not sys.stdin.isatty():
            raise UsageError("no answer, so nothing was done; scripts say --yes") from None
        answer = ""
    if answer in ("y", "yes"):
        return True
    print("Nothing was done.")
    return False


def guarded(main: Main, argv: Sequence[str]) -> int:
    """Run a command; an expected error becomes its message and exit code, anything else is a bug."""
    _open_closed()
    _print_any_name()
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
        _drop_output()
        return EXIT_PIPE
    except OSError as failure:
        if failure.errno == errno.ENOENT and _is_nowhere():
            error("the folder that you are in is gone; cd to another")
            return SystemFileError.exit_code
        if failure.errno not in _OF_SYSTEM:
            return _bug()
        log.debug("%s", failure, exc_info=True)
        error(f"{failure.filename or 'standard output'}: {failure.strerror}")
        _drop_output()
        return SystemFileError.exit_code
    except Exception:
        return _bug()
    return code


def _drop_output() -> None:
    """Have what nobody takes go nowhere: Python tries once more as it ends, and would end with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug() -> int:
    traceback.print_exc()
    error("this is a bug in beeflow; please report the lines above")
    return EXIT_BUG


def _is_nowhere() -> bool:
    """True when the current folder was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _open_closed() -> None:
    """Have streams that were closed when we began lead nowhere: Python has None, and the next file gets the number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as we live


def _print_any_name() -> None:
    """Have what the terminal's or a pipe's encoding cannot say printed nevertheless: a path in its own bytes."""
    codecs.register_error("beeflow", terminal.spelled)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="beeflow")


def run(main: Main) -> NoReturn:
    """Run a command as the program that it is."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # As beeflow.commands left it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(guarded(main, sys.argv[1:]))


def add_large(made: argparse.ArgumentParser, when: str = "") -> None:
    """Add the option by which a user vouches for the size of an archive."""
    made.add_argument("--large", action="store_true", help=f"{when}also what is so large that it looks like a trap")


def limits_of(arguments: argparse.Namespace) -> Limits:
    """Return how large an archive may be, as add_large's option says."""
    return UNLIMITED if arguments.large else Limits()


MAIL_TYPES = ("BEGIN", "END", "FAIL", "ALL", "NONE")
SBATCH_OPTIONS = ("account", "partition", "qos", "reservation")


def add_sbatch_options(made: argparse.ArgumentParser) -> None:
    """Add the sbatch options that override bee.conf for one workflow."""
    group = made.add_argument_group("Slurm options, for all jobs of the workflow (they override bee.conf)")
    for name in SBATCH_OPTIONS:
        group.add_argument(f"--{name}", metavar=name.upper())
    group.add_argument("--time", dest="time_limit", metavar="LIMIT", help="time limit of a task, as sbatch's --time")
    group.add_argument(
        "--mail-type", metavar="TYPE", type=mail_types, help="BEGIN, END, FAIL or ALL: when Slurm sends mail"
    )
    group.add_argument("--mail-user", metavar="ADDRESS", help="to whom (default: you)")


def mail_types(text: str) -> str:
    """Read --mail-type, which Slurm would see only when the workflow ends."""
    found = text.upper().split(",")
    unknown = [each for each in found if each not in MAIL_TYPES]
    if unknown:
        raise UsageError(f"--mail-type: {unknown[0]!r} is none of {', '.join(MAIL_TYPES)}")
    return ",".join(found)


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
    check_outdir(arguments.outdir)
    settings = with_sbatch_options(load_config(env), arguments, env)
    config.check_folders(settings)
    if writes:
        workdir.prepare(settings)
    return settings


def check_outdir(outdir: Path | None) -> None:
    """Raise SystemFileError where the outputs could not be copied to, before anything runs for them."""
    if outdir is not None and (obstacle := paths.obstacle(outdir.absolute())):
        raise SystemFileError(f"--outdir: {obstacle}")
