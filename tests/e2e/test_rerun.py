"""bee-rerun on a real Slurm: other inputs, files that moved, another user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e import users
from tests.e2e.conftest import PrivateSlurm
from tests.e2e.workflows import EXAMPLES, archive, directory, query, submit, tasks, wait_state
from tests.rerun.local import counting_document

pytestmark = pytest.mark.e2e


class Counting:
    """A workflow whose tasks say when they run, and its archive."""

    def __init__(self, slurm: PrivateSlurm, top: Path) -> None:
        self.slurm, self.top, self.ran = slurm, top, top / "ran"
        (top / "w.cwl").write_text(counting_document(self.ran))
        (top / "data.txt").write_text("one\ntwo\nthree\n")
        job = {"words": ["a", "b"], "data": {"class": "File", "path": "data.txt"}}
        (top / "job.json").write_text(json.dumps(job))
        self.id = submit(slurm, "--name", "counting", top / "w.cwl", top / "job.json")
        wait_state(slurm, self.id, "Archived")
        self.archive = archive(slurm, self.id)

    def rerun(self, *argv: str | Path, **kwargs: object) -> str:
        """Re-execute to the end; returns the new id. From here on it is counted what runs."""
        self.ran.unlink(missing_ok=True)
        done = self.slurm.bee("bee-rerun", "--wait", *argv, self.archive, **kwargs)
        return str(done.stdout).split("id is ")[1][:36]

    def counted(self) -> list[str]:
        """List what ran."""
        return sorted(self.ran.read_text().split()) if self.ran.exists() else []

    def made(self, found: str) -> str:
        """Read the output."""
        out = json.loads((directory(self.slurm, found) / "outputs.json").read_text())
        return (directory(self.slurm, found) / str(out["all"]["location"])).read_text()


@pytest.fixture(scope="module")
def counting(slurm: PrivateSlurm, tmp_path_factory: pytest.TempPathFactory) -> Counting:
    return Counting(slurm, tmp_path_factory.mktemp("counting"))


def test_with_other_inputs(counting: Counting, slurm: PrivateSlurm, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("1\n2\n")
    argv = ("--set", "words=[x, y, z]", "--set", "data=more.txt", "--set", "tail=2", "--time", "5", "--name", "other")
    found = counting.rerun(*argv, cwd=tmp_path)
    assert counting.made(found) == "made x\nmade y\nmade z\n1\n2\n"
    shown = query(slurm, found)
    assert (shown["name"], shown["parent"]) == ("other", counting.id)
    again = slurm.bee("bee-rerun", "--wait", "--set", "tail=1", found).stdout.split("id is ")[1][:36]
    assert counting.made(again) == "made x\nmade y\nmade z\n2\n"
    kept = directory(slurm, again) / "provenance"
    assert json.loads((kept / "workflow.json").read_text())["id"] == found
    assert json.loads((kept / "provenance/workflow.json").read_text())["id"] == counting.id


def test_a_part_of_it(counting: Counting, slurm: PrivateSlurm) -> None:
    found = counting.rerun("--from", "cut")
    assert counting.counted() == ["cut", "join"]
    assert counting.made(found) == "made a\nmade b\nthree\n"
    shown = tasks(slurm, found)
    kept = shown["each[0]"]
    assert (kept["state"], kept["reason"], kept["tries"], kept["job_id"]) == (
        "COMPLETED",
        f"taken from {counting.id}",
        0,
        None,
    )
    assert shown["join"]["tries"] == 1
    # What was taken is in the new archive, and can be taken again.
    counting.ran.unlink()
    again = slurm.bee("bee-rerun", "--wait", "--only", "cut", found).stdout.split("id is ")[1][:36]
    assert (counting.counted(), counting.made(again)) == (["cut"], "made a\nmade b\nthree\n")


def test_only_what_is_affected(counting: Counting, slurm: PrivateSlurm, tmp_path: Path) -> None:
    found = counting.rerun("--reuse")
    assert (counting.counted(), counting.made(found)) == ([], "made a\nmade b\nthree\n")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/data.txt").write_text("one\ntwo\nthree\n")
    argv = ("--reuse", "--set", "words=[b, c, a, b]", "--set", f"data={tmp_path}/copy/data.txt")
    found = counting.rerun(*argv)
    assert counting.counted() == ["each.c", "join"]
    assert counting.made(found) == "made b\nmade c\nmade a\nmade b\nthree\n"
    found = counting.rerun("--reuse", "--set", "tail=2")
    assert counting.counted() == ["cut", "join"]
    assert counting.made(found) == "made a\nmade b\ntwo\nthree\n"


def test_a_dry_run_writes_nothing_and_submits_nothing(counting: Counting, slurm: PrivateSlurm) -> None:
    def tree() -> list[tuple[str, int]]:
        found = [path for path in slurm.bee_workdir.rglob("*") if "slurm" not in path.parts[-3:] and path.is_file()]
        return sorted((str(path), path.stat().st_mtime_ns) for path in found if "/slurm/" not in str(path))

    before, jobs = tree(), slurm.slurm("squeue", "--noheader", "--states=all", "--format=%i")
    argv = ("--dry-run", "--reuse", "--set", "tail=3", "--partition")
    shown = slurm.bee("bee-rerun", *argv, "", counting.archive).stdout
    assert "step each: 2 taken from the archive" in shown
    assert "step cut: 1 run" in shown
    assert "sbatch for the driver: --time=" in shown
    refused = slurm.bee("bee-rerun", *argv, "nowhere", counting.archive, check=False)
    assert (refused.returncode, "step cut: 1 run" in refused.stdout) == (77, True)
    assert "invalid partition" in refused.stderr
    assert tree() == before
    assert slurm.slurm("squeue", "--noheader", "--states=all", "--format=%i") == jobs


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("--set", "tail=x"), 66, "not of type int\nits inputs are:\n  data: File\n  note: string?\n  tail: int?\n"),
        (("--set", "nothing=x"), 66, "the workflow has no input 'nothing'"),
        (("--only", "nothing"), 2, "not a step of the workflow; they are cut, each, join"),
        (("--map", "here=there"), 2, "write OLD=NEW"),
        (("--from", "cut", "--set", "words=[q]"), 66, "add --from each"),
        (("--partition", "nowhere"), 77, "Slurm would not take"),
        (("--wait", "--no-start"), 2, "--wait would wait for ever"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(
    counting: Counting, slurm: PrivateSlurm, argv: tuple[str, ...], code: int, says: str
) -> None:
    before = sorted(os.listdir(slurm.bee_workdir / "workflows"))
    refused = slurm.bee("bee-rerun", *argv, counting.archive, check=False)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(os.listdir(slurm.bee_workdir / "workflows")) == before


def test_what_was_taken_can_be_retried(counting: Counting, slurm: PrivateSlurm) -> None:
    found = counting.rerun("--from", "join")
    counting.ran.unlink()
    slurm.bee("bee-retry", "--from", "cut", found)
    wait_state(slurm, found, "Archived")
    assert (counting.counted(), counting.made(found)) == (["cut", "join"], "made a\nmade b\nthree\n")
    assert tasks(slurm, found)["each[0]"]["reason"] == f"taken from {counting.id}"


def test_an_image_that_is_only_named(slurm: PrivateSlurm, tmp_path: Path) -> None:
    if shutil.which("ch-run") is None:
        pytest.skip("not installed: ch-run; run etc/setup")
    images = tmp_path / "images"
    subprocess.run(["mkdir", "-p", images / "a/bin", images / "a/dev"], check=True)
    document = tmp_path / "contained.cwl"
    document.write_text(
        f"""
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {{beeflow: "https://github.com/lanl/BEE#"}}
requirements: {{DockerRequirement: {{beeflow:useContainer: {images}/a}}}}
baseCommand: /bin/true
inputs: []
outputs: []
"""
    )
    # It cannot run, having no program in it; what is looked at here is where it is looked for.
    found = submit(slurm, document)
    wait_state(slurm, found, "Archived/Failed")
    images.rename(tmp_path / "moved")
    refused = slurm.bee("bee-rerun", found, check=False)
    assert refused.returncode == 66
    assert f"{images}/a is not there" in refused.stderr
    assert "say where images are here with --map OLD=NEW" in refused.stderr
    made = slurm.bee("bee-rerun", "--no-start", "--map", f"{images}={tmp_path}/moved", found).stdout
    made = made.split("id is ")[1][:36]
    run = (directory(slurm, made) / "cwl/graph.json").read_text()
    assert (f"{images}/a" in run, f"{tmp_path}/moved/a" in run) == (False, True)
    slurm.bee("bee-cancel", "--yes", made)


def test_another_user_in_another_place(slurm: PrivateSlurm) -> None:
    users.require_users()
    found = submit(slurm, EXAMPLES / "diamond/diamond.cwl", EXAMPLES / "diamond/diamond.yml")
    wait_state(slurm, found, "Archived")
    with users.commands() as commands, users.throwaway_user(f"bee-r{os.getpid()}", commands) as bob:
        bob.bee("bee-slurm", "up", "--force", "--nodes", "1", "--cpus", "2")
        copy = bob.home / "copy.tgz"
        shutil.copyfile(archive(slurm, found), copy)
        shutil.chown(copy, bob.name)
        made = bob.bee("bee-rerun", "--wait", copy).stdout.split("id is ")[1][:36]
        root = directory(bob, made)
        places = (str(slurm.top), found, slurm.env["SLURM_CONF"])
        files = [path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] != "provenance"]
        leaking = [
            (str(path.relative_to(root)), place)
            for path in files
            for place in places
            if place.encode() in path.read_bytes()
        ]
        # Of what it is a re-execution is no secret.
        assert sorted(leaking) == [(name, found) for name in ("comparison.json", "state.json", "workflow.json")]
        assert {path.stat().st_uid for path in files} == {bob.uid}
        done = json.loads((root / "outputs.json").read_text())
        assert [each["basename"] for each in done.values()] == ["matches.tar.gz"]
