from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from beeflow.comparing import contents
from beeflow.comparing.texts import Compared, How
from beeflow.comparing.tolerance import Tolerance
from beeflow.errors import SystemFileError

LENIENT = How(Tolerance(atol=0.01))


@pytest.fixture
def pair(tmp_path: Path) -> Any:
    """Write two files, and compare them."""

    def compared(a: bytes, b: bytes, how: How = LENIENT) -> Compared:
        (tmp_path / "a").write_bytes(a)
        (tmp_path / "b").write_bytes(b)
        return contents.compare(tmp_path / "a", tmp_path / "b", how)

    return compared


def test_bytes_are_compared_as_bytes(pair: Any) -> None:
    found = pair(b"\0" * 3_000_000 + b"x", b"\0" * 3_000_000 + b"y")
    assert not found.same
    assert found.detail == "not text; the first difference is at byte 3000000"
    assert pair(b"\x00ab", b"\x00ab\x00").detail.endswith("at byte 3")
    assert pair(b"text\n", b"\x00").detail.endswith("at byte 0")


def test_endless_lines_are_no_text(pair: Any) -> None:
    found = pair(b"1 " * (1 << 20), b"2 " * (1 << 20))
    assert found.detail == "not text; the first difference is at byte 0"


def test_text_need_not_be_utf_8(pair: Any) -> None:
    found = pair(b"\xff 1.0\n", b"\xff 1.001\n")
    assert found.same
    assert not pair(b"\xff 1\n", b"\xfe 1\n").same


def test_an_empty_file(pair: Any) -> None:
    assert pair(b"", b"1\n").lines == ("@@ +1 @@", "+1")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(SystemFileError, match="b: No such file"):
        contents.compare(tmp_path / "a", tmp_path / "b", LENIENT)


class TestArrays:
    @pytest.fixture
    def arrays(self, tmp_path: Path) -> Any:
        """Save two arrays, and compare the files."""
        numpy = pytest.importorskip("numpy")

        def compared(a: Any, b: Any, how: How = LENIENT) -> Compared:
            for name, array in (("a.npy", a), ("b.npy", b)):
                numpy.save(tmp_path / name, array, allow_pickle=True)
            return contents.compare(tmp_path / "a.npy", tmp_path / "b.npy", how)

        self.numpy = numpy
        return compared

    def test_close(self, arrays: Any) -> None:
        one = self.numpy.array([[1.0, 2.0], [float("nan"), float("inf")]])
        other = one.copy()
        other[0, 0] += 0.005
        found = arrays(one, other)
        assert found.same
        assert found.detail == "float64 (2, 2): 1 of 4 numbers differ by at most 0.005 (relative 0.00498)"
        assert not arrays(one, other, How()).same

    def test_far(self, arrays: Any) -> None:
        one = self.numpy.array([1.0, float("inf"), float("nan")])
        assert not arrays(one, self.numpy.array([1.0, -float("inf"), float("nan")])).same
        assert not arrays(one, self.numpy.array([1.0, float("inf"), 0.0])).same
        assert not arrays(one, self.numpy.array([2.0, float("inf"), float("nan")])).same

    def test_integers_do_not_wrap_around(self, arrays: Any) -> None:
        found = arrays(self.numpy.array([0], "uint8"), self.numpy.array([255], "uint8"), How(Tolerance(atol=2)))
        assert not found.same
        assert "at most 255" in found.detail

    def test_other_types_and_orders(self, arrays: Any) -> None:
        one = self.numpy.arange(6, dtype="int32").reshape(2, 3)
        found = arrays(one, self.numpy.asfortranarray(one.astype("float32")))
        assert found.same
        assert found.detail == "int32 (2, 3) and float32 (2, 3): 0 of 6 numbers differ"
        assert arrays(self.numpy.asfortranarray(one), self.numpy.asfortranarray(one + 0.001)).same
        assert arrays(self.numpy.array(1 + 1j), self.numpy.array(1 + 1.001j)).same
        assert arrays(self.numpy.zeros(0), self.numpy.zeros(0, "int8")).same

    def test_other_shapes_and_no_numbers(self, arrays: Any) -> None:
        assert arrays(self.numpy.zeros(2), self.numpy.zeros(3)).detail == "float64 (2,) and float64 (3,)"
        found = arrays(self.numpy.array(["a"]), self.numpy.array(["b"]))
        assert found.detail.endswith("not numbers")

    def test_pickles_are_not_loaded(self, arrays: Any) -> None:
        found = arrays(self.numpy.array([{}], dtype=object), self.numpy.array([None], dtype=object))
        assert not found.same
        assert "cannot be read" in found.detail

    def test_lies_about_the_shape(self, pair: Any) -> None:
        pytest.importorskip("numpy")
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
        data = b"\x93NUMPY\x01\x00" + len(header + b" " * 47 + b"\n").to_bytes(2, "little") + header + b" " * 47 + b"\n"
        found = pair(data, data + b"x" * 8)
        assert not found.same
        assert "cannot be read" in found.detail

    @pytest.mark.parametrize(
        "shape",
        ["(10**30,)", "(1" + "0" * 30 + ",)", "(-1,)", "('a',)", "(4294967296, 4294967296, 2)", "None", "(True,)"],
    )
    @pytest.mark.parametrize("kind", ["'<f8'", "('<f8', (99999999999,))", "3", "[('a',)]", "'O'", "'<U99999999999'"])
    def test_a_header_may_say_anything(self, pair: Any, shape: str, kind: str) -> None:
        pytest.importorskip("numpy")
        header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        assert not pair(data + bytes(8), data + b"x" * 8).same

    def test_without_numpy(self, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "numpy", None)
        found = pair(b"\x93NUMPY\x01\x00a", b"\x93NUMPY\x01\x00b")
        assert not found.same
        assert "where numpy is installed" in found.detail
