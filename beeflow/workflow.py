"""The use cases on a workflow after it was written: drive it, describe it, find its archive."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from beeflow import archived, paths, store
from beeflow.archive import reading
from beeflow.config import Config
from beeflow.errors import ArchiveError, NotFoundError, TransitionError
from beeflow.layout import ARCHIVE_SUFFIX, split_archive_name, versions
from beeflow.listing import Queues, archives_without, of_sidecars, scheduler_of, summarize
from beeflow.models import Retried, Summary, TaskRecord, TasksRecord
from beeflow.reduction import Reduction
from beeflow.results import read_graph
from beeflow.scheduler import Dependency
from beeflow.states import Command
from beeflow.store import Store, WorkflowDir
from beeflow.submission import Submitter, pass_key

log = logging.getLogger(__name__)


def go(submitter: Submitter) -> None:
    """Drive a workflow from where bee.conf said passes run."""
    if submitter.record.drive == "here":
        # A pass needs cwltool, which no other command of this module does.
        from beeflow.passes import drive_here

        drive_here(submitter)
    else:
        drive(submitter)


def drive(submitter: Submitter) -> None:
    """Submit the next pass and its successor: the driver held until there is somebody to follow it."""
    number = submitter.last_pass()
    if number == 0 or submitter.known_id(pass_key(number)):
        number += 1
    submitter.layout.failures.unlink(missing_ok=True)
    job_id = submitter.submit_pass(number, Dependency(singleton=True), hold=True)
    submitter.submit_pass(number + 1, Dependency({"afterany": (job_id,)}, singleton=True))
    submitter.scheduler.release(job_id)


@dataclass(frozen=True)
class Known:
    """The workflows that a user may name. ``archived``: id -> what is beside the archive, where no more is left."""

    workflows: Store
    ids: list[str]
    archived: dict[str, list[Path]]

    @classmethod
    def read(cls, config: Config) -> Known:
        """Look what there is."""
        workflows = Store(config.workflows_dir)
        ids = workflows.ids()
        return cls(workflows, ids, archives_without(config, set(ids)))

    def resolve(self, text: str, command: Command) -> WorkflowDir:
        """Find the workflow that a command is for, by the beginning of its id.

        Raises NotFoundError, and TransitionError or ArchiveError where only its archive is left.
        """
        found = store.resolve_id(text, [*self.ids, *self.archived])
        if found not in self.archived:
            return self.workflows.get(found)
        summary = of_sidecars(self.archived[found])
        if summary is None:
            raise without_end(found, self.archived[found])
        raise TransitionError(
            f"workflow {found} is {summary.state.value}, and only its archive is left, {summary.archive}: "
            f"{command.value} is not possible; what is: {Command.COPY.value}, {Command.RERUN.value}, "
            f"{Command.REMOVE.value} --archive"
        )


def resolve(config: Config, text: str, command: Command) -> WorkflowDir:
    """Find the workflow that a command is for; raises as Known.resolve does."""
    return Known.read(config).resolve(text, command)


def describe(config: Config, text: str, env: Mapping[str, str]) -> tuple[Summary, list[TaskRecord]]:
    """Describe one workflow and its tasks; of an archive without a workflow directory, as its state.json has them."""
    workflows = Store(config.workflows_dir)
    ids = set(workflows.ids())
    others = archives_without(config, ids)
    found = store.resolve_id(text, [*ids, *others])
    if found in others:
        summary = of_sidecars(others[found])
        if summary is None:
            raise without_end(found, others[found])
        archive = Path(summary.archive or "")
        allowed = archived.allowed(archive, config.bee_archive_dir)
        return summary, list(reading.read_record(TasksRecord, archive, "tasks.json", allowed).tasks)
    return _describe(workflows.get(found), Queues(env))


def _describe(workflow: WorkflowDir, queues: Queues) -> tuple[Summary, list[TaskRecord]]:
    record = workflow.record()
    summary = summarize(workflow, queues)
    tasks = workflow.final_tasks()
    if tasks is not None and summary.state.final:
        return summary, list(tasks)
    jobs = queues.of(record) if not summary.state.final else None
    if jobs is not None and record.slurm.accounting:
        submitter = Submitter(workflow.layout, record, scheduler_of(record, queues.env))
        submitter.asked = jobs
        jobs = [*jobs, *submitter.past()]
    return summary, Reduction(workflow.layout, record, read_graph(workflow.layout), jobs).tasks()


def locate(config: Config, text: str) -> Path:
    """Find the archive a user means: a path if it is one, else the beginning of an id."""
    path = Path(text)
    if paths.is_folder(path):
        raise ArchiveError(f"{path}: a folder, not an archive; name the {ARCHIVE_SUFFIX} file, or an id: bee-list")
    if paths.is_there(path):
        return path.absolute()
    if "/" in text or text.endswith(ARCHIVE_SUFFIX):
        raise NotFoundError(f"{path}: no such archive; bee-list lists the ids of those in {config.bee_archive_dir}")
    return archive_of(config, text)


def archive_of(config: Config, text: str) -> Path:
    """Find the newest whole archive of a workflow's end by the beginning of its id.

    Raises NotFoundError, TransitionError or, where archives are all that is left and none is whole, ArchiveError.
    """
    found = versions(config.bee_archive_dir.glob(f"*{ARCHIVE_SUFFIX}"))
    workflows = Store(config.workflows_dir)
    chosen = store.resolve_id(text, sorted({*found, *workflows.ids()}))
    made = archived.last_word(found.get(chosen, ()))
    if made is not None:
        tell_of_retry(workflows.get(chosen), made)
        return made
    state = workflows.get(chosen).state()
    if state is not None and state.archive and Path(state.archive).is_file():
        return Path(state.archive)
    if not workflows.get(chosen).layout.root.exists():
        raise without_end(chosen, found[chosen])
    shown = state.state.value if state else "not finished"
    others = "".join(f"\n  made by hand: {path}" for path in found.get(chosen, ()))
    remedy = "make one with: bee-archive" if state and state.state.final else "see: bee-query"
    raise TransitionError(f"workflow {chosen} has no archive of its end: it is {shown}; {remedy} {chosen}{others}")


def without_end(workflow_id: str, beside: Iterable[Path]) -> ArchiveError:
    """Say that of the archives that are left none is whole, and of an end. ``beside``: them, or what is beside them."""
    left = "".join(f"\n  bee-verify {path.with_suffix(ARCHIVE_SUFFIX)}" for path in beside)
    return ArchiveError(
        f"workflow {workflow_id} has no whole archive of its end, and no directory any more; see:{left}"
    )


def tell_of_retry(found: WorkflowDir, archive: Path) -> None:
    """Say so when an archive is of before a retry that has not ended."""
    retried, version = store.read_record(Retried, found.layout.retry), split_archive_name(archive.stem)[1]
    if retried is None or not retried.done or version > retried.generation:
        return
    state = found.state()
    if state is None or not state.state.final:
        log.warning(
            f"version {version} of the archive is what there is: workflow {found.id} is running again (bee-retry), "
            f"and version {retried.generation + 1} is made when it ends; see: bee-query {found.id}"
        )
