"""Write the crate of a run: the only thing the rest of the house needs to know of this package."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beeflow import store
from beeflow.archive.contents import Source
from beeflow.archive.description import Referenced
from beeflow.archive.packing import Member
from beeflow.crate import terms
from beeflow.crate.actions import Actions, steps_that_ran
from beeflow.crate.documents import PACKED, Documents, main_document
from beeflow.crate.parameters import INPUT, OUTPUT, parameter_id
from beeflow.crate.payload import Payload, shown
from beeflow.crate.prospective import Plans
from beeflow.crate.records import Records
from beeflow.crate.terms import Entity, fragment, quoted, ref, refs, without_nothing
from beeflow.crate.values import Values
from beeflow.graph import Graph
from beeflow.inputs import InputFile
from beeflow.layout import CRATE, Layout
from beeflow.models import StateRecord, TaskRecord, WorkflowRecord
from beeflow.secret_values import SecretValues
from beeflow.states import WorkflowState

# Files of ours that tell others something.
_OURS = {
    "workflow.json": "What was submitted, by whom, with which options",
    "tasks.json": "All tasks: states, times, Slurm jobs, resources",
    "job.json": "The input object",
    "outputs.json": "The output object",
    "environment.json": "Versions of Slurm, the operating system, the kernel and the container runtime",
    "bee-archive.json": "What this archive is",
    "log/passes.log": "What the driver jobs did",
    PACKED: "The workflow and all it refers to as one document",
}
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Run:
    """A workflow that is to be described. ``tasks``: in a Reduction's order.

    ``given``: what inputs.json says; ``secrets``: the credentials that tasks were given;
    ``referenced``: what the archive only refers to.
    """

    layout: Layout
    record: WorkflowRecord
    graph: Graph
    state: StateRecord
    tasks: Sequence[TaskRecord]
    given: Sequence[InputFile]
    secrets: SecretValues
    referenced: Sequence[Referenced] = ()


def describe(run: Run, members: Mapping[str, Member], omitted: Mapping[str, str]) -> Iterator[Source]:
    """Write the crate of what was packed, and yield it for packing.

    ``omitted``: name -> why something is not among the members, as beeflow.archive.contents says it.
    """
    # On the disk of the archive, for it may be large; it has no name, so nothing is left of it whatever happens.
    with tempfile.TemporaryFile("w", encoding="utf-8", dir=run.record.archive_dir) as stream:
        stream.writelines(_pieces(_Crate(run, members, omitted).entities()))
        stream.flush()
        # Of the same run always the same bytes.
        os.utime(stream.fileno(), (0, 0))
        yield Source(CRATE, f"/proc/self/fd/{stream.fileno()}", size=stream.tell())


def _pieces(entities: Iterator[Entity]) -> Iterator[str]:
    """Write a document an entity a line: what may have 100,000 tasks is still text that a person can look through."""
    yield '{"@context": ' + json.dumps(terms.CONTEXT) + ',\n "@graph": [\n'
    separator = ""
    for entity in entities:
        line = json.dumps(entity, ensure_ascii=False)
        if not line.isascii():
            # What came from bytes that are no text.
            line = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", line)
        yield f"{separator}  {line}"
        separator = ",\n"
    yield "\n ]\n}\n"


class _Crate:
    """One run's entities."""

    def __init__(self, run: Run, members: Mapping[str, Member], omitted: Mapping[str, str]) -> None:
        self.run = run
        referenced = {each.name: each for each in run.referenced}
        given = {each.origin: each for each in run.given}
        payload = Payload(run.layout.root, members, omitted, given, referenced, run.record.host)
        self.values = Values(payload, run.secrets)
        self.documents = Documents(_read(run, PACKED))
        self.main = main_document(run.record.document, members)
        self.agent = fragment("user", run.record.user)
        self.actions = Actions(run.graph, Records(run.layout), self.values, self.agent)

    def entities(self) -> Iterator[Entity]:
        """Yield all entities: what refers to many others comes last, the root at the very end."""
        ran = steps_that_ran(self.run.tasks)
        profiles = [terms.PROCESS_RUN, terms.WORKFLOW_RUN, terms.WORKFLOW_RO_CRATE]
        if ran:
            # A Provenance Run Crate has at least one run of a tool.
            profiles.insert(2, terms.PROVENANCE_RUN)
        yield _descriptor()
        for identifier, name, version in profiles:
            yield {"@id": identifier, "@type": "CreativeWork", "name": name, "version": version}
        yield from self._people_and_programs()
        main = next(self.values.payload.entities(self.main, {}))
        about = {**main, "name": self.run.record.name}
        yield from Plans(self.run.graph, self.documents, self.main, ran).entities(about)
        yield from self.actions.entities(self.run.tasks)
        yield from self._whole_run()
        yield from self._files_and_root(refs(identifier for identifier, _, _ in profiles))

    def _people_and_programs(self) -> Iterator[Entity]:
        record = self.run.record
        yield {"@id": self.agent, "@type": "Person", "name": record.user}
        yield {
            "@id": terms.CWL,
            "@type": "ComputerLanguage",
            "name": "Common Workflow Language",
            "alternateName": "CWL",
            "identifier": ref(f"https://w3id.org/cwl/{self.run.graph.cwl_version}/"),
            "url": ref("https://www.commonwl.org/"),
            "version": self.run.graph.cwl_version,
        }
        yield {
            "@id": terms.ENGINE,
            "@type": "SoftwareApplication",
            "name": "beeflow",
            "softwareVersion": record.beeflow_version,
            "url": terms.OURS,
            "softwareRequirements": ref(terms.SLURM),
        }
        yield {
            "@id": terms.SLURM,
            "@type": "SoftwareApplication",
            "name": "Slurm Workload Manager",
            "softwareVersion": record.slurm.version,
            "url": "https://slurm.schedmd.com/",
        }

    def _whole_run(self) -> Iterator[Entity]:
        """Describe the run of the workflow, and that of the engine."""
        run, record = self.run, self.run.record
        took, gave = self._inputs(), self._outputs()
        yield from self.values.fresh()
        outcome, is_over = run.state.state.outcome, run.state.state.final
        ended = {
            "agent": ref(self.agent),
            "startTime": record.created,
            "endTime": run.state.updated if is_over else None,
            "actionStatus": _status(outcome),
            "error": run.secrets.mask(run.state.reason or outcome.value) if _status(outcome) == terms.FAILED else None,
        }
        action = {
            "@id": terms.RUN,
            "@type": "CreateAction",
            "name": f"Run of {record.name}",
            "description": f"Workflow {record.id} on cluster {record.slurm.cluster_name}: {outcome.value}",
            "instrument": ref(quoted(self.main)),
            "object": refs(took),
            "result": refs(gave),
        }
        yield without_nothing(action | ended)
        if self.actions.controls:
            engine = {
                "@id": "#engine-run",
                "@type": "OrganizeAction",
                "name": f"Run of beeflow {record.beeflow_version}",
                "instrument": ref(terms.ENGINE),
                "object": refs(self.actions.controls),
                "result": ref(terms.RUN),
            }
            yield without_nothing(engine | ended)

    def _inputs(self) -> list[str]:
        workflow, job = self.run.graph.workflow, _read(self.run, "job.json")
        given = {**workflow.defaults, **(job if isinstance(job, dict) else {})}
        return [
            found
            for name in workflow.inputs
            for found in self.values.refer(given.get(name), parameter_id(INPUT, "", name), name, "")
        ]

    def _outputs(self) -> list[str]:
        made = _read(self.run, "outputs.json")
        return [
            found
            for name, value in (made.items() if isinstance(made, dict) else ())
            for found in self.values.refer(value, parameter_id(OUTPUT, "", name), name, "output")
        ]

    def _files_and_root(self, profiles: list[Entity]) -> Iterator[Entity]:
        for name, words in _OURS.items():
            if name != self.main:
                self.values.record(name, terms.RUN, words)
        for name in self.values.payload.members:
            if name.startswith("cwl/documents/") and name != self.main:
                self.values.record(name, quoted(self.main), "A document of the workflow")
        parts = [quoted(self.main)]
        yield from self.values.files(parts)
        license_id, about_it = _license(self.documents.license)
        yield about_it
        record = self.run.record
        words = f"A run of the workflow {record.name} by {record.user} on {record.host}: {self.run.state.state.value}."
        yield without_nothing(
            {
                "@id": terms.ROOT,
                "@type": "Dataset",
                "name": shown(record.name),
                "description": "\n".join(filter(None, [self.documents.description, words])),
                "datePublished": self.run.state.updated,
                "dateCreated": record.created,
                "identifier": f"urn:uuid:{record.id}",
                "isBasedOn": ref(f"urn:uuid:{record.parent}") if record.parent else None,
                "license": ref(license_id),
                "author": ref(self.agent),
                "conformsTo": profiles,
                "mainEntity": ref(quoted(self.main)),
                "hasPart": refs(parts),
                "mentions": refs([terms.RUN, *self.actions.mentioned, *self.values.mentioned()]),
            }
        )


def _descriptor() -> Entity:
    return {
        "@id": CRATE,
        "@type": "CreativeWork",
        "about": ref(terms.ROOT),
        "conformsTo": refs([terms.RO_CRATE, terms.WORKFLOW_CRATE]),
    }


def _license(stated: str | None) -> tuple[str, Entity]:
    """Describe the licence that the workflow states; that none is stated is no permission."""
    if stated and "://" in stated:
        name = stated.rstrip("/").rpartition("/")[2]
        return stated, {"@id": stated, "@type": "CreativeWork", "name": name, "description": f"The licence {name}"}
    words = "The workflow states no licence: ask its authors, and whoever ran it, before you use any of this."
    about = {"@type": "CreativeWork", "name": stated or "No licence stated", "description": stated or words}
    return "#license", {"@id": "#license", **about}


def _status(state: WorkflowState) -> str:
    if state is WorkflowState.COMPLETED:
        return terms.COMPLETED
    return terms.FAILED if state.final else terms.ACTIVE


def _read(run: Run, name: str) -> Any:
    """Read JSON of the workflow directory; nothing when it is not there."""
    path = run.layout.root / name
    return store.read_json(path) if path.is_file() else {}
