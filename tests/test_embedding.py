"""What a workflow directory has of its documents names no place of the host where it was submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec, embedding
from beeflow.cwl import compiler, documents, packing
from beeflow.layout import Layout, folders
from beeflow.results import read_graph

FEATURES = sorted((Path(__file__).parent / "e2e/features").glob("*.cwl"))


def embedded(document: Path, root: Path) -> Layout:
    layout = Layout(root)
    for folder in folders(layout):
        folder.mkdir(parents=True)
    loaded = documents.load(str(document), root / "cache")
    graph = compiler.compile_graph(loaded)
    embedding.write(layout, graph, {}, packing.pack(loaded), documents.sources(loaded))
    return layout


@pytest.mark.parametrize("document", FEATURES, ids=lambda path: path.stem)
def test_no_file_tells_where_the_documents_were(document: Path, tmp_path: Path) -> None:
    layout = embedded(document, tmp_path / "w")
    for path in (layout.graph, layout.packed):
        assert [text for text in strings(json.loads(path.read_text())) if str(document.parent) in text] == []
    assert codec.dumps(read_graph(layout)) == layout.graph.read_text()


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


def test_documents_of_several_folders_keep_their_names_apart(tmp_path: Path) -> None:
    a, b = tmp_path / "my tools/t.cwl", tmp_path / "other/t.cwl"
    graph = {"id": f"file://{tmp_path}/my%20tools/t.cwl#main/x", "type": [f"file://{b}", "null"], "more": "file:///x"}
    assert embedding.with_neutral_names(graph, [a, b]) == {
        "id": "file:///cwl/documents/my%20tools/t.cwl#main/x",
        "type": ["file:///cwl/documents/other/t.cwl", "null"],
        "more": "file:///x",
    }


def test_values_are_the_users_own(tmp_path: Path) -> None:
    document = tmp_path / "t.cwl"
    mine: dict[str, Any] = {
        "default": f"file://{document}",
        "location": {"class": "File", "path": f"file://{document}"},
    }
    assert embedding.with_neutral_names(mine, [document]) == mine
