"""The program of a task job, run over hand-made workflow directories; what Slurm would set is set by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from beeflow import attempts
from beeflow.cwl import compiler, documents
from beeflow.layout import Layout
from beeflow.results import dumps_graph
from beeflow.tries import NODE_FAIL

PROGRAM = Path(__file__).parents[2] / "beeflow/runner/__main__.py"
GROUP = "001-s"
# What ended longer before SIGTERM came ended by itself.
OUT_OF_DOUBT_S = 1.2
SHAPE = "{'script': 'str'}"
COMMAND: dict[str, Any] = {
    "argv": ["sh", "-c", "\x02'4s\x03"],
    "env": {"PATH": "\x02'1s\x03"},
    "workdir": "/\x02'0s\x03/out",
    "stdin": None,
    "stdout": "/\x02'0s\x03/out/said",
    "stderr": "/\x02'0s\x03/stderr",
    "stage": [],
    "time_limit_s": None,
    "success_codes": [],
    "temporary_fail_codes": [],
    "permanent_fail_codes": [],
    "container": None,
    "launcher": [],
    "inherit": [],
    "modules": [],
    "modules_init": "",
}
PORT: dict[str, Any] = {
    "name": "o",
    "type": "File",
    "classes": ["File"],
    "array": False,
    "optional": False,
    "globs": ["said"],
    "contents": False,
    "eval": None,
    "secondary": [],
    "format": None,
}


@dataclass
class World:
    """One workflow directory with one element of shell scripts: label -> script."""

    root: Path
    scripts: dict[str, str]
    run: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    wrapper: Callable[[list[str]], list[str]] = list

    @property
    def group(self) -> Path:
        return self.root / "tasks" / GROUP

    @property
    def element(self) -> Path:
        return self.group / "000/000000"

    def write(self) -> None:
        """Write what passes write."""
        self.group.mkdir(parents=True, exist_ok=True)
        (self.root / "jobs").mkdir(exist_ok=True)
        given = {label: {"script": {"known": script}} for label, script in self.scripts.items()}
        given.update({label: {"script": value} for label, value in self.inputs.items()})
        line = json.dumps({"tasks": [{"label": label, "inputs": inputs} for label, inputs in given.items()]})
        (self.group / "elements.jsonl").write_text(line + "\n")
        (self.group / "elements.index").write_text(f"{0:20}\n")
        (self.group / "shared.json").write_text("{}")
        record = {
            "version": 1,
            "group": GROUP,
            "step": "s",
            "time_limit_s": 3600,
            "fs_settle_s": 0.0,
            "stops_on_error": False,
            "preserve_environment": [],
            "cores": 1,
            "mem_mib": None,
            "ram_mib": 256,
            "inputs": ["script"],
            "evaluate": False,
            "container": None,
            "literal": [],
            "may_have_template": False,
            "templates": {SHAPE: {"command": COMMAND, "ports": [PORT]}},
            "python_path": [],
            **self.run,
        }
        (self.group / "run.json").write_text(json.dumps(record))

    def start(self, job: str = "7", restart: int = 0, cpus: int = 1) -> subprocess.Popen[str]:
        """Start the program as job 7_0."""
        env = {
            "PATH": os.environ["PATH"],
            "SLURM_JOB_ID": job,
            "SLURM_ARRAY_JOB_ID": job,
            "SLURM_ARRAY_TASK_ID": "0",
            "SLURM_RESTART_COUNT": str(restart),
            "SLURM_CPUS_ON_NODE": str(cpus),
            "SLURMD_NODENAME": "n1",
        }
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(self.root), GROUP, f"{GROUP}.{job}:0"]
        return subprocess.Popen(self.wrapper(argv), env=env, stderr=subprocess.PIPE, text=True)

    def go(self, **how: Any) -> tuple[int, str]:
        """Run the program to its end; returns its exit code and what it said."""
        program = self.start(**how)
        _, said = program.communicate(timeout=180)
        return program.returncode, said

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.element / "result.json").read_text())["tasks"]
        return found

    def states(self) -> dict[str, str]:
        return {label: task["state"] for label, task in self.result().items()}

    def wait_for(self, name: str) -> None:
        """Wait until a script has made a file in the workflow directory."""
        deadline = time.monotonic() + 20
        while not (self.root / name).exists():
            assert time.monotonic() < deadline, f"no {name}"
            time.sleep(0.02)


def world(root: Path, scripts: dict[str, str], **run: Any) -> World:
    made = World(root, scripts, run)
    made.write()
    return made


def test_tasks_of_an_element_run_one_after_the_other(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "echo a", "1": "exit 3", "2": "echo c >&2"})
    assert made.go() == (0, "")
    assert made.states() == {"0": "COMPLETED", "1": "FAILED", "2": "COMPLETED"}
    first = made.result()["0"]
    assert first["outputs"]["o"]["checksum"] == "sha1$3f786850e387550fdab836ed7e6dc881de23001b"
    assert first["outputs"]["o"]["location"] == f"tasks/{GROUP}/000/000000/7_0.0/0/out/said"
    assert (first["job_id"], first["node"], first["exit_code"]) == ("7_0", "n1", 0)
    assert not (tmp_path / first["outputs"]["o"]["location"]).stat().st_mode & 0o222
    assert made.result()["1"]["reason"] == "the command ended with exit code 3"
    assert sorted(path.name for path in (made.element / "7_0.0/0").iterdir()) == ["out"]
    assert (made.element / "7_0.0/2/stderr").read_text() == "c\n"


def test_an_element_none_of_whose_tasks_made_anything_ends_badly(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "exit 1", "1": "kill -9 $$"})
    assert made.go()[0] == 1
    assert made.result()["1"]["reason"] == "the command was killed by SIGKILL"


def test_with_on_error_stop_any_failure_is_told_to_slurm(tmp_path: Path) -> None:
    assert world(tmp_path, {"0": "echo a", "1": "exit 3"}, stops_on_error=True).go()[0] == 1


def test_as_many_at_a_time_as_the_job_has_cpus(tmp_path: Path) -> None:
    # Each waits until the other has begun.
    script = "touch {root}/{me}; until [ -e {root}/{other} ]; do sleep 0.05; done"
    scripts = {
        me: script.format(root=tmp_path, me=f"began{me}", other=f"began{other}")
        for me, other in (("0", "1"), ("1", "0"))
    }
    made = world(tmp_path, scripts)
    assert made.go(cpus=2)[0] == 0
    assert set(made.states().values()) == {"COMPLETED"}


def test_a_killed_element_keeps_what_it_finished(tmp_path: Path) -> None:
    made = world(
        tmp_path, {"0": f"echo 0 >> {tmp_path}/ran", "1": f"echo 1 >> {tmp_path}/ran; touch {tmp_path}/here; sleep 30"}
    )
    program = made.start()
    made.wait_for("here")
    program.kill()
    program.communicate()
    assert not (made.element / "result.json").exists()
    log = made.element / "7_0.0/tasks.jsonl"
    log.write_text(log.read_text() + '{"end": "1", "resu')
    made.scripts["1"] = f"echo again >> {tmp_path}/ran"
    made.write()
    assert made.go(restart=1) == (0, "")
    assert made.states() == {"0": "COMPLETED", "1": "COMPLETED"}
    assert (tmp_path / "ran").read_text().split() == ["0", "1", "again"]


def test_a_scancel_is_told_of_every_task(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "true", "1": f"touch {tmp_path}/here; sleep 30", "2": "true"})
    program = made.start()
    made.wait_for("here")
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert made.states() == {"0": "COMPLETED", "1": "CANCELLED", "2": "CANCELLED"}
    assert "while it ran" in made.result()["1"]["reason"]
    assert "before it began" in made.result()["2"]["reason"]


def test_a_time_limit_leaves_what_had_no_chance_to_another_job(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "sleep 1", "1": f"touch {tmp_path}/here; sleep 30", "2": "true"}, time_limit_s=2)
    program = made.start()
    made.wait_for("here")
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert program.returncode == 1
    assert not (made.element / "result.json").exists()
    ends = [
        json.loads(line).get("end") for line in (made.element / "7_0.0/tasks.jsonl").read_text().split("\n") if line
    ]
    assert [each for each in ends if each] == ["0"]


def test_a_time_limit_that_a_task_had_all_to_itself(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": f"touch {tmp_path}/here; sleep 30"}, time_limit_s=1)
    program = made.start()
    made.wait_for("here")
    time.sleep(1)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert made.states() == {"0": "TIMEOUT"}


def test_a_task_that_had_ended_is_not_cancelled_while_its_outputs_are_collected(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": f"truncate -s 3G big; touch {tmp_path}/here", "1": "true"})
    made.run["templates"] = {SHAPE: {"command": COMMAND, "ports": [{**PORT, "globs": ["big"]}]}}
    made.write()
    program = made.start()
    made.wait_for("here")
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=60)
    assert made.states() == {"0": "COMPLETED", "1": "CANCELLED"}


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3)])
def test_what_ended_as_the_signal_came_may_have_ended_by_it(tmp_path: Path, script: str, code: int) -> None:
    """Slurm signals a script's command, then the script, then us: on a busy node a script gets far meanwhile."""
    made = world(tmp_path, {"0": f"sh -c 'kill -TERM $$'; {script}", "1": f"touch {tmp_path}/here; sleep 30"})
    program = made.start()
    made.wait_for("here")
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    first = made.result()["0"]
    assert made.states() == {"0": "CANCELLED", "1": "CANCELLED"}
    assert first["reason"] == f"cancelled in Slurm while it ran, or as it ended with exit code {code}"
    assert "outputs" not in first
    # Requeued, it runs again, and is judged by that alone.
    made.scripts.update({"0": "true", "1": "true"})
    made.write()
    assert made.go(restart=1) == (0, "")
    assert made.states() == {"0": "COMPLETED", "1": "COMPLETED"}
    assert made.result()["0"]["tries"] == 2


def test_what_a_runner_that_was_killed_took_back_is_not_believed(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "true"})
    assert made.go() == (0, "")
    (made.element / "result.json").unlink()
    with (made.element / "7_0.0/tasks.jsonl").open("a") as log:
        log.write('{"doubt": "0"}\n')
    layout = Layout(tmp_path)
    progress = attempts.read(layout, GROUP, 0)
    assert (progress.settled, set(progress.begun)) == ({}, {"0"})
    assert progress.tally.used("0", NODE_FAIL) == 1
    assert made.go(restart=1) == (0, "")
    assert made.result()["0"]["job_id"] == "7_0"
    assert made.result()["0"]["tries"] == 2


def test_a_scancel_while_a_task_waits_for_what_it_takes(tmp_path: Path) -> None:
    made = World(tmp_path, {"1": "true"}, {"fs_settle_s": 60.0}, {"0": hole("0")})
    made.write()
    program = made.start()
    wait_for_log(made)
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    # Task 1 had its turn first.
    assert made.states() == {"0": "CANCELLED", "1": "COMPLETED"}
    assert made.result()["0"]["reason"] == "cancelled in Slurm before it began"


def test_a_task_that_cannot_run_is_not_cancelled_with_the_others(tmp_path: Path) -> None:
    made = World(tmp_path, {"0": "true"}, {}, {"1": hole("1")})
    made.scripts["2"] = f"touch {tmp_path}/here; sleep 30"
    made.write()
    source(tmp_path, {"1": {"state": "FAILED"}})
    elements = json.loads((made.group / "elements.jsonl").read_text())
    elements["tasks"].sort(key=lambda task: task["label"])
    (made.group / "elements.jsonl").write_text(json.dumps(elements) + "\n")
    program = made.start()
    made.wait_for("here")
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert made.states() == {"0": "COMPLETED", "2": "CANCELLED"}


def wait_for_log(made: World) -> None:
    """Wait until an attempt has ended a task."""
    deadline = time.monotonic() + 20
    while not any('"end"' in path.read_text() for path in made.element.glob("*/tasks.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_task_to_begin_had_its_time_limit_however_late_that_was(tmp_path: Path) -> None:
    made = World(tmp_path, {}, {"time_limit_s": 3, "fs_settle_s": 60.0}, {"0": hole("0")})
    made.write()
    program = made.start()
    time.sleep(1)
    source(tmp_path, {"0": {"state": "COMPLETED", "outputs": {"o": f"touch {tmp_path}/here; sleep 30"}}})
    made.wait_for("here")
    time.sleep(1)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    assert made.states() == {"0": "TIMEOUT"}


def test_what_a_time_limit_cut_short_is_left_to_another_job_and_told(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "sleep 1", "1": f"touch {tmp_path}/here; sleep 30"}, time_limit_s=2)
    program = made.start()
    made.wait_for("here")
    time.sleep(OUT_OF_DOUBT_S)
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=20)
    log = [json.loads(line) for line in (made.element / "7_0.0/tasks.jsonl").read_text().splitlines()]
    assert log[-1] == {"cut": "1"}


def test_only_the_job_whose_id_is_known_runs(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "true"})
    (tmp_path / f"jobs/{GROUP}.7.id").write_text("6\n")
    assert made.go()[0] == 0
    assert not made.element.exists()


def test_a_good_result_is_not_made_again_and_a_bad_one_set_aside(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": f"echo x >> {tmp_path}/ran; exit 1"})
    made.go()
    made.scripts["0"] = f"echo x >> {tmp_path}/ran"
    made.write()
    assert made.go(job="8")[0] == 0
    assert made.states() == {"0": "COMPLETED"}
    assert (made.element / "result.before-8_0.0.json").exists()
    assert made.go(job="9")[0] == 0
    assert (tmp_path / "ran").read_text() == "x\nx\n"


def source(tmp_path: Path, tasks: dict[str, Any]) -> None:
    """Write the result of element 0 of another group."""
    folder = tmp_path / "tasks/000-p/000/000000"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({"version": 1, "tasks": tasks}))


def hole(label: str) -> dict[str, Any]:
    return {"output": ["000-p", label, "o"], "element": 0}


def test_holes_are_filled_and_broken_sources_block_only_their_own_task(tmp_path: Path) -> None:
    made = World(tmp_path, {}, {}, {"0": hole("0"), "1": hole("1")})
    made.write()
    source(tmp_path, {"0": {"state": "COMPLETED", "outputs": {"o": "echo filled"}}, "1": {"state": "FAILED"}})
    code, said = made.go()
    assert (code, made.states()) == (0, {"0": "COMPLETED"})
    assert said == "beeflow: 1: not run: 000-p[1] FAILED\n"
    assert (tmp_path / made.result()["0"]["outputs"]["o"]["location"]).read_text() == "filled\n"


def test_a_result_that_shows_late_is_waited_for(tmp_path: Path) -> None:
    made = World(tmp_path, {}, {"fs_settle_s": 20.0}, {"0": hole("0")})
    made.write()
    program = made.start()
    time.sleep(1.5)
    source(tmp_path, {"0": {"state": "COMPLETED", "outputs": {"o": "true"}}})
    program.communicate(timeout=20)
    assert made.states() == {"0": "COMPLETED"}


def test_a_result_that_never_shows_leaves_the_element_without_one(tmp_path: Path) -> None:
    made = World(tmp_path, {"1": "true"}, {}, {"0": hole("0")})
    made.write()
    code, said = made.go()
    assert (code, (made.element / "result.json").exists()) == (1, False)
    assert "0: not run: no result of 000-p[0] after 0 s" in said


def test_all_tasks_together_wait_once_for_what_does_not_show(tmp_path: Path) -> None:
    made = World(tmp_path, {}, {"fs_settle_s": 2.0}, {str(number): hole(str(number)) for number in range(8)})
    made.write()
    began = time.monotonic()
    code, said = made.go()
    assert (code, said.count("no result of 000-p")) == (1, 8)
    assert time.monotonic() - began < 6
    log = [json.loads(line) for line in (made.element / "7_0.0/tasks.jsonl").read_text().splitlines()]
    assert log == [{"late": str(number)} for number in range(8)]


@pytest.mark.parametrize(
    ("text", "why"), [("{", "damaged: not JSON"), (None, "Is a directory"), ('{"version": 1}', "KeyError: 'tasks'")]
)
def test_what_cannot_be_read_fails_only_the_task_that_takes_it(tmp_path: Path, text: str | None, why: str) -> None:
    made = World(tmp_path, {"1": "true"}, {}, {"0": hole("0")})
    made.write()
    path = tmp_path / "tasks/000-p/000/000000/result.json"
    if text is None:
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert made.go() == (0, "")
    assert made.states() == {"0": "FAILED", "1": "COMPLETED"}
    reason = made.result()["0"]["reason"]
    assert reason.startswith("its inputs cannot be read: ")
    assert why in reason


@pytest.mark.parametrize("text", ["echo \0", "\0"])
def test_a_nul_in_a_word_of_the_command_is_told(tmp_path: Path, text: str) -> None:
    made = world(tmp_path, {"0": text, "1": "true"})
    assert made.go() == (0, "")
    assert made.states() == {"0": "FAILED", "1": "COMPLETED"}
    assert made.result()["0"]["reason"] == "word 3 of the command has a NUL character"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"env": {"A": "\x02'4s\x03"}}, "the environment variable 'A' has a NUL character"),
        ({"stdin": "\x02'4s\x03"}, "stdin 'x\\x00' has a NUL character"),
        ({"env": {"A=B": "x"}}, "sh: cannot be started: ValueError: illegal environment variable name"),
        ({"argv": []}, "the command has no words"),
    ],
)
def test_what_no_system_call_takes_is_told(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    made = world(tmp_path, {"0": "x\0"})
    command = {**COMMAND, "argv": ["sh", "-c", "true"], **changes}
    made.run["templates"] = {SHAPE: {"command": command, "ports": [PORT]}}
    made.write()
    assert made.go() == (1, "")
    assert made.result()["0"]["reason"] == why


def without_rights(argv: list[str]) -> list[str]:
    """Have root, too, obey the modes of files and folders."""
    if os.geteuid() != 0:
        return argv
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) takes root's rights away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *argv]


TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c]
stdout: said
inputs: {script: {type: string, inputBinding: {}}}
outputs: {o: {type: GLOB_TYPE, outputBinding: {glob: GLOB}}}
"""


def known_to_cwltool(made: World, kind: str, glob: str) -> None:
    """Give a hand-made workflow directory what cwltool needs, and an output of its one step."""
    document = made.root / "tool.cwl"
    document.write_text(TOOL.replace("GLOB_TYPE", kind).replace("GLOB", glob))
    graph = compiler.compile_graph(documents.load(str(document), made.root.parents[1] / "cache"))
    (made.root / "cwl").mkdir()
    (made.root / "cwl/graph.json").write_text(dumps_graph(graph))
    (step,) = graph.workflow.steps
    port = {**PORT, "type": kind, "classes": [kind], "globs": [glob]}
    templates = {SHAPE: {"command": COMMAND, "ports": [port]}}
    made.run.update(step=step.name, python_path=[str(PROGRAM.parents[2]), *sys.path], templates=templates)
    made.write()


@pytest.mark.parametrize(
    ("script", "kind", "glob"),
    [
        ("mkdir shut; echo x > shut/f; chmod 0 shut", "Directory", "shut"),
        ("mkdir shut; echo x > shut/f; chmod 0 shut", "File", "said"),
        ("mkdir -p a/b; chmod 0 a/b a .", "File", "said"),
        ("chmod 0 said", "File", "said"),
    ],
)
def test_what_a_command_shut_away_is_opened_and_left_to_cwltool(
    tmp_path: Path, script: str, kind: str, glob: str
) -> None:
    made = world(tmp_path / "w", {"0": f"echo a; {script}"})
    made.wrapper = without_rights
    known_to_cwltool(made, kind, glob)
    assert made.go() == (0, "")
    entry = made.result()["0"]["outputs"]["o"]
    assert (entry["class"], entry["basename"]) == (kind, glob)
    assert not any(path.stat().st_mode & 0o222 for path in made.element.glob("*/*/out/**/*") if path.is_file())


def test_outputs_that_cannot_be_collected_at_all_are_told(tmp_path: Path) -> None:
    made = world(tmp_path / "w", {"0": "rm -r ../out; echo", "1": "true"})
    known_to_cwltool(made, "File", "said")
    assert made.go() == (0, "")
    assert made.states() == {"0": "FAILED", "1": "COMPLETED"}
    reason = made.result()["0"]["reason"]
    assert reason.startswith("its outputs cannot be collected: [Errno 2] No such file or directory: ")


DEEP = "mkdir d e; cd d; for i in $(seq DEPTH); do mkdir a; cd a; done"


@pytest.mark.parametrize(("more", "depth"), [("", 1200), (", loadListing: deep_listing", 800)])
def test_outputs_that_are_nested_too_deep_are_told(deep: Path, more: str, depth: int) -> None:
    made = world(deep / "w", {"0": DEEP.replace("DEPTH", str(depth))})
    known_to_cwltool(made, "Directory", f"d{more}")
    if more:
        made.run["templates"] = {}
        made.write()
    assert made.go()[0] == 1
    reason = made.result()["0"]["reason"]
    assert f": d has folders nested {depth} deep, and some 900 can be (480 where loadListing" in reason
    assert "pack" in reason


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = world(tmp_path, {"0": "x"})
    made.run["templates"] = {SHAPE: {"command": {**COMMAND, "argv": ["no-such-program"]}, "ports": [PORT]}}
    made.write()
    assert made.go()[0] == 1
    assert made.result()["0"]["reason"] == "no-such-program: not found on node n1"


def test_the_program_imports_little() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(PROGRAM.parents[2])!r}); import beeflow.runner.main; print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True, capture_output=True, text=True).stdout
    heavy = {"re", "json", "typing", "enum", "contextlib", "pathlib", "subprocess", "dataclasses", "collections"}
    assert not heavy & set(said.split())


@pytest.mark.parametrize("files", [{"a.txt": "x"}, {"a.txt": "x", "b.txt": "y"}])
def test_patterns(tmp_path: Path, files: dict[str, str]) -> None:
    script = "; ".join(f"echo {text} > {name}" for name, text in files.items())
    made = world(tmp_path, {"0": script})
    port = {**PORT, "array": True, "globs": ["*.txt"]}
    made.run["templates"] = {SHAPE: {"command": COMMAND, "ports": [port]}}
    made.write()
    assert made.go()[0] == 0
    assert [entry["basename"] for entry in made.result()["0"]["outputs"]["o"]] == sorted(files)
