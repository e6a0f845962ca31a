"""Read the input object: a job file, ``--name value`` options, defaults; check it whole before anything is written."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import re
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import cwltool.argparser
import cwltool.load_tool
import cwltool.main
from cwltool.context import RuntimeContext
from cwltool.errors import WorkflowException
from cwltool.process import CWL_IANA, get_schema
from cwltool.update import ORIGINAL_CWLVERSION
from cwltool.utils import adjustDirObjs, trim_listing
from schema_salad.exceptions import ValidationException
from schema_salad.ref_resolver import Loader
from schema_salad.sourceline import cmap

from beeflow import locations, paths
from beeflow.cwl import forms
from beeflow.cwl.compiler import plain
from beeflow.cwl.documents import Document, at_line, short_name, translated
from beeflow.cwl.guard import Guard
from beeflow.errors import InputError, TrustError

log = logging.getLogger(__name__)

_OVERRIDES = "http://commonwl.org/cwltool#overrides"
_REQUIREMENTS = "https://w3id.org/cwl/cwl#requirements"
# What else an input object may have: the loader itself adds an identifier.
_IS_NO_INPUT = re.compile(r"[:#$]|^(__)?id$")
_LARGE = 1 << 18  # bytes
_NOT_TEXT = "its name is not UTF-8, as CWL has names; rename it"
_CONTENT_TYPES = ["text/plain", "application/json", "text/vnd.yaml", "text/yaml", "text/x-yaml", "application/x-yaml"]
_CONTENT_TYPES += ["application/octet-stream", CWL_IANA]


class _InputParser(argparse.ArgumentParser):
    """cwltool describes a document's inputs as options; a wrong one is an InputError, not an exit."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}\n{self.format_usage().strip()}")


def load(
    document: Document,
    arguments: Sequence[str],
    overrides: list[Any],
    more: Mapping[str, Any] | None = None,
    among: Path | None = None,
) -> dict[str, Any]:
    """Read and check the inputs of a document; returns the input object with defaults and secondaryFiles filled in.

    ``arguments``: what stands after the document on the command line; ``more``: what counts more. ``overrides``:
    cwltool:overrides in the job file are added. ``among``: see complete. Raises InputError.
    """
    job_file, options = _parse_options(document, arguments)
    order, base = _read_job_file(document, job_file, overrides) if job_file else ({}, Path.cwd())
    _tell_of_unknown(document, order, job_file)
    order.update({**options, **(more or {})})
    return complete(document, order, base, f"{job_file}: " if job_file else "", among)


def _tell_of_unknown(document: Document, order: Mapping[str, Any], job_file: str | None) -> None:
    """Warn of inputs that the document does not have, as CWL ignores them; a misspelt one is most likely meant."""
    known = [short_name(each["id"]) for each in document.process.tool["inputs"]]
    for name in order:
        if name not in known and not _IS_NO_INPUT.search(str(name)):
            shown = f"its inputs are {', '.join(known)}" if known else "it has none"
            log.warning("%s: %s is no input of the document, and is ignored; %s", job_file, name, shown)


def complete(document: Document, order: Any, base: Path, what: str = "", among: Path | None = None) -> dict[str, Any]:
    """Fill in defaults and secondaryFiles, and check types and files. ``base``: what paths are relative to.

    ``what``: where the inputs are from, for messages. ``among``: a workflow directory of somebody else's, whose
    expressions find what is in it and beside the inputs (beeflow.cwl.guard). Raises InputError, TrustError.
    """
    _check_forms(order, what)
    with translated(InputError, what):
        order = cwltool.main.init_job_order(
            order,
            argparse.Namespace(workflow=document.uri, tool_help=False),
            document.process,
            Loader({}),
            None,
            input_basedir=str(base),
        )
        _check_files(order, what)
        checked = _checked(document, order, base, among)
    _check_files(checked, what)
    return checked


def has_required(document: Document) -> bool:
    """Tell whether a document has an input that must be given: no default, and not optional."""
    return any("default" not in each and not _is_optional(each["type"]) for each in document.process.tool["inputs"])


def _is_optional(kind: Any) -> bool:
    return kind in ("null", "Any") or (isinstance(kind, list) and "null" in kind)


def _checked(document: Document, order: Any, base: Path, among: Path | None) -> dict[str, Any]:
    """Have cwltool check types and find secondaryFiles; returns plain values."""
    runtime = RuntimeContext({"basedir": str(base), "toplevel": True, "use_container": False})
    watched: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if among:
        inputs = plain(document.process.tool["inputs"])
        guard = Guard(among, [plain(order), inputs], {"inputs": inputs}, beside=True)
        runtime.make_fs_access, watched = guard.files, guard.watching(TrustError)
    init = functools.partial(document.process._init_job, runtime_context=_placeholders(runtime))
    with watched:
        try:
            # Plain values: copying those that know their line takes time that grows with the square of their number.
            builder = init(plain(order))
        except (ValidationException, WorkflowException):
            # Once more, for a message with the line.
            builder = init(order)
    # A listing is made anew by whoever needs one, as deep as it needs it.
    adjustDirObjs(builder.job, trim_listing)
    made: dict[str, Any] = plain(builder.job)
    return made


def _placeholders(runtime: RuntimeContext) -> RuntimeContext:
    """Name folders that are never made: cwltool would make temporary ones just to check the inputs of a tool."""
    runtime.outdir = runtime.tmpdir = runtime.stagedir = "/nonexistent/beeflow"
    return runtime


def _parse_options(document: Document, arguments: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    names: dict[str, str] = {}
    records: list[str] = []
    parser = _InputParser(prog=document.path.name, allow_abbrev=False)
    cwltool.argparser.generate_parser(
        parser,
        document.process,
        names,
        records,
        input_required=False,
        base_uri=locations.to_uri(Path.cwd()) + "/",
    )
    for action in parser._actions:
        action.default = None
        if isinstance(action, cwltool.argparser.FSAction | cwltool.argparser.FSAppendAction):
            action.urljoin = functools.partial(_join, parser, action)
        for option in [each for each in action.option_strings if len(each) == 2]:
            # cwltool makes -x of an input named x; users write --x as for any other.
            parser._option_string_actions.setdefault(f"-{option}", action)
    with translated(InputError):
        given = vars(parser.parse_args(list(arguments)))
    values = {key: value for key, value in given.items() if value is not None}
    job_file = values.pop("job_order", None)
    for record in records:
        fields = {key: value for key, value in values.items() if key.startswith(f"{record}.")}
        if fields:
            values = {key: value for key, value in values.items() if key not in fields}
            values[record] = {key[len(record) + 1 :]: value for key, value in fields.items()}
    return job_file, {names.get(key, key): value for key, value in values.items()}


def _join(parser: argparse.ArgumentParser, action: argparse.Action, base: str, path: str) -> str:
    """Make a location of a path on the command line; raises InputError for what can be none."""
    option = f"--{action.option_strings[0].lstrip('-')}"
    if not path:
        # It would be the folder that the user is in, and all that is below it.
        parser.error(f"argument {option}: an empty path is no {action.objclass}; leave it out for none")  # type: ignore[attr-defined]
    if not paths.is_text(path):
        parser.error(f"argument {option}: {path}: {_NOT_TEXT}")
    location: str = Loader({}).fetcher.urljoin(base, path)
    return location


def _read_job_file(document: Document, job_file: str, overrides: list[Any]) -> tuple[Any, Path]:
    path = Path(job_file).absolute()
    if not paths.is_file(path):
        raise InputError(f"{path}: no such file of inputs")
    loader = Loader(cwltool.load_tool.jobloaderctx.copy())
    with translated(InputError, f"{path}: "):
        try:
            if path.stat().st_size > _LARGE and path.suffix == ".json":
                order, _ = loader.resolve_all(cmap(_read_json(path)), locations.to_uri(path), checklinks=False)
            else:
                order, _ = loader.resolve_ref(locations.to_uri(path), checklinks=False, content_types=_CONTENT_TYPES)
        except StopIteration:
            order = None
    if not isinstance(order, MutableMapping):
        raise InputError(f"{path}: an input object is a mapping of input names to values; write {{}} for none")
    _take_overrides(document, order, path, overrides)
    return order, path.parent


def _read_json(path: Path) -> Any:
    """Read a large input object: the YAML parser that keeps line numbers takes 2 s a MB."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error


def _take_overrides(document: Document, order: Any, path: Path, overrides: list[Any]) -> None:
    """Move what a job file says about requirements from the inputs to the overrides (CWL v1.1: cwl:requirements)."""
    if _OVERRIDES in order:
        overrides.extend(cwltool.load_tool.resolve_overrides(order, locations.to_uri(path), document.uri))
        del order[_OVERRIDES]
    if _REQUIREMENTS in order:
        if document.process.metadata.get(ORIGINAL_CWLVERSION) == "v1.0":
            raise InputError(f"{path}: cwl:requirements in an input object is of CWL v1.1; use cwltool:overrides")
        added = cmap({"overrideTarget": document.process.tool["id"], "requirements": order.pop(_REQUIREMENTS)})
        # Maps of requirements, of variables and so on become lists, as in a document.
        get_schema("v1.2")[0].resolve_all(added, locations.to_uri(path), checklinks=False)
        overrides.append(added)


def _check_forms(order: Any, what: str) -> None:
    """Raise InputError for what cwltool or we would stumble over."""
    for name, value in order.items():
        if problem := forms.problem({name: value}):
            raise InputError(at_line(order, name, f"input {name}: {problem}", what))


def _check_files(order: Any, what: str) -> None:
    """Raise InputError, with file and line where known, for a file that is not there."""
    for name, value in order.items():
        for entry in locations.entries(value):
            problem = _problem(entry)
            if problem:
                raise InputError(at_line(order, name, f"input {name}: {problem}", what))


def _problem(entry: locations.Entry) -> str | None:
    location = str(entry.get("location", ""))
    if not location or location.startswith("_:"):
        return None
    path = locations.to_path(location)
    if path is None:
        return f"{location}: only files on this file system can be used; fetch it first"
    if not paths.is_there(path):
        return f"{path}: no such {entry['class']}"
    if not paths.is_text(path):
        # cwltool would look for another one, as the task runs.
        return f"{path}: {_NOT_TEXT}"
    if entry["class"] == "Directory" and not paths.is_folder(path):
        return f"{path}: not a Directory"
    if entry["class"] == "File" and paths.is_folder(path):
        return f"{path}: a Directory, not a File"
    return None
