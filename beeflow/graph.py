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
MPI = "http://commonwl.org/cwltool#MPIRequirement"
CUDA = "http://commonwl.org/cwltool#CUDARequirement"
# BEE's own, under whatever prefix a document's $namespaces make of "beeflow:".
RETRY = "RetryRequirement"
SLURM = "SlurmRequirement"
OWN_HINTS = (RETRY, SLURM)


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
    gpus: int | None = None


@dataclass(frozen=True)
class StepOptions:
    """What a step's jobs are to be submitted with instead of what the workflow's are; "" and None: the same."""

    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    time_limit_s: int | None = None


@dataclass(frozen=True)
class RetryPolicy:
    """How often a task is tried again, by what ended it; the names are those of bee.conf's [retry].

    ``timeout_factor``, ``memory_factor``: of what the try before had. ``wait_s``: before the second try, and twice as
    long before each that follows.
    """

    node_fail: int = 0
    temporary_fail: int = 0
    timeout: int = 0
    timeout_factor: float = 2.0
    out_of_memory: int = 0
    memory_factor: float = 2.0
    wait_s: float = 30.0


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
    ``srun_options``: the site's, for a tool that runs under srun. ``updates``: the inputs that it changes in place.
    ``loads``: it reads what is in its inputs' files or folders before it runs. ``modules``: the words of the ``module
    load`` that gives it its software here; ``modules_init``: the file that defines that. ``retry``: bee.conf's, and
    what the tool's own hint says instead. ``step_options``: what another hint says of its jobs.
    """

    kind: str
    document: dict[str, Any]
    metadata: dict[str, Any]
    outputs: tuple[str, ...]
    resources: Resources | None = None
    container: Container | None = None
    formats: str = ""
    srun_options: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    loads: bool = False
    modules: tuple[str, ...] = ()
    modules_init: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    step_options: StepOptions = field(default_factory=StepOptions)

    def requirement(self, name: str) -> tuple[dict[str, Any] | None, bool]:
        """Find what counts of a class of requirement, and whether it is one or only a hint (CWL, Requirements)."""
        return requirement_of(self.document, name)


def requirement_of(document: dict[str, Any], name: str) -> tuple[dict[str, Any] | None, bool]:
    """Find it in a resolved tool: the innermost of the requirements, else of the hints."""
    for field_name, is_required in (("requirements", True), ("hints", False)):
        for requirement in reversed(document.get(field_name, [])):
            if requirement["class"] == name:
                return requirement, is_required
    return None, False


@dataclass(frozen=True)
class Expressions:
    """What evaluating an expression needs from the enclosing workflow (InlineJavascriptRequirement)."""

    javascript: bool = False
    library: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A WorkflowStep. Exactly one of ``tool`` (a key of Graph.tools) and ``workflow`` is set.

    ``after``: paths of steps that it takes nothing from and still must follow (beeflow.ordering).
    """

    name: str
    inputs: dict[str, Link]
    outputs: tuple[str, ...]
    scatter: tuple[str, ...] = ()
    scatter_method: str | None = None
    when: str | None = None
    tool: str | None = None
    workflow: Workflow | None = None
    expressions: Expressions = field(default_factory=Expressions)
    after: tuple[str, ...] = ()

    @property
    def has_expressions(self) -> bool:
        """True when the step's inputs are computed, not only linked."""
        return any(link.value_from or link.load_contents or link.load_listing for link in self.inputs.values())

    @property
    def has_javascript(self) -> bool:
        """True when its expressions may be JavaScript, not only parameter references."""
        return self.expressions.javascript


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
