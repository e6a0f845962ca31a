"""Validate RO-Crates with roc-validator, offline (python -m tests.roc CACHE PROFILE CRATE ...).

What the two JSON-LD contexts say of the terms that we use is below, and is put into the validator's HTTP cache: a term
that is not listed fails validation, and is to be looked up in https://w3id.org/ro/crate/1.1/context and
https://w3id.org/ro/terms/workflow-run/context. In a process of its own, for the validator changes rdflib.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from beeflow.crate.terms import CONTEXT

REPOSITORY = Path(__file__).resolve().parents[1]
# The most demanding of the profiles; those it extends are validated with it.
PROFILE = "provenance-run-crate-0.5"
WITHOUT_TASKS = "workflow-run-crate-0.5"
_TIMEOUT_S = 600

_SCHEMA = """
Collection ComputerLanguage ControlAction CreateAction CreativeWork Dataset HowTo HowToStep OrganizeAction Person
PropertyValue SoftwareApplication SoftwareSourceCode about actionStatus additionalType agent alternateName author
contentSize dateCreated datePublished defaultValue description encodingFormat endTime error exampleOfWork hasPart
identifier instrument isBasedOn license mainEntity mentions multipleValues name object position programmingLanguage
propertyID result softwareRequirements softwareVersion startTime step text unitCode url value valuePattern
valueRequired version workExample
"""
_WORKFLOW_RUN = """
ContainerImage DockerImage ParameterConnection SIFImage connection containerImage environment registry resourceUsage
sha256 sourceParameter tag targetParameter
"""
TERMS = [
    {
        **{name: f"http://schema.org/{name}" for name in _SCHEMA.split()},
        "File": "http://schema.org/MediaObject",
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
        "input": "https://bioschemas.org/ComputationalWorkflow#input",
        "output": "https://bioschemas.org/ComputationalWorkflow#output",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
    },
    {name: f"https://w3id.org/ro/terms/workflow-run#{name}" for name in _WORKFLOW_RUN.split()},
]


def problems(crates: Sequence[Path], cache: Path, profile: str = PROFILE) -> dict[str, list[str]]:
    """Validate crates, folders or .zip files, in one process; returns crate -> what is required and not so."""
    argv = [sys.executable, "-m", "tests.roc", str(cache), profile, *map(str, crates)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def seed(cache: Path) -> None:
    """Put the contexts into a cache as if they had been fetched."""
    import requests
    from requests_cache import CachedSession
    from requests_cache.models.response import CachedResponse

    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        for url, terms in zip(CONTEXT, TERMS, strict=True):
            made = CachedResponse(url=url, status_code=200)
            made._content = json.dumps({"@context": terms}).encode()
            made.headers["Content-Type"] = "application/ld+json"
            session.cache.responses[session.cache.create_key(requests.Request("GET", url).prepare())] = made


def validate(crate: str, profile: str, cache: Path) -> list[str]:
    """Validate one crate."""
    from rocrate_validator import models, services

    settings = services.ValidationSettings(
        rocrate_uri=crate, profile_identifier=profile, offline=True, cache_path=cache, cache_max_age=-1
    )
    result: Any = services.validate(settings)
    assert result.executed_checks, "nothing was checked"
    assert settings.requirement_severity == models.Severity.REQUIRED
    return [f"{issue.check.identifier}: {issue.message} ({issue.violatingEntity})" for issue in result.get_issues()]


def main(argv: list[str]) -> None:
    """Validate, and print what was found as JSON."""
    cache, profile, *crates = argv
    seed(Path(cache))
    print(json.dumps({crate: validate(crate, profile, Path(cache)) for crate in crates}))


if __name__ == "__main__":
    main(sys.argv[1:])
