"""Make cwltool's tool objects from the graph, without loading the document again (15 ms a tool)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import rdflib
from cwltool.command_line_tool import CommandLineTool, ExpressionTool
from cwltool.context import LoadingContext, RuntimeContext
from cwltool.job import CommandLineJob, JobBase
from cwltool.pathmapper import PathMapper
from cwltool.process import Process
from schema_salad.sourceline import cmap

from beeflow import locations
from beeflow.cwl.documents import short_name
from beeflow.cwl.pathmapper import Check, InPlaceMapper, SeenAs, WorkdirMapper, anywhere
from beeflow.graph import COMMAND_LINE_TOOL, CUDA, MPI, Tool


class ContainerJob(CommandLineJob):
    """A job whose paths are those inside a container."""

    def _required_env(self) -> dict[str, str]:
        return {"HOME": self.builder.outdir, "TMPDIR": self.builder.tmpdir}


class PreparedTool(CommandLineTool):
    """A tool that is only prepared and collected by cwltool; staging and running are ours."""

    seen_as: SeenAs = staticmethod(str)
    check: Check = staticmethod(anywhere)

    def make_job_runner(self, runtime: RuntimeContext) -> type[JobBase]:
        """Never start a container engine: containers are beeflow.container's."""
        return ContainerJob if runtime.use_container else CommandLineJob

    def make_path_mapper(self, files: Any, stagedir: str, runtime: RuntimeContext, separate: bool) -> PathMapper:
        """Use real paths for inputs; what goes into the working directory (not ``separate``) is staged."""
        if separate:
            return InPlaceMapper(files, runtime.basedir, stagedir, self.seen_as, self.check)
        return WorkdirMapper(files, runtime.basedir, stagedir, self.check)


def construct(tool: Tool, root: Path) -> Process:
    """Build a CommandLineTool or ExpressionTool. ``root``: the workflow directory its relative locations are in."""
    document = _decimal(locations.absolute(tool.document, root))
    context = LoadingContext()
    # srun is ours, and cwltool knows no container that it could start; nothing is asked of Slurm for CUDA as a hint.
    context.requirements = [each for each in document.pop("requirements") if each["class"] != MPI]
    context.hints = [each for each in document.pop("hints") if each["class"] not in (CUDA, MPI)]
    context.metadata = dict(tool.metadata)
    context.disable_js_validation = True
    # Spaces and the like in file names are fine: no shell comes between.
    context.relax_path_checks = True
    context.do_validate = False
    kind = PreparedTool if tool.kind == COMMAND_LINE_TOOL else ExpressionTool
    process = kind(cmap(document), context)
    if tool.formats:
        process.formatgraph = rdflib.Graph().parse(data=tool.formats, format="nt")
    return process


class DecimalFloat(float):
    """A float that is written without an exponent (CWL v1.2 CommandLineTool, Input binding: decimals only)."""

    def __str__(self) -> str:
        """Write all digits."""
        return format(Decimal(repr(float(self))), "f")


class _Array(list[Any]):
    """An array of ours alone, which cwltool need not copy: it would once for each of its elements."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Array:
        """Stay the same array."""
        return self


def own_inputs(tool: Tool, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the tool itself takes: a step may have more inputs, for its expressions only."""
    names = {short_name(each["id"]) for each in tool.document["inputs"]}
    return {name: _decimal(value) for name, value in values.items() if name in names}


def _decimal(value: Any) -> Any:
    if isinstance(value, float):
        return DecimalFloat(value)
    if isinstance(value, dict):
        return {key: _decimal(inner) for key, inner in value.items()}
    return _Array(_decimal(inner) for inner in value) if isinstance(value, list) else value
