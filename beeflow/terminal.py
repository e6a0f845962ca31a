"""Show text that somebody else wrote: nothing of it is obeyed by a terminal. Pure."""

from __future__ import annotations

import codecs


def escaped(text: str, keep: str = "") -> str:
    """Write what cannot be printed as Python does: a newline as \\n, ESC as \\x1b, a byte that is no UTF-8 as \\xff.

    ``keep``: control characters that may stay.
    """
    return text if text.isprintable() else "".join(each if each in keep else _shown(each) for each in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    # A byte that is no UTF-8 (PEP 383).
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(character)[1:-1]


def spelled(error: UnicodeError) -> tuple[bytes | str, int]:
    """Write what a stream's encoding has no bytes for (codecs.register_error): a file's name has the bytes it has."""
    if not isinstance(error, UnicodeEncodeError):
        return codecs.lookup_error("surrogateescape")(error)
    text = error.object[error.start : error.end]
    return b"".join(_bytes(each) for each in text), error.end


def _bytes(character: str) -> bytes:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return bytes([code - 0xDC00])
    return character.encode("ascii", "backslashreplace")
