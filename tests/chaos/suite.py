"""Many seeds, on one Slurm or several side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence

from tests.chaos import place
from tests.chaos.place import SETTINGS, Place
from tests.chaos.report import Report
from tests.chaos.run import SEEDS_A_SITE, Run


def run(seeds: Sequence[int], kinds: Sequence[str], *, lanes: int = 1, keep: bool = False) -> Generator[Report]:
    """Run seeds; yields what came of each when it is over."""
    blocks: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for number in sorted({seed // SEEDS_A_SITE for seed in seeds}):
        blocks.put([seed for seed in seeds if seed // SEEDS_A_SITE == number])
    done: queue.SimpleQueue[Report | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [threading.Thread(target=lane, args=(blocks, done, stop, kinds, keep)) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    left = lanes
    try:
        while left:
            found = done.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        # Whatever happens, the runs under way are brought to their end, and their Slurms down.
        stop.set()
        for thread in threads:
            thread.join()


def lane(
    blocks: queue.SimpleQueue[list[int]],
    done: queue.SimpleQueue[Report | BaseException | None],
    stop: threading.Event,
    kinds: Sequence[str],
    keep: bool,
) -> None:
    """Run blocks of seeds on a Slurm of this lane's own until there are no more."""
    try:
        with place.make() as made:
            while True:
                try:
                    block = blocks.get_nowait()
                except queue.Empty:
                    break
                for seed in block:
                    if stop.is_set():
                        return
                    done.put(one(made, seed, kinds, keep=keep))
        done.put(None)
    except BaseException as error:
        done.put(error)


def one(made: Place, seed: int, kinds: Sequence[str], *, keep: bool) -> Report:
    """Run a seed, and have all ready for the next."""
    current = Run(made, seed, kinds)
    made.up(SETTINGS[current.report.site])
    report = current.execute()
    if report.problems or len(report.commands) > 1 or keep:
        current.keep(made.top / "kept" / str(seed))
    if any(fault.forgets for fault in current.faults):
        # Nodes do not launch a second job of an id that they know, which is no fault of the runs after this one.
        made.down()
    elif any(fault.hurts for fault in current.faults) or not made.is_whole():
        made.mend_after_a_run()
    current.clear()
    return report
