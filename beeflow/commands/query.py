"""Show a workflow and its tasks: state, job id, node, elapsed time, and for a failure why, with its last stderr lines.

examples:
  bee-query 3fc631bb             any unambiguous beginning of the id
  bee-query --json 3fc631bb
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

from beeflow import cli, codec, tables, workflow
from beeflow.comparing import parent
from beeflow.comparing.parent import Comparison
from beeflow.config import Config
from beeflow.models import Summary, TaskRecord
from beeflow.terminal import escaped


def main(argv: Sequence[str]) -> int:
    """Show one workflow."""
    parser = cli.parser("bee-query", __doc__)
    parser.add_argument("id", metavar="ID", help="a workflow's id, or the beginning of it")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    arguments = parser.parse_args(argv)
    cli.start_logging(arguments.verbose)
    found = describe(cli.load_config(), arguments.id)
    print(json.dumps(as_json(*found), indent=1) if arguments.json else as_text(*found))
    return 0


def describe(config: Config, text: str) -> tuple[Summary, list[TaskRecord], Comparison | None]:
    """Describe a workflow, its tasks, and how the outputs of a re-executed one are to its parent's."""
    summary, tasks = workflow.describe(config, text, os.environ)
    return summary, tasks, parent.read(summary, config)


def as_json(summary: Summary, tasks: Sequence[TaskRecord], comparison: Comparison | None) -> dict[str, Any]:
    """Describe a workflow as JSON: id, name, state, created, parent, comparison, tasks and more."""
    made = {**codec.to_json(summary), "comparison": codec.to_json(comparison)}
    return {**made, "tasks": [codec.to_json(task) for task in tasks]}


def as_text(summary: Summary, tasks: Sequence[TaskRecord], comparison: Comparison | None) -> str:
    """Describe a workflow as text."""
    lines = [f"{tables.one_line(summary.name)}  {summary.id}  {summary.state.value}"]
    if summary.reason:
        lines.append(f"reason: {tables.one_line(summary.reason, 1000)}")
    if summary.parent:
        lines.append(f"re-execution of: {tables.one_line(summary.parent)}")
    if comparison:
        lines.append(f"outputs: {tables.one_line(str(comparison), 1000)}")
    if summary.archive:
        lines.append(f"archive: {escaped(summary.archive)}")
    return "\n".join([*lines, "", tables.render_tasks(tasks)]) if tasks else "\n".join(lines)


def run() -> NoReturn:
    """Run as a program."""
    cli.run(main)


if __name__ == "__main__":
    run()
