"""Write tar headers: ustar's, with pax records before one where a name or size does not fit (POSIX.1-2017, pax).

tarfile makes them, too, but takes longer for one than all else takes for a small file.
"""

from __future__ import annotations

import os

BLOCK = 512
# Two empty blocks end an archive.
END = bytes(2 * BLOCK)
FILE, FOLDER = b"0", b"5"

_PAX = b"x"
_MAX_NAME, _MAX_PREFIX = 100, 155
# What eleven octal digits can say.
_MAX_NUMBER = 8**11 - 1
# target of a link, magic and version; no names of owners, no devices
_TAIL = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00"
_TAIL_SUM = sum(_TAIL) + 8 * ord(" ")
_PREFIX_AT = 345


def render(name: str, kind: bytes, *, size: int = 0, executable: bool = False, mtime: int = 0) -> bytes:
    """Write the header of a member, with what must stand before it. No owner, and a mode that tells of nobody."""
    encoded = os.fsencode(name) + (b"/" if kind == FOLDER else b"")
    records: list[bytes] = []
    prefix, short = b"", encoded
    split = _split(encoded) if encoded.isascii() else None
    if split is None:
        short = encoded.decode("ascii", "replace").encode("ascii", "replace")[:_MAX_NAME]
        records.append(_record(b"path", encoded.removesuffix(b"/")))
        if not _is_utf8(encoded):
            records.insert(0, _record(b"hdrcharset", b"BINARY"))
    else:
        prefix, short = split
    if size > _MAX_NUMBER:
        records.append(_record(b"size", str(size).encode()))
    mode = 0o755 if executable or kind == FOLDER else 0o644
    fits = size if size <= _MAX_NUMBER else 0
    header = _ustar(short, prefix, kind, mode, fits, min(max(mtime, 0), _MAX_NUMBER))
    if not records:
        return header
    data = b"".join(records)
    return _ustar(b"././@PaxHeader", b"", _PAX, 0, len(data), 0) + data + padding(len(data)) + header


def padding(size: int) -> bytes:
    """Return what fills the last block of so many bytes."""
    return bytes(-size % BLOCK)


def _ustar(name: bytes, prefix: bytes, kind: bytes, mode: int, size: int, mtime: int) -> bytes:
    start = b"%b%07o\x000000000\x000000000\x00%011o\x00%011o\x00" % (name.ljust(_MAX_NAME, b"\0"), mode, size, mtime)
    # The checksum is of the header with blanks in its place.
    checksum = sum(start) + sum(kind) + _TAIL_SUM + sum(prefix)
    return b"%b%06o\0 %b%b%b" % (start, checksum, kind, _TAIL, prefix.ljust(BLOCK - _PREFIX_AT, b"\0"))


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Take a name apart for the two fields there are for it; None when it does not fit."""
    if len(name) <= _MAX_NAME:
        return b"", name
    # As little as can be goes into the second: a cut at a slash, which is in neither, nor at the very end.
    cut = name.find(b"/", len(name) - _MAX_NAME - 1, len(name) - 1)
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= _MAX_PREFIX else None


def _record(key: bytes, value: bytes) -> bytes:
    """Write a pax record: its length, with the digits of that, comes first."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    total = length + len(str(total))
    return b"%d %b=%b\n" % (total, key, value)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
