"""bee-config: the sample documents every key; new, show and validate."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from beeflow import cli, config, resources
from beeflow.commands import config as command
from beeflow.errors import ConfigError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home folder with no bee.conf and no $SCRATCH."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("BEE_CONFIG", "SCRATCH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def conf_of(home: Path) -> Path:
    """Name the bee.conf that is looked for."""
    return home / ".config/beeflow/bee.conf"


def write(path: Path, text: str) -> Path:
    """Write a file whose folder may not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def documented(sample: str) -> str:
    """Take the # off the sample's keys."""
    return re.sub(r"^#(\w+ =)", r"\1", sample, flags=re.MULTILINE)


def test_sample_has_every_key_with_its_default(home: Path, tmp_path: Path) -> None:
    sample = resources.find("etc/bee.conf").read_text()
    read = config.read(write(tmp_path / "all.conf", documented(sample)), {"HOME": str(home)})
    settings = config.settings(read)
    assert [each.key for each in settings if each.origin == "default"] == []
    defaults = config.settings(config.load({"HOME": str(home)}))
    assert [(each.section, each.key, each.value) for each in settings] == [
        (each.section, each.key, each.value) for each in defaults
    ]


def test_sample_as_it_is_changes_nothing(home: Path) -> None:
    read = config.read(resources.find("etc/bee.conf"), {"HOME": str(home)})
    assert {each.origin for each in config.settings(read)} == {"default"}


def test_sample_has_the_line_that_new_replaces() -> None:
    assert command.WORKDIR_LINE in resources.find(command.SAMPLE).read_text()


def test_show_is_a_bee_conf_with_origins(home: Path, capsys: Capture) -> None:
    conf = write(conf_of(home), "[DEFAULT]\nuse_archive = no\n\n[slurm]\ntask_options = --exclusive '--comment=a b'\n")
    assert command.main(["show"]) == 0
    shown = capsys.readouterr().out
    assert f"# {conf}:2\nuse_archive = False\n" in shown
    assert f"# {conf}:5\ntask_options = --exclusive '--comment=a b'\n" in shown
    assert f"# default\nbee_workdir = {home}/.beeflow\n" in shown
    again = config.read(write(home / "again.conf", shown), {"HOME": str(home)})
    first = config.load({"HOME": str(home)})
    assert [each.value for each in config.settings(again)] == [each.value for each in config.settings(first)]


def test_packages_are_keys_of_their_own(home: Path, capsys: Capture) -> None:
    conf = write(conf_of(home), "[modules]\ninit = /m.sh\nSamTools/1.17 = bio 'sam tools'\n")
    assert config.load({"HOME": str(home)}).modules == config.ModulesConfig(
        "/m.sh", {"samtools/1.17": ("bio", "sam tools")}
    )
    assert command.main(["show"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith(f"# {conf}:3\nsamtools/1.17 = bio 'sam tools'\n")
    again = config.read(write(home / "again.conf", shown), {"HOME": str(home)})
    assert again.modules == config.load({"HOME": str(home)}).modules


def test_show_json(home: Path, capsys: Capture) -> None:
    conf = write(conf_of(home), "[slurm]\ntime_limit = 90\n")
    assert command.main(["show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {section: list(keys) for section, keys in shown.items()} == {
        section: list(keys) for section, keys in config.KEYS.items()
    }
    assert shown["slurm"]["time_limit"] == {"value": "0-01:30:00", "origin": f"{conf}:2"}
    assert shown["DEFAULT"]["use_archive"] == {"value": True, "origin": "default"}
    assert shown["slurm"]["task_options"]["value"] == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[DEFAULT]\nuse_archive = perhaps\n", 2, "not a boolean"),
        ("[DEFAULT]\n\nbee_wordir = /x\n", 3, "unknown key 'bee_wordir'"),
        ("[DEFAULT]\n[slrum]\n", 2, "unknown section [slrum]"),
        ("[slurm]\ntime_limit = soon\n", 2, "not a time limit"),
        ("[DEFAULT]\nbee_workdir = here\n", 2, "not an absolute path"),
        ("[DEFAULT]\nbee_workdir = /proc/nowhere\n", 2, "cannot be written"),
        ("[DEFAULT]\nbee_workdir = /dev/null/x\n", 2, "not a folder"),
        ("[DEFAULT]\nshare_with_group = nobody-here\n", 2, "there is no group nobody-here"),
        ("[modules]\n\nsamtools =\n", 3, "words of a module load"),
        ("[task]\npreserve_environment = A=1\n", 2, "'A=1' is not the name of a variable"),
        ("[task]\npreserve_environment = OMP_*, SLURM_CONF\n", 2, "gets these from Slurm itself"),
        ("[task]\npreserve_environment = S*\n", 2, "gets these from Slurm itself"),
        ("bee_workdir = /x\n", 1, "not an INI file"),
        ("[slurm]\nqos = a\nqos = b\n", 3, "not an INI file"),
    ],
)
def test_validate_names_file_and_line(home: Path, capsys: Capture, text: str, line: int, words: str) -> None:
    if "/proc" in text and os.access("/proc", os.W_OK):
        pytest.skip("root may write everywhere")
    conf = write(home / "wrong.conf", text)
    assert cli.guarded(command.main, ["validate", str(conf)]) == ConfigError.exit_code == 78
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {conf}:{line}: ")
    assert words in told.err
    assert told.out == ""


def test_validate_a_file_that_is_not_there(home: Path, capsys: Capture) -> None:
    assert cli.guarded(command.main, ["validate", str(home / "no.conf")]) == 78
    assert f"{home}/no.conf: cannot be read" in capsys.readouterr().err


def test_validate_says_what_it_checked(home: Path, capsys: Capture) -> None:
    conf = write(conf_of(home), f"[DEFAULT]\nbee_workdir = {home}\nuse_archive = yes\n")
    assert command.main(["validate"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ok  {conf}: 2 keys are set, every section and key is known, every value can be read",
        f"ok  bee_workdir {home}: can be written",
        f"ok  bee_archive_dir {home}/archives: is not there yet, and can be made",
    ]
    assert not (home / "archives").exists()


def test_validate_without_any_file(home: Path, capsys: Capture) -> None:
    assert command.main(["validate"]) == 0
    assert f"there is no {conf_of(home)}; all keys have their defaults" in capsys.readouterr().out


def test_new_writes_the_sample(home: Path, capsys: Capture) -> None:
    assert command.main(["new"]) == 0
    assert conf_of(home).read_text() == resources.find("etc/bee.conf").read_text()
    told = capsys.readouterr().out
    assert f"Wrote {conf_of(home)}" in told
    assert "BEE_CONFIG" not in told


def test_new_never_overwrites_unless_forced(home: Path, capsys: Capture) -> None:
    conf = write(conf_of(home), "mine\n")
    assert cli.guarded(command.main, ["new"]) == 78
    assert conf.read_text() == "mine\n"
    assert "bee-config new --force" in capsys.readouterr().err
    assert command.main(["new", "--force"]) == 0
    assert "[DEFAULT]" in conf.read_text()


def test_validate_names_the_line_that_wants_a_pyslurm_that_is_not_there(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyslurm", None)
    conf = write(conf_of(home), "[slurm]\n\napi = pyslurm\n")
    assert cli.guarded(command.main, ["validate"]) == 78
    told = capsys.readouterr().err
    assert f"{conf}:3: [slurm] api = pyslurm: No module named 'pyslurm'" in told
    assert "or set api = cli" in told


def test_validate_tries_pyslurm_only_where_there_is_a_slurm(
    home: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "lib/pyslurm.py", "raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.setenv("SLURM_CONF", "/no/such/slurm.conf")
    write(conf_of(home), "[slurm]\napi = pyslurm\n")
    assert command.main(["validate"]) == 0
    assert "??  api pyslurm: pyslurm is installed; it cannot be imported without a Slurm" in capsys.readouterr().out


def test_new_keeps_a_link_a_link(home: Path) -> None:
    target = write(home / "dotfiles/bee.conf", "mine\n")
    conf_of(home).parent.mkdir(parents=True)
    conf_of(home).symlink_to(target)
    assert command.main(["new", "--force"]) == 0
    assert conf_of(home).is_symlink()
    assert "[DEFAULT]" in target.read_text()


def test_new_elsewhere_says_how_to_use_it(home: Path, capsys: Capture) -> None:
    path = home / "my own/bee.conf"
    assert command.main(["new", str(path)]) == 0
    assert path.is_file()
    assert f"export BEE_CONFIG='{path}'" in capsys.readouterr().out


def test_new_proposes_scratch(home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = home / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("SCRATCH", str(scratch))
    assert command.main(["new"]) == 0
    assert config.load({"HOME": str(home)}).bee_workdir == scratch / "beeflow"
    text = conf_of(home).read_text()
    assert f"$SCRATCH was {scratch}" in text
    assert f"bee_workdir = {scratch}/beeflow\n" in text
    assert f"bee_workdir is {scratch}/beeflow, because $SCRATCH is {scratch}" in capsys.readouterr().out


@pytest.mark.parametrize("scratch", ["relative", "/nonexistent/scratch", "/dev/null", "/tmp/$USER", "/\n"])
def test_new_does_not_propose_what_cannot_be_used(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, scratch: str
) -> None:
    monkeypatch.setenv("SCRATCH", scratch)
    assert command.main(["new"]) == 0
    assert config.load({"HOME": str(home)}).origins["DEFAULT.bee_workdir"] == "default"
    assert "no folder that can be used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("timeout = -1", "timeout: '-1' is not a whole number"),
        ("memory_factor = 0.9", "memory_factor: '0.9' is not a number from 1 on"),
        ("wait_s = soon", "wait_s: 'soon' is not a number from 0 on"),
        ("wait_s = inf", "wait_s: 'inf' is not a number from 0 on"),
    ],
)
def test_how_often_to_try_again_is_checked(home: Path, line: str, complaint: str) -> None:
    conf = write(conf_of(home), f"[retry]\nnode_fail = 0\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(f"{conf}:3: {complaint}")):
        config.load({"HOME": str(home)})
