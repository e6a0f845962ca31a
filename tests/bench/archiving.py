"""CPU time and memory to archive, beside tar and gzip on the same tree (python -m tests.bench.archiving [CODEC ...]).

Two trees: 500 MB of text, numbers and noise in 30 files, and 20,000 small files. "written": listed, read, hashed,
compressed and written; "with reading back": also read again whole and compared with the manifest, as every archive is
before it is published. Each in a process of its own, which is what the memory is of. Wanted: written in at most 1.3
times the CPU time of tar and gzip with zlib, 0.5 times with isal, and memory that does not grow with the files.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tabulate

from beeflow.archive import contents, deflating, verifying, writing
from beeflow.archive.contents import Source
from beeflow.layout import DESCRIPTION
from tests.archive.raw import DESCRIBED, ID

CODECS = {codec.name: codec for codec in (deflating.ZLIB, deflating.fastest())}
TIMES = 3
MIB = 1 << 20


def make_mixed(root: Path) -> None:
    """Make 500 MB: a third each of text, of floats that hardly change, and of what cannot be compressed."""
    dice, words = random.Random(1), [f"word{number}".encode() for number in range(5000)]
    for number in range(10):
        text = b" ".join(dice.choices(words, k=100_000))
        (root / f"text{number}").write_bytes((text * 20)[: 17 * MIB])
        numbers = b"".join(dice.randbytes(3) + b"\x3f\xf0\0\0\0" for _ in range(1 << 16))
        (root / f"numbers{number}").write_bytes((numbers * 34)[: 17 * MIB])
        (root / f"noise{number}").write_bytes(dice.randbytes(14 * MIB))


def make_small(root: Path) -> None:
    """Make 20,000 files of 0 to 8 KiB of text, a thousand to a folder, as tasks leave them."""
    dice, words = random.Random(2), [f"word{number}".encode() for number in range(5000)]
    for number in range(20_000):
        folder = root / f"{number // 1000:03}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06}.txt").write_bytes(b" ".join(dice.choices(words, k=dice.randrange(900)))[:8192])


def bare(root: Path, made: Path) -> float:
    """Return the seconds of CPU time of tar and gzip."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["sh", "-c", 'tar -cf - -C "$1" . | gzip -1 >"$2"', "sh", root, made], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_mib() -> float:
    """Return the most memory that this process has had; ru_maxrss would be that of the one which started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def ours(root: Path, made: Path, codec: str) -> dict[str, float]:
    """Archive in this process; returns seconds of CPU time, and MiB beyond what it had before."""
    before = peak_mib()
    began = time.process_time()
    sources = [*contents.tree(root)[0], Source(DESCRIPTION, None, DESCRIBED)]
    with made.open("wb", buffering=0) as raw:
        writing.write(raw, ID, sources, lambda _: (), codec=CODECS[codec], threads=1)
    written = time.process_time() - began
    verifying.verify(made, ID)
    return {"written": written, "verified": time.process_time() - began, "MiB": peak_mib() - before}


def measure(root: Path, made: Path, codec: str) -> dict[str, float]:
    """Archive in a new process."""
    argv = [sys.executable, "-m", __spec__.name, "--one", str(root), str(made), codec]
    found: dict[str, float] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return found


def main(codecs: list[str]) -> None:
    """Print a row for each tree and codec, medians of three."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for tree, make in (("500 MB mixed", make_mixed), ("20,000 small files", make_small)):
            root, made = Path(name, tree, "outputs"), Path(name, "made.tgz")
            root.mkdir(parents=True)
            make(root)
            # The first reads what is not in memory yet.
            bare(root.parent, made)
            tar = statistics.median(bare(root.parent, made) for _ in range(TIMES))
            for codec in codecs:
                runs = [measure(root.parent, made, codec) for _ in range(TIMES)]
                median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                size = made.stat().st_size / MIB
                written, verified = (median[key] for key in ("written", "verified"))
                rows.append([tree, codec, tar, written, written / tar, verified, verified / tar, median["MiB"], size])
    headers = ["what", "codec", "tar|gzip", "written", "times", "with reading back", "times", "MiB memory", "MiB size"]
    print(tabulate.tabulate(rows, headers, floatfmt=".2f"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(ours(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])))
    else:
        main(sys.argv[1:] or list(CODECS))
