"""What a pass knows of commands before what they take is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from beeflow.cwl import compiler, documents
from beeflow.cwl.foresee import PassTools
from beeflow.plan import walk
from tests.bench.walking import CHAIN, SCATTER


@pytest.mark.parametrize(("document", "group"), [(CHAIN, "002-s1"), (SCATTER, "001-each"), (SCATTER, "002-gather")])
def test_a_plain_step_has_its_template_before_it_runs(tmp_path: Path, document: str, group: str) -> None:
    path = tmp_path / "w.cwl"
    path.write_text(document)
    graph = compiler.compile_graph(documents.load(str(path), tmp_path / "cache"))
    tools = PassTools(graph, tmp_path / "w")
    plan = walk(graph, {"words": ["a", "b", "c"], "word": "x"}, lambda output: output, tools)
    facts = tools.run_facts(plan, plan.groups[group])
    assert len(facts["templates"]) == 1
    (made,) = facts["templates"].values()
    assert made["ports"]
