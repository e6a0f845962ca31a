"""What stands before a command: srun, ch-run, and what it may see of the job's environment."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from beeflow import codec
from beeflow.command import Command, ContainerSpec
from beeflow.runner.wrap import EXIT_NOT_LOADED, wrap

COMMAND = Command(
    argv=("solve", "x"), env={"HOME": "/w/out", "A": "mine"}, workdir="/w/out", stdin=None, stdout="/o", stderr="/e"
)
JOB = {"SLURM_JOB_ID": "7", "PMI_FD": "3", "CUDA_VISIBLE_DEVICES": "1", "A": "the job's", "SECRET": "x"}
SRUN = ("srun", "--ntasks=2")
MPI = replace(COMMAND, launcher=SRUN, inherit=("SLURM*", "PMI*"))


def wrapped(command: Command, environ: dict[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Wrap a command; returns its words and environment."""
    made = codec.to_json(command)
    wrap(made, environ)
    return tuple(made["argv"]), made["env"]


def test_a_plain_command_sees_nothing_of_the_job() -> None:
    assert wrapped(COMMAND, JOB) == (("solve", "x"), COMMAND.env)


def test_a_launcher_comes_first_and_brings_slurms_environment() -> None:
    argv, env = wrapped(MPI, JOB)
    assert argv == (*SRUN, "solve", "x")
    assert env == {"HOME": "/w/out", "A": "mine", "SLURM_JOB_ID": "7", "PMI_FD": "3"}


def test_a_commands_own_variable_comes_before_the_jobs() -> None:
    assert wrapped(replace(COMMAND, inherit=("A",)), JOB)[1]["A"] == "mine"


def test_srun_starts_the_container_and_the_container_lets_ranks_know_who_they_are() -> None:
    argv, env = wrapped(replace(MPI, container=ContainerSpec("Charliecloud", "/image", {}, "/tmp/cwl/out")), JOB)
    assert argv[:3] == (*SRUN, "ch-run")
    assert argv[-4:] == ("/image", "--", "solve", "x")
    assert "--unset-env=!(SLURM*|PMI*)" in argv
    assert "--unset-env=*" not in argv
    assert (env["SLURM_JOB_ID"], env["PMI_FD"]) == ("7", "3")
    assert "SECRET" not in env


# -- modules --------------------------------------------------------------------------------------------------------

INIT = """
echo "$# words" for the sites own file
module() {
  echo loading "$@"
  [ "$2" = good ] && PATH=/of/the/module:$PATH && export GREETING=hello
}
"""


def started(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    """Start a command that prints what it got."""
    init = folder / "site's init.sh"
    init.write_text(INIT)
    words = ("sh", "-c", 'echo "$GREETING,$1,$PATH"', "sh", "a 'word'")
    command = replace(COMMAND, argv=words, env={"PATH": "/usr/bin:/bin"}, modules=modules, modules_init=str(init))
    argv, env = wrapped(command, {})
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=env, timeout=30)


def test_modules_are_loaded_before_the_command_and_say_nothing_in_its_name(tmp_path: Path) -> None:
    done = started(tmp_path, "good", "it's")
    assert done.stdout == "hello,a 'word',/of/the/module:/usr/bin:/bin\n"
    assert done.stderr == "0 words for the sites own file\nloading load good it's\n"
    assert done.returncode == 0


def test_a_module_that_cannot_be_loaded_ends_the_task(tmp_path: Path) -> None:
    done = started(tmp_path, "bad")
    assert (done.returncode, done.stdout) == (EXIT_NOT_LOADED, "")
    assert "beeflow: module load bad: failed" in done.stderr


def test_modules_come_before_srun() -> None:
    argv, _ = wrapped(replace(MPI, modules=("x",), modules_init="/init"), JOB)
    assert argv[0] == "/bin/bash"
    assert argv[-4:] == (*SRUN, "solve", "x")
