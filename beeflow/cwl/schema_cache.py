"""Keep cwltool's parsed schemas between processes: 0.1 s instead of 0.5 s a CWL version. Its extensions are on.

cwltool parses the CWL schema of each version anew in every process. What comes of it depends on the exact
releases of cwltool, schema-salad and Python only, so it is kept in one file a version, named after them, in a
folder of the user's. A file that somebody else could have written is not read: it is a pickle.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import logging
import os
import pickle  # our own files only, see _trusted
import platform
import stat
import tempfile
from pathlib import Path
from typing import Any

import requests
from cwltool import process
from schema_salad.ref_resolver import Loader

log = logging.getLogger(__name__)

_BASE_TYPES = ("https://w3id.org/cwl/cwl#File", "https://w3id.org/cwl/cwl#Directory", "https://w3id.org/cwl/salad#Any")
# Where cwltool has the requirements of its own namespace (MPIRequirement, CUDARequirement), a file a CWL version.
_EXTENSIONS = {"v1.0": "extensions.yml", "v1.1": "extensions-v1.1.yml", "v1.2": "extensions-v1.2.yml"}
_NAMESPACE = "http://commonwl.org/cwltool"


class _Schemas(dict[str, Any]):
    """cwltool's SCHEMA_CACHE: read from disk when a version is asked for, written when cwltool parsed one."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __contains__(self, version: object) -> bool:
        if not super().__contains__(version):
            saved = _read(self.folder / _file_name(str(version)))
            if saved is not None:
                super().__setitem__(str(version), _schema(saved))
        return super().__contains__(version)

    def __setitem__(self, version: str, schema: Any) -> None:
        super().__setitem__(version, schema)
        if isinstance(schema[1], Exception):
            return
        loader, names, metadata, metaschema = schema
        kept = {uri: metaschema.idx[uri] for uri in _BASE_TYPES if uri in metaschema.idx}
        _write(self.folder / _file_name(version), (loader.ctx, dict(loader.cache), names, metadata, kept))


def install(folder: Path) -> None:
    """Make cwltool use the cache in this folder; the folder need not exist."""
    if not isinstance(process.SCHEMA_CACHE, _Schemas):
        process.SCHEMA_CACHE = _Schemas(folder)
        for version, name in _EXTENSIONS.items():
            text = importlib.resources.files("cwltool").joinpath(name).read_text("utf-8")
            process.custom_schemas[version] = (_NAMESPACE, text)


def _file_name(version: str) -> str:
    releases = [importlib.metadata.version(name) for name in ("cwltool", "schema-salad")]
    return f"cwl-{version}-ext-{'-'.join(releases)}-py{platform.python_version()}.pickle"


def _schema(saved: Any) -> Any:
    """Rebuild what get_schema returns: loader, Avro names, metadata, metaschema loader (only its base types)."""
    context, cache, names, metadata, kept = saved
    session = requests.Session()
    metaschema = Loader({}, session=session)
    metaschema.idx.update(kept)
    return Loader(context, cache=cache, session=session), names, metadata, metaschema


def _trusted(descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read(path: Path) -> Any:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        if not _trusted(stream.fileno()):
            log.warning("%s: not used: somebody else can write it", path)
            return None
        try:
            return pickle.load(stream)  # noqa: S301
        except Exception as error:  # a cut or stale file: anything may come of it, and cwltool parses anew
            log.warning("%s: not used: %r", path, error)
            return None


def _write(path: Path, data: Any) -> None:
    """Keep a schema; the cache is an optimisation, so a full or read-only disk is only logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                pickle.dump(data, stream, protocol=pickle.HIGHEST_PROTOCOL)
            Path(temporary).replace(path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        log.info("%s: the schema cache was not written: %s", path, error)
