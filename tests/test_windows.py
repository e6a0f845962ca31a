"""How elements are cut into windows and arrays."""

from __future__ import annotations

import pytest

from beeflow import windows


@pytest.mark.parametrize(
    ("max_jobs", "max_job_count", "expected"), [(0, 10000, 5000), (7, 10000, 7), (7, 10, 5), (1, 1, 1), (0, 1, 1)]
)
def test_the_limit(max_jobs: int, max_job_count: int, expected: int) -> None:
    assert windows.limit(max_jobs, max_job_count) == expected


@pytest.mark.parametrize(
    ("width", "room", "most", "max_array_size", "sizes"),
    [
        (5, 5, 5, 100, [5]),
        (5, 4, 4, 100, [2, 2]),
        (5, 3, 3, 100, [2, 1]),
        (5, 1, 1, 100, [1]),
        (5, 0, 4, 100, []),
        (5, -1, 4, 100, []),
        (9, 2, 6, 100, [2]),
        (9, 5, 6, 100, [3, 2]),
        (9, 9, 9, 4, [4, 4, 1]),
        (9, 8, 8, 3, [3, 3, 2]),
    ],
)
def test_arrays(width: int, room: int, most: int, max_array_size: int, sizes: list[int]) -> None:
    made = list(windows.arrays(list(range(width)), room, most, max_array_size))
    assert [len(part) for part in made] == sizes
    assert [number for part in made for number in part] == list(range(sum(sizes)))


def test_an_array_spans_less_than_max_array_size() -> None:
    assert list(windows.arrays([0, 3, 4, 9], 10, 10, 4)) == [[0, 3], [4], [9]]


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ({}, []),
        ({"9": 1}, ["9"]),
        ({"10": 4, "9": 4}, ["9", "10"]),
        ({"9": 1, "10": 50}, ["10"]),
        ({str(job): 1 for job in range(1, 8)}, ["4", "5", "6", "7"]),
    ],
)
def test_the_younger_half(live: dict[str, int], expected: list[str]) -> None:
    assert windows.younger_half(live) == expected
