"""Fill the holes of a task's inputs from the result files of the tasks that make them (beeflow.values, as JSON)."""

from __future__ import annotations

import os

from beeflow.errors import BrokenError
from beeflow.runner import records

TYPE_CHECKING = False  # importing typing would take as long as all else here
if TYPE_CHECKING:
    from typing import Any

# States whose tasks feed others.
GOOD = ("COMPLETED", "SKIPPED")


class LateError(Exception):
    """A result is not there (yet)."""


class NeedsPlanError(Exception):
    """The value has to be worked out by the rules of links."""


class Holes:
    """Reads results, each file once. ``root``: the workflow directory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._results: dict[str, Any] = {}
        self._skipped: dict[str, list[str]] = {}

    def value(self, given: dict[str, Any]) -> Any:
        """Return what a value is once its holes are filled; raises the errors above."""
        if "known" in given:
            return given["known"]
        if "output" in given:
            group, label, port = given["output"]
            return self.output(group, label, port, given["element"])
        if "items" in given:
            return [self.value(each) for each in given["items"]]
        if "broken" in given:
            raise BrokenError(given["broken"])
        raise NeedsPlanError

    def output(self, group: str, label: str, port: str, element: int | None) -> Any:
        """Return what a task made."""
        if element is None:
            raise NeedsPlanError
        path = f"{self.root}/{folder_of(group, element)}/result.json"
        if path not in self._results:
            found = records.read(path)
            if found is None:
                if self.is_skipped(group, label):
                    return None
                raise LateError(f"no result of {group}[{label}]")
            self._results[path] = found["tasks"]
        result = self._results[path].get(label)
        if result is None:
            if self.is_skipped(group, label):
                return None
            # Every task of an element that can run is in its result.
            raise BrokenError(f"{group}[{label}] was not run")
        if result["state"] not in GOOD:
            raise BrokenError(f"{group}[{label}] {result['state']}")
        return (result.get("outputs") or {}).get(port)

    def is_skipped(self, group: str, label: str) -> bool:
        """True for a task of which a pass found that it need not run.

        Its job was to find that out where these inputs were written down before, and was lost.
        """
        if group not in self._skipped:
            self._skipped[group] = (records.read(f"{self.root}/tasks/{group}/group.json") or {}).get("skipped", [])
        return label in self._skipped[group]

    def look_again(self, inputs: dict[str, Any]) -> None:
        """List the folders of the results that inputs take from: that makes an NFS client look again."""
        listed: set[str] = set()
        for group, element in places(list(inputs.values())):
            if f"{self.root}/{folder_of(group, element)}/result.json" not in self._results:
                self._list(folder_of(group, element), listed)

    def _list(self, folder: str, listed: set[str]) -> None:
        """List a folder in the workflow directory, the ones that it is in first, as far as they are there."""
        path = self.root
        for name in folder.split("/"):
            path = f"{path}/{name}"
            if path not in listed:
                listed.add(path)
                try:
                    os.listdir(path)
                except FileNotFoundError:
                    return


def folder_of(group: str, element: int) -> str:
    """Return the folder of an element (beeflow.layout), relative to the workflow directory."""
    return f"tasks/{group}/{element // 1000:03}/{element:06}"


def places(values: list[Any]) -> list[tuple[str, int]]:
    """List the elements that values take from: group and number."""
    found = []
    for value in values:
        if "output" in value and value["element"] is not None:
            found.append((value["output"][0], value["element"]))
        found += places(value.get("items") or value.get("linked") or [])
    return found
