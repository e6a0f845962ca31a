"""How many array elements of a workflow Slurm has at a time, and in arrays of what size. Pure.

A limit on submitted jobs is met by windows: some elements now, and more whenever about half of those have ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def limit(max_jobs: int, max_job_count: int) -> int:
    """Return how many elements of a workflow may be in the queue. ``max_jobs``: as bee.conf has it, 0 for no limit.

    At MaxJobCount sbatch sleeps, everybody's; and Slurm counts a job for a while after its end (MinJobAge).
    """
    half = max(1, max_job_count // 2)
    return min(max_jobs, half) if max_jobs else half


def arrays(numbers: Sequence[int], room: int, most: int, max_array_size: int) -> Iterator[list[int]]:
    """Cut the elements that there is room for into arrays. ``most``: of a workflow, in the queue.

    What does not fit as a whole goes in halves of a window: one still runs when the other has ended.
    """
    size = len(numbers) if len(numbers) <= room else -(-most // 2)
    left = list(numbers[: max(0, room)])
    while left:
        # The greatest index is one less than MaxArraySize, and indices begin at 0 in each array.
        part = [number for number in left[:size] if number - left[0] < max(1, max_array_size)]
        yield part
        left = left[len(part) :]


def younger_half(live: Mapping[str, int]) -> list[str]:
    """List the jobs of which any that ends means that about half of the queue has. ``live``: job id -> elements.

    Jobs begin in the order of their ids: when one ends, those before it mostly have, and one that takes long is not
    waited for.
    """
    total, seen, found = sum(live.values()), 0, []
    for job_id in sorted(live, key=int):
        seen += live[job_id]
        if 2 * seen >= total:
            found.append(job_id)
    return found
