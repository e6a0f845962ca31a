"""What stands before a command: srun, ch-run, and what it may see of the job's environment."""

from __future__ import annotations

from dataclasses import replace

from beeflow import launch
from beeflow.command import Command, ContainerSpec

COMMAND = Command(
    argv=("solve", "x"), env={"HOME": "/w/out", "A": "mine"}, workdir="/w/out", stdin=None, stdout="/o", stderr="/e"
)
JOB = {"SLURM_JOB_ID": "7", "PMI_FD": "3", "CUDA_VISIBLE_DEVICES": "1", "A": "the job's", "SECRET": "x"}
SRUN = ("srun", "--ntasks=2")
MPI = replace(COMMAND, launcher=SRUN, inherit=("SLURM*", "PMI*"))


def test_a_plain_command_sees_nothing_of_the_job() -> None:
    assert launch.wrap(COMMAND, JOB) == (("solve", "x"), COMMAND.env)


def test_a_launcher_comes_first_and_brings_slurms_environment() -> None:
    argv, env = launch.wrap(MPI, JOB)
    assert argv == (*SRUN, "solve", "x")
    assert env == {"HOME": "/w/out", "A": "mine", "SLURM_JOB_ID": "7", "PMI_FD": "3"}


def test_a_commands_own_variable_comes_before_the_jobs() -> None:
    assert launch.wrap(replace(COMMAND, inherit=("A",)), JOB)[1]["A"] == "mine"


def test_srun_starts_the_container_and_the_container_lets_ranks_know_who_they_are() -> None:
    argv, env = launch.wrap(replace(MPI, container=ContainerSpec("Charliecloud", "/image", {}, "/tmp/cwl/out")), JOB)
    assert argv[:3] == (*SRUN, "ch-run")
    assert argv[-4:] == ("/image", "--", "solve", "x")
    assert "--unset-env=!(SLURM*|PMI*)" in argv
    assert "--unset-env=*" not in argv
    assert (env["SLURM_JOB_ID"], env["PMI_FD"]) == ("7", "3")
    assert "SECRET" not in env
