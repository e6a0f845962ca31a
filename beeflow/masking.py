"""Hide what looks like a credential in text that is ours to write. Pure.

By the names that credentials go by (``--password X``, ``GITHUB_TOKEN=X``), in URLs, and by how those of well-known
services look. What a user's own tool prints, and what a document or its inputs say, is not ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from beeflow.locations import is_entry

HIDDEN = "***"

# A key ends with one of these words: what goes on (token_id, secret_santa) is something else.
_NAME = (
    r"(?:passw(?:or)?d|passphrase|secret(?:[-_]?key)?|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?)"
    r"(?:[-_]?[0-9]+)?(?![a-z0-9_-])"
)
# Nor is it one of the tokens that a text is made of (pad_token).
_OF_TEXT = r"[a-z0-9_-]*(?<![a-z0-9])(?:pad|eos|bos|sep|cls|mask|unk|max|min|num)[-_]?token(?![a-z0-9_-])"
_KEY = rf"(?!{_OF_TEXT})[a-z0-9_-]*{_NAME}"
_VALUE = r"""(?:'[^']*'|"[^"]*"|[^\s'"&,;]+)"""
# After a colon and a space, where prose goes on: with letters and digits, or the last word.
_SAID = (
    r"""(?:'[^']*'|"[^"]*"|(?=[^\s'"&,;]*[0-9])(?=[^\s'"&,;]*[a-z])[^\s'"&,;]+"""
    r"""|[^\s'"&,;]+(?=[^\S\n]*(?:[\n'"&,;]|\Z)))"""
)
# Letters of both cases and digits, what ends as base64 does, or a long number to the base of 16.
_OPAQUE = (
    r"(?:(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9+/_.~=-]{16,}"
    r"|[A-Za-z0-9+/_-]{14,}={1,2}|(?=[a-f-]*[0-9])[0-9a-f-]{20,}(?![A-Za-z0-9]))"
)
_FLAG = re.compile(rf"(?i)--?{_KEY}")
# A word that is nothing else, whatever spaces there are; a shell's commands may go on.
_SET = re.compile(rf"(?i)((?:--?)?{_KEY}=)[^;&|\n`$]+")
_BY_NAME = (
    (re.compile(rf"(?i)((?<![a-z0-9_-]){_KEY}(?:\s*=\s*|:)){_VALUE}"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)((?<![a-z0-9_-]){_KEY}\s*:\s+){_SAID}"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)((?<![\w-])--?{_KEY}\s+)(?!-){_VALUE}"), rf"\1{HIDDEN}"),
    (re.compile(r"""(?i)(\bauthorization['"]?\s*[:=]\s*['"]?(?:bearer|basic)\s+)[^\s'"]+"""), rf"\1{HIDDEN}"),
    (re.compile(rf"\b((?i:bearer|basic)\s+){_OPAQUE}"), rf"\1{HIDDEN}"),
)
_BY_LOOKS = (
    (
        # An @ in the password, too, as people write it.
        re.compile(r"""(?i)(?<![a-z0-9+.-])([0-9+.-]*[a-z][a-z0-9+.-]*://[^\s/@:]*):[^\s/@]+@(?:[^\s/@'"<>,;?#]*@)*"""),
        rf"\1:{HIDDEN}@",
    ),
    (
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
            r"|(?:AKIA|ASIA)[A-Z0-9]{16}|hf_[A-Za-z0-9]{30,}|AIza[\w-]{35}|npm_[A-Za-z0-9]{36}|dckr_pat_[\w-]{20,}"
            r"|pypi-[\w-]{50,}|sk-(?=[\w-]*[0-9])(?=[\w-]*[A-Z])[\w-]{20,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
        ),
        HIDDEN,
    ),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
        HIDDEN,
    ),
)
# Of a File or Directory: what is not where it is, or how it is called.
WRITTEN_DOWN = frozenset({"contents", "listing", "secondaryFiles"})
# Of a task's input: it says which output it is to be.
_NOT_KNOWN = frozenset({"output", "linked", "broken"})
# Without one of these nothing above can be found; looking for them takes no time.
_SIGNS = (
    *("passw", "passphrase", "secret", "token", "credential", "://", "bearer ", "basic "),
    *(f"{what}{dash}key" for what in ("api", "access", "private") for dash in ("", "-", "_", " ")),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "akia", "asia"),
    *("hf_", "aiza", "npm_", "dckr_pat_", "pypi-", "sk-", "eyj"),
)


def has_sign(text: str) -> bool:
    """True when there may be something to hide."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SIGNS)


# Where hiding may have put it: a word of its own, or behind a name.
_PUT = re.compile(r"(?<![\w*])\*\*\*(?!\*)")
# Somebody's own ornament: *** DONE ***
_ORNAMENT = re.compile(r"(?m)^[^\S\n]*\*\*\*[^*\n]*\w[^*\n]*\*\*\*[^\S\n]*$")


def mask(text: str) -> str:
    """Hide what looks like a credential."""
    return _replaced(text, (*_BY_NAME, *_BY_LOOKS))


def _replaced(text: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    if has_sign(text):
        for pattern, put in rules:
            text = pattern.sub(put, text)
    return text


def masked(value: Any, hide: Callable[[str], str] = mask) -> Any:
    """Hide it in all strings of a JSON value; of a list of words, also what follows a word like ``--password``."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: _masked_value(key, inner, hide) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        before = [None, *value]
        return [_masked_word(each, last, hide) for last, each in zip(before, value, strict=False)]
    return value


def _masked_word(word: Any, last: Any, hide: Callable[[str], str]) -> Any:
    if not isinstance(word, str):
        return masked(word, hide)
    if isinstance(last, str) and _FLAG.fullmatch(last):
        return HIDDEN
    is_set = _SET.fullmatch(word)
    return is_set[1] + HIDDEN if is_set else hide(word)


def _masked_value(key: str, value: Any, hide: Callable[[str], str]) -> Any:
    return _all_hidden(value, hide) if is_named(key) else masked(value, hide)


def is_named(key: str) -> bool:
    """True for what a credential goes by."""
    return _FLAG.fullmatch(f"--{key}") is not None


def _all_hidden(value: Any, hide: Callable[[str], str]) -> Any:
    """Hide all texts of a credential, which may be an array, a record, or a task's input (beeflow.values.to_json)."""
    if isinstance(value, str):
        return HIDDEN if value else value
    if isinstance(value, dict):
        if value.keys() & _NOT_KNOWN:
            return masked(value, hide)
        kept = value.keys() - WRITTEN_DOWN if is_entry(value) else ()
        return {
            key: _masked_value(key, each, hide) if key in kept else _all_hidden(each, hide)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(each, str) for each in value):
            # No longer than it was: who hides a line must keep its length.
            return [HIDDEN]
        return [_all_hidden(each, hide) for each in value]
    return value


def named_texts(value: Any, *, is_below_one: bool = False) -> Iterator[str]:
    """Yield the texts in a JSON value that are credentials by the name of a key above; of a File, what is in it."""
    if isinstance(value, str):
        if is_below_one and value not in ("", HIDDEN):
            yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if not is_entry(value) or key in WRITTEN_DOWN:
                yield from named_texts(each, is_below_one=is_below_one or is_named(key))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from named_texts(each, is_below_one=is_below_one)


def is_surely_one(name: str, value: Any) -> bool:
    """True where a JSON value has a credential by its own name or looks; what is merely said to be one is prose."""
    given = {name: value}
    return bool(masked(given, lambda text: _replaced(text, _BY_LOOKS)) != given)


def may_be_hidden(text: str) -> bool:
    """True where a text may be what was left when a credential was hidden in it."""
    return _PUT.search(_ORNAMENT.sub("", text)) is not None
