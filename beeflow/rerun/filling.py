"""Fill a staged workflow directory from an archive.

Documents, inputs, what the user has taken of what tasks made, and nothing else of the old run.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from beeflow import codec, credentials, locations, site, staging, store, submit, tables
from beeflow.archive import unpacking
from beeflow.config import Config
from beeflow.cwl import forms, schema_cache
from beeflow.cwl.evaluator import CwlEvaluator
from beeflow.errors import ArchiveError, IncompleteArchiveError, InputError, SystemFileError
from beeflow.graph import Graph
from beeflow.layout import Layout, cache_dir, folders
from beeflow.models import WorkflowRecord
from beeflow.plan import Plan, walk
from beeflow.rerun import given, provenance
from beeflow.rerun.given import Given, Origins
from beeflow.rerun.moving import Moving
from beeflow.rerun.old import OldRun
from beeflow.rerun.relocating import moved_graph
from beeflow.rerun.request import Request
from beeflow.rerun.sources import Source
from beeflow.rerun.taking import Taking
from beeflow.results import dumps_graph, read_graph
from beeflow.scheduler import Scheduler
from beeflow.trust import checking

log = logging.getLogger(__name__)

# What of an archive a new run starts from; everything else is the old run's.
STARTS_FROM = ("cwl", "inputs")


@dataclass
class Filling:
    """A staged workflow directory that is filled from an archive.

    What came of it, as far as it came: ``given``, the inputs; ``graph``, as this site runs it; ``taking``, what is
    taken; ``whole_plan``: all tasks; ``plan``: what has yet to run; ``other_images``: not those of the archive.
    """

    layout: Layout
    source: Source
    request: Request
    config: Config
    record: WorkflowRecord
    unpack_images: bool = True
    given: Given = field(default_factory=lambda: Given({}), init=False)
    graph: Graph | None = field(default=None, init=False)
    taking: Taking | None = field(default=None, init=False)
    whole_plan: Plan | None = field(default=None, init=False)
    plan: Plan | None = field(default=None, init=False)
    other_images: tuple[str, ...] = field(default=(), init=False)

    @property
    def unpacked(self) -> Path:
        """Where the archive is while the directory is filled."""
        return self.layout.root / ".unpacked"

    def run(self) -> None:
        """Fill the directory, but for what is asked of Slurm; what is missing here is in ``given``."""
        path = self.source.path
        schema_cache.install(cache_dir(self.layout))
        try:
            # All of it is verified as it is unpacked; nothing of it is used before.
            self.packed = unpacking.unpack(path, self.unpacked, self.source.description.id, self.source.allowed)
            asked = self.packed, self.unpacked, self.config
            checking.check(*asked, trusted=self.request.trust)
            if checking.is_foreign(*asked, trusted=self.request.trust):
                self.record = replace(self.record, foreign=True)
                store.write_record(self.layout.workflow, self.record)
            self.begin()
            self.needed(self.layout.graph)
            old_graph = read_graph(self.layout)
            self.given = self.inputs(old_graph)
            self.graph = self.resolved()
            self.other_images = tuple(_other_images(old_graph, self.graph))
            if not self.given.missing:
                self.plan = self.planned(old_graph, self.graph)
            # Not before: what is taken is compared with what the old run took.
            self.remove_unused()
        except OSError as error:
            raise SystemFileError(f"{error.filename or path}: {error.strerror or error}") from error
        except (LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:
            raise ArchiveError(f"{path}: what it would run makes no sense: {error!r}") from error

    def begin(self) -> None:
        """Take documents and inputs from the archive."""
        for name in STARTS_FROM:
            target = self.layout.root / name
            if (self.unpacked / name).exists():
                if target.exists():
                    target.rmdir()
                os.rename(self.unpacked / name, target)
        for folder in folders(self.layout):
            folder.mkdir(exist_ok=True)

    def inputs(self, graph: Graph) -> Given:
        """Write the new input object."""
        old = store.read_json(self.needed(self.unpacked / "job.json"))
        if problem := forms.problem(old):
            raise ArchiveError(f"{self.source.path}: damaged or unsafe: job.json has {problem}")
        asked = (self.request.settings, self.request.job_file)
        made = given.inputs_of(self.layout, graph, old, self.origins, *asked, foreign=self.record.foreign)
        store.write_json(self.layout.job, made.job)
        tell_of_doubtful(self.origins, made)
        credentials.warn(graph, made.job)
        return made

    @functools.cached_property
    def origins(self) -> Origins:
        """Where the files of the archive are now."""
        return Origins(self.unpacked, self.request.moves)

    def remove_unused(self) -> None:
        """Remove the embedded inputs that others took the place of, unless a task that was taken passed one on."""
        taken = self.taking.results.values() if self.taking else ()
        graph = codec.to_json(self.graph) if self.graph else {}
        values = [self.given.job, graph, *(result.outputs for results in taken for result in results.values())]
        named = (str(entry.get("location", "")) for entry in locations.entries(values))
        used = {location.split("/")[1] for location in named if location.startswith("inputs/")}
        for folder in self.layout.inputs.iterdir() if self.layout.inputs.is_dir() else ():
            if folder.name not in used:
                staging.remove_tree(folder)

    def resolved(self) -> Graph:
        """Write the graph as this site runs it."""
        found = read_graph(self.layout)
        tell_of_missing_defaults(self.origins, found)
        try:
            moved = moved_graph(found, self.request.moves, self.origins.place)
            graph = site.resolve(moved, self.config, unpack=self.unpack_images, elsewhere=self.elsewhere())
        except InputError as error:
            raise InputError(f"{error}\nsay where images are here with --map OLD=NEW") from error
        store.write_text(self.layout.graph, dumps_graph(graph))
        return graph

    def elsewhere(self) -> str:
        """Name the cluster that the documents were first submitted on; "" when that is this one."""
        cluster = provenance.first_cluster(self.source, self.unpacked)
        return "" if cluster == self.record.slurm.cluster_name else cluster

    def planned(self, old_graph: Graph, graph: Graph) -> Plan:
        """Plan what is to run; what need not is taken from the archive."""
        if self.request.choice.is_empty:
            evaluator = CwlEvaluator(graph, self.layout.root, foreign=self.record.foreign)
            self.whole_plan = walk(graph, self.given.job, lambda output: output, evaluator)
            checking.refuse(self.source.path, evaluator.refused)
            return self.whole_plan
        for name in STARTS_FROM:
            # What is here now was there: the old run's tasks took it from there.
            (self.unpacked / name).symlink_to(self.layout.root / name)
        moved = moved_graph(old_graph, (), Origins(self.unpacked).place)
        old = OldRun(self.unpacked, replace(self.old_record(), foreign=self.record.foreign), moved)
        request = self.request
        self.taking = Taking(old, graph, self.given.job, self.record, request.choice, request.moves)
        self.whole_plan = self.taking.run()
        checking.refuse(self.source.path, self.taking.refused)
        tell_of_more(self.taking, self.whole_plan)
        moving = Moving(self.unpacked, self.layout, self.source.description.id, request.moves)
        moving.run(self.taking.results, self.taking.labels)
        return self.taking.left(self.whole_plan)

    def old_record(self) -> WorkflowRecord:
        """Read how the old run was submitted."""
        path = self.needed(self.unpacked / "workflow.json")
        return codec.loads(WorkflowRecord, path.read_text(encoding="utf-8"), path)

    def ask(self, scheduler: Scheduler) -> None:
        """Ask Slurm whether it would take the jobs; raises InputError, SubmissionError for what cannot run."""
        if self.graph is not None and self.plan is not None:
            submit.refuse_broken(self.plan)
            submit.ask(scheduler, self.record, self.graph, self.plan)

    def needed(self, path: Path) -> Path:
        """Return a path of the archive's; raises IncompleteArchiveError when it is not there."""
        if not path.is_file():
            raise IncompleteArchiveError(f"{self.source.path}: has no {path.name}: it cannot be re-executed")
        return path

    def clear(self) -> None:
        """Keep what tells about the old run, and remove the rest of it."""
        provenance.keep(self.unpacked, self.layout, self.packed, self.source, self.request)
        staging.remove_tree(self.unpacked)


def tell_of_more(taking: Taking, plan: Plan) -> None:
    """Warn of steps that run though the user named others, or only for what the shell offers, and say why."""
    for each in taking.other_environments:
        log.warning("what has no image runs again: %s", tables.one_line(each, 2000))
    for group in plan.groups.values():
        why = taking.why.get(group.key)
        if why and not taking.choice.reuse and group.key not in taking.chosen:
            log.warning("step %s runs, too: %s", group.path, tables.one_line("; ".join(why), 2000))


def tell_of_missing_defaults(origins: Origins, graph: Graph) -> None:
    """Warn of large files that documents name and the archive only refers to; perhaps nobody needs the default."""
    places = dict.fromkeys(str(entry.get("location", "")) for entry in locations.entries(codec.to_json(graph)))
    for each in places:
        path = locations.to_path(each)
        if path is not None and origins.of(path) and (problem := origins.problem(each)):
            shown = tables.one_line(problem, 2000)
            log.warning("a default that the workflow's documents name: %s; say where it is with --map OLD=NEW", shown)


def tell_of_doubtful(origins: Origins, made: Given) -> None:
    """Warn of inputs that may not be what the old run took of them."""
    used = {str(entry.get("location", "")) for entry in locations.entries(made.job)}
    for each in origins.known.values():
        if each.changed:
            why = "was changed after the workflow of the archive was submitted: it may have taken something else"
        elif not each.is_known:
            why = "the archive does not tell what was in it: it is taken as it is here"
        else:
            continue
        if origins.place(locations.to_uri(Path(each.origin))) in used:
            log.warning("%s: %s", tables.one_line(each.origin, 1000), why)


def _other_images(old: Graph, new: Graph) -> Iterator[str]:
    """Name the images that are not what they were in the old run."""
    pairs = ((old.tools[name].container, tool.container) for name, tool in new.tools.items() if name in old.tools)
    yield from dict.fromkeys(here.name for there, here in pairs if there and here and there.sha256 != here.sha256)
