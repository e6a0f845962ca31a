"""Find the run that a user means: an archive, or a workflow by the beginning of its id."""

from __future__ import annotations

from pathlib import Path

from beeflow import paths, store, workflow
from beeflow.archive.limits import Limits
from beeflow.comparing import archived, unarchived
from beeflow.comparing.runs import Run
from beeflow.config import Config
from beeflow.errors import NotFoundError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX, Layout
from beeflow.store import Store, WorkflowDir


def read(text: str, config: Config, allowed: Limits) -> Run:
    """Read the archive or workflow directory of that path, else of that id; the directory only without an archive."""
    path = Path(text)
    if paths.is_file(path):
        return archived.read(path, allowed)
    if "/" in text or text.endswith(ARCHIVE_SUFFIX):
        if paths.is_file(Layout(path).workflow):
            return unarchived.read(WorkflowDir(Layout(path)))
        raise NotFoundError(f"{text}: no such archive or workflow directory")
    try:
        made = workflow.archive_of(config, text)
    except TransitionError:
        workflows = Store(config.workflows_dir)
        return unarchived.read(workflows.get(store.resolve_id(text, workflows.ids())))
    return archived.read(made, allowed)
