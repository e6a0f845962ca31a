"""What the expressions of a stranger's archive make: nothing that is not theirs, and no honest one is refused."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from beeflow import submit
from beeflow.cwl.confined import ConfinedEngine
from beeflow.errors import InputError, TrustError
from beeflow.rerun import again
from beeflow.rerun.request import Request
from beeflow.rerun.sources import open_archive
from beeflow.states import WorkflowState
from beeflow.store import WorkflowDir
from tests.rerun.conftest import other_site as other_site
from tests.rerun.conftest import site as site
from tests.rerun.local import HERE, Local, state, tasks

SECRET = "s3cret, and nobody else's"


class Victim:
    """A user, and his file that a stranger knows the place of: where the archive was made, it has something else."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.key = folder / "id_rsa"
        self.key.write_text("a decoy\n")

    def receive(self, archive: Path | str, folder: Path) -> Path:
        folder.mkdir()
        sent = folder / "sent.tgz"
        shutil.copy(archive, sent)
        self.key.write_text(SECRET)
        return sent

    def lost_to(self, top: Path) -> list[str]:
        """List the files with what is his."""
        return [str(path) for path in top.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path / "home")


PLANNED = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {}
outputs: {o: {type: Any, outputSource: make/o}}
steps:
  make:
    in: {f: {default: null, valueFrom: "VALUE"}}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {f: Any?}
      outputs: {o: Any}
      expression: "TOOL"
"""

FILE = "${return {o: [{deep: {class: 'File', location: 'PLACE'}}]}}"
PLACES = [
    "file://{key}",
    "file://{root}/../../../../../../../../../..{key}",
    "file://{root}/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{key}",
    "file://localhost{key}",
    "{key}",
    "../../../../../../../../../../../..{key}",
    "http://localhost:1/x",
]


def refused(site: Local, archive: Path, **request: Any) -> str:
    """Have it refused by the plan alone, started, not started and only looked at; return why."""
    for how in ({}, {"start": False}):
        with pytest.raises(TrustError) as caught:
            site.rerun(archive, **how, **request)
    asked = Request(str(archive), **request)
    source = open_archive(asked.archive, site.config)
    record = again.new_record(asked, source, submit.new_record(site.config, HERE, site.scheduler.limits(), "", ""))
    shown = again.look(asked, source, site.config, record, site.scheduler)
    assert isinstance(shown.error, TrustError)
    assert list(site.config.workflows_dir.glob("*")) == []
    assert not site.scheduler.jobs
    return str(caught.value)


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_an_expression_tool_makes_is_refused_as_it_is_planned(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path, place: str
) -> None:
    named = place.format(key=victim.key, root="/nowhere")
    text = PLANNED.replace("VALUE", "$(1)").replace("TOOL", FILE.replace("PLACE", named))
    sent = victim.receive(site.archive(site.submit(text)), tmp_path / "mail")
    why = refused(other_site, sent)
    assert "expression: ${return {o: " in why
    assert f"{sent}: step " in why
    assert f"makes {named}" in why
    assert "--trust" in why
    assert victim.lost_to(other_site.top) == []


# One step for each place of an expression that may name a file: how the place is written -> the field that is told.
HOSTILE: dict[str, tuple[str, str]] = {
    "step_value": ("in: {f: {default: null, valueFrom: '$(FILE)'}}\n    run: {CAT}", "in/f/valueFrom"),
    "step_contents": (
        "in: {f: {loadContents: true, default: null, valueFrom: '$(FILE)'}}\n    run: {CAT}",
        "in/f/valueFrom",
    ),
    "argument": (
        "in: {}\n    run: {TOOL, arguments: [{valueFrom: '$(FILE)'}], inputs: {}, outputs: {o: stdout}}",
        "arguments/valueFrom",
    ),
    "binding": (
        "in: {n: {default: 1}}\n    run: {TOOL, inputs: {n: {type: int, inputBinding: {valueFrom: '$(FILE)'}}}, "
        "outputs: {o: stdout}}",
        "inputs/n/inputBinding/valueFrom",
    ),
    "beside": (
        "in: {g: {source: made}}\n    run: {TOOL, inputs: {g: {type: File, secondaryFiles: [{pattern: '$([BARE])'}], "
        "inputBinding: {}}}, outputs: {o: stdout}}",
        "inputs/g/secondaryFiles/pattern",
    ),
    "workdir": (
        "in: {}\n    run: {TOOL, arguments: [k], inputs: {}, outputs: {o: stdout}, requirements: "
        "{InitialWorkDirRequirement: {listing: '$([FILE])'}}}",
        "requirements/InitialWorkDirRequirement/listing",
    ),
    "entry": (
        "in: {}\n    run: {TOOL, arguments: [k], inputs: {}, outputs: {o: stdout}, requirements: "
        "{InitialWorkDirRequirement: {listing: [{entryname: k, entry: '$(FILE)', writable: true}]}}}",
        "requirements/InitialWorkDirRequirement/listing/entry",
    ),
    "folder": (
        "in: {}\n    run: {TOOL, arguments: [d/k], inputs: {}, outputs: {o: stdout}, requirements: "
        '{InitialWorkDirRequirement: {listing: [\'$({class: "Directory", basename: "d", listing: [FILE]})\']}}}',
        "requirements/InitialWorkDirRequirement/listing",
    ),
    "output": (
        "in: {}\n    run: {TOOL, arguments: [/dev/null], inputs: {}, outputs: {o: {type: File, outputBinding: "
        "{outputEval: '$(FILE)'}}}}",
        "outputs/o/outputBinding/outputEval",
    ),
    "output_path": (
        "in: {}\n    run: {TOOL, arguments: [/dev/null], inputs: {}, outputs: {o: {type: File, outputBinding: "
        '{outputEval: \'$({class: "File", path: runtime.outdir + "/../../../../../../../../../../../../..KEY"})\'}}}}',
        "outputs/o/outputBinding/outputEval",
    ),
    "glob": (
        "in: {}\n    run: {TOOL, arguments: [/dev/null], inputs: {}, outputs: {o: {type: string, outputBinding: "
        "{glob: '$(\"UP\")', loadContents: true, outputEval: '$(self[0].contents)'}}}}",
        "taken for a path",
    ),
    "output_beside": (
        "in: {}\n    run: {TOOL, arguments: [/dev/null], inputs: {}, stdout: o, outputs: {o: {type: File, "
        "secondaryFiles: [{pattern: '$(\"UP\")'}], outputBinding: {glob: o}}}}",
        "taken for a path",
    ),
    "stdin": (
        "in: {}\n    run: {TOOL, stdin: '$(\"KEY\")', inputs: {}, outputs: {o: stdout}}",
        "taken for a path",
    ),
    "stdin_text": (
        "in: {n: {default: [a, a, UP, a, a]}}\n    scatter: n\n    "
        "run: {TOOL, stdin: '$(inputs.n)', inputs: {n: string}, outputs: {o: stdout}}",
        "taken for a path",
    ),
}
_UP = "/.." * 20


def hostile(key: Path) -> str:
    """Write the workflow of all of them."""
    words = {
        "{CAT}": "{TOOL, inputs: {f: {type: File, inputBinding: {}}}, outputs: {o: stdout}}",
        "TOOL": "class: CommandLineTool, baseCommand: cat",
        "FILE": '{class: "File", location: "file://KEY", basename: "k"}',
        "BARE": '{location: "file://KEY", basename: "k"}',
        "UP": f"{_UP[1:]}KEY",
        "KEY": str(key),
    }
    lines = [
        "cwlVersion: v1.2",
        "class: Workflow",
        "requirements:",
        "  {InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}, ScatterFeatureRequirement: {}}",
        "inputs: {made: File}",
        "outputs:",
        *(f"  {name}: {{type: Any?, outputSource: {name}/o}}" for name in HOSTILE),
        "steps:",
    ]
    for name, (step, _) in HOSTILE.items():
        lines += [f"  {name}:", "    out: [o]", f"    {step}"]
    text = "\n".join(lines)
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    return text


def test_no_expression_of_a_tool_or_step_reads_a_file_of_the_host(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path
) -> None:
    given = site.write("data/made.txt", "x\n")
    done = site.submit(hostile(victim.key), {"made": {"class": "File", "path": str(given)}})
    sent = victim.receive(site.archive(done), tmp_path / "mail")
    found = other_site.rerun(sent)
    assert state(found) is WorkflowState.ARCHIVED_FAILED
    assert found.record().foreign
    made = tasks(found)
    for name, (_, field) in HOSTILE.items():
        task = made.get(name) or made[f"{name}[2]"]
        assert task.state.name == "FAILED", name
        assert field in task.reason, (name, task.reason)
        assert "id_rsa: reads a file or folder of this host" in task.reason, name
        assert "--trust" in task.reason
    assert victim.lost_to(other_site.top) == []


ONE = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: cat
arguments: [k]
inputs: {}
outputs: {o: stdout}
stdout: o.txt
"""


def test_ones_own_archive_of_a_strangers_stays_his(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path
) -> None:
    listing = '$([{class: "File", location: "file://KEY", basename: "k"}])'.replace("KEY", str(victim.key))
    text = ONE + f"hints: {{InitialWorkDirRequirement: {{listing: '{listing}'}}}}\n"
    sent = victim.receive(site.archive(site.submit(text)), tmp_path / "mail")
    found = other_site.rerun(sent)
    assert (state(found), found.record().foreign) == (WorkflowState.ARCHIVED_FAILED, True)
    found = other_site.rerun(found)
    assert (state(found), found.record().foreign) == (WorkflowState.ARCHIVED_FAILED, True)
    assert victim.lost_to(other_site.top) == []
    found = other_site.rerun(found, trust=True)
    assert (state(found), found.record().foreign) == (WorkflowState.ARCHIVED, False)
    assert victim.lost_to(other_site.top) != []
    assert not other_site.rerun(found).record().foreign


def test_a_pass_that_the_command_runs_itself_is_guarded_too(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path
) -> None:
    listing = f'$([{{class: "File", location: "file://{victim.key}", basename: "k"}}])'
    text = ONE + f"hints: {{InitialWorkDirRequirement: {{listing: '{listing}'}}}}\n"
    sent = victim.receive(site.archive(site.submit(text)), tmp_path / "mail")
    here = Local(other_site.top, "[slurm]\ndrive = here\n")
    made = here.begin(sent)
    assert [json.loads(path.read_text())["foreign"] for path in made.layout.tasks.rglob("run.json")] == [True]
    found = here.run(made)
    assert (state(found), found.record().foreign) == (WorkflowState.ARCHIVED_FAILED, True)
    (task,) = tasks(found).values()
    assert "id_rsa: reads a file or folder of this host" in task.reason
    assert victim.lost_to(here.top) == []


ESCAPE = """${
  var host = globalThis.constructor.constructor("return this")();
  return {o: [Object.keys(host.process.env), host.process.getBuiltinModule("fs").readFileSync("KEY", "utf8")]};
}"""


def test_javascript_has_no_files_and_no_environment(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path
) -> None:
    text = PLANNED.replace('"TOOL"', json.dumps(ESCAPE.replace("KEY", str(victim.key)))).replace("VALUE", "$(1)")
    done = site.submit(text)
    names, read = json.loads(done.layout.output_object.read_text())["o"]
    assert (read, "HOME" in names) == ("a decoy\n", True)
    sent = victim.receive(site.archive(done), tmp_path / "mail")
    with pytest.raises(InputError, match="step make: "):
        other_site.rerun(sent)
    assert victim.lost_to(other_site.top) == []


CALLING = """${
  var net = globalThis.constructor.constructor("return this")().process.getBuiltinModule("net");
  net.connect("SOCKET").on("error", function() {}).write("what is in " + inputs.f.contents);
  return {o: 1};
}"""


def heard(listening: socket.socket) -> bytes:
    """Return what the last of those who called said."""
    found = b""
    with contextlib.suppress(TimeoutError):
        while True:
            calling, _ = listening.accept()
            with calling:
                found = calling.recv(100)
    return found


def test_javascript_reaches_no_program_that_listens(site: Local, other_site: Local, tmp_path: Path) -> None:
    """A user's D-Bus starts what it is told to."""
    data = site.write("data/a.txt", "the user's file\n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "bus"))
        listening.listen()
        listening.settimeout(2)
        tool = "class: ExpressionTool\ninputs: {f: {type: File, loadContents: true}}\noutputs: {o: Any}\n"
        code = json.dumps(CALLING.replace("SOCKET", str(tmp_path / "bus")))
        head = "cwlVersion: v1.2\nrequirements: {InlineJavascriptRequirement: {}}\n"
        done = site.submit(f"{head}{tool}expression: {code}\n", {"f": {"class": "File", "path": str(data)}})
        assert heard(listening) == b"what is in the user's file\n"
        shutil.copy(site.archive(done), tmp_path / "sent.tgz")
        with pytest.raises(InputError, match="step w: "):
            other_site.rerun(tmp_path / "sent.tgz")
        assert heard(listening) == b""


def test_javascript_that_cannot_be_confined_does_not_run(
    site: Local, other_site: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = site.submit(PLANNED.replace("TOOL", "$({o: 1})").replace("VALUE", "$(1)"))
    (tmp_path / "sent.tgz").write_bytes(Path(site.archive(done)).read_bytes())
    node = tmp_path / "bin/nodejs"
    node.parent.mkdir()
    node.write_text("#!/bin/sh\necho no libnode.so >&2\nexit 127\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}:{os.environ['PATH']}")
    # That of another test still runs.
    monkeypatch.setattr(ConfinedEngine, "localdata", threading.local())
    with pytest.raises(InputError, match=f"(?s)step make: .*{node}: JavaScript .*: no libnode.so; have a Node.js 20"):
        other_site.rerun(tmp_path / "sent.tgz")


BESIDE = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: cat
inputs:
  f:
    type: File
    inputBinding: {}
    secondaryFiles: [{pattern: "PATTERN", required: false}]
outputs: {o: stdout}
stdout: o.txt
"""


@pytest.mark.parametrize(
    ("pattern", "is_honest"),
    [
        ("$(self.basename + '.idx')", True),
        ("$({class: 'File', location: self.location + '.idx', basename: self.basename + '.idx'})", True),
        ("$(self.nameroot + '.idx')", True),
        ("$('id_rsa')", False),
        ("$('../home/id_rsa')", False),
        ("$('/../id_rsa')", False),
        ("$({class: 'File', location: 'file://KEY', basename: 'k'})", False),
        ("$({class: 'File', location: self.location.replace(/[^/]*$/, 'id_rsa'), basename: 'k'})", False),
    ],
)
def test_what_goes_along_with_an_input_that_the_user_gives(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path, pattern: str, is_honest: bool
) -> None:
    data = site.write("data/a.txt", "x\n")
    for name in ("a.txt.idx", "a.idx", "id_rsa"):
        shutil.copy(data, victim.key.parent / name)
        site.write(f"data/{name}", "beside\n")
    text = BESIDE.replace("PATTERN", pattern.replace("KEY", str(victim.key)))
    done = site.submit(text, {"f": {"class": "File", "path": str(data)}})
    sent = victim.receive(site.archive(done), tmp_path / "mail")
    mine = victim.key.parent / "a.txt"
    mine.write_text("mine\n")
    asked = {"settings": (f"f={mine}",)}
    if is_honest:
        found = other_site.begin(sent, start=False, **asked)
        (beside,) = json.loads(found.layout.job.read_text())["f"]["secondaryFiles"]
        assert beside["basename"].endswith(".idx")
    else:
        assert "--trust" in refused(other_site, sent, **asked)


HONEST = Path(__file__).with_name("honest.cwl").read_text()


def test_no_honest_expression_is_refused(site: Local, other_site: Local, tmp_path: Path) -> None:
    files = {"a": site.write("data/a.txt", "2\n1\n"), "b": site.write("data/d/b c.txt", "2\n1\n")}
    site.write("data/d/sub/c#%41.txt", "deep\n")
    job = {
        "f": {"class": "File", "path": str(files["a"])},
        "d": {"class": "Directory", "path": str(files["b"].parent)},
        "words": ["one", "two"],
    }
    done = site.submit(HONEST, job)
    assert {name: task.reason for name, task in tasks(done).items() if task.reason} == {}
    sent = tmp_path / "sent.tgz"
    shutil.copy(site.archive(done), sent)
    found = other_site.rerun(sent)
    assert {task.reason for task in tasks(found).values()} == {""}
    assert (state(found), found.record().foreign) == (WorkflowState.ARCHIVED, True)
    expected = made(done)
    assert made(found) == expected
    # The same with files of the host, which the user gives.
    settings = (f"f={files['a']}", f"d={files['b'].parent}")
    shutil.rmtree(site.config.workflows_dir)
    given = other_site.rerun(sent, settings=settings)
    assert {task.reason for task in tasks(given).values()} == {""}
    assert made(given) == expected


def made(found: WorkflowDir) -> dict[str, bytes]:
    folder = found.layout.outputs
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LINKED = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [ln, -s, FOLDER, link]
inputs: {}
outputs: {o: {type: File, outputBinding: {glob: link/id_rsa}}}
"""


def test_an_output_below_a_link_that_leads_out_is_none(site: Local, victim: Victim) -> None:
    victim.key.write_text(SECRET)
    done = site.submit(LINKED.replace("FOLDER", str(victim.key.parent)))
    (task,) = tasks(done).values()
    assert task.reason == f"output id_rsa leads to {victim.key}, which is neither an output nor an input"
    assert victim.lost_to(site.top) == []


WRITTEN = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {InitialWorkDirRequirement: {listing: [{entryname: cwl.output.json, entry: '{"o": ENTRY}'}]}}
baseCommand: [sh, -c, 'echo > q; mkdir d']
inputs: {}
outputs: {o: Any}
"""


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('{"class": "File", "path": "q", "secondaryFiles": [{"location": "file://KEY"}]}', "made secondaryFiles with"),
        ('{"class": "File", "path": "q", "secondaryFiles": [[{"location": "KEY"}]]}', "made secondaryFiles with"),
        ('{"class": "File", "path": "q", "listing": [{"path": "KEY"}]}', "made listing with"),
        ('{"class": "Directory", "path": "d", "secondaryFiles": [{"path": "KEY"}]}', "made secondaryFiles with"),
        ('{"class": "File", "location": "KEY"}', "which is neither an output nor an input"),
        (
            '{"class": "File", "path": "q", "secondaryFiles": [{"class": "File", "location": "KEY"}]}',
            "neither an output",
        ),
        (r'"\ud800"', "a lone surrogate"),
        (f"{'[' * 300}1{']' * 300}", "nested more than 200 deep"),
    ],
)
def test_what_a_command_writes_of_its_outputs_is_checked_whoever_made_it(
    site: Local, victim: Victim, entry: str, why: str
) -> None:
    victim.key.write_text(SECRET)
    done = site.submit(WRITTEN.replace("ENTRY", entry.replace("KEY", str(victim.key))))
    assert state(done) is WorkflowState.ARCHIVED_FAILED
    (task,) = tasks(done).values()
    assert why in task.reason
    assert victim.lost_to(site.top) == []


NESTED = "${ var made = 1; for (var i = 0; i < 400; i++) made = {a: made}; return {o: made}; }"


def test_an_expression_makes_nothing_too_deep_to_be_archived(site: Local) -> None:
    done = site.submit(PLANNED.replace("TOOL", NESTED).replace("VALUE", "$(1)"))
    assert state(done) is WorkflowState.ARCHIVED_FAILED
    (task,) = tasks(done).values()
    assert "nested more than 200 deep; write it into a file instead" in task.reason


UPDATED = """
cwlVersion: v1.2
class: Workflow
requirements: {InplaceUpdateRequirement: {inplaceUpdate: true}}
inputs: {}
outputs: {o: {type: Directory, outputSource: make/o}}
steps:
  make:
    in: {}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, "mkdir d; echo > d/e"]
      inputs: {}
      outputs: {o: {type: Directory, outputBinding: {glob: d}}}
  change:
    in: {d: make/o}
    out: []
    run:
      class: CommandLineTool
      requirements: {InitialWorkDirRequirement: {listing: [{entry: $(inputs.d), writable: true}]}}
      baseCommand: [sh, -c, "COMMAND"]
      inputs: {d: Directory}
      outputs: []
"""


@pytest.mark.parametrize("command", ["ln -s KEY d/k", "ln -s FOLDER d/k", "rm -r d; ln -s FOLDER d"])
def test_what_is_updated_in_place_has_no_links_that_lead_out(site: Local, victim: Victim, command: str) -> None:
    victim.key.write_text(SECRET)
    named = command.replace("KEY", str(victim.key)).replace("FOLDER", str(victim.key.parent))
    done = site.submit(UPDATED.replace("COMMAND", named))
    assert "which is neither an output nor an input" in tasks(done)["change"].reason
    # The link itself is still where the command made it.
    assert [path for path in victim.lost_to(site.top) if not Path(path).is_symlink()] == []
    assert [path.name for path in (done.layout.root / "outputs").rglob("*")] in ([], ["d", "e"])


def test_links_in_what_is_updated_in_place_may_lead_about_in_it(site: Local) -> None:
    done = site.submit(UPDATED.replace("COMMAND", "ln -s e d/k"))
    assert state(done) is WorkflowState.ARCHIVED
    assert sorted(path.name for path in (done.layout.root / "outputs").rglob("*")) == ["d", "e", "k"]


PICKED = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {}
outputs: {o: {type: Directory, outputSource: pick/o}}
steps:
  make:
    in: {}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, "echo > q; mkdir -p d/e; echo > d/e/f; ln -s TO d/k"]
      inputs: {}
      outputs: {o: {type: File, outputBinding: {glob: q}}}
  pick:
    in: {f: make/o}
    out: [o]
    run:
      class: ExpressionTool
      inputs: {f: File}
      outputs: {o: Directory}
      expression: "${ return {o: {class: 'Directory', location: inputs.f.location.replace(/q$/, 'd')}}; }"
"""


@pytest.mark.parametrize(("to", "is_honest"), [("KEY", False), ("FOLDER", False), ("e/f", True), ("e", True)])
def test_a_folder_that_an_expression_makes_has_no_link_that_leads_out(
    site: Local, other_site: Local, victim: Victim, tmp_path: Path, to: str, is_honest: bool
) -> None:
    named = to.replace("KEY", str(victim.key)).replace("FOLDER", str(victim.key.parent))
    sent = victim.receive(site.archive(site.submit(PICKED.replace("TO", named))), tmp_path / "mail")
    found = other_site.rerun(sent)
    if is_honest:
        assert state(found) is WorkflowState.ARCHIVED
        assert (found.layout.outputs / "d/k").exists()
    else:
        assert "/out/d/k: reads a file or folder of this host" in tasks(found)["pick"].reason
        assert [path for path in victim.lost_to(other_site.top) if not Path(path).is_symlink()] == []
