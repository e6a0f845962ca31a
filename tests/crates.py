"""Archives of small workflows that ran on a scheduler in memory, and the crates in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from beeflow import config, embedding, locations, store, submit
from beeflow.archive import unpacking
from beeflow.epilog import Epilog
from beeflow.layout import ARCHIVE_SUFFIX, CRATE, Layout, folders
from beeflow.models import ArchivePolicy, StateRecord, TaskResult
from beeflow.results import step_at
from beeflow.states import TaskState
from beeflow.submit import Request
from tests.fakes import RECORD, Function
from tests.running import Site, seen_group
from tests.test_driver import World

STARTED, ENDED = "2026-01-02T03:04:05.678+00:00", "2026-01-02T03:04:06.789+00:00"
SECRET = "hunter2"
# Makes a task's outputs below a folder; None: it fails.
Makes = Callable[[str, Mapping[str, Any], Path], "dict[str, Any] | None"]


@dataclass
class Runner(Site):
    """A Site whose tasks leave what real ones leave."""

    makes: Makes = lambda name, inputs, folder: None

    def task(self, group: str, label: str, inputs: Mapping[str, Any], *, evaluated: bool) -> TaskResult:
        made = super().task(group, label, inputs, evaluated=evaluated)
        if made.state is TaskState.SKIPPED:
            return made
        found = seen_group(self.layout, group)
        folder = self.layout.element(group, 0) / "7.0" / label
        (folder / "out").mkdir(parents=True)
        (folder / "stderr").write_text("alas\n")
        outputs = self.makes(found.path, inputs, folder / "out")
        tool = self.world.graph.tools[step_at(self.world.graph.workflow, found.path).tool or ""]
        image = tool.container
        return TaskResult(
            TaskState.FAILED if outputs is None else TaskState.COMPLETED,
            reason=f"the command ended with exit code 3, token={SECRET}" if outputs is None else "",
            exit_code=3 if outputs is None else 0,
            outputs=locations.relative(outputs or {}, self.layout.root),
            command=("do", "it", f"for {label}", "--password", SECRET),
            job_id="7",
            node="node7",
            started=STARTED,
            ended=ENDED,
            max_rss_kib=2048,
            cpu_s=0.25,
            folder=str(folder.relative_to(self.layout.root)),
            stderr=str((folder / "stderr").relative_to(self.layout.root)),
            container_runtime=image.runtime if image else None,
            container_hash=image.sha256 if image else None,
        )


@dataclass
class Crate:
    """An archived workflow. ``folder``: its archive unpacked; ``entities``: by their identifiers."""

    layout: Layout
    archive: Path
    folder: Path
    state: StateRecord
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the crate; no entity may be in it twice."""
        text = (self.folder / CRATE).read_text(encoding="utf-8")
        assert SECRET not in text
        listed = json.loads(text)["@graph"]
        self.entities = {each["@id"]: each for each in listed}
        assert len(self.entities) == len(listed), "an entity is there twice"

    @property
    def root(self) -> dict[str, Any]:
        return self.entities["./"]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.entities.values() if kind in as_list(each["@type"])]

    def named(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.of_type(kind) if each["name"] == name]
        return found

    def follow(self, entity: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        """Return the entities that a property refers to."""
        return [self.entities[each["@id"]] for each in as_list(entity.get(name, []))]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def make(
    top: Path,
    document: Path,
    job: Mapping[str, Any],
    makes: Makes,
    functions: Mapping[str, Function] | None = None,
    *,
    copy_limit_mib: int = 1024,
    policy: ArchivePolicy = RECORD.archive,
    cancelled: bool = False,
) -> Crate:
    """Run a document to its end, and archive it. ``cancelled``: before anything began."""
    top.mkdir()
    (top / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {top}/bee\n")
    (top / "job.json").write_text(json.dumps(job))
    prepared = submit.prepare(
        Request(str(document), [str(top / "job.json")]), config.load({"BEE_CONFIG": str(top / "bee.conf"), "HOME": "/"})
    )
    layout = Layout(top / "workflows" / RECORD.id)
    layout.root.mkdir(parents=True)
    for folder in folders(layout):
        folder.mkdir()
    embedding.write(layout, prepared.graph, prepared.job, prepared.packed, prepared.sources)
    record = replace(
        RECORD,
        document=prepared.document,
        archive_dir=str(top / "archives"),
        input_copy_limit_mib=copy_limit_mib,
        archive=policy,
    )
    store.write_record(layout.workflow, record)
    world = World(layout, prepared.graph, prepared.job, functions or {}, record=record)
    site = Runner(world, lambda name, inputs: None, makes=makes)
    if cancelled:
        layout.cancel.write_text("2026-01-02 changed my mind\n")
    site.ended = world.run()
    if site.ended is None:
        site.run()
    assert site.ended is not None
    state = Epilog(layout, record, prepared.graph).run(site.ended)
    archive = top / "archives" / f"{RECORD.id}{ARCHIVE_SUFFIX}"
    unpacking.unpack(archive, top / "unpacked")
    return Crate(layout, archive, top / "unpacked", state)


def written(path: Path, text: str = "x\n") -> dict[str, Any]:
    """Write a file, and describe it as a task does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(text)
        path.chmod(0o444)
    return {"class": "File", "location": locations.to_uri(path), "basename": path.name, "size": len(text)}


def folder_of(path: Path) -> dict[str, Any]:
    """Describe a folder as a task does."""
    path.mkdir(parents=True, exist_ok=True)
    return {"class": "Directory", "location": locations.to_uri(path), "basename": path.name}
