"""Tools in containers: Charliecloud with an image of busybox that is made here."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from beeflow import codec
from beeflow.command import Command, ContainerSpec
from beeflow.runner.wrap import wrap
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.users import skip
from tests.e2e.workflows import archive, query, submit, tasks, wait_state

pytestmark = pytest.mark.e2e

IN_IMAGE = "only in the image"
NAMESPACES = "$namespaces: {beeflow: 'https://beeflow.example.org/ns#'}"
NEEDED = ("ch-run", "busybox")


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program. Charliecloud's need USER, and the system's Python (ch-image)."""
    env = {**os.environ, "USER": getpass.getuser(), "PATH": f"/usr/bin:{os.environ['PATH']}"}
    # ch-image keeps its storage in git, which wants to know who commits.
    env.update({f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")})
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=env, timeout=120)


def need(program: str) -> None:
    """Skip without a program that Debian packs with all of Docker (charliecloud-builders), or a small extra."""
    if shutil.which(program) is None:
        pytest.skip(f"not installed: {program}")


def make_image(root: Path) -> Path:
    """Make an image of a shell and little else, with the folders that ch-run binds to (ch-run(1))."""
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "ch"):
        (root / name).mkdir(parents=True)
    busybox = str(shutil.which("busybox"))
    shutil.copy(busybox, root / "bin/busybox")
    for applet in run(busybox, "--list").stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for name in ("passwd", "group", "hosts", "resolv.conf"):
        (root / "etc" / name).touch()
    (root / "sbin").symlink_to("bin")
    (root / "proof").write_text(f"{IN_IMAGE}\n")
    (root / "ch/environment").write_text("OF_THE_IMAGE=yes\n")
    return root


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the image once, and see that containers run here at all."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        skip(f"not installed: {', '.join(missing)}; run etc/setup test")
    made = make_image(tmp_path_factory.mktemp("image") / "box")
    tried = run("ch-run", made, "--", "/bin/true")
    if tried.returncode:
        pytest.skip(f"ch-run cannot run containers here: {tried.stderr.strip()}")
    return made


def prove(folder: Path, docker: str, field: str = "requirements") -> Path:
    """Write a tool that prints what only the image has; ``docker``: what its DockerRequirement says."""
    document = folder / "prove.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
{NAMESPACES}
class: CommandLineTool
{field}: {{DockerRequirement: {{{docker}}}}}
baseCommand: [sh, -c, 'cat /proof || echo no image']
inputs: []
outputs: {{o: stdout}}
stdout: said.txt
"""
    )
    return document


def outputs(slurm: PrivateSlurm, workflow_id: str) -> Path:
    """Return the folder of a workflow's outputs."""
    return slurm.bee_workdir / "workflows" / workflow_id / "outputs"


def only_task(slurm: PrivateSlurm, workflow_id: str) -> dict[str, Any]:
    """Return the task of a workflow that has one."""
    (found,) = tasks(slurm, workflow_id).values()
    return found


def wait_archived(slurm: PrivateSlurm, workflow_id: str) -> None:
    """Wait until a workflow has completed and is archived; say why when it failed."""
    if wait_state(slurm, workflow_id, "Archived", "Archived/Failed")["state"] != "Archived":
        pytest.fail(json.dumps(query(slurm, workflow_id)["tasks"], indent=1))


def sha256(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without_containers(slurm: PrivateSlurm, folder: Path) -> dict[str, str]:
    """Write a bee.conf that says to run no containers; returns the environment that names it."""
    conf = folder / "none.conf"
    conf.write_text(slurm.bee_conf.read_text() + "[container]\nruntime = none\n")
    return {"BEE_CONFIG": str(conf)}


FIRST = r"""
cat /proof; cat; cat made.txt; grep -c 'cat .proof' renamed.txt
printf '%s\n' "$VALUE" "$HOME" "$TMPDIR" "$OF_THE_IMAGE" "$(pwd)" "${SLURM_JOB_ID:-no SLURM_JOB_ID}"
touch "$TMPDIR/x" "$HOME/y" && [ -w writable.txt ] && echo more >> writable.txt
ln -s "$1" link.txt && mkdir sub && echo inner > sub/inner.txt
"""


def test_a_workflow_in_containers(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    given = tmp_path / "in put" / "given.txt"
    given.parent.mkdir()
    given.write_text("from outside\n")
    second = tmp_path / "second.txt"
    second.write_text("may be changed\n")
    script = tmp_path / "first.sh"
    script.write_text(FIRST)
    document = tmp_path / "two.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
{NAMESPACES}
class: Workflow
requirements: {{DockerRequirement: {{beeflow:useContainer: '{image}'}}}}
inputs: {{given: File, script: File, changed: File}}
outputs:
  said: {{type: File, outputSource: second/o}}
  link: {{type: File, outputSource: first/link}}
  sub: {{type: Directory, outputSource: first/sub}}
  writable: {{type: File, outputSource: first/writable}}
steps:
  first:
    in: {{given: given, script: script, changed: changed}}
    out: [o, link, sub, writable]
    run:
      class: CommandLineTool
      requirements:
        EnvVarRequirement: {{envDef: {{VALUE: "'$HOME:it''s' \\"$PATH\\" "}}}}
        InitialWorkDirRequirement:
          listing:
            - {{entryname: made.txt, entry: "made of the document\\n"}}
            - {{entryname: renamed.txt, entry: $(inputs.script)}}
            - {{entryname: writable.txt, entry: $(inputs.changed), writable: true}}
      baseCommand: [sh]
      inputs:
        script: {{type: File, inputBinding: {{position: 1}}}}
        given: {{type: File, inputBinding: {{position: 2}}}}
        changed: File
      stdin: $(inputs.given.path)
      stdout: first.txt
      outputs:
        o: stdout
        link: {{type: File, outputBinding: {{glob: link.txt}}}}
        sub: {{type: Directory, outputBinding: {{glob: sub}}}}
        writable: {{type: File, outputBinding: {{glob: writable.txt}}}}
  second:
    in: {{o: first/o}}
    out: [o]
    run:
      class: CommandLineTool
      baseCommand: [sh, -c, 'cat /proof "$0"']
      inputs: {{o: {{type: File, inputBinding: {{}}}}}}
      stdout: said.txt
      outputs: {{o: stdout}}
"""
    )
    found = submit(slurm, document, "--given", given, "--script", script, "--changed", second)
    wait_archived(slurm, found)
    made = outputs(slurm, found)
    assert (made / "said.txt").read_text().splitlines() == [
        IN_IMAGE,
        IN_IMAGE,
        "from outside",
        "made of the document",
        "1",
        "'$HOME:it''s' \"$PATH\" ",
        "/tmp/cwl/out",
        "/tmp/cwl/tmp",
        "yes",
        "/tmp/cwl/out",
        "no SLURM_JOB_ID",
    ]
    assert (made / "link.txt").read_text() == given.read_text() == "from outside\n"
    assert not (made / "link.txt").is_symlink()
    assert (made / "sub/inner.txt").read_text() == "inner\n"
    assert (made / "writable.txt").read_text() == "may be changed\nmore\n"
    assert second.read_text() == "may be changed\n"
    shown = tasks(slurm, found)
    assert {task["container_runtime"] for task in shown.values()} == {"Charliecloud"}
    (digest,) = {task["container_hash"] for task in shown.values()}
    assert len(digest) == 64
    with tarfile.open(archive(slurm, found)) as packed:
        kept = [packed.extractfile(each) for each in packed if "/metadata/" in each.name and each.isreg()]
        records = [record for stream in kept if stream for record in json.load(stream)]
    assert [(each["container_runtime"], each["container_hash"]) for each in records] == [("Charliecloud", digest)] * 2


def test_output_directory_path_and_folders(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    document = tmp_path / "tool.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
{NAMESPACES}
class: CommandLineTool
requirements:
  DockerRequirement: {{beeflow:useContainer: '{image}', dockerOutputDirectory: /tmp/elsewhere}}
  EnvVarRequirement: {{envDef: {{PATH: /bin}}}}
baseCommand: [sh, -c, 'pwd > o.txt; echo $PATH >> o.txt; ls "$0" >> o.txt; cp "$1" cwl.output.json']
inputs:
  folder: {{type: Directory, inputBinding: {{position: 1}}}}
  told: {{type: File, inputBinding: {{position: 2}}}}
outputs: {{o: File}}
"""
    )
    (tmp_path / "folder/inner").mkdir(parents=True)
    told = tmp_path / "told.json"
    told.write_text(json.dumps({"o": {"class": "File", "path": "/tmp/elsewhere/o.txt"}}))
    found = submit(slurm, document, "--folder", tmp_path / "folder", "--told", told)
    wait_archived(slurm, found)
    assert (outputs(slurm, found) / "o.txt").read_text().splitlines() == ["/tmp/elsewhere", "/bin", "inner"]


def test_srun_starts_every_rank_in_a_container_of_its_own(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    document = tmp_path / "ranks.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
$namespaces: {{beeflow: 'https://beeflow.example.org/ns#', cwltool: 'http://commonwl.org/cwltool#'}}
class: CommandLineTool
requirements:
  DockerRequirement: {{beeflow:useContainer: '{image}'}}
  cwltool:MPIRequirement: {{processes: 2}}
  EnvVarRequirement: {{envDef: {{VALUE: mine}}}}
baseCommand: [sh, -c, 'echo "$SLURM_PROCID of $SLURM_NTASKS: $(cat /proof), $VALUE, $HOME, $OF_THE_IMAGE, $USER"']
inputs: []
outputs: {{o: stdout}}
stdout: said.txt
"""
    )
    found = submit(slurm, document)
    wait_archived(slurm, found)
    said = sorted((outputs(slurm, found) / "said.txt").read_text().splitlines())
    assert said == [f"{rank} of 2: {IN_IMAGE}, mine, /tmp/cwl/out, yes, " for rank in (0, 1)]


def test_places_that_the_image_lacks(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.txt"
    given.write_text("given\n")
    other = tmp_path / "other.txt"
    other.write_text("other\n")
    document = tmp_path / "tool.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
{NAMESPACES}
class: CommandLineTool
requirements:
  DockerRequirement: {{beeflow:useContainer: '{image}', dockerOutputDirectory: /results/here}}
  InitialWorkDirRequirement:
    listing:
      - {{entryname: /data/in/given.txt, entry: $(inputs.given)}}
      - {{entryname: /etc/made.conf, entry: of the document}}
      - {{entryname: /tmp/data/other.txt, entry: $(inputs.other), writable: true}}
baseCommand: [sh, -c]
arguments:
  - cat /proof /data/in/given.txt /etc/made.conf > o.txt && echo more >> /tmp/data/other.txt
    && cat /tmp/data/other.txt >> o.txt && pwd >> o.txt && [ -e /etc/passwd ] && ! touch /data/new 2> /dev/null
inputs: {{given: File, other: File}}
outputs: {{o: {{type: File, outputBinding: {{glob: o.txt}}}}}}
"""
    )
    found = submit(slurm, document, "--given", given, "--other", other)
    wait_archived(slurm, found)
    assert (outputs(slurm, found) / "o.txt").read_text().split("\n") == [
        IN_IMAGE,
        "given",
        "of the documentother",
        "more",
        "/results/here",
        "",
    ]
    assert other.read_text() == "other\n"
    assert not (image / "data").exists()
    assert not (image / "etc/made.conf").exists()


@pytest.mark.parametrize(
    ("command", "says"), [("[-c, 'echo said']", "said"), ("[]", "by default")], ids=["entrypoint", "cmd"]
)
def test_the_entry_point_of_a_pulled_image(
    slurm: PrivateSlurm, image: Path, tmp_path: Path, command: str, says: str
) -> None:
    stored = tmp_path / "storage/img/box+1"
    shutil.copytree(image, stored, symlinks=True)
    config = {"config": {"Entrypoint": ["sh"], "Cmd": ["-c", "echo by default"]}}
    (stored / "ch/config.pulled.json").write_text(json.dumps(config))
    document = tmp_path / "tool.cwl"
    document.write_text(
        "{cwlVersion: v1.2, class: CommandLineTool, requirements: {DockerRequirement: {dockerPull: 'box:1'}},"
        f" baseCommand: {command}, inputs: [], outputs: {{o: stdout}}, stdout: o.txt}}"
    )
    found = submit(slurm, document, env={"CH_IMAGE_STORAGE": str(tmp_path / "storage")})
    wait_archived(slurm, found)
    assert (outputs(slurm, found) / "o.txt").read_text() == f"{says}\n"


def test_a_packed_image(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    packed = tmp_path / "box.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(image, "box")
    document = prove(tmp_path, f"beeflow:copyContainer: '{packed}'")
    for _ in range(2):
        found = submit(slurm, document)
        wait_archived(slurm, found)
        assert (outputs(slurm, found) / "said.txt").read_text() == f"{IN_IMAGE}\n"
        assert only_task(slurm, found)["container_hash"] == sha256(packed)
    # Unpacked once.
    assert [each.name for each in (slurm.bee_workdir / "images").iterdir()] == [sha256(packed)]


@pytest.mark.parametrize("has_environment", [True, False])
def test_a_squashfs_image(slurm: PrivateSlurm, image: Path, tmp_path: Path, has_environment: bool) -> None:
    need("mksquashfs")
    packed = tmp_path / "box.sqfs"
    without = () if has_environment else ("-e", "ch/environment")
    assert run("mksquashfs", image, packed, "-quiet", "-no-progress", *without).returncode == 0
    tried = run("ch-run", packed, "--", "/bin/true")
    found = submit(slurm, prove(tmp_path, f"beeflow:useContainer: '{packed}'"))
    ended = wait_state(slurm, found, "Archived", "Archived/Failed")
    task = only_task(slurm, found)
    assert task["container_hash"] == sha256(packed)
    if tried.returncode == 0:
        assert ended["state"] == "Archived", task
        assert (outputs(slurm, found) / "said.txt").read_text() == f"{IN_IMAGE}\n"
    else:  # no FUSE here, or a ch-run without SquashFS: its own words are shown
        assert "ch-run" in task["stderr_tail"][-1]


def test_an_image_in_the_storage_where_charliecloud_looks_by_itself(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a user that only ch-run believes in: the storage of the one who runs the tests is not ours to write to."""
    user = f"bee-test-{os.getpid()}"
    storage = Path(f"/var/tmp/{user}.ch")
    stored = shutil.copytree(image, storage / "img/box+1", symlinks=True)
    try:
        monkeypatch.setenv("USER", user)
        spec = ContainerSpec("Charliecloud", str(stored), {}, "/tmp")
        made = Command(("cat", "/proof"), {}, f"{tmp_path}/out", None, "/o", "/e", container=spec)
        command = codec.to_json(made)
        wrap(command, {})
        done = subprocess.run(command["argv"], check=False, capture_output=True, text=True, env=command["env"])
        assert (done.stdout, done.stderr) == (f"{IN_IMAGE}\n", "")
        del command["env"]["CH_IMAGE_STORAGE"]
        done = subprocess.run(command["argv"], check=False, capture_output=True, text=True, env=command["env"])
        assert "run by name" in done.stderr
    finally:
        shutil.rmtree(storage)


def test_an_image_in_charliecloud_s_storage(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    need("ch-image")
    storage = tmp_path / "storage"
    name = "registry.example.org:5000/tools/box:1.0"
    imported = run("ch-image", "--storage", storage, "import", image, name)
    assert imported.returncode == 0, imported.stderr
    document = prove(tmp_path, f"dockerPull: '{name}'")
    # Known at submit only: neither the jobs nor later commands need the variable.
    found = submit(slurm, document, env={"CH_IMAGE_STORAGE": str(storage)})
    wait_archived(slurm, found)
    assert (outputs(slurm, found) / "said.txt").read_text() == f"{IN_IMAGE}\n"


@pytest.mark.parametrize(
    ("docker", "code", "says"),
    [
        ("dockerPull: 'no/such:1'", 33, ("no/such:1", "ch-image pull no/such:1", "beeflow:useContainer")),
        ("beeflow:useContainer: /no/such.sqfs", 66, ("/no/such.sqfs", "not there", "absolute path")),
        ("beeflow:copyContainer: bee.conf", 66, ("bee.conf", "absolute path")),
    ],
    ids=["name", "path", "relative"],
)
def test_a_required_image_is_not_there(
    slurm: PrivateSlurm, image: Path, tmp_path: Path, docker: str, code: int, says: tuple[str, ...]
) -> None:
    before = sorted(slurm.bee_workdir.glob("workflows/*"))
    refused = slurm.bee("bee-submit", prove(tmp_path, docker), check=False)
    assert refused.returncode == code
    for word in says:
        assert word in refused.stderr
    assert sorted(slurm.bee_workdir.glob("workflows/*")) == before
    assert slurm.slurm("squeue", "--noheader") == ""


def test_a_broken_packed_image_leaves_nothing(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    packed = tmp_path / "box.tar.gz"
    packed.write_bytes(b"no image")
    refused = slurm.bee("bee-submit", prove(tmp_path, f"beeflow:copyContainer: '{packed}'"), check=False)
    assert refused.returncode == 66
    assert "cannot be unpacked" in refused.stderr
    assert not [each for each in slurm.bee_workdir.glob("images/*") if sha256(packed) in each.name]


def test_a_hint_of_an_absent_image_is_ignored(slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = submit(slurm, prove(tmp_path, "dockerPull: 'no/such:1'", "hints"))
    wait_archived(slurm, found)
    assert (outputs(slurm, found) / "said.txt").read_text() == "no image\n"
    assert only_task(slurm, found)["container_runtime"] is None


def test_no_containers_by_configuration(slurm: PrivateSlurm, image: Path, tmp_path: Path) -> None:
    env = without_containers(slurm, tmp_path)
    docker = f"beeflow:useContainer: '{image}'"
    refused = slurm.bee("bee-submit", prove(tmp_path, docker), check=False, env=env)
    assert refused.returncode == 33
    assert str(image) in refused.stderr
    # A hint is followed where it can be, also by a re-execution of a run that had the image.
    first = submit(slurm, prove(tmp_path, docker, "hints"))
    wait_archived(slurm, first)
    again = slurm.bee("bee-rerun", "--wait", first, env=env).stdout.split("id is ")[1][:36]
    said = [(outputs(slurm, found) / "said.txt").read_text() for found in (first, again)]
    assert said == [f"{IN_IMAGE}\n", "no image\n"]


@pytest.mark.parametrize(
    ("requirements", "command", "reason"),
    [
        ("InitialWorkDirRequirement: {listing: [{entryname: /tmp/x, entry: x}]}", "[ls]", "/tmp/x: use a folder"),
        ("InitialWorkDirRequirement: {listing: [{entryname: /sbin/x/y, entry: x}]}", "[ls]", "/sbin: a symbolic link"),
        ("ResourceRequirement: {coresMin: 1}", "[no-such-program]", "ended with exit code"),
    ],
    ids=["file-in-tmp", "file-through-a-link", "missing-program"],
)
def test_what_cannot_run_in_a_container(
    slurm: PrivateSlurm, image: Path, tmp_path: Path, requirements: str, command: str, reason: str
) -> None:
    document = tmp_path / "tool.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
{NAMESPACES}
class: CommandLineTool
requirements:
  DockerRequirement: {{beeflow:useContainer: '{image}'}}
  {requirements}
baseCommand: {command}
inputs: []
outputs: []
"""
    )
    found = submit(slurm, document)
    wait_state(slurm, found, "Archived/Failed")
    assert reason in only_task(slurm, found)["reason"]
    assert not Path("/sbin/x").exists()
