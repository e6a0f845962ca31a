"""Slurm's programs as a workflow finds them first on PATH: they fail when the plan of the run says so.

Each call of a program has a number; plan/sbatch.4 says what the fourth sbatch does instead. It is noted in
calls/sbatch.4 what was asked, and what was done.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = ("sbatch", "squeue", "scontrol", "scancel")

_SCRIPT = """#!/bin/sh
n=1
while ! mkdir 'FOLDER/calls/NAME.'$n 2>/dev/null; do n=$((n + 1)); done
call=FOLDER/calls/NAME.$n
plan=FOLDER/plan/NAME.$n
{ date +%s.%N; echo "$*"; } >"$call/argv"
unreachable() { echo 'NAME: error: Unable to contact slurm controller (connect failure)' >&2; exit 1; }
timed_out() { echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1; }
if [ -e FOLDER/plan/none-from-nodes ] && [ NAME = sbatch ] && grep -qz ^SLURM_JOB_ID= /proc/$PPID/environ; then
  echo 'sbatch: error: Batch job submission failed: Access/permission denied' >&2
  exit 1
fi
if [ -e "$plan" ]; then
  read -r what <"$plan"
  echo "$what" >"$call/did"
  case $what in
  refuse) unreachable ;;
  lost) timed_out ;;
  accepted) REAL "$@" >"$call/made" 2>&1; timed_out ;;
  twice) REAL "$@" | tee "$call/made" ;;
  slow) sleep 3 ;;
  hang) exec sleep 170 ;;
  accepted-hang) REAL "$@" >"$call/made" 2>&1; exec sleep 170 ;;
  esac
fi
exec REAL "$@"
"""


def write(folder: Path, path: str, plan: Mapping[str, str], *, none_from_nodes: bool) -> Path:
    """Write the programs of a run; returns the folder to put first on PATH. ``path``: where the real ones are.

    ``plan``: "sbatch.4" -> what that call does. ``none_from_nodes``: a site that refuses sbatch on compute nodes.
    """
    for name in ("bin", "calls", "plan"):
        (folder / name).mkdir()
    for name in PROGRAMS:
        real = shutil.which(name, path=path)
        made = folder / "bin" / name
        made.write_text(_SCRIPT.replace("FOLDER", str(folder)).replace("NAME", name).replace("REAL", str(real)))
        made.chmod(0o755)
    for call, what in plan.items():
        (folder / "plan" / call).write_text(f"{what}\n")
    if none_from_nodes:
        (folder / "plan/none-from-nodes").touch()
    return folder / "bin"


def done(folder: Path, call: str) -> bool:
    """True when a planned call came."""
    return (folder / "calls" / call / "did").exists()
