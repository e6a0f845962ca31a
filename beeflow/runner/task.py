"""One task of an element, and what is done for it outside its command."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

# Fewer folders above each other trouble nobody: cwltool calls itself for each, and Python lets it 1,000 times.
_DEEP = 100


class Task:
    """A task in the making. ``values``: what fills its template, where it has one."""

    def __init__(self, label: str, folder: str, result: dict[str, Any]) -> None:
        self.label = label
        self.folder = folder
        self.out = f"{folder}/out"
        self.result = result
        self.inputs: dict[str, Any] = {}
        self.command: dict[str, Any] = {}
        self.ports: list[dict[str, Any]] | None = None
        self.values: list[Any] = []
        self.prepared: Any = None
        self.began = time.monotonic()
        self.ended = self.began


def put_in_place(stages: list[dict[str, Any]], root: str) -> None:
    """Stage what a command needs; seldom, so that what this imports is not imported for every task."""
    from pathlib import Path

    from beeflow import staging
    from beeflow.command import Stage

    staging.put(tuple(Stage(**stage) for stage in stages), Path(root))


def make_readable(folder: str) -> None:
    """Give the owner back what a command took from him in its working directory."""
    from pathlib import Path  # seldom needed

    from beeflow import staging

    os.chmod(folder, os.stat(folder).st_mode | 0o700)
    staging.make_readable(Path(folder))


def why_too_deep(error: BaseException, out: str) -> str:
    """Say which output has too many folders above each other; "" when that is not what an error came of."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RecursionError):
        cause = cause.__cause__ or cause.__context__
    parts = _deepest(out)[len(out) + 1 :].split("/") if cause else []
    if len(parts) < _DEEP:
        return ""
    return (
        f"its outputs cannot be collected: {parts[0]} has folders nested {len(parts) - 1} deep, and some 900 can be "
        "(480 where loadListing asks for what is in them); have the command pack it into one file, as tar does"
    )


def _deepest(folder: str) -> str:
    """Find the folder with the most others above it, as far as a path leads."""
    found, waiting = folder, [folder]
    while waiting:
        path = waiting.pop()
        if path.count("/") > found.count("/"):
            found = path
        try:
            with os.scandir(path) as entries:
                waiting += [each.path for each in entries if each.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found


def is_success(command: dict[str, Any], exit_code: int) -> bool:
    """Judge an exit code (CWL CommandLineTool: successCodes, then the fail codes, then 0)."""
    if exit_code in command["success_codes"]:
        return True
    return exit_code == 0 and 0 not in (*command["temporary_fail_codes"], *command["permanent_fail_codes"])


def exit_reason(code: int) -> str:
    """Say how a command ended."""
    if code >= 0:
        return f"the command ended with exit code {code}"
    import signal as signals  # seldom needed

    name = signals.Signals(-code).name if -code in set(signals.Signals) else str(-code)
    return f"the command was killed by {name}"


def tidy(task: Task) -> None:
    """Remove what nobody needs of a task that went well: its scratch folder, and streams without a word."""
    try:
        os.rmdir(f"{task.folder}/tmp")
    except OSError:
        from pathlib import Path  # seldom needed

        from beeflow.staging import remove_tree

        remove_tree(Path(task.folder, "tmp"))
    for name in ("stdout", "stderr"):
        path = f"{task.folder}/{name}"
        try:
            if os.stat(path).st_size == 0:
                os.unlink(path)
        except FileNotFoundError:
            pass
