"""Archive a workflow: what goes in, under which number, and what is said of it once it is there."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import re
import socket
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from beeflow import __version__, codec, earlier, enclosing, secret_values, sharing, store, surroundings
from beeflow.archive import contents, hiding, packing, reading, referring, verifying, writing
from beeflow.archive.contents import Source, json_source, record_source
from beeflow.archive.description import EPILOG, FORMAT, Description, Referenced
from beeflow.archive.lacking import Lacks
from beeflow.archive.limits import UNLIMITED
from beeflow.archive.verifying import Packed
from beeflow.archive.writing import Member
from beeflow.archived import archives_of, newest_number
from beeflow.crate.describing import Run, describe
from beeflow.earlier import Earlier
from beeflow.errors import BeeError, SystemFileError
from beeflow.graph import Graph
from beeflow.layout import (
    DESCRIPTION,
    ENVIRONMENT,
    OMITTED,
    SIDECAR_SUFFIX,
    STATE,
    TASKS,
    Layout,
    archive_name,
)
from beeflow.masking import masked
from beeflow.models import EMBED, Retried, Sidecar, StateRecord, TaskRecord, TasksRecord, WorkflowRecord, now
from beeflow.secret_values import SecretValues

log = logging.getLogger(__name__)

# A task's own folders beside what it made.
_SCRATCH = frozenset({"tmp", "stage"})
# What only this run of the passes needs, and what is made for an archive: a re-executed workflow may have it.
_LEFT_OUT = frozenset(
    [
        *(f"control/{name}" for name in ("lock", "lock.holder", "failures", "paused", "holds", "vanished")),
        *(f"control/{name}.lock{suffix}" for name in ("holds", "retry") for suffix in ("", ".holder")),
        "control/inputs.json",
        DESCRIPTION,
        ENVIRONMENT,
        OMITTED,
    ]
)
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
# So often may somebody else be faster.
_TRIES = 20


@dataclass(frozen=True)
class Archiver:
    """Archives one workflow. ``state``: as it is, final or not; ``made_by``: EPILOG, or the command."""

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    state: StateRecord
    tasks: Sequence[TaskRecord]
    made_by: str = EPILOG

    def run(self) -> Packed:
        """Pack, read back, publish under the next number that is free, and write what is beside it.

        Raises SystemFileError or ArchiveError; an archive is there whole, or not at all.
        """
        try:
            packed = self.published()
        except OSError as error:
            raise SystemFileError(f"{error.filename or self.layout.root}: {error.strerror or error}") from error
        self.write_sidecar(packed)
        return packed

    def published(self) -> Packed:
        """Find or make the archive."""
        packed = self.adopted() if self.made_by == EPILOG else None
        for _ in range(_TRIES):
            if packed is not None:
                break
            try:
                packed = self.pack(max(self.generation, newest_number(self.folder, self.record.id) + 1))
            except packing.TakenError as taken:
                log.info("%s was made meanwhile", taken)
        if packed is None:
            raise SystemFileError(f"{self.folder}: others make archives of {self.record.id} faster; try again")
        return packed

    @functools.cached_property
    def shown(self) -> WorkflowRecord:
        """How it was submitted, without credentials: a name may be a command line."""
        return codec.from_json(WorkflowRecord, masked(codec.to_json(self.record)))

    @functools.cached_property
    def secrets(self) -> SecretValues:
        """The credentials that tasks were given."""
        job = store.read_json(self.layout.job)
        return SecretValues.of(job, *secret_values.written(self.graph))

    @property
    def folder(self) -> Path:
        """Where archives go."""
        return Path(self.record.archive_dir)

    @property
    def gid(self) -> int | None:
        """The group that may read it all. As the directory has it: names need not be known on every node."""
        return self.layout.root.stat().st_gid if self.record.group else None

    @property
    def generation(self) -> int:
        """Number the run of the workflow: each retry is another."""
        retried = store.read_record(Retried, self.layout.retry)
        return retried.generation + 1 if retried else 1

    def adopted(self) -> Packed | None:
        """Find the archive that an epilog made which was killed before it could say so."""
        for path in archives_of(self.folder, self.record.id):
            try:
                found = reading.read_record(Description, path, DESCRIPTION, UNLIMITED)
                if (found.made_by, found.generation, found.state) == (EPILOG, self.generation, self.state.state):
                    lacks = json.loads(reading.read_files(path, {OMITTED}, UNLIMITED).get(OMITTED, b"{}"))
                    return replace(verifying.verify(path, self.record.id, UNLIMITED), lacks=Lacks.of(lacks))
            except BeeError as error:
                log.warning("%s; another archive is made beside it", error)
        return None

    def pack(self, number: int) -> Packed:
        """Write the archive of this number; raises TakenError when somebody else just did."""
        with earlier.opened(self.folder, self.record.id, self.generation) as found, contextlib.ExitStack() as scratch:
            return self.written(number, found, lambda: scratch.enter_context(self.scratch_file()))

    def scratch_file(self) -> IO[bytes]:
        """Open a file without a name where the archive will be."""
        if not self.folder.is_dir():
            sharing.make_folder(self.folder, self.gid)
        return tempfile.TemporaryFile(dir=self.folder)

    def written(self, number: int, found: Earlier, make_file: Callable[[], IO[bytes]]) -> Packed:
        """Write it. ``found``: those that were made before; ``make_file``: makes one that goes once all is written."""
        policy = self.record.archive
        limit_mib, submitted = self.record.input_copy_limit_mib, self.record.created
        given = enclosing.enclose(self.layout, policy.inputs, limit_mib, submitted, found.take)
        sources, omitted = contents.tree(self.layout.root, _SCRATCH)
        omitted.update(given.omitted)
        # Whoever removes a workflow directory begins with this: what was listed may lack anything.
        if not self.layout.workflow.exists():
            raise SystemFileError(f"{self.layout.root}: removed while it was archived; nothing was written")
        last = Last(omitted, is_running=not self.state.state.final)
        wanted = (each for each in sources if each.name not in _LEFT_OUT and not is_temporary(each))
        chosen = referring.choose(wanted, policy, last.changed)
        referenced = (*given.referenced, *chosen.referenced)
        records = (record_source(name, each) for name, each in self.records(number, referenced).items())
        kept = {each.name: each for each in (*chosen.sources, *given.sources, *records)}
        about = (self.layout, self.shown, self.graph, self.state, self.tasks)
        run = Run(*about, given.records, self.secrets, referenced)
        packed = packing.pack(
            self.record.id,
            list(kept.values()),
            self.folder,
            archive_name(self.record.id, number),
            self.gid,
            finish=lambda members: itertools.chain(
                [given.packed()], last.finish(members), describe(run, members, omitted)
            ),
            look=lambda source: hiding.without_credentials(source, self.secrets, make_file),
            changed=last.changed,
        )
        lacks = Lacks.of(omitted)
        for each in lacks.told(self.layout.root):
            log.warning("%s: %s", packed.path, each)
        return replace(packed, lacks=lacks)

    def records(self, number: int, referenced: tuple[Referenced, ...]) -> dict[str, object]:
        """Say what is archived, and of what runs also what is on no disk yet: name -> record."""
        made = {
            DESCRIPTION: self.describe(number, referenced),
            ENVIRONMENT: surroundings.look(self.shown, self.graph, self.nodes()),
        }
        if not self.state.state.final:
            now_there = {STATE: self.state, TASKS: TasksRecord(tuple(self.tasks))}
            made.update({name: self.secrets.masked(codec.to_json(each)) for name, each in now_there.items()})
        return made

    def nodes(self) -> set[str]:
        """Name the nodes that tasks ran on."""
        return {task.node for task in self.tasks if task.node}

    def describe(self, number: int, referenced: tuple[Referenced, ...]) -> Description:
        """Say what the archive is."""
        record = self.shown
        return Description(
            format=FORMAT,
            id=record.id,
            name=record.name,
            state=self.state.state,
            created=record.created,
            archived=now(),
            user=record.user,
            host=record.host,
            cluster=record.slurm.cluster_name,
            slurm_version=record.slurm.version,
            beeflow_version=__version__,
            document=record.document,
            made_by=self.made_by,
            parent=record.parent,
            number=number,
            generation=self.generation,
            referenced=referenced,
        )

    def needs_directory(self, archive: Path) -> bool:
        """True when an archive refers to files that are nowhere but in the workflow's directory."""
        if self.record.archive.outputs == EMBED:
            return False
        found = reading.read_record(Description, archive, DESCRIPTION, UNLIMITED)
        return any(Path(each.origin).is_relative_to(self.layout.root) for each in found.referenced)

    def write_sidecar(self, packed: Packed) -> None:
        """Write what bee-list shows of the archive."""
        state = self.state.state
        path = packed.path.with_suffix(SIDECAR_SUFFIX)
        sidecar = Sidecar(
            id=self.record.id,
            name=self.shown.name,
            state=state.archived if state.final else state,
            created=self.record.created,
            archived=now(),
            sha256=packed.sha256,
            size=packed.size,
            parent=self.record.parent,
            user=self.record.user,
            host=socket.gethostname(),
            needs_directory=packed.lacks.unfit > 0 or self.needs_directory(packed.path),
        )
        store.write_record(path, sidecar)
        sharing.settle_file(path, self.gid)


def is_temporary(source: Source) -> bool:
    """True for what a record was being written to (beeflow.store), by a process that was killed or still is at it."""
    folder, _, name = source.name.rpartition("/")
    of_users = referring.is_output(source) or folder.split("/")[0] in ("cwl", "inputs", "provenance")
    return not of_users and _TEMPORARY.fullmatch(name) is not None


def settle(layout: Layout, state: StateRecord, packed: Packed) -> StateRecord:
    """Write the last word on a workflow that has ended: it is archived, and where."""
    reason = packed.lacks.added_to(state.reason, layout.root)
    final = replace(state, state=state.state.archived, updated=now(), archive=str(packed.path), reason=reason)
    store.write_record(layout.state, final)
    return final


@dataclass
class Last:
    """What comes after all files, as only then it is known. ``is_running``: files may vanish and become shorter."""

    omitted: dict[str, str]
    is_running: bool

    def changed(self, source: Source, why: str) -> None:
        """Note what a running task did to a file; what has ended must not change."""
        if not self.is_running:
            writing.refuse(source, why)
        self.omitted[source.name] = f"{why} while it was archived"

    def finish(self, _: Mapping[str, Member]) -> Iterable[Source]:
        """Yield what is yet to be packed."""
        yield json_source(OMITTED, dict(sorted(self.omitted.items())))
