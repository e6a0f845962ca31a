"""What looks like a credential and is an input: where it is in an archive, who is told, and what runs again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from beeflow.elements import read
from beeflow.layout import Layout
from beeflow.rerun.choice import Choice
from beeflow.store import WorkflowDir
from tests.rerun.local import Local, ran, text_of
from tests.rerun.test_again import files_with
from tests.test_masking import HONEST

S = "S3nt1nelV4lue"
TOKEN = f"ghp_{S}ABCDEFGHIJKLMNOPQRSTUVW"
DOCUMENT = """
cwlVersion: v1.2
class: Workflow
$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}
HINTS
requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {pw: string, password: {type: string, default: ''}, xs: 'string[]', more: Any, f: File}
outputs: {all: {type: File, outputSource: one/o}}
steps:
  one:
    in: {pw: pw, password: password, more: more, f: f, v: {valueFrom: $(inputs.pw) x}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo fine', sh]
      inputs: {pw: {type: string, inputBinding: {}}, password: string, more: Any, f: File, v: string}
      outputs: {o: stdout}
  many:
    scatter: x
    in: {pw: pw, password: password, x: xs}
    out: []
    run:
      class: CommandLineTool
      baseCommand: ["true"]
      inputs: {pw: string, password: string, x: string}
      outputs: []
"""
JOB = {
    "pw": TOKEN,
    "password": f"hunter2{S}",
    "xs": ["a", f"a {TOKEN}"],
    "more": {"secret": f"x{S}", "list": [{"t": TOKEN}], "f": {"class": "File", "basename": "y", "contents": TOKEN}},
    "f": {"class": "File", "basename": "x", "contents": f"machine x {TOKEN}"},
}
SECRETS = "hints: {'cwltool:Secrets': {secrets: [pw]}}"


def document(hints: str = "") -> str:
    return DOCUMENT.replace("HINTS", hints)


def unpacked(site: Local, made: WorkflowDir) -> Path:
    into = site.top / f"unpacked-{made.id}"
    into.mkdir()
    subprocess.run(["tar", "-xzf", site.archive(made), "-C", into], check=True)
    return into / made.id


def test_they_are_in_the_input_object_alone(site: Local) -> None:
    made = site.submit(document(), JOB)
    top = unpacked(site, made)
    assert files_with(S, top) == ["job.json"]
    # Whoever looks for an element by the index finds it.
    groups = {path.name for path in (top / "tasks").iterdir()}
    (many,) = (each for each in groups if each.endswith("-many"))
    assert [read(Layout(top), many, number).tasks[0].label for number in range(2)] == ["0", "1"]
    again = site.rerun(made, choice=Choice(reuse=True))
    assert (ran(again), text_of(again, "all")) == ([], "fine\n")


def test_what_was_replaced_is_no_more_in_the_archive_of_a_re_execution(site: Local) -> None:
    quiet = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {pw: string}, outputs: []}"
    old = site.submit(quiet, {"pw": TOKEN})
    made = site.rerun(old, settings=("pw=no",))
    assert files_with(S, unpacked(site, made)) == []
    further = site.rerun(made, settings=("pw=nothing",))
    assert files_with(S, unpacked(site, further)) == []


def test_whoever_submits_them_is_told(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    site.submit(document(SECRETS), JOB)
    first, second = caplog.messages
    assert first.startswith("the hint cwltool:Secrets is ignored: pw will be in job.json and in the workflow's archive")
    assert second.startswith("inputs f, more, password, pw, xs look like credentials, and will be in job.json and in ")
    assert S not in caplog.text
    caplog.clear()
    literal = {"class": "File", "basename": "x", "contents": "a"}
    nothing: dict[str, Any] = {"pw": "no", "xs": ["token"], "more": 1, "f": literal}
    old = site.submit(document(), nothing)
    assert not caplog.messages
    site.rerun(old, settings=(f"pw={TOKEN}",))
    (said,) = caplog.messages
    assert said.startswith("input pw looks like a credential, and will be in job.json and in ")


def test_a_credential_of_documents_is_told_of_whatever_else_has_its_name(
    site: Local, caplog: pytest.LogCaptureFixture
) -> None:
    tool = "{class: CommandLineTool, baseCommand: 'true', inputs: {password: string}, outputs: []}"
    site.submit(
        f"""
cwlVersion: v1.2
class: Workflow
inputs: {{given: string}}
outputs: {{}}
steps:
  one: {{in: {{password: {{default: {S}}}}}, out: [], run: {tool}}}
  two: {{in: {{password: given}}, out: [], run: {tool}}}
""",
        {"given": "x"},
    )
    (said,) = caplog.messages
    assert said.startswith("the documents have values that look like credentials (password), which will be in")


def test_nobody_is_told_of_honest_inputs(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    named = {name: value for name, value in HONEST.items() if name != "f"}
    data = site.write("data/basic training.txt", "x")
    given = {**named, "f": {"class": "File", "path": str(data)}, "option": "--password=x and so on"}
    types = {"f": "File", "words": "'string[]'"}
    inputs = ", ".join(f"{name}: {types.get(name, 'string')}" for name in given)
    quiet = f"{{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'true', inputs: {{{inputs}}}, outputs: []}}"
    old = site.submit(quiet, given)
    site.rerun(old, settings=("title=Basic arithmetic",))
    assert not [each for each in caplog.messages if "credential" in each]


def test_a_hint_may_name_one_without_a_list(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    # In cwltool's own namespace the document is refused.
    text = document(SECRETS.replace("[pw]", "password").replace("cwltool:", "")).replace("$namespaces", "$other")
    lines = [line for line in text.splitlines() if "$other" not in line]
    site.submit("\n".join(lines), {**JOB, "password": ""})
    assert caplog.messages[0].startswith("the hint cwltool:Secrets is ignored: password will be in job.json")


MADE = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo "{\\"t\\": \\"$1\\"}" > cwl.output.json', sh]
inputs: {pw: {type: string, inputBinding: {}}}
outputs: {t: string}
"""


def test_what_was_hidden_of_a_result_is_not_taken(site: Local) -> None:
    old = site.submit(MADE, {"pw": TOKEN})
    made = site.rerun(old, choice=Choice(reuse=True))
    assert ran(made) == ["w"]
    assert TOKEN in made.layout.output_object.read_text()


PRINTED = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'printf "$2" "$1" > cwl.output.json', sh]
inputs:
  password: {type: string, inputBinding: {position: 1}}
  form: {type: string, inputBinding: {position: 2}}
outputs: {t: Any}
"""


@pytest.mark.parametrize("form", ['{"t": "x%s"}', '{"t": {"%s": 1}}', '{"t": ["b-----BEGIN RSA PRIVATE KEY-----x"]}'])
def test_what_was_hidden_within_a_word_is_not_taken(site: Local, form: str) -> None:
    old = site.submit(PRINTED, {"password": "hunter22S", "form": form})
    again = site.rerun(old, choice=Choice(reuse=True))
    assert ran(again) == ["w"]
    made = json.loads(again.layout.output_object.read_text())
    assert made == {"t": json.loads(form.replace("%s", "hunter22S"))["t"]}


STARS = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'printf "a *** b %s" "$1" > o; printf "*** DONE ***" > banner', sh]
inputs: {x: {type: string, inputBinding: {}}}
outputs:
  o: {type: File, outputBinding: {glob: o, loadContents: true}}
  banner: {type: string, outputBinding: {glob: banner, loadContents: true, outputEval: '$(self[0].contents)'}}
"""


def test_stars_of_somebody_s_own_are_taken(site: Local) -> None:
    old = site.submit(STARS, {"x": "fine"})
    assert ran(site.rerun(old, choice=Choice(reuse=True))) == []


REPEATING = """
cwlVersion: v1.2
class: Workflow
doc: clone https://me:S3nt1nelDoc@host/x
requirements: {ScatterFeatureRequirement: {}}
inputs: {password: string, db_password: string, api_token: 'string[]', credentials: Any, pem: string}
outputs: {all: {type: File, outputSource: one/o}}
steps:
  one:
    in: {password: password, db: db_password, tokens: api_token, who: credentials, pem: pem}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'echo fine', sh]
      requirements: {EnvVarRequirement: {envDef: {DB_PASSWORD: S3nt1nelVariable, X: $(inputs.password)}}}
      arguments: [{prefix: -p, valueFrom: $(inputs.db), separate: false}]
      inputs:
        password: {type: string, inputBinding: {}}
        db: {type: string, inputBinding: {prefix: --db-password=, separate: false}}
        tokens: {type: 'string[]', inputBinding: {prefix: --token}}
        who: {type: {type: record, fields: {user: {type: string, inputBinding: {}}}}}
        pem: {type: string, inputBinding: {}}
      outputs: {o: stdout}
  many:
    scatter: t
    in: {t: api_token, who: credentials}
    out: []
    run:
      class: CommandLineTool
      baseCommand: 'true'
      inputs: {t: {type: string, inputBinding: {}}, who: Any}
      outputs: []
  bad:
    in: {x: password}
    out: []
    run: {class: CommandLineTool, baseCommand: ['false'], inputs: {x: {type: string, inputBinding: {}}}, outputs: []}
"""
GIVEN = {
    "password": "S3nt1nelAlone",
    "db_password": "a S3nt1nel of words",
    "api_token": ["S3nt1nel1", "and S3nt1nel2"],
    "credentials": {"user": "S3nt1nelUser"},
    "pem": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nS3nt1nel\n-----END PGP PRIVATE KEY BLOCK-----",
}
DOCUMENTS = ["cwl/documents/w.cwl", "cwl/graph.json", "cwl/packed.json"]


def test_no_record_repeats_them(site: Local, caplog: pytest.LogCaptureFixture) -> None:
    old = site.submit(REPEATING, GIVEN)
    inputs, documents = caplog.messages
    assert inputs.startswith("inputs api_token, credentials, db_password, password, pem look like credentials")
    assert documents.startswith("the documents have values that look like credentials (DB_PASSWORD), which will be in")
    assert files_with("S3nt1nel", unpacked(site, old)) == [*DOCUMENTS, "job.json"]
    settings = ("password=S3nt1nel a", "db_password=b S3nt1nel", "api_token=[c, S3nt1nelD]", "pem=x")
    again = site.rerun(old, settings=(*settings, "credentials={user: S3nt1nelE, key: S3nt1nelF}"))
    assert files_with("S3nt1nel", unpacked(site, again)) == [*DOCUMENTS, "job.json"]
    last = site.rerun(again, settings=("password=a", "db_password=b", "api_token=[c]", "credentials={user: d}"))
    assert files_with("S3nt1nel", unpacked(site, last)) == DOCUMENTS
