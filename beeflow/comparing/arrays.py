"""Compare two .npy files by number, where NumPy is installed."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from beeflow.comparing.texts import Compared
from beeflow.comparing.tolerance import EXACT, Gap, Tolerance

# How a file begins (numpy.lib.format).
MAGIC = b"\x93NUMPY"
_CHUNK = 1 << 20


def compare(a: Path, b: Path, tolerance: Tolerance | None) -> Compared:
    """Compare two arrays that are not the same bytes."""
    try:
        # Nothing else of ours needs it, and it takes long to load.
        numpy = importlib.import_module("numpy")
    except ImportError:
        return Compared(same=False, detail="NumPy arrays; where numpy is installed they are compared by number")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            left, right = (numpy.load(path, mmap_mode="r", allow_pickle=False) for path in (a, b))
    # What a header says that somebody made up may be wrong in any way.
    except Exception as error:
        return Compared(same=False, detail=f"NumPy arrays that cannot be read: {str(error)[:80]}")
    shapes = [f"{array.dtype} {array.shape}" for array in (left, right)]
    if left.shape != right.shape:
        return Compared(same=False, detail=f"{shapes[0]} and {shapes[1]}")
    if not all(array.dtype.kind in "biufc" for array in (left, right)):
        return Compared(same=False, detail=f"{shapes[0]} and {shapes[1]}: not numbers")
    with numpy.errstate(all="ignore"):
        close, different, widest = _walk(numpy, left, right, tolerance or EXACT)
    told = f"{different} of {left.size} numbers differ" + (f" by {widest}" if different else "")
    as_types = shapes[0] if shapes[0] == shapes[1] else f"{shapes[0]} and {shapes[1]}"
    return Compared(close and tolerance is not None, f"{as_types}: {told}")


def _walk(numpy: Any, left: Any, right: Any, tolerance: Tolerance) -> tuple[bool, int, Gap]:
    """Compare piece by piece: whether all is close, how many numbers are not equal, and by how much."""
    if left.flags.f_contiguous and right.flags.f_contiguous:
        # Column by column, as both lie on disk: reshape would copy them whole.
        left, right = left.T, right.T
    a, b = left.reshape(-1), right.reshape(-1)
    close, different, widest = True, 0, Gap()
    for start in range(0, a.size, _CHUNK):
        x, y = (_wide(numpy, each[start : start + _CHUNK]) for each in (a, b))
        unequal = ~((x == y) | (numpy.isnan(x) & numpy.isnan(y)))
        x, y = x[unequal], y[unequal]
        if not x.size:
            continue
        finite = numpy.isfinite(x) & numpy.isfinite(y)
        far = numpy.where(finite, numpy.abs(x - y), numpy.inf)
        greatest = numpy.maximum(numpy.abs(x), numpy.abs(y))
        close = close and bool((finite & (far <= numpy.maximum(tolerance.atol, tolerance.rtol * greatest))).all())
        different += int(x.size)
        relative = numpy.where(finite, far / greatest, numpy.inf)
        widest = widest.widened(Gap(float(far.max()), float(relative.max())))
    return close, different, widest


def _wide(numpy: Any, array: Any) -> Any:
    """Return numbers in a type in which differences do not wrap around."""
    return array.astype(numpy.clongdouble if array.dtype.kind == "c" else numpy.longdouble)
