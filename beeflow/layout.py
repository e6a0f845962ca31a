"""Every path inside a workflow directory, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ARCHIVE_SUFFIX = ".tgz"
SIDECAR_SUFFIX = ".json"
# In an archive: first what it is, last but one what it means to others, last what vouches for all of it.
DESCRIPTION = "bee-archive.json"
ENVIRONMENT = "environment.json"
OMITTED = "omitted.json"
STATE = "state.json"
TASKS = "tasks.json"
CRATE = "ro-crate-metadata.json"
MANIFEST = "manifest-sha256.txt"
_VERSION_MARK = ".v"


@dataclass(frozen=True)
class Layout:
    """The paths below one workflow directory. A group is all tasks of a step, an element one element of its array."""

    root: Path

    @property
    def workflow(self) -> Path:
        """What was submitted; written once."""
        return self.root / "workflow.json"

    @property
    def state(self) -> Path:
        """A cache of the reduction, final once the workflow is."""
        return self.root / STATE

    @property
    def final_tasks(self) -> Path:
        """All tasks, once the workflow is final."""
        return self.root / TASKS

    @property
    def cwl(self) -> Path:
        """The documents."""
        return self.root / "cwl"

    @property
    def graph(self) -> Path:
        """The resolved workflow that runs (beeflow.graph)."""
        return self.cwl / "graph.json"

    @property
    def packed(self) -> Path:
        """The workflow as one CWL document that any runner takes."""
        return self.cwl / "packed.json"

    @property
    def document_files(self) -> Path:
        """Files that the documents name as defaults, copied."""
        return self.cwl / "files"

    @property
    def job(self) -> Path:
        """The input object."""
        return self.root / "job.json"

    @property
    def control(self) -> Path:
        """What user commands write for passes to read."""
        return self.root / "control"

    @property
    def held(self) -> Path:
        """There while the workflow waits for bee-start."""
        return self.control / "held"

    @property
    def lock(self) -> Path:
        """Keeps two passes or commands from doing the same work; correctness does not hang on it."""
        return self.control / "lock"

    @property
    def noted(self) -> Path:
        """What the inputs were when the workflow was submitted (beeflow.noting)."""
        return self.control / "inputs.json"

    @property
    def failures(self) -> Path:
        """How many passes failed in a row."""
        return self.control / "failures"

    @property
    def cancel(self) -> Path:
        """There once the user cancelled."""
        return self.control / "cancel"

    @property
    def retry(self) -> Path:
        """How often the workflow was retried."""
        return self.control / "retry.json"

    @property
    def paused(self) -> Path:
        """There while the user wants nothing more to begin."""
        return self.control / "paused"

    @property
    def holds(self) -> Path:
        """The jobs and elements that are held because of that, one a line."""
        return self.control / "holds"

    @property
    def holds_lock(self) -> Path:
        """Held by whoever changes or fulfils that wish."""
        return self.control / "holds.lock"

    @property
    def vanished(self) -> Path:
        """Submissions all of whose jobs were gone when the user had the workflow go on, one a line."""
        return self.control / "vanished"

    @property
    def jobs(self) -> Path:
        """One intent and one id a Slurm job."""
        return self.root / "jobs"

    def intent(self, key: str) -> Path:
        """Written before sbatch."""
        return self.jobs / f"{key}.json"

    def job_id(self, key: str) -> Path:
        """Linked after sbatch, by the submitter or by the job itself: whoever is first."""
        return self.jobs / f"{key}.id"

    @property
    def tasks(self) -> Path:
        """One folder a group."""
        return self.root / "tasks"

    def group(self, key: str) -> Path:
        """All there is of one step."""
        return self.tasks / key

    def group_record(self, key: str) -> Path:
        """The group's tasks and how they are spread over elements."""
        return self.group(key) / "group.json"

    def moved(self, key: str) -> Path:
        """There while results move to other elements, for the group's tasks are not those of before."""
        return self.group(key) / "moved.json"

    def group_script(self, key: str) -> Path:
        """The batch script of the group's jobs."""
        return self.group(key) / "job.sh"

    def run(self, key: str) -> Path:
        """What the runner on the node needs to know of the step (beeflow.runner)."""
        return self.group(key) / "run.json"

    def group_log(self, key: str) -> Path:
        """Where Slurm writes what the batch scripts print."""
        return self.group(key) / "slurm"

    def element(self, key: str, number: int) -> Path:
        """One array element. A thousand to a folder."""
        return self.group(key) / f"{number // 1000:03}" / f"{number:06}"

    def elements(self, key: str) -> Path:
        """What the group's elements run: one JSON line each."""
        return self.group(key) / "elements.jsonl"

    def elements_index(self, key: str) -> Path:
        """Where each line of ``elements`` begins: one number a line, all of one width."""
        return self.group(key) / "elements.index"

    def shared(self, key: str) -> Path:
        """The inputs that all tasks of the group take alike."""
        return self.group(key) / "shared.json"

    def element_result(self, key: str, number: int) -> Path:
        """What came of it; linked once, by the attempt that finished first."""
        return self.element(key, number) / "result.json"

    def taken(self, key: str) -> Path:
        """What a re-execution took of the group from an archive, so that it need not run (beeflow.models.Taken)."""
        return self.group(key) / "taken.json"

    def taken_task(self, key: str, position: int, label: str) -> Path:
        """The files of a task that was taken: as deep as those of one that ran."""
        return self.group(key) / "taken" / f"{position // 1000:03}" / f"{position:06}" / label

    def lost(self, key: str, number: int) -> Path:
        """What became of its tasks that ran when a job of it died, while others have yet to run."""
        return self.element(key, number) / "lost.json"

    @property
    def outputs(self) -> Path:
        """The workflow's output files."""
        return self.root / "outputs"

    @property
    def output_object(self) -> Path:
        """The workflow's output object."""
        return self.root / "outputs.json"

    @property
    def delivered(self) -> Path:
        """The same with the files where --outdir put them."""
        return self.root / "delivered.json"

    @property
    def log(self) -> Path:
        """What the passes did."""
        return self.root / "log"

    @property
    def passes_log(self) -> Path:
        """What the jobs of the passes print."""
        return self.log / "passes.log"

    @property
    def inputs(self) -> Path:
        """In an archive and in a re-executed workflow: the input files."""
        return self.root / "inputs"

    @property
    def provenance(self) -> Path:
        """In a re-executed workflow: what tells about its parent."""
        return self.root / "provenance"

    @property
    def comparison(self) -> Path:
        """In a re-executed workflow that has ended: its outputs beside its parent's."""
        return self.root / "comparison.json"

    @property
    def metadata(self) -> Path:
        """One record a task, as the original BEE kept it."""
        return self.root / "metadata"


def folders(layout: Layout) -> tuple[Path, ...]:
    """The folders a new workflow directory has."""
    return (layout.cwl, layout.control, layout.jobs, layout.tasks, layout.outputs, layout.log)


def archive_name(workflow_id: str, version: int) -> str:
    """Name an archive, without its suffix: each retry of a workflow makes another version beside the older ones."""
    return workflow_id if version == 1 else f"{workflow_id}{_VERSION_MARK}{version}"


def split_archive_name(name: str) -> tuple[str, int]:
    """Take an archive's name, without its suffix, apart: the id of the workflow, if it is one, and the version."""
    workflow_id, mark, version = name.partition(_VERSION_MARK)
    return (workflow_id, int(version)) if mark and version.isdecimal() else (name, 1)


def versions(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Sort archives, or what is beside them, by workflow: id -> paths, the newest version first."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in paths:
        workflow_id, version = split_archive_name(path.stem)
        found.setdefault(workflow_id, []).append((version, path))
    return {each: [path for _, path in sorted(known, reverse=True)] for each, known in found.items()}


def cache_dir(layout: Layout) -> Path:
    """Where parsed schemas are kept: <bee_workdir>/cache."""
    return layout.root.parent.parent / "cache"
