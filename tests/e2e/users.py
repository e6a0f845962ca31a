"""Throwaway users of this host, each with beeflow and a private Slurm of their own, and an sshd to reach them by."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, PrivateSlurm

NEEDED = ("sshd", "ssh", "ssh-keygen", "useradd", "userdel", "runuser")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INSTALL_S = 300.0
STOP_S = 15.0


@dataclass(frozen=True)
class OtherUser(PrivateSlurm):
    """A user of this host who has nothing configured. ``top`` is the home folder, ``bin`` where beeflow's commands are.

    Everything that `run` and `bee` start runs as this user.
    """

    name: str
    bin: Path

    @property
    def home(self) -> Path:
        """The home folder that /etc/passwd has."""
        return self.top

    @property
    def bee_workdir(self) -> Path:
        """The default."""
        return self.top / ".beeflow"

    @property
    def uid(self) -> int:
        """The user's number."""
        return pwd.getpwnam(self.name).pw_uid

    def argv(self, *argv: str | Path) -> list[str]:
        """Build the command line that runs a program as this user."""
        return as_user(self.name, *argv)

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        timeout_s: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user."""
        return super().run(*self.argv(*argv), check=check, env=env, cwd=cwd, stdin=stdin, timeout_s=timeout_s)

    def bee(self, command: str, *argv: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
        """Run a command of ours."""
        return self.run(self.bin / command, *argv, **kwargs)  # type: ignore[arg-type]

    def write(self, name: str, text: str) -> Path:
        """Write a file of the user's, which only the user may read."""
        path = self.home / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        for each in (path, path.parent):
            shutil.chown(each, self.name, self.name)
        return path

    def processes(self) -> list[int]:
        """List the processes of this user."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == self.uid and "State:\tZ" not in (folder / "status").read_text():
                    found.append(int(folder.name))
        return found


def as_user(name: str, *argv: str | Path) -> list[str]:
    """Build a command line. Not setpriv: that still has root's capabilities when it starts the program."""
    return ["runuser", "-u", name, "--", *map(str, argv)]


def skip(reason: str) -> None:
    """Skip, but where everything must be there (CI)."""
    if os.environ.get("BEE_E2E_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_users() -> None:
    """Skip where no users can be made."""
    missing = [program for program in NEEDED if shutil.which(program, path=SYSTEM_PATH) is None]
    if os.getuid() != 0:
        pytest.skip("making users needs root")
    if missing:
        skip(f"not installed: {', '.join(missing)}; run etc/setup test")


@contextlib.contextmanager
def commands() -> Iterator[Path]:
    """Give a folder with beeflow's commands that every user can run: of this Python, else of one made for the test."""
    own = Path(sys.executable).parent
    tried = subprocess.run(
        as_user("nobody", own / "python", "-c", "import beeflow.submit; print(*beeflow.__path__)"),
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": SYSTEM_PATH},
    )
    # An environment may have another checkout installed, or this one before it had all its commands.
    scripts = {path.name for path in (REPOSITORY / "bin").glob("bee-*")} - {"bee-demo"}
    if tried.stdout.strip() == str(REPOSITORY / "beeflow") and scripts <= set(os.listdir(own)):
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="bee-e2e-venv-") as folder:
        os.chmod(folder, 0o755)
        python = f"{folder}/venv/bin/python"
        for argv in (
            ["/usr/bin/python3", "-m", "venv", f"{folder}/venv"],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(REPOSITORY)],
        ):
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=INSTALL_S)
            if done.returncode:
                skip(f"no Python that other users can run: {done.stdout}{done.stderr}")
        yield Path(python).parent


@contextlib.contextmanager
def throwaway_user(name: str, commands: Path) -> Iterator[OtherUser]:
    """Make a user; at the end bring their Slurm down and remove them with all that is theirs."""
    # "*": no password, but not locked either, which sshd would take for no entry.
    subprocess.run(
        ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--password", "*", name], check=True
    )
    home = Path(pwd.getpwnam(name).pw_dir)
    user = OtherUser(
        home,
        {
            "PATH": f"{commands}:{SYSTEM_PATH}",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "USER": name,
            "LOGNAME": name,
            "SHELL": "/bin/bash",
        },
        name,
        commands,
    )
    try:
        yield user
        user.bee("bee-slurm", "down")
        assert wait_for_none(user) == [], f"{name} has processes that nobody ended"
    finally:
        user.bee("bee-slurm", "down", "--force", check=False)
        for pid in wait_for_none(user):
            os.kill(pid, signal.SIGKILL)
        wait_for_none(user)
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


def wait_for_none(user: OtherUser) -> list[int]:
    """Wait a while for a user's processes to end; returns those that have not."""
    deadline = time.monotonic() + STOP_S
    while (left := user.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Sshd:
    """An sshd on loopback. ``port`` leads to beeflow's commands; ``bare_port`` to a host that has none."""

    port: int
    bare_port: int
    host_key: str


@contextlib.contextmanager
def sshd(folder: Path, commands: Path) -> Iterator[Sshd]:
    """Run an sshd with a host key of its own."""
    key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    made = Sshd(free_port(), free_port(), key.with_suffix(".pub").read_text())
    config = folder / "sshd_config"
    config.write_text(
        f"""
ListenAddress 127.0.0.1:{made.port}
ListenAddress 127.0.0.1:{made.bare_port}
HostKey {key}
PidFile none
UsePAM no
PasswordAuthentication no
Match LocalPort {made.port}
  SetEnv PATH={commands}:/usr/bin:/bin
Match LocalPort {made.bare_port}
  SetEnv PATH=/usr/bin:/bin
"""
    )
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd(8) wants it; Debian's service makes it
    log = folder / "sshd.log"
    program = str(shutil.which("sshd", path=SYSTEM_PATH))
    with log.open("wb") as out:
        # sshd starts itself again for each connection: it wants its full path.
        daemon = subprocess.Popen([program, "-D", "-e", "-f", config], stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + STOP_S
        while "Server listening" not in log.read_text():
            assert daemon.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield made
    finally:
        daemon.terminate()
        daemon.wait(STOP_S)


def let_in(guest: OtherUser, host: OtherUser, by: Sshd) -> None:
    """Let ``guest`` log in as ``host``: as "other", "bare" (no beeflow there) and "gone" (nobody listens)."""
    key = guest.home / ".ssh/id_ed25519"
    guest.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", guest.write(".ssh/unused", "").with_name(key.name))
    host.write(".ssh/authorized_keys", key.with_suffix(".pub").read_text())
    guest.write(".ssh/known_hosts", f"other {by.host_key}")
    ports = {"other": by.port, "bare": by.bare_port, "gone": free_port()}
    guest.write(
        ".ssh/config",
        "".join(f"Host {name}\n  Port {port}\n" for name, port in ports.items())
        + f"Host *\n  HostName 127.0.0.1\n  User {host.name}\n  HostKeyAlias other\n  BatchMode yes\n",
    )
