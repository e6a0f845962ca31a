"""The workflow as it runs: CWL resolved to steps, links and tools, as JSON (cwl/graph.json).

Names are CWL's. A source is the name of a workflow input, or "step/port". Everything that cwltool works
out of a document once (inherited requirements, updated syntax) is in here, so a pass and a task need not
load the document again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COMMAND_LINE_TOOL = "CommandLineTool"
EXPRESSION_TOOL = "ExpressionTool"


@dataclass(frozen=True)
class Link:
    """One input of a step, or one output of a workflow, and where its value comes from (CWL: WorkflowStepInput)."""

    sources: tuple[str, ...] = ()
    link_merge: str | None = None
    pick_value: str | None = None
    default: Any = None
    value_from: str | None = None
    load_contents: bool = False
    load_listing: str | None = None


@dataclass(frozen=True)
class Resources:
    """A ResourceRequirement and the like, as Slurm takes it. None: the site's default."""

    cpus_per_task: int = 1
    mem_mib: int | None = None
    tmp_mib: int | None = None
    time_limit_s: int | None = None
    ntasks: int | None = None
    gres: str | None = None


@dataclass(frozen=True)
class Container:
    """The image a tool runs in. ``image``: a path, or a name in Charliecloud's storage.

    ``entrypoint``: what stands before the command; ``default_command``: what runs when the tool has none.
    """

    runtime: str
    image: str
    name: str
    sha256: str | None = None
    entrypoint: tuple[str, ...] = ()
    default_command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A CommandLineTool or ExpressionTool, ready for cwltool to construct.

    ``document``: the resolved tool, with all requirements and hints inherited.
    ``outputs``: port names. ``resources``: None when they depend on inputs, and are worked out by a pass.
    ``formats``: what is a kind of what among file formats (N-Triples), when the document names an ontology.
    """

    kind: str
    document: dict[str, Any]
    metadata: dict[str, Any]
    outputs: tuple[str, ...]
    resources: Resources | None = None
    container: Container | None = None
    formats: str = ""


@dataclass(frozen=True)
class Expressions:
    """What evaluating an expression needs from the enclosing workflow (InlineJavascriptRequirement)."""

    javascript: bool = False
    library: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A WorkflowStep. Exactly one of ``tool`` (a key of Graph.tools) and ``workflow`` is set."""

    name: str
    inputs: dict[str, Link]
    outputs: tuple[str, ...]
    scatter: tuple[str, ...] = ()
    scatter_method: str | None = None
    when: str | None = None
    tool: str | None = None
    workflow: Workflow | None = None
    expressions: Expressions = field(default_factory=Expressions)

    @property
    def has_expressions(self) -> bool:
        """True when the step's inputs are computed, not only linked."""
        return any(link.value_from or link.load_contents or link.load_listing for link in self.inputs.values())


@dataclass(frozen=True)
class Workflow:
    """Steps in an order in which every step follows those it takes values from.

    ``defaults``: input name -> value used when it is null.
    """

    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: dict[str, Link]
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A whole workflow: its tools once each, and the top workflow."""

    tools: dict[str, Tool]
    workflow: Workflow
    cwl_version: str
