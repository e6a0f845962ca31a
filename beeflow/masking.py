"""Hide what looks like a credential in text that is ours to write. Pure.

By the names that credentials go by (``--password X``, ``GITHUB_TOKEN=X``), in URLs, and by how those of well-known
services look. What a user's own tool prints, and what a document or its inputs say, is not ours.
"""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"

_NAME = r"(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)"
# A name may go on, but not to say that it is a number of them, or a file.
_REST = r"(?:[-_](?!file|path|dir|count|length|size|type)[a-z0-9]+)*(?![a-z0-9_-])"
_VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s'"&,;]+)"""
_FLAG = re.compile(rf"(?i)--?[a-z0-9_-]*{_NAME}{_REST}")
_RULES = (
    (re.compile(rf"(?i)([a-z0-9_-]*{_NAME}{_REST}\s*[=:]\s*){_VALUE}"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)((?<![\w-])--?[a-z0-9_-]*{_NAME}{_REST}\s+)(?!-){_VALUE}"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/@:]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[a-z0-9+/_.=-]{8,}"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16})"
        ),
        HIDDEN,
    ),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        HIDDEN,
    ),
)
# Without one of these nothing above can be found; looking for them takes no time.
_SIGNS = (
    *("passw", "passphrase", "secret", "token", "credential", "://", "bearer ", "basic "),
    *(f"{what}{dash}key" for what in ("api", "access", "private") for dash in ("", "-", "_", " ")),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "akia", "asia"),
)


def has_sign(text: str) -> bool:
    """True when there may be something to hide."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS)


def mask(text: str) -> str:
    """Hide what looks like a credential."""
    if has_sign(text):
        for pattern, put in _RULES:
            text = pattern.sub(put, text)
    return text


def masked(value: Any) -> Any:
    """Hide it in all strings of a JSON value; of a list of words, also what follows a word like ``--password``."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked_value(key, inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        before = [None, *value]
        return [
            HIDDEN if isinstance(each, str) and isinstance(last, str) and _FLAG.fullmatch(last) else masked(each)
            for last, each in zip(before, value, strict=False)
        ]
    return value


def _masked_value(key: str, value: Any) -> Any:
    """Hide what a key names, also where it is a task's input (beeflow.values.to_json)."""
    if isinstance(value, dict) and value.keys() == {"known"}:
        return {"known": _masked_value(key, value["known"])}
    return HIDDEN if isinstance(value, str) and value and _FLAG.fullmatch(f"--{key}") else masked(value)
