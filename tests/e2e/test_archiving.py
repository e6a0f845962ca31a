"""Archives as a user meets them: by hand at any time, with nothing in them that is secret, while others are at it."""

from __future__ import annotations

import json
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import SLEEP_THEN_CAT, directory, submit, wait_state, wait_task

pytestmark = pytest.mark.e2e

# In no name, so that only a leaked value has it.
SENTINEL = "S3nt1nelV4lue"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": f"{SENTINEL}1",
    "GITHUB_TOKEN": f"ghp_{SENTINEL}2",
    "DB_PASSWORD": f"{SENTINEL}3",
    "SSH_AUTH_SOCK": f"/tmp/{SENTINEL}4",
    "SOME_VARIABLE": f"{SENTINEL}5",
    "SLURM_JWT": f"{SENTINEL}6",
    "HTTPS_PROXY": f"http://me:{SENTINEL}7@proxy:3128",
    "SITE_LICENSE": f"{SENTINEL}8",
    "LOADEDMODULES": "gcc/12.2:openmpi/4.1",
}
TOKEN = f"ghp_{SENTINEL}ABCDEFGHIJKLMNOPQRSTUVW"
LEAKY = """
cwlVersion: v1.2
class: Workflow
inputs: {pw: string}
outputs: {o: {type: File, outputSource: good/o}, seen: {type: File, outputSource: ps/o}}
steps:
  # What anybody sees of it and of what started it, up to slurmstepd.
  ps:
    in: {}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand:
        - sh
        - -c
        - 'p=$$; while [ "$p" -gt 1 ]; do ps -ww -o args= -p "$p"; p=$(ps -o ppid= -p "$p" | tr -d " "); done'
      inputs: []
      outputs: {o: stdout}
  good:
    in: {}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'test -n "$SITE_LICENSE" && echo fine']
      inputs: []
      outputs: {o: stdout}
  bad:
    in: {pw: pw}
    out: []
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'ps -e -o args >/dev/null; exit 3', sh]
      inputs: {pw: {type: string, inputBinding: {}}}
      outputs: []
"""


def members(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as tar:
        for info in tar:
            stream = tar.extractfile(info)
            found[info.name.partition("/")[2]] = stream.read() if stream else b""
    return found


def test_nothing_secret_gets_into_an_archive(slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "leaky.cwl").write_text(LEAKY)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519").write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SENTINEL}\n")
    (home / ".netrc").write_text(f"machine x password {SENTINEL}\n")
    conf = tmp_path / "bee.conf"
    conf.write_text(
        slurm.bee_conf.read_text()
        + f"\n# {SENTINEL}\n[slurm]\ntask_options = --comment=token={SENTINEL}\n"
        + "[task]\npreserve_environment = SITE_LICENSE, DB_PASSWORD\n"
    )
    name = f"run --password {SENTINEL}"
    env = {**SECRETS, "HOME": str(home), "BEE_CONFIG": str(conf)}
    made = submit(slurm, "--name", name, tmp_path / "leaky.cwl", "--pw", TOKEN, env=env)
    wait_state(slurm, made, "Archived/Failed")
    path = (slurm.bee_workdir / "archives") / f"{made}.tgz"
    found = members(path)
    leaked = {name for name, data in found.items() if SENTINEL.encode() in data or SENTINEL in name}
    # What is an input is in the input object, as bee-submit warns, and nowhere else.
    assert leaked == {"job.json"}
    assert found["job.json"].count(SENTINEL.encode()) == 1
    assert b"token=***" in found["workflow.json"]
    for beside in (slurm.bee_workdir / "archives").glob(f"{made}*"):
        assert SENTINEL.encode() not in beside.read_bytes()
    seen = json.loads(found["environment.json"])
    assert seen["loaded_modules"] == ["gcc/12.2", "openmpi/4.1"]
    assert seen["nodes"]
    says = json.loads(found["bee-archive.json"])
    assert (says["state"], says["made_by"], says["id"]) == ("Failed", "epilog", made)
    assert says["name"] == "run --password ***"
    (seen,) = (data for name, data in found.items() if name.startswith("outputs/") and b"beeflow" in data)
    assert b"slurmstepd" in seen
    # By hand nothing more of it gets in, either.
    again = Path(slurm.bee("bee-archive", made, env={**SECRETS, "BEE_CONFIG": str(conf)}).stdout.strip())
    assert again.name == f"{made}.v2.tgz"
    assert [name for name, data in members(again).items() if SENTINEL.encode() in data] == ["job.json"]


def test_a_running_workflow_is_archived_by_hand_and_goes_on(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "a")).replace("default: 3", "default: 8"))
    made = submit(slurm, document)
    wait_task(slurm, made, "a", "RUNNING")
    snapshot = Path(slurm.bee("bee-archive", made).stdout.strip())
    assert snapshot.name == f"{made}.tgz"
    says = json.loads(members(snapshot)["bee-archive.json"])
    assert (says["state"], says["made_by"]) == ("Running", "bee-archive")
    refused = slurm.bee("bee-copy", made, tmp_path, check=False)
    assert refused.returncode == 4
    assert f"made by hand: {snapshot}" in refused.stderr
    wait_state(slurm, made, "Archived")
    # The epilog takes no archive of a moment for its own, and its own counts.
    state = json.loads((directory(slurm, made) / "state.json").read_text())
    assert Path(state["archive"]).name == f"{made}.v2.tgz"
    slurm.bee("bee-copy", made, tmp_path)
    assert (tmp_path / f"{made}.v2.tgz").is_file()
    # A moment can be run from, too.
    again = slurm.bee("bee-rerun", "--wait", snapshot)
    assert "Archived" in again.stdout


def test_archiving_while_others_clean_run_again_and_archive(slurm: PrivateSlurm, tmp_path: Path) -> None:
    document = tmp_path / "sleep.cwl"
    document.write_text(SLEEP_THEN_CAT.replace("MARKER", str(tmp_path / "a")).replace("default: 3", "default: 0"))
    made = submit(slurm, document)
    wait_state(slurm, made, "Archived")
    noise = directory(slurm, made) / "outputs/noise"
    subprocess.run(["dd", "if=/dev/urandom", f"of={noise}", "bs=1M", "count=30"], check=True, capture_output=True)
    done: dict[str, subprocess.CompletedProcess[str]] = {}

    def start(name: str, *argv: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: done.update({name: slurm.bee(*argv, check=False)}))
        thread.start()
        return thread

    threads = [start("archive", "bee-archive", made), start("rerun", "bee-rerun", "--no-start", made)]
    time.sleep(0.3)
    threads += [start("again", "bee-archive", made), start("clean", "bee-clean", "--older-than", "0d")]
    for thread in threads:
        thread.join()
    # Whoever comes after bee-clean finds the directory gone, and says so; nobody leaves half an archive.
    for name in ("archive", "again"):
        said = done[name]
        assert (
            said.returncode == 0
            or "removed" in said.stderr
            or "only its archive is left" in said.stderr
            or ("held by" in said.stderr)
        ), said
    assert done["rerun"].returncode == 0, done["rerun"]
    assert done["clean"].returncode == 0, done["clean"]
    for path in (slurm.bee_workdir / "archives").glob(f"{made}*.tgz"):
        assert slurm.bee("bee-verify", path).returncode == 0
    assert not list((slurm.bee_workdir / "archives").glob(f".{made}*.part"))
