"""bee-client: the menu, its questions, and that nothing but the user ends it. What needs Slurm is tested end to end."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from beeflow import cli, config, submit
from beeflow.commands import client

Capture = pytest.CaptureFixture[str]
Answers = Callable[..., int]

MENU = """\
0) Submit Workflow
1) List Workflows
2) Start Workflow
3) Query Workflow
4) Pause Workflow
5) Resume Workflow
6) Cancel Workflow
7) Copy Workflow
8) ReExecute Workflow
9) Exit
$ """

TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs: {inputs}
outputs: []
"""


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Run the client in an empty bee_workdir, with these lines as standard input; returns the exit code."""
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {tmp_path}/bee\n")
    monkeypatch.setenv("BEE_CONFIG", str(conf))
    monkeypatch.delenv("SLURM_CONF", raising=False)

    def run(*lines: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return client.main([])

    return run


def write_tool(path: Path, inputs: str) -> Path:
    """Write a CWL tool with these inputs."""
    path.write_text(TOOL.replace("{inputs}", inputs))
    return path


def test_menu_is_the_originals_word_for_word(answers: Answers, capsys: Capture) -> None:
    assert answers("9") == 0
    assert capsys.readouterr().out == "Welcome to BEE Client! 🐝\n" + MENU


def test_end_of_input_leaves(answers: Answers, capsys: Capture) -> None:
    assert answers() == 0
    assert capsys.readouterr().out.endswith("9) Exit\n$ \n")


def test_end_of_input_at_a_question_leaves(answers: Answers, capsys: Capture) -> None:
    assert answers("3") == 0
    assert capsys.readouterr().out.endswith("What is the workflow id?\n$ \n")


@pytest.mark.parametrize("answer", ["x", "10", "-1", "", "1.5", "²"])
def test_an_answer_that_is_no_choice(answers: Answers, capsys: Capture, answer: str) -> None:
    assert answers(answer, "9") == 0
    told = capsys.readouterr()
    assert told.err == f"error: {answer!r} is not a number from 0 to 9\n"
    assert told.out.count(MENU) == 2


def test_list_prints_the_table_and_the_menu_again(answers: Answers, capsys: Capture) -> None:
    assert answers("1", "9") == 0
    told = capsys.readouterr().out
    assert told.count(MENU) == 2
    assert "Name    ID    Status" in told


@pytest.mark.parametrize("choice", ["2", "3", "4", "5", "6", "7"])
def test_an_unknown_id_is_an_error_and_the_menu_goes_on(answers: Answers, capsys: Capture, choice: str) -> None:
    assert answers(choice, "abc", "9") == 0
    told = capsys.readouterr()
    assert "What is the workflow id?\n$ 0) Submit Workflow" in told.out
    assert told.err.startswith("error: no workflow has an id that begins with 'abc'")


@pytest.mark.parametrize("choice", ["2", "3", "4", "5", "6", "7", "8"])
def test_no_answer_does_nothing(answers: Answers, capsys: Capture, choice: str) -> None:
    assert answers(choice, "", "9") == 0
    assert capsys.readouterr().err == "error: no answer, nothing done\n"


def test_submit_asks_name_then_path(answers: Answers, capsys: Capture, tmp_path: Path) -> None:
    assert answers("0", "timtest", str(tmp_path / "no.cwl"), "9") == 0
    told = capsys.readouterr()
    assert f"{MENU}What will be the name of the job?\n$ What is the workflow path?\n$ {MENU}" in told.out
    assert told.err == f"error: {tmp_path}/no.cwl: no such CWL document\n"


def test_submit_asks_for_inputs_when_one_must_be_given(answers: Answers, capsys: Capture, tmp_path: Path) -> None:
    tool = write_tool(tmp_path / "tool.cwl", "{text: string}")
    assert answers("0", "timtest", str(tool), str(tmp_path / "no.yml"), "9") == 0
    told = capsys.readouterr()
    assert f"What is the workflow path?\n$ What is the inputs path?\n$ {MENU}" in told.out
    assert "no.yml: no such file of inputs" in told.err
    assert not (tmp_path / "bee/workflows").exists()


def test_reexecute_asks_path_then_name(answers: Answers, capsys: Capture, tmp_path: Path) -> None:
    assert answers("8", str(tmp_path / "no.tgz"), "timtest2", "9") == 0
    told = capsys.readouterr()
    assert f"{MENU}What is the archive path?\n$ What will be the name of the job?\n$ {MENU}" in told.out
    assert told.err.startswith(f"error: {tmp_path}/no.tgz: no such archive; bee-list lists")


@pytest.mark.parametrize(
    ("inputs", "needed"),
    [
        ("[]", False),
        ("{a: string?}", False),
        ("{a: {type: string, default: x}}", False),
        ("{a: ['null', File]}", False),
        ("{a: string}", True),
        ("{a: string?, b: 'File[]'}", True),
        ("{a: [int, string]}", True),
    ],
)
def test_needs_inputs(tmp_path: Path, inputs: str, needed: bool) -> None:
    tool = write_tool(tmp_path / "tool.cwl", inputs)
    assert submit.needs_inputs(str(tool), config.Config(bee_workdir=tmp_path)) is needed


def test_a_wrong_bee_conf_is_an_error_and_the_menu_goes_on(answers: Answers, capsys: Capture) -> None:
    Path(os.environ["BEE_CONFIG"]).write_text("[DEFAULT]\nuse_archive = perhaps\n")
    assert answers("1", "9") == 0
    assert "not a boolean" in capsys.readouterr().err


class Interrupting(io.StringIO):
    """Standard input at which the user presses Ctrl-C where a line says so."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """Read a line."""
        line = super().readline(size)
        if line == "^C\n":
            raise KeyboardInterrupt
        return line


def test_interrupt_at_a_question_goes_back_to_the_menu(
    answers: Answers, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupting("3\n^C\n9\n"))
    assert client.main([]) == 0
    told = capsys.readouterr()
    assert told.out.count(MENU) == 2
    assert told.err == "error: Query Workflow: interrupted\n"


def test_interrupt_at_the_menu_leaves(answers: Answers, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Interrupting("^C\n"))
    assert cli.guarded(client.main, []) == 130


@pytest.mark.parametrize(
    ("env", "bee"),
    [({"PYTHONIOENCODING": "ascii"}, b"?"), ({"LC_ALL": "C"}, b""), ({"LC_ALL": "C.UTF-8"}, "🐝".encode())],
)
def test_any_terminal_encoding(env: dict[str, str], bee: bytes) -> None:
    done = run_program(b"\xff\n9\n", env)
    assert (done.returncode, done.stdout.startswith(b"Welcome to BEE Client! " + bee)) == (0, True)
    assert b"is not a number from 0 to 9" in done.stderr


def test_menu_does_not_pay_for_cwltool() -> None:
    code = "import sys; from beeflow.commands import client; client.main([]); sys.exit('cwltool' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], input=b"9\n", check=True, capture_output=True)


def run_program(stdin: bytes, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run the client as a program."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    argv = [sys.executable, "-m", "beeflow.commands.client"]
    return subprocess.run(argv, input=stdin, capture_output=True, check=False, timeout=60, env={**base, **env})


def test_real_interrupt_at_the_menu() -> None:
    argv = [sys.executable, "-u", "-m", "beeflow.commands.client"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        while program.stdout.readline().strip() != b"9) Exit":
            pass
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == 130
