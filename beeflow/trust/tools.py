"""What takes trust in a tool that would run: cwl/graph.json has it resolved, with all that it inherits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from beeflow.graph import SLURM
from beeflow.trust import reach
from beeflow.trust.reading import mappings
from beeflow.trust.risk import Risk
from beeflow.trust.shipped import GRAPH, Shipped, listed

_BUILDS = ("dockerFile", "dockerImport", "dockerLoad")
_PATHS = ("useContainer", "copyContainer")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What decides which programs and libraries run, where they read their start-up files, or how Slurm and containers act.
_PREFIXES = (
    "LD_", "DYLD_", "SLURM", "SBATCH_", "SRUN_", "SALLOC_", "SCANCEL_", "BASH_", "PYTHON", "PERL5", "RUBY", "NODE_",
    "GIT_", "SSH_", "APPTAINER", "SINGULARITY", "CH_RUN", "BEE_", "PMI", "OMPI_", "MALLOC_", "GCONV_", "GLIBC_",
    "I_MPI_", "HYDRA_", "PRTE_", "PRRTE_", "MPIEXEC", "UCX_", "JULIA_", "CONDA_", "R_LIBS", "KRB5", "LUA_", "TCL",
)  # fmt: skip
_NAMES = """
PATH ENV SHELL SHELLOPTS BASHOPTS IFS PS4 PROMPT_COMMAND CDPATH HOME USER LOGNAME TMPDIR PERLLIB CLASSPATH
JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS R_PROFILE R_PROFILE_USER R_ENVIRON R_ENVIRON_USER R_HOME LOCPATH
NLSPATH HOSTALIASES RESOLV_HOST_CONF EDITOR VISUAL PAGER LESSOPEN LESSCLOSE MODULEPATH MODULESHOME LMOD_CMD
ZDOTDIR INPUTRC TERMINFO CURL_HOME WGETRC NETRC AWS_CONFIG_FILE OPENSSL_CONF OPENSSL_MODULES SSL_CERT_FILE
XDG_CONFIG_HOME SSL_CERT_DIR HTTP_PROXY HTTPS_PROXY ALL_PROXY MAKEFLAGS CC CXX
"""

_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*([= ][\w.,:/+@%*\[\]-]*)?")
_OPTIONS = """
wrap export export-file get-user-env prolog epilog task-prolog task-epilog bcast chdir D uid gid propagate input i
output o error e container container-id oci job-name J dependency d parsable array a clusters M
"""

Found = tuple[str, str]  # what, why


def risks(shipped: Shipped) -> Iterator[Risk]:
    """Yield what takes trust in all tools."""
    for name, tool in shipped.tools():
        for found in _of_document(tool["document"], has_image=has_image(tool)):
            yield Risk(f"{GRAPH}: {name}", *found)
        for found in _of_fields(tool):
            yield Risk(f"{GRAPH}: {name}", *found)


def requirements(document: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    """Yield the requirements and hints of these classes, whatever is before a # or a colon in their names."""
    for field in ("requirements", "hints"):
        for each in listed(document.get(field)):
            kind = str(each.get("class")) if isinstance(each, dict) else ""
            if re.split(r"[#:/]", kind)[-1] in names:
                yield each


def has_image(tool: dict[str, Any]) -> bool:
    """True when a tool's command is to run in an image, and the host's files are not there."""
    return _asks_for_image(tool["document"], "requirements")


def _asks_for_image(document: dict[str, Any], *fields: str) -> bool:
    # By its very name, as what runs it goes by: anything else is no reason to look away.
    return any(each.get("class") == "DockerRequirement" for field in fields for each in listed(document.get(field)))


def _of_document(document: dict[str, Any], *, has_image: bool) -> Iterator[Found]:
    yield from _of_command(document, has_image=has_image)
    for key in ("stdin", "stdout", "stderr"):
        if _is_literal(document.get(key)) and reach.leads_out(document[key]):
            yield f"{key}: {document[key]}", "is not in the folder that its command runs in"
    yield from _of_ports(document)
    for requirement in requirements(document, "InitialWorkDirRequirement"):
        for entry in listed(requirement.get("listing")):
            name = entry.get("entryname") if isinstance(entry, dict) else None
            if _is_literal(name) and reach.leads_out(name) and not (has_image and name.startswith("/")):
                yield f"entryname: {name}", "is put outside the folder that its command runs in"
    yield from _of_images(document)
    for requirement in requirements(document, "EnvVarRequirement"):
        yield from _of_variables(requirement.get("envDef"))
    for requirement in requirements(document, SLURM):
        for key in ("account", "qos", "reservation"):
            if key in requirement:
                yield (
                    f"{SLURM}: {key}: {_first_line(requirement[key])}",
                    "is what jobs are charged to, or go before",
                )


def _of_command(document: dict[str, Any], *, has_image: bool) -> Iterator[Found]:
    if has_image:
        return
    words = [each for each in listed(document.get("baseCommand")) if isinstance(each, str)]
    arguments = [
        each.get("valueFrom") if isinstance(each, dict) else each for each in listed(document.get("arguments"))
    ]
    if words and reach.is_foreign_program(words[0]):
        yield f"baseCommand: {words[0]}", "runs a program of this host that is not in the archive"
    rest = words[1:] + [each for each in arguments if _is_literal(each)]
    if not words and rest and reach.is_foreign_program(rest[0]):
        yield f"arguments: {rest[0]}", "runs a program of this host that is not in the archive"
        rest = rest[1:]
    for word in rest:
        if reach.is_foreign_argument(word):
            yield f"arguments: {word}", "names a file of this host that is not in the archive"
    bindings = [each.get("inputBinding") for each in mappings(document.get("inputs"))]
    for key in ("prefix", "valueFrom"):
        for value in (each.get(key) for each in bindings if isinstance(each, dict)):
            if _is_literal(value) and reach.is_foreign_argument(value):
                yield f"{key}: {value}", "names a file of this host that is not in the archive"


def _of_ports(document: dict[str, Any]) -> Iterator[Found]:
    """What is collected and what goes along: also of the fields of a record, and of the items of an array."""
    for port in mappings(document.get("outputs")):
        binding = port.get("outputBinding")
        for glob in listed(binding.get("glob") if isinstance(binding, dict) else None):
            if _is_literal(glob) and reach.leads_out(glob):
                yield f"glob: {glob}", "collects what is not in the folder that its command runs in"
    yield from secondary_files([document.get("inputs"), document.get("outputs")])


def secondary_files(value: Any) -> Iterator[Found]:
    """Yield what goes along with a file and is not beside it: of all ports in a value."""
    for port in mappings(value):
        for each in listed(port.get("secondaryFiles")):
            pattern = each.get("pattern") if isinstance(each, dict) else each
            if _is_literal(pattern) and reach.leads_out(pattern.lstrip("^")):
                yield f"secondaryFiles: {pattern}", "is not in the folder that its file is in"


def _of_images(document: dict[str, Any]) -> Iterator[Found]:
    for requirement in requirements(document, "DockerRequirement"):
        for key, value in requirement.items():
            name = re.split(r"[#:/]", key)[-1]
            if name in _BUILDS:
                yield f"{name}: {_first_line(value)}", "builds or loads an image"
            elif name.endswith(_PATHS):  # as what finds images reads it (beeflow.container.images)
                yield f"{name}: {value}", "runs an image that is not in the archive"
            elif name == "dockerOutputDirectory" and (not _is_literal(value) or ".." in value.split("/")):
                yield f"{name}: {value}", "is a folder of the image that nobody can know"


def _of_variables(definitions: Any) -> Iterator[Found]:
    pairs = definitions.items() if isinstance(definitions, dict) else ()
    given = [(str(name), value) for name, value in pairs]
    given += [
        (str(each.get("envName")), each.get("envValue")) for each in listed(definitions) if isinstance(each, dict)
    ]
    for name, value in given:
        if not _VARIABLE.fullmatch(name):
            yield f"envName: {name}", "is no name of a variable"
        elif name.upper() in _NAMES.split() or name.upper().startswith(_PREFIXES):
            yield f"envName: {name} = {_first_line(value)}", "decides which programs or libraries run, or how"


def _of_fields(tool: dict[str, Any]) -> Iterator[Found]:
    """What our own submission put into the graph beside the document; a stranger may have put anything there."""
    if tool.get("container") and not _asks_for_image(tool["document"], "requirements", "hints"):
        yield f"container: {_first_line(tool['container'])}", "is an image that the document does not ask for"
    for option in listed(tool.get("srun_options")):
        yield from dangerous_option("srun_options", option)
    init = tool.get("modules_init")
    if init and not (isinstance(init, str) and init.startswith(("/usr/", "/etc/", "/opt/")) and ".." not in init):
        yield f"modules_init: {init}", "is a shell script of this host that is not in the archive"
    for word in listed(tool.get("modules")):
        if not re.fullmatch(r"[A-Za-z0-9][\w.+/-]*", str(word)):
            yield f"modules: {word}", "is no name of a module"


def dangerous_option(field: str, option: Any) -> Iterator[Found]:
    """Yield an option of sbatch's or srun's that does more than ask for resources."""
    text = str(option)
    name = re.split(r"[= ]", text.lstrip("-"))[0]
    if not _OPTION.fullmatch(text):
        yield f"{field}: {text}", "is no plain option of Slurm's"
    elif name in _OPTIONS.split():
        yield f"{field}: {text}", "does more than ask Slurm for resources"


def _is_literal(value: Any) -> TypeGuard[str]:
    """True for text that no expression makes."""
    return isinstance(value, str) and "$(" not in value and "${" not in value


def _first_line(value: Any) -> str:
    return str(value).partition("\n")[0][:200]
