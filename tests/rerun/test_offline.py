"""A re-execution asks nobody on the network: neither for ontologies, nor for what a stranger's documents refer to."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from beeflow.errors import BeeError, InputError
from beeflow.states import WorkflowState
from tests.rerun.local import Local, repacked, state

ONTOLOGY = """
@prefix f: <http://example.org/formats#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
f:plain rdfs:subClassOf f:text .
"""
FORMATS = """
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {f: 'http://example.org/formats#'}
$schemas: [ONTOLOGY]
baseCommand: cat
inputs:
  given: {type: File, format: f:text, inputBinding: {}}
  n: {type: int, default: 1}
outputs: {o: stdout}
"""


class Web:
    """Serves the ontology whatever is asked for. ``asked``: the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(ONTOLOGY.encode())

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Give a web server, and no cache of what it was asked for before."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Web()
    yield made
    made.server.shutdown()
    made.server.server_close()


def given(site: Local, kind: str) -> dict[str, Any]:
    path = site.write("x.txt", "x\n")
    return {"class": "File", "path": str(path), "format": f"http://example.org/formats#{kind}"}


@pytest.mark.parametrize("name", ["ontology.ttl", "web"])
def test_formats_are_known_without_reading_an_ontology_again(
    site: Local, other_site: Local, web: Web, name: str
) -> None:
    site.write(f"given/{name}", ONTOLOGY)
    address = f"{web.address}/x.ttl" if name == "web" else name
    done = site.submit(FORMATS.replace("ONTOLOGY", address), {"given": given(site, "plain")})
    assert state(done) is WorkflowState.ARCHIVED
    web.asked.clear()

    def change(top: Path) -> None:
        # What this process has read once, it need not ask for again.
        path = top / "cwl/packed.json"
        path.write_text(path.read_text().replace(f"{web.address}/x.ttl", f"{web.address}/y.ttl"))

    archive = repacked(site.archive(done), site.top / "changed", change)
    made = other_site.rerun(archive, settings=(f"given={json.dumps(given(other_site, 'plain'))}",))
    assert state(made) is WorkflowState.ARCHIVED
    with pytest.raises(InputError, match="incompatible format"):
        other_site.rerun(archive, settings=(f"given={json.dumps(given(other_site, 'other'))}",))
    assert web.asked == []


def test_nothing_that_a_strangers_documents_name_on_the_web_is_asked_for(
    site: Local, other_site: Local, web: Web
) -> None:
    done = site.submit(FORMATS.replace("[ONTOLOGY]", "[]"), {"given": given(site, "text")})
    context = f'{{"@context": "{web.address}/context"}}'

    def change(top: Path) -> None:
        path = top / "cwl/packed.json"
        packed = json.loads(path.read_text())
        packed["$schemas"] = [f"{web.address}/o.ttl", "files/0000/o.jsonld"]
        (top / "cwl/files/0000").mkdir(parents=True)
        (top / "cwl/files/0000/o.jsonld").write_text(context)
        (port,) = (each for each in packed["inputs"] if each["id"].endswith("/n"))
        port["type"] = f"{web.address}/types.yml#x"
        path.write_text(json.dumps(packed))

    path = repacked(site.archive(done), site.top / "changed", change)
    for trust in (False, True):
        with pytest.raises(BeeError, match=r"types\.yml"):
            other_site.rerun(path, settings=("n=2",), trust=trust)
    assert state(other_site.rerun(path)) is WorkflowState.ARCHIVED
    assert web.asked == []
