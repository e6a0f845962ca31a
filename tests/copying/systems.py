"""Two systems in two folders, and an ssh that leads from one to the other and can misbehave."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import codec, store
from beeflow.archive import contents, packing
from beeflow.archive.description import FORMAT, Description
from beeflow.layout import DESCRIPTION, SIDECAR_SUFFIX, archive_name
from beeflow.models import Sidecar
from beeflow.states import WorkflowState

REPOSITORY = Path(__file__).resolve().parents[2]
CREATED = "2026-01-01T00:00:00.000+00:00"
# What "host" makes of the command: the word before a dash says it, after the dash is a number for it.
SSH = """\
#!/bin/sh
echo "$*" >>{top}/ssh.calls
[ "$1 $2" = "-T --" ] || exit 99
host=$3 run=$4
. {top}/remote.env
number=${{host#*-}}
case $host in
gone) echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255 ;;
key) printf 'Host key verification \\033[31mfailed.\\n' >&2; exit 255 ;;
banner) echo "Welcome"; echo "[maintenance]"; echo "["; echo "beeflow-copy soon"
    printf "no end"; exec sh -c "$run" ;;
bare) PATH=/usr/bin:/bin; exec sh -c "$run" ;;
old) echo "bee-copy: error: the following arguments are required: ID" >&2; exit 2 ;;
script-*) exec sh {top}/$number ;;
slow-*) sh -c "$run" | {relay} 0 $number ;;
small-*) ulimit -f $number; exec sh -c "$run" ;;
getcut-*) sh -c "$run" | {relay} $number; exit 255 ;;
putcut-*) {relay} $number | sh -c "$run"; exit 255 ;;
stall-*) sh -c "$run" | {{ {relay} $number; sleep 60; }} ;;
*) exec sh -c "$run" ;;
esac
"""
# Not head, which keeps what it has not yet a block of.
RELAY = """\
import os, sys, time
left = int(sys.argv[1]) or 1 << 60
while left and (data := os.read(0, min(left, 65536))):
    left -= os.write(1, data)
    time.sleep(int(sys.argv[2]) / 1e4 if sys.argv[2:] else 0)
"""


@dataclass(frozen=True)
class System:
    """A home, a bee.conf and a bee_workdir, with the commands of beeflow on PATH."""

    top: Path
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def archives(self) -> Path:
        return self.top / "bee/archives"

    @property
    def workflows(self) -> Path:
        return self.top / "bee/workflows"

    def argv(self, command: str, *argv: str | Path) -> list[str]:
        module = "beeflow.commands." + command.removeprefix("bee-").replace("-", "_")
        return [sys.executable, "-m", module, *map(str, argv)]

    def bee(self, command: str, *argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of ours here."""
        return subprocess.run(
            self.argv(command, *argv),
            capture_output=True,
            check=False,
            cwd=cwd or self.top / "home",
            env=self.env,
            text=True,
            timeout=60,
        )

    def make(self, size: int = 1000, number: int = 1, name: str = "theirs") -> Path:
        """Make an archive of about this size, with what is beside it."""
        return make_archive(self.top, self.archives, os.urandom(size), number, name)

    def archived(self) -> set[str]:
        """Name everything in the archive folder."""
        return set(os.listdir(self.archives))


def make_archive(top: Path, folder: Path, data: bytes, number: int = 1, name: str = "theirs") -> Path:
    """Make an archive with some data in it, with what is beside it; ``top``: for what it is made of."""
    workflow_id = str(uuid.uuid4())
    tree = top / f"tree-{workflow_id}"
    tree.mkdir()
    (tree / "data").write_bytes(data)
    (tree / DESCRIPTION).write_text(codec.dumps(describe(workflow_id, number, name)))
    packed = packing.pack(workflow_id, contents.tree(tree)[0], folder, archive_name(workflow_id, number))
    sidecar = Sidecar(workflow_id, name, WorkflowState.ARCHIVED, CREATED, CREATED, packed.sha256, packed.size, user="u")
    store.write_record(packed.path.with_suffix(SIDECAR_SUFFIX), sidecar)
    return packed.path


def describe(workflow_id: str, number: int = 1, name: str = "theirs") -> Description:
    return Description(
        format=FORMAT,
        id=workflow_id,
        name=name,
        state=WorkflowState.ARCHIVED,
        created=CREATED,
        archived=CREATED,
        user="u",
        host="h",
        cluster="c",
        slurm_version="22.05.8",
        beeflow_version="0",
        document="/d.cwl",
        number=number,
    )


@dataclass(frozen=True)
class Systems:
    """Where the user is, and the system that ssh leads to."""

    here: System
    there: System

    @property
    def calls(self) -> list[str]:
        """How ssh was called."""
        path = self.here.top / "ssh.calls"
        return path.read_text().splitlines() if path.exists() else []

    def script(self, text: str) -> str:
        """Have something else than beeflow answer; returns the host to name."""
        (self.here.top / "answer").write_text(text)
        return "script-answer"


def make_systems(top: Path) -> Systems:
    """Lay out two systems."""
    commands = top / "commands"
    commands.mkdir()
    for name in ("copy", "list"):
        program = commands / f"bee-{name}"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m beeflow.commands.{name} "$@"\n')
        program.chmod(0o755)
    here, there = (make_system(top / name, commands) for name in ("here", "there"))
    (here.top / "remote.env").write_text("".join(f"export {key}='{value}'\n" for key, value in there.env.items()))
    ssh = here.top / "bin/ssh"
    (here.top / "relay.py").write_text(RELAY)
    ssh.write_text(SSH.format(top=here.top, relay=f"{sys.executable} {here.top}/relay.py"))
    ssh.chmod(0o755)
    return Systems(here, there)


def make_system(top: Path, commands: Path) -> System:
    """Lay out one."""
    system = System(
        top,
        {
            "BEE_CONFIG": str(top / "bee.conf"),
            "HOME": str(top / "home"),
            "LANG": "C.UTF-8",
            "PATH": f"{top}/bin:{commands}:/usr/bin:/bin",
            "PYTHONPATH": str(REPOSITORY),
        },
    )
    for folder in (top / "bin", top / "home", system.workflows, system.archives):
        folder.mkdir(parents=True)
    (top / "bee").chmod(0o700)
    (top / "bee.conf").write_text(f"[DEFAULT]\nbee_workdir = {top}/bee\n")
    return system
