"""Submit, list, start, query, pause, resume, cancel, copy and re-execute workflows from a menu.

Each choice does what the command of that name does: bee-submit, bee-list, and so on. Ctrl-C at a question goes back to
the menu; Exit, or Ctrl-D anywhere, leaves it. The Slurm options below count for what is submitted from the menu.

example:
  bee-client --account climate
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from beeflow import cli, config, listing, tables, workdir, workflow
from beeflow import control as use_cases
from beeflow.commands import query
from beeflow.config import Config
from beeflow.copying import local
from beeflow.errors import BeeError, UsageError
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.states import Command

WELCOME = "Welcome to BEE Client! 🐝"
PROMPT = "$ "
JOB_NAME = "What will be the name of the job?"
WORKFLOW_PATH = "What is the workflow path?"
INPUTS_PATH = "What is the inputs path?"
WORKFLOW_ID = "What is the workflow id?"
DESTINATION = "Where do you want to save it?"
ARCHIVE_PATH = "What is the archive path?"


def main(argv: Sequence[str]) -> int:
    """Show the menu until the user leaves it."""
    parser = cli.parser("bee-client", __doc__)
    cli.add_sbatch_options(parser)
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    prepare_terminal()
    print(WELCOME)
    try:
        while True:
            choice = choose()
            if choice is not None:
                label, action = MENU[choice]
                if action is None:
                    return 0
                perform(action, label, arguments)
    except EOFError:
        print()
        return 0


def prepare_terminal() -> None:
    """Let no character of a name or path stop us, and answers be edited, with Tab for file names."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that can't show the bee shows a question mark.
        sys.stdout.reconfigure(errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdin.isatty() and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - input() uses it once it is imported


def choose() -> int | None:
    """Show the menu and ask; None when the answer is no choice."""
    for number, (label, _) in enumerate(MENU):
        print(f"{number}) {label}")
    answer = input(PROMPT).strip()
    if answer.isascii() and answer.isdigit() and int(answer) < len(MENU):
        return int(answer)
    cli.error(f"{answer!r} is not a number from 0 to {len(MENU) - 1}")
    return None


def perform(action: Action, label: str, arguments: argparse.Namespace) -> None:
    """Do what was chosen; what goes wrong is told, and the menu goes on."""
    try:
        action(arguments)
    except BeeError as failure:
        cli.error(str(failure))
    except KeyboardInterrupt:
        print()
        cli.error(f"{label}: interrupted")


def ask(question: str) -> str:
    """Ask; the answer may be empty."""
    print(question)
    return input(PROMPT).strip()


def ask_for(question: str) -> str:
    """Ask for what can't be left out; raises UsageError when it is."""
    answer = ask(question)
    if not answer:
        raise UsageError("no answer, nothing done")
    return answer


def ask_path(question: str) -> str:
    """Ask for a path; ~ is replaced, as the shell does it for commands."""
    return os.path.expanduser(ask_for(question))


def submit(arguments: argparse.Namespace) -> None:
    """Ask for a workflow, and for its inputs if it can't do without, and submit it."""
    name = ask(JOB_NAME)
    document = ask_path(WORKFLOW_PATH)
    settings = submit_settings(arguments)
    # Half a second of imports that only this needs.
    from beeflow import submit as use_case

    inputs = [ask_path(INPUTS_PATH)] if use_case.needs_inputs(document, settings) else []
    request = use_case.Request(
        document=document,
        arguments=inputs,
        name=name or None,
        mail_type=arguments.mail_type or "",
        mail_user=arguments.mail_user or "",
    )
    print(f"Job submitted! Your workflow id is {use_case.submit(request, settings, os.environ).id}.")


def reexecute(arguments: argparse.Namespace) -> None:
    """Ask for an archive, and submit it under a new name."""
    archive = ask_path(ARCHIVE_PATH)
    name = ask(JOB_NAME)
    settings = submit_settings(arguments)
    from beeflow.rerun import again
    from beeflow.rerun.request import Request

    request = Request(
        archive=archive,
        name=name or None,
        mail_type=arguments.mail_type or "",
        mail_user=arguments.mail_user or "",
    )
    print(f"Job submitted! Your workflow id is {again.rerun(request, settings, os.environ).id}.")


def submit_settings(arguments: argparse.Namespace) -> Config:
    """Read the configuration for a submission, with the Slurm options that the client was started with."""
    settings = cli.with_sbatch_options(cli.load_config(), arguments, os.environ)
    config.check_folders(settings)
    workdir.prepare(settings)
    return settings


def list_workflows(_: argparse.Namespace) -> None:
    """Print what bee-list prints."""
    print(tables.render_workflows(listing.list_all(cli.load_config(), os.environ)))


def query_workflow(_: argparse.Namespace) -> None:
    """Print what bee-query prints."""
    print(query.as_text(*query.describe(cli.load_config(), ask_for(WORKFLOW_ID))))


def control(command: Command) -> Action:
    """Make what asks for a workflow and does a command to it."""

    def act(_: argparse.Namespace) -> None:
        found = workflow.resolve(cli.load_own_config(), ask_for(WORKFLOW_ID), command)
        print(
            use_cases.perform_one(
                command, found, lambda each: listing.scheduler_of(each, os.environ, Patience(COMMAND_S))
            )
        )

    return act


def copy(_: argparse.Namespace) -> None:
    """Copy an archive."""
    workflow_id = ask_for(WORKFLOW_ID)
    settings = cli.load_config()
    # Said before the second question, not after it.
    workflow.archive_of(settings, workflow_id)
    dest = ask_path(DESTINATION)
    cli.say(str(local.copy(settings, workflow_id, dest)))


Action = Callable[[argparse.Namespace], None]

# The original's menu, word for word; no action: leave.
MENU: tuple[tuple[str, Action | None], ...] = (
    ("Submit Workflow", submit),
    ("List Workflows", list_workflows),
    ("Start Workflow", control(Command.START)),
    ("Query Workflow", query_workflow),
    ("Pause Workflow", control(Command.PAUSE)),
    ("Resume Workflow", control(Command.RESUME)),
    ("Cancel Workflow", control(Command.CANCEL)),
    ("Copy Workflow", copy),
    ("ReExecute Workflow", reexecute),
    ("Exit", None),
)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
