"""A bee_workdir with workflows that ended, and a squeue that says what a test wants."""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from beeflow import codec, store, workdir
from beeflow.archive import contents, packing
from beeflow.config import Config, read
from beeflow.layout import DESCRIPTION, SIDECAR_SUFFIX
from beeflow.models import Sidecar, StateRecord, WorkflowRecord
from beeflow.states import WorkflowState
from beeflow.store import Store, WorkflowDir
from tests.archive.raw import description
from tests.fakes import RECORD

SQUEUE = """\
#!/bin/sh
echo "$@" >> {folder}/squeue.calls
if [ -e {folder}/squeue.down ]; then echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; fi
cat {folder}/squeue.jobs
"""


def ago(days: float) -> str:
    """The time so many days ago, as records have it."""
    then = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    return then.isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Place:
    """A folder with bee.conf, bee_workdir and a squeue."""

    top: Path

    @property
    def conf(self) -> Path:
        return self.top / "bee.conf"

    @property
    def workdir(self) -> Path:
        return self.top / "bee"

    @property
    def workflows(self) -> Path:
        return self.workdir / "workflows"

    @property
    def archives(self) -> Path:
        return self.workdir / "archives"

    @property
    def calls(self) -> int:
        """How often squeue was called."""
        path = self.top / "squeue.calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def env(self) -> dict[str, str]:
        """What commands find everything by."""
        return {
            "BEE_CONFIG": str(self.conf),
            "HOME": str(self.top / "home"),
            "PATH": f"{self.top}/bin:/usr/bin:/bin",
            "USER": "somebody-else",
        }

    def config(self) -> Config:
        return read(self.conf, self.env())

    def slurm_is_down(self) -> None:
        (self.top / "squeue.down").touch()

    def slurm_has(self, *lines: str) -> None:
        (self.top / "squeue.jobs").write_text("".join(f"{line}\n" for line in lines))

    def make(
        self,
        state: WorkflowState = WorkflowState.ARCHIVED,
        *,
        days: float = 40,
        use_archive: bool = True,
        archived: bool = True,
        name: str = "n",
    ) -> WorkflowDir:
        """Make a workflow that ended so many days ago, with its archive if it is archived."""
        record = replace(
            RECORD,
            id=str(uuid.uuid4()),
            name=name,
            created=ago(days + 1),
            use_archive=use_archive,
            archive_dir=str(self.archives),
        )
        workflows = Store(self.workflows)
        staged = workflows.create(record)
        (staged.layout.tasks / "file").write_bytes(b"x" * 5000)
        (staged.layout.tasks / "file").chmod(0o444)
        is_archived = state.final and state is not state.outcome
        made = str(self.archives / f"{record.id}.tgz") if is_archived else None
        store.write_record(
            staged.layout.state, StateRecord(state, ago(days), "", made, name, record.created, record.parent)
        )
        found = workflows.commit(staged, record.id)
        if is_archived and archived:
            self.archive(found, record, state, days)
        return found

    def archive(self, made: WorkflowDir, record: WorkflowRecord, state: WorkflowState, days: float) -> None:
        """Write the archive and what is beside it."""
        (made.layout.root / DESCRIPTION).write_text(codec.dumps(description(record.id)))
        packed = packing.pack(record.id, contents.tree(made.layout.root)[0], self.archives)
        sidecar = Sidecar(record.id, record.name, state, record.created, ago(days), packed.sha256, packed.size)
        store.write_record(packed.path.with_suffix(SIDECAR_SUFFIX), sidecar)

    def ids(self) -> set[str]:
        """Everything in workflows/."""
        return {path.name for path in self.workflows.iterdir()}

    def archived(self) -> set[str]:
        """Everything in archives/."""
        return {path.name for path in self.archives.iterdir()}


def job_line(workflow: WorkflowDir, state: str = "RUNNING", key: str = "pass.1", job_id: int = 12) -> str:
    """Write a line of squeue about a job of a workflow."""
    return f"{job_id}|N/A|{state}|node1|None|{workflow.record().job_name(key)}"


def make_place(top: Path) -> Place:
    """Lay out an empty place; bee_workdir is there, with the folders of workflows and archives."""
    place = Place(top)
    for folder in (top / "bin", top / "home", place.workflows, place.archives):
        folder.mkdir(parents=True)
    place.workdir.chmod(0o700)
    workdir.mark(place.workdir)
    place.conf.write_text(f"[DEFAULT]\nbee_workdir = {place.workdir}\n")
    squeue = top / "bin/squeue"
    squeue.write_text(SQUEUE.format(folder=top))
    squeue.chmod(0o755)
    place.slurm_has()
    return place
