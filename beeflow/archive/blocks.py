"""Read tar headers: of ustar's what beeflow writes, with the pax records that it needs, and nothing else.

Every reader of tar files fills in differently what is left open (sizes given twice, names after a NUL, links): here
nothing is. See headers.py for the writing side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from beeflow.errors import ArchiveError

SIZE = 512
FILE, FOLDER, PAX = b"0", b"5", b"x"

_OTHERS = {
    b"\0": "a file of an old kind",
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"7": "a contiguous file",
    b"g": "a global pax header",
    b"D": "a GNU folder list",
    b"K": "a GNU long link name",
    b"L": "a GNU long name",
    b"M": "a GNU continuation",
    b"N": "a GNU long name",
    b"S": "a sparse file",
    b"V": "a GNU volume label",
    b"X": "a Solaris header",
}
_MAGIC = b"ustar\x0000"
_OCTAL = re.compile(rb"([0-7]+)[\0 ]*")
# From here on a size does not fit the field for it (8 GiB).
_LARGE = 8**11
_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ")


@dataclass(frozen=True)
class Header:
    """One header. ``kind``: FILE, FOLDER or PAX; a folder's name has no slash at its end. ``mtime``: in seconds."""

    name: bytes
    kind: bytes
    size: int
    executable: bool
    mtime: int


@dataclass(frozen=True)
class Records:
    """What pax records say of the next header."""

    path: bytes | None = None
    size: int | None = None


def parse(block: bytes) -> Header:
    """Read a header; raises ArchiveError for what beeflow does not write."""
    if _number(block[148:156], "checksum") != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ArchiveError("damaged: the checksum of a header is wrong")
    if block[257:265] != _MAGIC:
        raise ArchiveError("unsafe: a header is not of the kind that beeflow writes (ustar): another program packed it")
    name = _text(block[:100])
    prefix = _text(block[345:500])
    full = prefix + b"/" + name if prefix else name
    kind = block[156:157]
    if kind not in (FILE, FOLDER, PAX):
        what = _OTHERS.get(kind, f"of the unknown kind {kind!r}")
        raise ArchiveError(f"unsafe: {full.decode(errors='surrogateescape')!r} is neither a file nor a folder: {what}")
    if any(block[157:257]) or any(block[500:]):
        raise ArchiveError(f"unsafe: the header of {full.decode(errors='surrogateescape')!r} says more than it should")
    size = _number(block[124:136], "size")
    if kind == FOLDER:
        full = full.removesuffix(b"/")
        if size:
            raise ArchiveError(f"unsafe: the folder {full.decode(errors='surrogateescape')!r} has contents")
    return Header(full, kind, size, bool(_number(block[100:108], "mode") & 0o100), _number(block[136:148], "time"))


def parse_records(data: bytes) -> Records:
    """Read pax records; raises ArchiveError for others than path, size and the character set of a name not in UTF-8."""
    found: dict[bytes, bytes] = {}
    while data:
        match = _RECORD.match(data)
        length = int(match.group(1)) if match else 0
        record, data = data[:length], data[length:]
        key, equals, value = record[match.end() if match else 0 : -1].partition(b"=")
        if not match or len(record) != length or not record.endswith(b"\n") or not equals:
            raise ArchiveError("damaged: a pax record cannot be read")
        if key in found or key not in (b"path", b"size", b"hdrcharset"):
            raise ArchiveError(f"unsafe: a pax record that beeflow does not write: {key[:40]!r}")
        found[key] = value
    path, size = found.get(b"path"), found.get(b"size")
    if path is None and size is None:
        raise ArchiveError("unsafe: a pax header that says nothing")
    if b"hdrcharset" in found and (found[b"hdrcharset"] != b"BINARY" or path is None or _is_utf8(path)):
        raise ArchiveError("unsafe: a pax record that names another character set")
    if size is not None and not (size.isdigit() and len(size) < 20 and int(size) >= _LARGE):
        raise ArchiveError(f"unsafe: a pax record with the size {size[:40]!r}")
    return Records(path, int(size) if size else None)


def apply(records: Records, header: Header) -> Header:
    """Return what a header says with the records before it; raises ArchiveError where they contradict each other."""
    if header.kind == PAX:
        raise ArchiveError("unsafe: pax records of pax records")
    if records.size is not None and (header.size or header.kind != FILE):
        raise ArchiveError("unsafe: a member's size is given twice")
    path = header.name if records.path is None else records.path
    if header.kind == FOLDER:
        path = path.removesuffix(b"/")
    return Header(path, header.kind, records.size or header.size, header.executable, header.mtime)


def _number(field: bytes, what: str) -> int:
    match = _OCTAL.fullmatch(field)
    if not match:
        raise ArchiveError(f"unsafe: a header whose {what} is no octal number: {field!r}")
    return int(match.group(1), 8)


def _text(field: bytes) -> bytes:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        raise ArchiveError(f"unsafe: a member's name goes on after its end: {field!r}")
    return text


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
