"""CWL requirements that reach into Slurm or into another task's files, on a real Slurm."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PrivateSlurm

pytestmark = pytest.mark.e2e

DOCUMENTS = Path(__file__).parent / "documents"


def run(slurm: PrivateSlurm, outdir: Path, document: str, *argv: str | Path, **kwargs: Any) -> dict[str, Any]:
    """Run a document to its end and return its output object."""
    done = slurm.bee("bee-cwl-runner", "--quiet", "--outdir", outdir, DOCUMENTS / document, *argv, **kwargs)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def text(entry: dict[str, Any]) -> str:
    """Read an output file."""
    return Path(entry["path"]).read_text()


def test_ranks_of_an_mpi_step_know_who_they_are_and_see_the_commands_environment(
    slurm: PrivateSlurm, tmp_path: Path
) -> None:
    made = run(slurm, tmp_path, "mpi.cwl", "--ranks", "1", "--ranks", "2")
    one, two = (sorted(text(entry).splitlines()) for entry in made["said"])
    assert [line.split(", /")[0] for line in one] == ["hello, ranks: 0 of 1, 2"]
    assert [line.split(", /")[0] for line in two] == ["hello, ranks: 0 of 2, 2", "hello, ranks: 1 of 2, 2"]
    assert all(line.endswith("/out") for line in (*one, *two))


def test_a_step_that_needs_gpus_is_refused_where_there_are_none(slurm: PrivateSlurm) -> None:
    done = slurm.bee("bee-submit", DOCUMENTS / "cuda.cwl", check=False)
    assert done.returncode == 77
    assert "step cuda" in done.stderr
    assert "2 GPUs (CUDARequirement)" in done.stderr


def sha1(text: str) -> str:
    return f"sha1${hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}"


def test_files_of_ours_are_updated_in_place_and_the_users_never(slurm: PrivateSlurm, tmp_path: Path) -> None:
    given, folder = tmp_path / "given.txt", tmp_path / "folder"
    given.write_text("given\n")
    folder.mkdir()
    (folder / "first").write_text("x")
    made = run(slurm, tmp_path / "out", "inplace.cwl", "--given", given, "--folder", folder)
    assert given.read_text() == "given\n"
    assert [path.name for path in folder.iterdir()] == ["first"]
    assert text(made["copied"]) == "given\nchanged\n"
    # The reader of what was there before came first, whatever else was ready.
    assert text(made["early"]) == "given\n"
    assert text(made["late"]) == "given\none\ntwo\n"
    for name in ("made", "added"):
        assert text(made[name]) == text(made["late"])
        assert (made[name]["checksum"], made[name]["size"]) == (sha1(text(made[name])), len(text(made[name])))
    for name in ("folder_copied", "folder_updated"):
        assert sorted(entry["basename"] for entry in made[name]["listing"]) == ["1", "2", "first"]
    for name in ("parts", "parts_updated"):
        assert [text(entry) for entry in made[name]] == ["a\nmore\n", "b\nmore\n"]


def test_two_steps_that_update_one_file_in_any_order_are_refused(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "two.cwl"
    document.write_text((DOCUMENTS / "inplace.cwl").read_text().replace("file: add/made", "file: make/made"))
    done = slurm.bee("bee-submit", document, "--given", document, "--folder", tmp_path, check=False)
    assert done.returncode == 65
    assert "steps add and again: both update one file in place" in done.stderr


def install_greeter(folder: Path) -> Path:
    """Make a program that is not on PATH, and a modulefile for it."""
    program = folder / "bin/greet"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho hello from a module\n")
    program.chmod(0o755)
    modulefile = folder / "modulefiles/greeter/2.0"
    modulefile.parent.mkdir(parents=True)
    modulefile.write_text(f"#%Module1.0\nprepend-path PATH {program.parent}\n")
    return modulefile.parent.parent


def init_of(kind: str, folder: Path, modulefiles: Path) -> Path:
    """Write what defines ``module``: the real one, or a shell function that does as much as is needed."""
    init = folder / "init.sh"
    real = next((path for path in map(Path, MODULES_INITS) if path.exists()), None)
    if kind == "fake":
        init.write_text(f'module() {{ [ "$1 $2" = "load greeter/2.0" ] && PATH="{folder}/bin:$PATH"; }}\n')
    elif real is None:
        pytest.skip("environment-modules is not installed")
    else:
        init.write_text(f". {real}\nmodule use {modulefiles}\n")
    return init


MODULES_INITS = ("/usr/share/modules/init/bash", "/usr/share/lmod/lmod/init/bash", "/etc/profile.d/modules.sh")


@pytest.mark.parametrize("kind", ["fake", "real"])
def test_required_software_is_loaded_as_a_module(slurm: PrivateSlurm, tmp_path: Path, kind: str) -> None:
    init = init_of(kind, tmp_path, install_greeter(tmp_path))
    done = slurm.bee("bee-submit", DOCUMENTS / "software.cwl", check=False)
    assert done.returncode == 33
    assert "requires the software greeter 2.0" in done.stderr
    conf = tmp_path / "bee.conf"
    conf.write_text(f"{slurm.bee_conf.read_text()}[modules]\ninit = {init}\ngreeter/2.0 = greeter/2.0\n")
    made = run(slurm, tmp_path / "out", "software.cwl", env={"BEE_CONFIG": str(conf)})
    assert text(made["said"]) == "hello from a module\n"


def restart(slurm: PrivateSlurm, name: str) -> None:
    """End one daemon and have it started again, with the slurm.conf as it is now."""
    daemons = {each["name"]: each for each in json.loads(slurm.bee("bee-slurm", "status", "--json").stdout)["daemons"]}
    os.kill(daemons[name]["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{daemons[name]['pid']}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    # A node without the GPUs that slurm.conf says it has is not ready.
    slurm.bee("bee-slurm", "up", "--force", check=False)


def test_a_step_gets_the_gpus_it_asks_for_and_is_told_which(empty_slurm: PrivateSlurm, tmp_path: Path) -> None:
    empty_slurm.bee("bee-slurm", "up", "--force", "--nodes", "2", "--cpus", "2")
    conf = empty_slurm.bee_workdir / "slurm/slurm.conf"
    with_gpus = re.sub(r"^(NodeName=.*)$", r"\1 Gres=gpu:2", conf.read_text(), flags=re.MULTILINE)
    conf.write_text(f"GresTypes=gpu\n{with_gpus}")
    # Any two devices will do: nothing here opens them.
    conf.with_name("gres.conf").write_text("Name=gpu File=/dev/null,/dev/zero\n")
    for name in ("slurmd-bee1", "slurmd-bee2", "slurmctld"):
        restart(empty_slurm, name)
    made = run(empty_slurm, tmp_path, "cuda.cwl")
    assert text(made["said"]) == "2 0,1\n"
