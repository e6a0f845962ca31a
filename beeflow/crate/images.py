"""The container images that tasks ran in (Process Run Crate, Representing container images)."""

from __future__ import annotations

from beeflow.crate.terms import WFRUN, Entity, fragment, ref, without_nothing
from beeflow.graph import Container

_DOCKER_HUB = "docker.io"


def image(container: Container) -> Entity:
    """Describe an image: one of a registry by its parts, one on disk by its path; with the digest of what ran."""
    made = _on_disk(container.name) if container.name.startswith("/") else _of_registry(container.name)
    words = "As it was on disk; of a folder, the sha256 is of all names, modes and contents in it."
    digest = {"sha256": container.sha256, "description": words} if container.sha256 else {}
    return without_nothing({"@id": fragment("image", container.name), "@type": "ContainerImage", **made, **digest})


def _on_disk(path: str) -> Entity:
    is_sif = path.endswith((".sif", ".simg"))
    return {
        "additionalType": ref(f"{WFRUN}SIFImage") if is_sif else None,
        "name": path.rstrip("/").rpartition("/")[2],
        "alternateName": path,
    }


def _of_registry(name: str) -> Entity:
    """Take a name as Docker writes it apart: [registry/]name[:tag][@sha256:...]."""
    plain, _, digest = name.partition("@")
    first, slash, rest = plain.partition("/")
    has_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, plain = (first, rest) if has_registry else (_DOCKER_HUB, plain)
    before, colon, tag = plain.rpartition(":")
    return {
        "additionalType": ref(f"{WFRUN}DockerImage"),
        "registry": registry,
        "name": before if colon else plain,
        "tag": tag if colon else None,
        "identifier": digest or None,
    }
