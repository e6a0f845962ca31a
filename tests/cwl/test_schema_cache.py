"""cwltool's parsed schemas, kept between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOAD = """
import resource, sys
from cwltool.process import get_schema
from beeflow.cwl import schema_cache
from pathlib import Path
schema_cache.install(Path(sys.argv[1]))
# As a full disk: no file may grow beyond so much.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(type(get_schema("v1.2")[1]).__name__)
"""


def load(folder: Path, most: int) -> str:
    argv = [sys.executable, "-c", LOAD, str(folder), str(most)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_a_schema_is_kept_and_read_again(tmp_path: Path) -> None:
    first = load(tmp_path, 2**30)
    (kept,) = tmp_path.iterdir()
    written = kept.stat()
    assert load(tmp_path, 2**30) == first
    assert kept.stat().st_mtime_ns == written.st_mtime_ns


def test_what_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, 10_000) == load(tmp_path / "other", 2**30)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
