"""Trees are removed whole, and nothing beside them, whatever is in them and whoever is at work in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from beeflow import removal

REPOSITORY = Path(__file__).resolve().parents[1]
NOBODY = 65534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="making another user's files needs root")


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[int]:
    with removal.opened(tmp_path) as descriptor:
        yield descriptor


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree to remove."""
    made = tmp_path / "tree"
    (made / "a/b").mkdir(parents=True)
    (made / "a/b/file").write_bytes(b"x" * 10_000)
    (made / "a/file").touch()
    return made


def test_a_tree_goes_and_is_counted(parent: int, tree: Path) -> None:
    removed = removal.remove(parent, "tree")
    assert not tree.exists()
    assert (removed.entries, removed.left, removed.left_count) == (5, [], 0)
    assert 10_000 <= removed.size < 20_000


def test_a_file_is_counted_once_whatever_names_it_has(parent: int, tree: Path, tmp_path: Path) -> None:
    os.link(tree / "a/b/file", tree / "second")
    assert 10_000 <= removal.remove(parent, "tree").size < 20_000
    (tmp_path / "kept").write_bytes(b"x" * 10_000)
    tree.mkdir()
    os.link(tmp_path / "kept", tree / "second")
    assert removal.remove(parent, "tree").size == 0


def test_what_is_not_there_is_no_error(parent: int) -> None:
    removed = removal.remove(parent, "never")
    assert (removed.entries, removed.left) == (0, [])


def test_a_file_and_a_link_at_the_top(parent: int, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    assert removal.remove(parent, "link").entries == 1
    assert (tree / "a/b/file").exists()
    assert not (tmp_path / "link").is_symlink()


def test_links_are_removed_and_not_followed(parent: int, tree: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    (keep / "sub").mkdir(parents=True)
    (keep / "sub/file").touch()
    (tree / "a/folder").symlink_to(keep)
    (tree / "a/file-link").symlink_to(keep / "sub/file")
    (tree / "a/up").symlink_to("../..")
    (tree / "a/nowhere").symlink_to("/nowhere")
    assert removal.remove(parent, "tree").left == []
    assert not tree.exists()
    assert (keep / "sub/file").exists()


def test_odd_names_and_odd_files(parent: int, tree: Path) -> None:
    for name in (b"new\nline", b"\xff\xfe", b" ", b"-rf", b"\\", "ä".encode()):
        os.mkdir(os.path.join(os.fsencode(tree), name))
        Path(os.fsdecode(os.path.join(os.fsencode(tree), name, name))).touch()
    os.mkfifo(tree / "pipe")
    removed = removal.remove(parent, "tree")
    assert removed.left == []
    assert not tree.exists()


def test_a_tree_deeper_than_any_path_or_any_stack(parent: int, tmp_path: Path) -> None:
    depth = 3000
    here = os.open(tmp_path, os.O_RDONLY)
    for name in ("tree", *["folder-with-a-name"] * depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    before = set(os.listdir("/proc/self/fd"))
    assert removal.remove(parent, "tree").entries == depth + 1
    assert not (tmp_path / "tree").exists()
    assert set(os.listdir("/proc/self/fd")) == before


def as_nobody(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user whom modes stop; root they do not."""
    argv = [sys.executable, "-c", script]
    if os.geteuid() == 0:
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]
        # Neither the checkout nor pytest's folders can be entered by everybody.
        shutil.copytree(REPOSITORY / "beeflow", folder / "beeflow", ignore=shutil.ignore_patterns("__pycache__"))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder if os.geteuid() == 0 else REPOSITORY)}
    return subprocess.run(argv, capture_output=True, text=True, check=True, cwd=folder, env=env, timeout=60)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach and write."""
    made = Path(subprocess.check_output(["mktemp", "-d", "--tmpdir=/tmp"], text=True).strip())
    made.chmod(0o1777)
    try:
        yield made
    finally:
        shutil.rmtree(made)


MODES = """
import os
from pathlib import Path
from beeflow import removal
top = Path("modes")
for name in ("none", "none/in", "read", "read/in", "enter"):
    (top / name).mkdir(parents=True)
    (top / name / "file").touch(0o000)
for name, mode in (("none/in", 0), ("none", 0), ("read/in", 0o400), ("read", 0o500), ("enter", 0o100), ("", 0)):
    (top / name).chmod(mode)
parent = os.open(".", os.O_RDONLY)
removed = removal.remove(parent, "modes")
print(removed.entries, removed.left, top.exists())
"""


def test_modes_do_not_matter(open_folder: Path) -> None:
    assert as_nobody(open_folder, MODES).stdout == "11 [] False\n"


@root_only
def test_what_belongs_to_others_stays_with_its_folders(parent: int, tree: Path, tmp_path: Path) -> None:
    (tree / "theirs").mkdir()
    (tree / "theirs/file").touch()
    os.chown(tree / "theirs", NOBODY, NOBODY)
    (tree / "a/b/note\n").touch()
    os.chown(tree / "a/b/note\n", NOBODY, NOBODY)
    (tree / "link").symlink_to("/nowhere")
    os.lchown(tree / "link", NOBODY, NOBODY)
    removed = removal.remove(parent, "tree")
    left = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    assert left == ["a", "a/b", "a/b/note\n", "link", "theirs", "theirs/file"]
    assert sorted(removed.left) == [
        "tree/a/b/note\\n: belongs to nobody",
        "tree/link: belongs to nobody",
        "tree/theirs: belongs to nobody",
    ]
    assert removal.remove(parent, "tree", own_only=False).left == []
    assert not tree.exists()


@root_only
def test_a_tree_of_somebody_elses_stays_whole(parent: int, tree: Path) -> None:
    os.chown(tree, NOBODY, NOBODY)
    assert removal.remove(parent, "tree").left == ["tree: belongs to nobody"]
    assert (tree / "a/b/file").exists()


MOUNT = """
set -e
mkdir tree/mounted tree/bound outside
touch outside/kept
mount -t tmpfs none tree/mounted
touch tree/mounted/kept
mount --bind outside tree/bound
python3 -c '
import os
from beeflow import removal
removed = removal.remove(os.open(".", os.O_RDONLY), "tree")
print(*sorted(removed.left), sep="\\n")'
ls tree tree/mounted outside
"""


@root_only
def test_other_file_systems_are_not_entered(tree: Path, tmp_path: Path) -> None:
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}
    argv = ["unshare", "--mount", "sh", "-c", MOUNT]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr}")
    assert done.stdout.splitlines() == [
        "tree/bound: another file system is mounted there",
        "tree/mounted: another file system is mounted there",
        *("outside:", "kept", "", "tree:", "bound", "mounted", "", "tree/mounted:", "kept"),
    ]


def test_two_who_remove_the_same(parent: int, tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"tree/{number % 50}/{number % 7}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"tree/{number % 50}/{number % 7}/{number}").touch()
    removed: list[removal.Removed] = []
    threads = [threading.Thread(target=lambda: removed.append(removal.remove(parent, "tree"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not (tmp_path / "tree").exists()
    assert [each.left for each in removed] == [[]] * 4


def test_files_that_come_meanwhile(parent: int, tree: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set() and (tree / "a").is_dir():
            try:
                (tree / "a/late").touch()
            except FileNotFoundError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    removed = removal.remove(parent, "tree")
    stop.set()
    thread.join()
    # It may win for ever; then that is said.
    assert tree.exists() == bool(removed.left)


def test_a_folder_that_is_moved_out_is_not_followed(parent: int, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    for number in range(300):
        (tmp_path / f"tree/{number}/in/in").mkdir(parents=True)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for number in range(300):
                try:
                    os.rename(tmp_path / f"tree/{number}/in", keep / f"{number}")
                    os.symlink(keep, tmp_path / f"tree/{number}/in")
                except OSError:
                    continue

    thread = threading.Thread(target=swap)
    thread.start()
    removal.remove(parent, "tree")
    stop.set()
    thread.join()
    assert (keep / "file").exists()


def test_set_aside(parent: int, tree: Path, tmp_path: Path) -> None:
    assert removal.set_aside(parent, "tree") == ".removing-tree"
    assert os.listdir(tmp_path) == [".removing-tree"]
    # A removal was killed, and what it removed has come back from a backup.
    tree.mkdir()
    (tree / "new").touch()
    removal.set_aside(parent, "tree")
    assert os.listdir(tmp_path / ".removing-tree") == ["new"]
