"""The credentials that a workflow was given, known by what they are: hidden wherever a record of ours repeats them.

beeflow.masking knows a credential by its name or looks. Where it is a word of a command, or an input of a step calls it
something else, neither tells.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from beeflow.graph import Graph, Workflow
from beeflow.locations import is_entry
from beeflow.masking import HIDDEN, WRITTEN_DOWN, has_sign, mask, masked, may_be_hidden, named_texts

# What is in a record beside our own words, which a credential might happen to be: states, places, names of steps.
_REPEATING = frozenset({"known", "default", "command", "reason", "broken", "stderr_tail", "templates"})
# Of more than that, only whole texts are compared: who scatters over tokens may have any number.
_MOST = 100
# Characters: shorter ones are in anything, and no credentials.
_LEAST = 4
_PLAIN_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True)
class SecretValues:
    """The texts of credentials."""

    texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *given: Any) -> SecretValues:
        """Find them in JSON values: all texts below a key that is named like a credential, but for very short ones."""
        return cls(frozenset(text for each in given for text in named_texts(each) if len(text) >= _LEAST))

    def mask(self, text: str) -> str:
        """Hide them, and what looks like a credential, in a text."""
        return mask(self._hidden(text))

    def masked(self, value: Any) -> Any:
        """The same in a JSON value: them only where a record may repeat what a task was given."""
        return masked(self._where_repeated(value))

    def masked_given(self, name: str, value: Any) -> Any:
        """The same in a value that itself was given to a task, or made by one, under a name."""
        return masked({name: self._everywhere(value)})[name]

    def masked_setting(self, text: str) -> str:
        """The same in NAME=VALUE, where the value may go on after a space."""
        name, mark, value = text.partition("=")
        return f"{name}{mark}{self.masked_given(name, value)}"

    def words(self, command: Iterable[str]) -> list[str]:
        """The same in the words of a command line."""
        made: list[str] = masked(self._everywhere(list(command)))
        return made

    def may_be_in(self, text: str) -> bool:
        """True when a record's text may have something to hide."""
        return has_sign(text) or len(self.texts) > _MOST or any(each in text for each in self._written)

    @functools.cached_property
    def _written(self) -> frozenset[str]:
        """As they are in JSON, too."""
        escaped = (json.dumps(text, ensure_ascii=each)[1:-1] for text in self.texts for each in (True, False))
        return self.texts.union(escaped)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        longest_first = sorted(self.texts, key=len, reverse=True)
        return re.compile("|".join(map(_inside, longest_first))) if 0 < len(longest_first) <= _MOST else None

    def _hidden(self, text: str) -> str:
        if text in self.texts:
            return HIDDEN
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def _where_repeated(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._everywhere(each, self._hidden_visibly)
                if key == "outputs"
                else (self._everywhere if key in _REPEATING else self._where_repeated)(each)
                for key, each in value.items()
            }
        return [self._where_repeated(each) for each in value] if isinstance(value, (list, tuple)) else value

    def _hidden_visibly(self, text: str) -> str:
        """Hide them so that nobody takes what is left for what a task made (beeflow.rerun.taking)."""
        made = self.mask(text)
        return made if made == text or may_be_hidden(made) else HIDDEN

    def _everywhere(self, value: Any, hide: Callable[[str], str] | None = None) -> Any:
        hide = hide or self._hidden
        if isinstance(value, str):
            return hide(value)
        if isinstance(value, Mapping):
            # Where a file is must be told; what is written down of it need not.
            kept = value.keys() - WRITTEN_DOWN if is_entry(value) else ()
            return {
                key if key in kept else hide(key): each if key in kept else self._everywhere(each, hide)
                for key, each in value.items()
            }
        return [self._everywhere(each, hide) for each in value] if isinstance(value, (list, tuple)) else value


def _inside(text: str) -> str:
    """Write the pattern of a text in another: a plain word, which may be honest, only where it stands for itself."""
    if _PLAIN_WORD.fullmatch(text):
        # Or right behind a flag of one letter: mysql -pswordfish
        return rf"(?:(?<![^\s'\"=,;:])|(?<=(?<![^\s'\"])-[A-Za-z])){text}(?![^\s'\",;:])"
    return rf"(?<![A-Za-z0-9]){re.escape(text)}(?![A-Za-z0-9])" if len(text) < 2 * _LEAST else re.escape(text)


def written(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield what documents give to tasks, each as {name: value}: defaults, and variables (EnvVarRequirement)."""
    yield from _defaults(graph.workflow)
    for tool in graph.tools.values():
        for port in tool.document.get("inputs", ()):
            if isinstance(port, dict) and "default" in port:
                yield {re.split("[#/]", str(port.get("id")))[-1]: port["default"]}
        requirement, _ = tool.requirement("EnvVarRequirement")
        for each in (requirement or {}).get("envDef", ()):
            name, value = each.get("envName"), each.get("envValue")
            if isinstance(name, str) and isinstance(value, str) and "$(" not in value and "${" not in value:
                yield {name: value}


def _defaults(workflow: Workflow) -> Iterator[dict[str, Any]]:
    yield workflow.defaults
    for step in workflow.steps:
        yield {name: link.default for name, link in step.inputs.items()}
        if step.workflow is not None:
            yield from _defaults(step.workflow)
