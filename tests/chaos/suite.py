"""Many seeds, on one Slurm or several side by side."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Generator, Sequence

from tabulate import tabulate

from tests.chaos import place
from tests.chaos.place import SETTINGS, Place
from tests.chaos.run import SEEDS_A_SITE, Report, Run

OUTCOMES = ("missed", "by itself", "go on", "retry", "both", "WRONG")


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


def line(report: Report) -> str:
    """Describe a run in a line, and what is wrong with it in more."""
    faults = ", ".join(
        f"{name} {'missed' if said is None else f'{at:.1f} s' if at else said}" for name, at, said in report.faults
    )
    given = f"; {' '.join(report.commands)}" if report.commands else ""
    verdict = "WRONG" if report.problems else "ok"
    head = f"{report.seed:4} {report.site}: {faults}{given}; {report.state}, {report.seconds:.0f} s: {verdict}"
    return "\n".join([head, *(f"       {problem}" for problem in report.problems)])


def outcome(report: Report) -> str:
    """Say what it took, as the table has it."""
    if report.problems:
        return "WRONG"
    retried = "bee-retry" in report.commands
    if len(report.commands) > 1:
        return "both"
    return "retry" if retried else "go on" if report.commands else "by itself"


def table(reports: Sequence[Report]) -> str:
    """Count outcomes by fault: of the runs that a fault was in, and came."""
    counts: dict[str, Counter[str]] = {}
    for report in reports:
        for name, _, said in report.faults:
            counts.setdefault(name, Counter())["missed" if said is None else outcome(report)] += 1
    rows = [(name, *(counts[name][word] or "" for word in OUTCOMES)) for name in sorted(counts)]
    return tabulate(rows, headers=["fault", *OUTCOMES])
