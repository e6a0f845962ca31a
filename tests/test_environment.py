"""What of an environment goes on to Slurm's programs and to our jobs."""

from __future__ import annotations

from beeflow.environment import inherited
from beeflow.scheduler.target import Target, environment

OF_A_JOB = {"SLURM_JOB_ID": "7", "SLURM_CONF": "/other", "SBATCH_PARTITION": "x", "SLURM_CPUS_PER_TASK": "9"}
OF_A_USER = {"HOME": "/h", "PATH": "/bin", "LD_LIBRARY_PATH": "/l", "OMP_NUM_THREADS": "4", "TOKEN": "secret"}


def test_patterns_are_names_or_how_names_begin() -> None:
    given = {"A": "1", "AB": "2", "B": "3"}
    assert inherited(["A"], given) == {"A": "1"}
    assert inherited(iter(["A*", "C"]), given) == {"A": "1", "AB": "2"}
    assert inherited([], given) == {}


def test_nothing_of_an_enclosing_job_gets_into_a_job_of_ours() -> None:
    made = environment(Target("/ours", "", "a test", ("LD_LIBRARY_PATH", "OMP_*")), {**OF_A_JOB, **OF_A_USER})
    assert made.pop("USER")
    assert made.pop("LOGNAME")
    assert made == {
        "HOME": "/h",
        "PATH": "/bin",
        "LD_LIBRARY_PATH": "/l",
        "OMP_NUM_THREADS": "4",
        "SLURM_CONF": "/ours",
        "SLURM_TIME_FORMAT": "%s",
        "SLURM_BITSTR_LEN": "0",
    }
