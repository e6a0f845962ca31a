"""When two tasks are the same: one tool, one software, inputs of the same contents, wherever their files are.

What cannot be told is not the same as anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from beeflow import codec, locations
from beeflow.graph import COMMAND_LINE_TOOL, OWN_HINTS, Step, Tool
from beeflow.hints import is_called
from beeflow.models import WorkflowRecord
from beeflow.rerun.old import inside

# What an entry has that says where it is, or what its name and contents say already.
_DERIVED = frozenset({"location", "path", "dirname", "nameroot", "nameext", "size", "checksum", "basename"})
# What only names things in a document.
_NAMES = frozenset({"id", "name"})


class UnknownError(Exception):
    """What cannot be compared, and why."""


@dataclass
class Contents:
    """What is in files. ``root``: what relative locations are in; ``known``: sha256 of its files, by name.

    ``outside``: the sha256 of a file that is somewhere else; it may raise UnknownError. ``lists_outside``: folders
    there are what they were. ``incomplete``: names that should be below ``root`` and are not.
    """

    root: Path
    known: Mapping[str, str]
    outside: Callable[[Path], str]
    lists_outside: bool
    incomplete: tuple[str, ...] = ()
    _cache: dict[Path, str] = field(default_factory=dict, init=False)

    def value(self, value: Any) -> Any:
        """Copy a value with the contents of files in place of their locations."""
        if isinstance(value, dict):
            if locations.is_entry(value):
                return self.entry(value)
            return {key: self.value(each) for key, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, (list, tuple)) else value

    def entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Describe a File or Directory by its name and what is in it."""
        location = str(entry.get("location") or "_:")
        made = {key: self.value(each) for key, each in entry.items() if key not in _DERIVED}
        made["basename"] = entry.get("basename") or location.rstrip("/").rpartition("/")[2]
        if location.startswith("_:"):
            return made
        # What was read of it, or listed, is in it.
        made.pop("contents", None)
        made.pop("listing", None)
        path = self.path_of(location)
        made["is"] = self.file(path) if entry["class"] == "File" else self.folder(path)
        return made

    def path_of(self, location: str) -> Path:
        """Return where a location is."""
        if locations.is_relative(location):
            return inside(self.root, locations.unquoted(location))
        path = locations.to_path(location)
        if path is None:
            raise UnknownError(f"{location}: not a file of this host")
        return path

    def file(self, path: Path) -> str:
        """Return the sha256 of a file."""
        if path.is_relative_to(self.root):
            name = str(path.relative_to(self.root))
            if name not in self.known:
                raise UnknownError(f"{name}: not in the archive")
            return self.known[name]
        if path not in self._cache:
            self._cache[path] = self.outside(path)
        return self._cache[path]

    def folder(self, top: Path) -> list[list[str]]:
        """List all that is in a folder, with the sha256 of its files."""
        if top.is_relative_to(self.root):
            name = str(top.relative_to(self.root))
            lacking = next((each for each in self.incomplete if each.startswith(f"{name}/")), None)
            if lacking is not None:
                raise UnknownError(f"{lacking}: not in the archive")
        elif not self.lists_outside:
            raise UnknownError(f"{top}: nobody recorded what was in it")
        if not top.is_dir():
            raise UnknownError(f"{top}: not there")
        found = []
        for parent, folders, names in os.walk(top):
            here = Path(parent)
            found += [[str((here / each).relative_to(top)), "folder"] for each in folders]
            found += [[str((here / each).relative_to(top)), self.file(here / each)] for each in names]
        return sorted(found)


def key_of(contents: Contents, tool: Tool, step: Step, inputs: Mapping[str, Any], record: WorkflowRecord) -> str:
    """Reduce to one text all that decides what a task makes; raises UnknownError for what nobody can tell.

    ``inputs``: before the step's expressions, which are the same wherever their inputs are.
    """
    made = [
        contents.value(without_names(without_own_hints(tool.document))),
        tool.metadata.get("cwlVersion"),
        tool.formats,
        {name: [each.value_from, each.load_contents, each.load_listing] for name, each in step.inputs.items()},
        codec.to_json(step.expressions),
        software(tool),
        granted(tool, record),
        {name: contents.value(value) for name, value in inputs.items()},
    ]
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode(errors="surrogateescape")).hexdigest()


def why_never(tool: Tool, record: WorkflowRecord) -> str | None:
    """Say why tasks of a tool are never the same as others, or None."""
    reuse, _ = tool.requirement("WorkReuse")
    if reuse is not None and reuse.get("enableReuse") is not True:
        return "the tool says so (WorkReuse)"
    if tool.updates:
        return "it updates files in place"
    if record.options.preserve_environment:
        return "[task] preserve_environment gives it variables that nobody recorded"
    return None


def software(tool: Tool) -> Any:
    """Describe the software that a command gets: its image by digest, the modules, how ranks are started."""
    image = tool.container
    if image is not None and image.sha256 is None:
        raise UnknownError(f"image {image.name}: its sha256 is not known")
    inside = [image.runtime, image.sha256, image.entrypoint, image.default_command] if image else None
    return [inside, tool.modules, tool.srun_options]


def other_environment(tool: Tool, old: WorkflowRecord, new: WorkflowRecord) -> str | None:
    """Say why a command may find other software on the host than it found, or None where it has its own, or the same.

    Nobody can tell which of the loaded modules and of the folders of PATH a command, and what it calls, has a use for.
    """
    if tool.kind != COMMAND_LINE_TOOL or tool.container is not None:
        return None
    if set(old.loaded_modules) != set(new.loaded_modules):
        return f"other modules are loaded: {_named(new.loaded_modules)}; then: {_named(old.loaded_modules)}"
    # Elsewhere the same folders hold something else anyhow; and an archive of before does not tell its PATH.
    comparable = old.path and old.slurm.cluster_name == new.slurm.cluster_name
    if comparable and (was := _path(old)) != (now := _path(new)):
        added, lost = [each for each in now if each not in was], [each for each in was if each not in now]
        found = [f"{what}: {', '.join(some)}" for what, some in (("now also", added), ("no more", lost)) if some]
        return f"PATH is another ({'; '.join(found) or 'in another order'})"
    return None


def _path(record: WorkflowRecord) -> list[str]:
    """List where programs are looked for: of what is there twice, the first counts."""
    return list(dict.fromkeys(record.path))


def _named(modules: tuple[str, ...]) -> str:
    return ", ".join(modules) or "none"


def granted(tool: Tool, record: WorkflowRecord) -> Any:
    """Name the cluster where a command may take the numbers from what that grants, and not from what was asked for."""
    text = json.dumps(tool.document)
    resources = tool.resources
    asks_mem = resources is not None and resources.mem_mib is not None and record.options.pass_mem
    depends = ("runtime.ram" in text and not asks_mem) or "cudaDeviceCount" in text
    return record.slurm.cluster_name if depends else None


def without_own_hints(document: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a tool's document without the hints that say how it is to run, and not what."""
    kept = [each for each in document.get("hints", ()) if not any(is_called(each["class"], kind) for kind in OWN_HINTS)]
    return {**document, "hints": kept}


def without_names(value: Any) -> Any:
    """Copy a tool's document without what only names things in it: where it was, and which of several."""
    if isinstance(value, list):
        return [without_names(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("class") == "DockerRequirement":
        # Which image that is here, its digest tells.
        return {key: each for key, each in value.items() if key == "dockerOutputDirectory"}
    # An input is known by the last part of its identifier.
    kept = {key: without_names(each) for key, each in value.items() if key not in _NAMES}
    names = {key: str(value[key]).rpartition("#")[2].rpartition("/")[2] for key in _NAMES & value.keys()}
    return {**kept, **names}
