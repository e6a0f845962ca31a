"""Archives by hand, byte by byte: what no program of ours would write, and whole ones to damage."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from beeflow import codec
from beeflow.archive import manifest, seal, unpacking, verifying
from beeflow.archive.description import FORMAT, Description
from beeflow.layout import DESCRIPTION, MANIFEST
from beeflow.states import WorkflowState

ID = "3fc631bb-0d92-4d07-94cb-3a3d86f5f6ea"
END = bytes(1024)
HEADER = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"


def description(workflow_id: str = ID, version: int = FORMAT) -> Description:
    """Describe a workflow that ended well."""
    return Description(
        format=version,
        id=workflow_id,
        name="n",
        state=WorkflowState.COMPLETED,
        created="2026-01-02T03:04:05.678+00:00",
        archived="2026-01-02T03:05:05.678+00:00",
        user="u",
        host="h",
        cluster="c",
        slurm_version="22.05.8",
        beeflow_version="0.1.0",
        document="/somewhere/d.cwl",
    )


DESCRIBED = codec.dumps(description()).encode()


def header(
    name: bytes,
    kind: bytes = b"0",
    size: int | bytes = 0,
    *,
    link: bytes = b"",
    prefix: bytes = b"",
    mode: bytes = b"0000644\0",
    magic: bytes = b"ustar\x0000",
    end: bytes = bytes(12),
) -> bytes:
    """Write a tar header; ``size`` in bytes is the field itself."""
    length = size if isinstance(size, bytes) else b"%011o\0" % size
    start = name.ljust(100, b"\0") + mode + b"0000000\0" * 2 + length + b"00000000000\0"
    rest = kind + link.ljust(100, b"\0") + magic + bytes(80) + prefix.ljust(155, b"\0") + end
    return start + b"%06o\0 " % (sum(start) + sum(rest) + 8 * 32) + rest


def padded(data: bytes) -> bytes:
    """Fill the last block."""
    return data + bytes(-len(data) % 512)


def file(name: str, data: bytes = b"") -> bytes:
    """Write a file below the top directory."""
    return header(f"{ID}/{name}".encode(), size=len(data)) + padded(data)


def folder(name: str = "") -> bytes:
    """Write a folder below the top directory, or that itself."""
    return header(f"{ID}/{name}/".replace("//", "/").encode(), b"5", mode=b"0000755\0")


def pax(*records: bytes) -> bytes:
    """Write pax records (b"path=x") before a member."""
    data = b""
    for record in records:
        size = len(record) + 3
        data += b"%d %b\n" % (len(record) + 2 + len(str(size + 1 if size > 9 else size)), record)
    return header(b"././@PaxHeader", b"x", len(data)) + padded(data)


def vouching(files: dict[str, bytes]) -> bytes:
    """Write a manifest that vouches for these."""
    lines = (manifest.format_line(hashlib.sha256(data).hexdigest(), name) for name, data in files.items())
    return file(MANIFEST, "".join(lines).encode(errors="surrogateescape"))


def compressed(data: bytes, level: int = 1, zeros_mib: int = 0) -> bytes:
    """Write one gzip member, of some data and so many MiB of zeros after it."""
    made = zlib.compressobj(level, zlib.DEFLATED, -15)
    body, checksum, zeros = made.compress(data), zlib.crc32(data), bytes(1 << 20)
    if zeros_mib:
        body += made.flush(zlib.Z_FULL_FLUSH)
        body += (made.compress(zeros) + made.flush(zlib.Z_FULL_FLUSH)) * zeros_mib
    for _ in range(zeros_mib):
        checksum = zlib.crc32(zeros, checksum)
    size = (len(data) + (zeros_mib << 20)) & 0xFFFFFFFF
    return HEADER + body + made.flush() + struct.pack("<LL", checksum, size)


def sealed(data: bytes) -> bytes:
    """Put a seal after it."""
    return data + seal.render(hashlib.sha256(data).digest())


def archive(*members: bytes, vouched: dict[str, bytes] | None = None, after: bytes = b"") -> bytes:
    """Write an archive: its description, these members, a manifest for them or for ``vouched``, and what is after."""
    files = {DESCRIPTION: DESCRIBED, **(vouched or {})}
    tar = folder() + file(DESCRIPTION, DESCRIBED) + b"".join(members) + vouching(files) + after + END
    return sealed(compressed(tar))


def small() -> bytes:
    """Write a small archive that is whole."""
    files = {"cwl/graph.json": b'{"version": 1}\n', "outputs/o.txt": b"made\n"}
    members = [folder("cwl"), folder("outputs"), *(file(name, data) for name, data in files.items())]
    return archive(*members, vouched=files)


def readers(path: Path, into: Path) -> list[Callable[[], object]]:
    """List what reads all of an archive."""
    return [lambda: verifying.verify(path), lambda: unpacking.unpack(path, into)]


def write(path: Path, data: bytes | bytearray) -> Path:
    """Write a file."""
    path.write_bytes(data)
    return path
