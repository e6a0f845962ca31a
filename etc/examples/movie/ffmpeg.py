"""Become ffmpeg: run the one that the Python package imageio-ffmpeg carries, or else the one on PATH."""

import os
import shutil
import sys


def find_ffmpeg() -> str | None:
    """Return the path of an ffmpeg program, None if there is none."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # no such package, or a package without a program for this machine
        return shutil.which("ffmpeg")


if __name__ == "__main__":
    program = find_ffmpeg()
    if program is None:
        sys.exit("ffmpeg: not found; install the Python package imageio-ffmpeg, or put ffmpeg on PATH")
    os.execv(program, ["ffmpeg", *sys.argv[1:]])
