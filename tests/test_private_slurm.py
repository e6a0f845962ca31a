"""bee-slurm without a Slurm: rendering, ports, pids, messages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beeflow import private_slurm, process, procs, resources
from beeflow.commands import slurm as command
from beeflow.config import Config
from beeflow.errors import ConfigError, SlurmError, SystemFileError, UsageError
from beeflow.private_slurm import address, cluster, daemons, paths, ports, record, steps
from beeflow.private_slurm import config as shapes
from beeflow.private_slurm.address import Address
from beeflow.private_slurm.config import Asked, Shape
from beeflow.private_slurm.paths import Paths
from beeflow.private_slurm.record import Record, Running


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the test."""
    child = subprocess.Popen(["sleep", "100"])
    # Between fork and exec /proc still shows our own command line.
    while procs.read_argv(child.pid) != ("sleep", "100"):
        time.sleep(0.01)
    yield child
    child.kill()
    child.wait()


def running(pid: int, name: str = "slurmctld", argv: tuple[str, ...] = ("sleep", "100")) -> Running:
    found = procs.read(pid)
    assert found is not None
    return Running(name, pid, found.start_ticks, argv, Path("/nowhere.log"))


def make_record(tmp_path: Path, *found: Running) -> Record:
    return Record(tmp_path / "run", Asked(nodes=2), Shape(2, 4, 1000), (20001, 20002, 20003), (), found)


# Rendering


def render(tmp_path: Path, where: Address) -> dict[str, str]:
    shapes.write(
        Shape(2, 4, 1000), Paths(tmp_path, tmp_path / "run"), where, (20001, 20002, 20003), "slurm-wlm 22.05.8"
    )
    return {path.name: path.read_text() for path in tmp_path.glob("*.conf")}


def test_slurm_conf_names_ports_nodes_and_memory(tmp_path: Path) -> None:
    text = render(tmp_path, Address("127.0.0.1"))["slurm.conf"]
    assert "\nSlurmctldPort=20001\n" in text
    assert "\nDefMemPerCPU=250\n" in text
    assert f'\nStateSaveLocation="{tmp_path}/state"\n' in text
    assert f"\nAuthInfo=socket={tmp_path}/run/munge.socket,cred_expire=5\n" in text
    assert "\nCommunicationParameters=NoInAddrAny,NoCtldInAddrAny\n" in text
    assert (
        "NodeName=bee2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=20003 CPUs=4 Sockets=1 CoresPerSocket=4"
        " ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN\n"
    ) in text
    assert "$" not in text


def test_daemons_under_another_name_have_a_conf_of_their_own(tmp_path: Path) -> None:
    texts = render(tmp_path, Address("127.0.0.1", prefix=("rename",)))
    assert "NoInAddrAny" not in texts["slurm.conf"]
    assert "NoInAddrAny" in texts["daemons.conf"]
    made = daemons.list_daemons(daemons.locate(), Paths(tmp_path, tmp_path / "run"), ["bee1"], ("rename",))
    assert [daemon.prefix for daemon in made] == [(), ("rename",), ("rename",)]
    assert made[1].argv[1:] == ("-f", str(tmp_path / "daemons.conf"))


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("slurm-wlm 20.11.9", ""),
        ("slurm-wlm 22.05.8", "CgroupPlugin=cgroup/v1\n"),
        ("slurm 23.11.4", "CgroupPlugin=cgroup/v1\n"),
        ("slurm-wlm 24.11.5", "CgroupPlugin=disabled\n"),
        ("", ""),
    ],
)
def test_cgroup_conf_fits_the_version(version: str, text: str) -> None:
    assert shapes.render_cgroup(version) == text


def test_shape_is_chosen_where_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "host_memory_mib", lambda: 9000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert shapes.choose_shape(Asked()) == Shape(2, 2, 4500)
    assert shapes.choose_shape(Asked(nodes=3, cpus=64)) == Shape(3, 64, 3000)
    assert shapes.choose_shape(Asked(memory_mib=100)).memory_mib == 100


@pytest.mark.parametrize("asked", [Asked(nodes=0), Asked(nodes=-1), Asked(cpus=0), Asked(memory_mib=1)])
def test_senseless_shapes_are_refused(asked: Asked) -> None:
    with pytest.raises(UsageError, match="choose from"):
        shapes.choose_shape(asked)


def test_wishes_count_for_later_ups() -> None:
    assert Asked(cpus=3).over(Asked(nodes=4, cpus=8)) == Asked(nodes=4, cpus=3)
    kept = Asked(settings=("MaxArraySize=11",))
    assert Asked.from_json(Asked().over(kept).to_json()) == kept


def test_settings_take_the_place_of_lines_of_slurm_conf() -> None:
    text = "MaxArraySize=10001\nNodeName=a\n"
    assert (
        shapes.with_settings(text, ["maxarraysize=11", "MinJobAge=2"]) == "maxarraysize=11\nNodeName=a\nMinJobAge=2\n"
    )
    assert shapes.with_settings(text, ["MaxArraySize=", "MinJobAge="]) == "NodeName=a\n"


@pytest.mark.parametrize("word", ["MaxArraySize", "=1", "A B=1", "A=1\nB=2", "NodeName=x", "slurmctldport=1"])
def test_settings_that_are_ours_or_make_no_sense_are_refused(word: str) -> None:
    shapes.check_settings(["MaxArraySize=11", "SchedulerParameters=max_array_tasks=5", "Epilog="])
    with pytest.raises(UsageError, match="--set"):
        shapes.check_settings([word])


# Addresses and ports


@pytest.mark.parametrize(
    ("resolved", "renames", "expected"),
    [
        ("127.0.0.1", True, Address("127.0.0.1")),
        ("127.0.1.1", True, Address("127.0.0.1", prefix=("yes",))),
        (None, True, Address("127.0.0.1", prefix=("yes",))),
        ("192.0.2.2", True, Address("127.0.0.1", prefix=("yes",))),
        ("192.0.2.2", False, Address("192.0.2.2")),
        ("127.0.1.1", False, Address("127.0.0.1", everywhere=True)),
        (None, False, Address("127.0.0.1", everywhere=True)),
    ],
)
def test_address(monkeypatch: pytest.MonkeyPatch, resolved: str | None, renames: bool, expected: Address) -> None:
    monkeypatch.setattr(address, "resolve", lambda name: "127.0.0.1" if name == "localhost" else resolved)
    monkeypatch.setattr(address, "_can_rename", lambda _: renames)
    monkeypatch.setattr(address, "is_local", lambda _: True)
    chosen = address.choose()
    assert (chosen.ip, chosen.everywhere, bool(chosen.prefix)) == (
        expected.ip,
        expected.everywhere,
        bool(expected.prefix),
    )


def test_ports_are_free_and_different() -> None:
    chosen = ports.choose(5, "127.0.0.1")
    assert len({*chosen}) == 5
    assert all(ports.LOW <= port < ports.HIGH for port in chosen)


def test_ports_of_the_last_time_are_taken_again_unless_one_is_in_use() -> None:
    with socket.socket() as other:
        last = ports.choose(2, "127.0.0.1")
        assert ports.choose(2, "127.0.0.1", last) == last
        other.bind(("127.0.0.1", last[1]))
        other.listen()
        assert last[1] not in ports.choose(2, "127.0.0.1", last)
        assert not ports.is_free(last[1], "127.0.0.1")


# Paths


def test_short_workdir_keeps_its_sockets(tmp_path: Path) -> None:
    root = Path("/tmp/some/slurm")
    assert paths.is_usable_runtime(root, root / "run")
    assert not paths.is_usable_runtime(tmp_path / ("x" * 100), tmp_path / ("x" * 100) / "run")


@pytest.mark.parametrize("name", ["x" * 100, "a b", "a,b"])
def test_workdir_that_cannot_hold_sockets_gets_a_private_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / name / "slurm"
    made = paths.make_folders(root, None)
    try:
        assert made.runtime.parent == Path("/tmp")
        assert made.runtime.stat().st_mode & 0o777 == 0o700
        assert len(str(made.spool / "bee1000/bee1000_4294967295.4294967295")) <= 107
        assert paths.make_folders(root, made.runtime) == made
        made.runtime.chmod(0o755)
        assert not paths.is_usable_runtime(root, made.runtime)
    finally:
        cluster._clear(made)


def test_link_in_place_of_the_private_folder_is_not_followed(tmp_path: Path) -> None:
    link = Path("/tmp") / f"bee-slurm-test-{os.getpid()}"
    link.symlink_to(tmp_path)
    try:
        assert not paths.is_usable_runtime(tmp_path / "root", link)
    finally:
        link.unlink()


def test_workdir_that_slurm_conf_cannot_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another bee_workdir"):
        paths.make_folders(tmp_path / 'a"b', None)


def test_template_is_found() -> None:
    assert resources.find("slurm/private/slurm.conf").is_file()
    with pytest.raises(SystemFileError, match="install it again"):
        resources.find("slurm/nonsense")


# Pids


def test_recycled_pid_is_not_ours(sleeper: subprocess.Popen[bytes]) -> None:
    ours = running(sleeper.pid)
    assert ours.is_alive()
    assert not Running(ours.name, ours.pid, ours.start_ticks - 1, ours.argv, ours.log).is_alive()
    assert not Running(ours.name, ours.pid, ours.start_ticks, ("slurmctld",), ours.log).is_alive()


def test_stale_pid_file_is_told_and_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    daemon = daemons.Daemon("slurmctld", ("slurmctld", "-f", "x"), tmp_path / "slurmctld.pid", tmp_path / "log")
    assert daemons.find_running(daemon) is None
    daemon.pid_file.write_text(f"{sleeper.pid}\n")
    assert daemons.find_running(daemon) is None
    assert f"process {sleeper.pid} is sleep, not our slurmctld" in caplog.text
    assert sleeper.poll() is None
    same = daemons.Daemon("slurmctld", ("sleep", "100"), daemon.pid_file, daemon.log)
    assert daemons.find_running(same) == Running(
        "slurmctld", sleeper.pid, running(sleeper.pid).start_ticks, ("sleep", "100"), daemon.log
    )


def test_stop_ends_only_what_is_still_ours(sleeper: subprocess.Popen[bytes]) -> None:
    ours = running(sleeper.pid)
    daemons.stop([Running(ours.name, ours.pid, ours.start_ticks + 1, ours.argv, ours.log)])
    assert sleeper.poll() is None
    daemons.stop([ours])
    assert sleeper.wait(5) == -signal.SIGTERM


def test_stop_kills_what_ignores_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "STOP_S", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        daemons.stop([running(child.pid, argv=procs.read_argv(child.pid))])
        assert child.wait(5) == -signal.SIGKILL


def test_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    while procs.read(child.pid) is not None:
        time.sleep(0.01)
    child.wait()


def test_job_processes_are_found_by_their_environment(tmp_path: Path) -> None:
    conf = tmp_path / "slurm.conf"
    env = {"PATH": os.environ["PATH"], "SLURM_CONF": str(conf)}
    job = subprocess.Popen(["sh", "-c", "sleep 100; true"], env={**env, "SLURMD_NODENAME": "bee1"})
    shell = subprocess.Popen(["sleep", "100"], env=env)
    try:
        deadline = time.monotonic() + 5
        while len(found := steps.find_processes([conf])) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [process.name for process in found] == ["sh", "sleep"]
        assert shell.pid not in {process.pid for process in found}
        steps.kill_processes([conf])
        assert job.wait(5) == -signal.SIGKILL
        assert shell.poll() is None
    finally:
        for child in (job, shell):
            child.kill()
            child.wait()


# The record


def test_record_is_read_as_written(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    made = make_record(tmp_path, running(sleeper.pid))
    record.write(tmp_path, made)
    assert record.read(tmp_path) == made
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1}', '{"version": 2}', "null"])
def test_damaged_record_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(SystemFileError, match=r"state\.json"):
        record.read(tmp_path)


def test_running_conf(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    config = Config(bee_workdir=tmp_path)
    assert private_slurm.running_conf(config) is None
    root = tmp_path / "slurm"
    root.mkdir()
    controller, munged = running(sleeper.pid), running(sleeper.pid, "munged")
    record.write(root, make_record(tmp_path, controller))
    assert private_slurm.running_conf(config) is None
    record.write(root, make_record(tmp_path, munged, controller))
    assert private_slurm.running_conf(config) == root / "slurm.conf"


def test_record_of_another_boot_is_dead(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    made = make_record(tmp_path, running(sleeper.pid))
    raw = made.to_json()
    assert made.alive
    assert not Record.from_json({**raw, "boot_id": "another"}).alive
    assert not Record.from_json({**raw, "boot_id": "another"}).elsewhere
    assert Record.from_json({**raw, "boot_id": "another", "host": "another"}).elsewhere


# Messages


def test_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in daemons.PACKAGES.keys() - {"slurmd"}:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(daemons, "SYSTEM_PATH", "/nonexistent")
    with pytest.raises(process.ProgramMissingError) as caught:
        daemons.find_programs()
    assert str(caught.value).splitlines() == [
        "not installed: slurmd (package slurmd); install Slurm, as root, with",
        "apt-get install -y --no-install-recommends munge slurmctld slurmd slurm-client",
    ]


def test_programs_are_found_where_a_users_path_does_not_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "munged").write_text("#!/bin/sh\n")
    (tmp_path / "munged").chmod(0o755)
    monkeypatch.setenv("PATH", "relative:/nonexistent")
    monkeypatch.setattr(daemons, "SYSTEM_PATH", str(tmp_path))
    assert daemons.locate()["munged"] == tmp_path / "munged"
    assert daemons.locate()["slurmd"] == Path("slurmd")


def test_taken_port_is_recognised_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "slurmctld.log"
    # Slurm 22.05.8
    log.write_text(
        "[2026-11-22T21:23:02.277] error:  mpi/pmix_v4: init: (null) [0]: can not load PMIx library\n"
        "[2026-11-22T21:23:02.277] error: Error binding slurm stream socket: Address already in use\n"
        "[2026-11-22T21:23:02.277] fatal: slurm_init_msg_engine_port error Address already in use\n"
    )
    error = daemons.make_error("slurmctld", log, "")
    assert isinstance(error, daemons.PortTakenError)
    assert "another program took its port" in str(error)
    assert "PMIx" not in str(error)
    other = daemons.make_error("slurmctld", tmp_path / "none.log", "its words")
    assert not isinstance(other, daemons.PortTakenError)
    assert str(other).endswith("\n  its words")


def test_another_slurm_is_respected(tmp_path: Path) -> None:
    own = tmp_path / "slurm.conf"
    cluster.check_site([own], {}, [])
    cluster.check_site([own], {"SLURM_CONF": str(own)}, [])
    with pytest.raises(SlurmError, match="--force"):
        cluster.check_site([own], {"SLURM_CONF": "/site/slurm.conf"}, [])
    own.touch()
    with pytest.raises(SlurmError, match="up --force"):
        cluster.check_site([tmp_path / "mine"], {}, [str(own)])


def test_key_is_secret_or_refused(tmp_path: Path) -> None:
    key = tmp_path / "munge.key"
    daemons.check_key(key)
    assert key.stat().st_mode & 0o777 == 0o600
    first = key.read_bytes()
    assert len(first) == 1024
    daemons.check_key(key)
    assert key.read_bytes() == first
    key.chmod(0o640)
    with pytest.raises(SystemFileError, match="remove it"):
        daemons.check_key(key)


def test_nodes_are_parsed() -> None:
    # sinfo --noheader --Node --format=%N|%T|%c|%m, Slurm 22.05.8
    nodes = cluster.parse_nodes("bee1|idle|4|12052\nbee2|down*|4|12052\n")
    assert [(node.name, node.ready) for node in nodes] == [("bee1", True), ("bee2", False)]


def test_status_and_env_of_what_never_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "bee.conf"
    conf.write_text(f"[DEFAULT]\nbee_workdir = {tmp_path}/wd\n")
    monkeypatch.setenv("BEE_CONFIG", str(conf))
    assert command.main(["status"]) == 3
    assert capsys.readouterr().out == "Slurm is down; start it with: bee-slurm up\n"
    assert command.main(["status", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["running"] is False
    assert command.main(["down"]) == 0
    assert capsys.readouterr().out == "Slurm is down already\n"
    assert not (tmp_path / "wd").exists()
