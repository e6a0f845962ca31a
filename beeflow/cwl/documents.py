"""Load and validate CWL documents; cwltool's complaints become ours, with file and line."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import urllib.parse
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cwltool.load_tool
import cwltool.workflow
from cwltool.context import LoadingContext
from cwltool.errors import GraphTargetMissingException, UnsupportedRequirement, WorkflowException
from cwltool.process import Process, supportedProcessRequirements
from cwltool.resolver import tool_resolver
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError
from schema_salad.exceptions import ValidationException
from schema_salad.fetcher import DefaultFetcher
from schema_salad.sourceline import SourceLine, strip_dup_lineno

from beeflow import locations, paths
from beeflow.cwl import schema_cache
from beeflow.errors import BeeError, DocumentError, UnsupportedError
from beeflow.graph import CUDA, MPI, OWN_HINTS

# What tasks and passes do; anything else under `requirements` is refused by name.
SUPPORTED = frozenset(
    {
        "DockerRequirement",
        "EnvVarRequirement",
        CUDA,
        MPI,
        "InitialWorkDirRequirement",
        "InlineJavascriptRequirement",
        "InplaceUpdateRequirement",
        "LoadListingRequirement",
        "MultipleInputFeatureRequirement",
        "NetworkAccess",
        "ResourceRequirement",
        "ScatterFeatureRequirement",
        "SchemaDefRequirement",
        "ShellCommandRequirement",
        "SoftwareRequirement",
        "StepInputExpressionRequirement",
        "SubworkflowFeatureRequirement",
        "ToolTimeLimit",
        "WorkReuse",
    }
)


# cwltool refuses it unless it was given a package manager: what to load is the site's to say (beeflow.site).
supportedProcessRequirements.append("SoftwareRequirement")
PROCESSES = ("CommandLineTool", "ExpressionTool", "Workflow")


# What load_inputs writes for cwltool to read, and a place in it, which says nothing to a user.
_INPUTS = ".inputs-"
_IN_INPUTS = re.compile(rf"^[^\n]*/{re.escape(_INPUTS)}[^\n]*?\.json:\d+:\d+: *", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """A loaded workflow or tool. ``packed``: the same as one self-contained CWL document."""

    process: Process
    context: LoadingContext
    uri: str
    path: Path


def quiet(level: int = logging.ERROR) -> None:
    """Keep cwltool's own chatter out of the user's terminal; what matters comes as an exception."""
    for name in ("cwltool", "salad", "rdflib", "cwltool.validation_warnings"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(level)
    # It tells of an expression that fails with a traceback, and raises the same.
    logging.getLogger("cwl_utils").setLevel(logging.CRITICAL)


def message_of(error: BaseException) -> str:
    """Return cwltool's message without colours, repeated positions and file:// prefixes."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    text = _IN_INPUTS.sub("", text)
    text = strip_dup_lineno(text.replace("file://", "")) or type(error).__name__
    for kind in OWN_HINTS:
        if kind in text:
            text += f"\n{kind} goes under hints: others, who do not know it, can run the document then"
    return text


@contextlib.contextmanager
def translated(kind: type[BeeError], what: str = "") -> Iterator[None]:
    """Turn cwltool's exceptions into ours: what it does not support is 33, the rest is of the given kind."""
    try:
        yield
    except UnsupportedRequirement as error:
        raise UnsupportedError(f"{what}{message_of(error)}") from error
    except (ValidationException, WorkflowException, GraphTargetMissingException, YAMLError, UnicodeError) as error:
        if isinstance(error.__cause__, UnsupportedRequirement):
            raise UnsupportedError(f"{what}{message_of(error)}") from error
        raise kind(f"{what}{message_of(error)}") from error
    except RecursionError as error:
        raise kind(f"{what}nested too deep") from error


def load(document: str, cache_dir: Path, overrides: list[Any] | None = None, *, offline: bool = False) -> Document:
    """Load, validate and check a document; raises DocumentError or UnsupportedError.

    ``document``: a path, with a #fragment when it holds several processes; ``offline``: what it names on the web is
    not there.
    """
    schema_cache.install(cache_dir)
    quiet()
    path = Path(document.partition("#")[0]).absolute()
    if not document.startswith(("http://", "https://", "file://")) and not paths.is_file(path):
        raise DocumentError(f"{path}: no such CWL document")
    context = LoadingContext()
    context.construct_tool_object = cwltool.workflow.default_make_tool
    context.resolver = tool_resolver
    context.overrides_list = overrides or []
    if offline:
        context.fetcher_constructor = _of_files
    with translated(DocumentError, f"{path}: not a valid CWL document:\n"):
        uri, _ = cwltool.load_tool.resolve_tool_uri(document, resolver=tool_resolver)
        context, workflow_object, uri = cwltool.load_tool.fetch_document(uri, context)
        if not isinstance(workflow_object, MutableMapping):
            raise ValidationException("a CWL document is a mapping with cwlVersion and class")
        context, uri = cwltool.load_tool.resolve_and_validate_document(context, workflow_object, uri)
        _list_secondary_files(list(context.loader.idx.values()) if context.loader else [])
        process = cwltool.load_tool.make_tool(uri, context)
    refuse_unsupported(process)
    return Document(process, context, uri, path)


def _list_secondary_files(waiting: list[Any]) -> None:
    """Make lists of secondaryFiles that are one pattern (CWL v1.2, SecondaryFilesDSL): cwltool's checker wants them."""
    seen = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen or not isinstance(value, (MutableMapping, MutableSequence)):
            continue
        seen.add(id(value))
        if isinstance(value, MutableSequence):
            waiting.extend(value)
            continue
        found = value.get("secondaryFiles")
        if isinstance(found, MutableMapping) and "pattern" in found:
            value["secondaryFiles"] = CommentedSeq([found])
        waiting.extend(value.values())


def _of_files(cache: Any, _: Any) -> DefaultFetcher:
    """Make what reads files only: without a session, schema-salad has no web."""
    return DefaultFetcher(cache, None)


def load_inputs(packed: Path, cache_dir: Path, place: Callable[[str], str], formats: str) -> Document:
    """Load of a packed document what says which inputs it takes: a workflow without steps.

    ``place``: says where a file is that it names and that is not beside it; ``formats``: what is a kind of what among
    file formats (N-Triples). A stranger may have written the document: the ontologies that it names are not read,
    nor is anything of the web.
    """
    data = json.loads(packed.read_text(encoding="utf-8"))
    main = next((each for each in data.get("$graph", ()) if each.get("id") == "#main"), data)
    kept = ("SchemaDefRequirement", "InlineJavascriptRequirement", "LoadListingRequirement")
    needed = [each for each in main.get("requirements", ()) if each["class"] in kept]
    inputs = [{key: each[key] for key in each if key != "inputBinding"} for each in main["inputs"]]
    made = {"cwlVersion": data["cwlVersion"], "class": "Workflow", "id": "#main", "inputs": inputs}
    # Beside the other: locations are relative to it.
    path = packed.with_name(f"{_INPUTS}{packed.name}")
    ontology = path.with_suffix(".nt")
    made.update({key: data[key] for key in ("$namespaces",) if key in data})
    made.update({"outputs": [], "steps": [], "requirements": needed, "$schemas": [ontology.name]})
    try:
        ontology.write_text(formats, encoding="utf-8")
        path.write_text(json.dumps(locations.rewritten(made, place)), encoding="utf-8")
        return load(str(path), cache_dir, offline=True)
    finally:
        for each in (path, ontology):
            each.unlink(missing_ok=True)


def at_line(item: Any, key: str, message: str, otherwise: str = "") -> str:
    """Put file and line of an item's key before a message, or ``otherwise`` where cwltool does not know them."""
    # Only the place is asked for: a long message would be wrapped.
    place = message_of(SourceLine(item, key, Exception).makeError("@")).removesuffix("@").strip()
    return f"{place} {message}" if place else otherwise + message


def refuse_unsupported(process: Process) -> None:
    """Raise UnsupportedError for what the document requires and nobody here does."""
    tool = process.tool
    if tool["class"] not in PROCESSES:
        what = f"class {tool['class']} has no implementation to run"
        raise UnsupportedError(at_line(tool, "class", what))
    for requirement in process.requirements:
        name = requirement["class"]
        if name not in SUPPORTED:
            what = f"requirement {name} is not supported; make it a hint if it may be ignored"
            raise UnsupportedError(at_line(tool, "class", what))
    for step in getattr(process, "steps", ()):
        refuse_unsupported(step.embedded_tool)


def short_name(identifier: str) -> str:
    """Return the last part of a CWL identifier."""
    fragment = urllib.parse.urlparse(identifier).fragment or identifier
    return fragment.rpartition("/")[2]


def sources(document: Document) -> tuple[Path, ...]:
    """List the files the document was loaded from: itself and what it runs and imports."""
    loader = document.context.loader
    found = {locations.to_path(str(uri)) for uri in (loader.idx if loader else ())}
    return tuple(sorted(path for path in found | {document.path} if path is not None and path.is_file()))
