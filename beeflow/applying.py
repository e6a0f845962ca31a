"""A command on the workflows that a user names: which these are, whether to ask first, and a line for each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from beeflow import cli, control, listing, tables, workflow
from beeflow.config import Config
from beeflow.errors import BeeError, UsageError
from beeflow.scheduler.patient import COMMAND_S, Patience
from beeflow.states import Command, WorkflowState
from beeflow.store import Store, WorkflowDir


def main(command: Command, doc: str | None, argv: Sequence[str]) -> int:
    """Do a command; returns the worst exit code."""
    arguments = parse(command, doc, argv)
    cli.start_logging(arguments.verbose)
    settings = cli.load_own_config()
    chosen, worst = (applicable(command, settings), 0) if arguments.all else named(command, arguments.ids, settings)
    if arguments.all and not chosen:
        print(f"No workflow is {states_of(command)}.")
    must_ask = not arguments.yes and sys.stdin.isatty() and (len(chosen) > 1 or (arguments.all and chosen))
    if must_ask and not agrees(command, chosen):
        return 1
    patience = Patience(COMMAND_S)
    for outcome in control.perform(command, chosen, lambda each: listing.scheduler_of(each, os.environ, patience)):
        if outcome.error:
            cli.error(str(outcome.error))
            worst = max(worst, outcome.error.exit_code)
        else:
            print(outcome.said)
    return worst


def parse(command: Command, doc: str | None, argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; raises UsageError when it does not say which workflows."""
    parser = cli.parser(command.value, doc)
    parser.add_argument("ids", metavar="ID", nargs="*", help="a workflow's id, or the beginning of it")
    parser.add_argument("--all", action="store_true", help=f"all of your workflows that are {states_of(command)}")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask whether several are meant")
    arguments = parser.parse_args(argv)
    if bool(arguments.ids) == arguments.all:
        raise UsageError(f"{command.value}: say which workflows: their ids (see: bee-list), or --all")
    if arguments.all and not arguments.yes and not sys.stdin.isatty():
        raise UsageError(f"{command.value} --all: there is no terminal to ask on; if all are meant, add --yes")
    return arguments


def states_of(command: Command) -> str:
    """Name the states of the workflows that a command does something to."""
    words = [state.value for state in WorkflowState if command.changes(state)]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def applicable(command: Command, settings: Config) -> list[WorkflowDir]:
    """Find the workflows that a command does something to, oldest first."""
    workflows = Store(settings.workflows_dir)
    found = [workflows.get(each.id) for each in listing.list_all(settings, os.environ) if command.changes(each.state)]
    # What is being cancelled is shown as it was till then.
    return [each for each in found if command is Command.CANCEL or not each.layout.cancel.exists()]


def named(command: Command, texts: Sequence[str], settings: Config) -> tuple[list[WorkflowDir], int]:
    """Find the workflows that are meant, each once, and the worst exit code of those that cannot be found."""
    known, worst = workflow.Known.read(settings), 0
    found: dict[str, WorkflowDir] = {}
    for text in texts:
        try:
            each = known.resolve(text, command)
            found[each.id] = each
        except BeeError as error:
            cli.error(str(error))
            worst = max(worst, error.exit_code)
    return list(found.values()), worst


def agrees(command: Command, chosen: Sequence[WorkflowDir]) -> bool:
    """Ask on the terminal."""
    for each in chosen:
        print(f"  {each.id}  {tables.one_line(name_of(each))}")
    verb = command.value.removeprefix("bee-").capitalize()
    return cli.agrees(f"{verb} {'this workflow' if len(chosen) == 1 else f'these {len(chosen)} workflows'}?")


def name_of(found: WorkflowDir) -> str:
    """Return what the user called a workflow; what cannot be read is told by the command itself."""
    try:
        return found.record().name
    except BeeError:
        return ""
