"""What the next pass waits for: the jobs that decide something, else all that have yet to end. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from beeflow.look import Look
from beeflow.scheduler import Dependency
from beeflow.windows import younger_half

# sbatch and scontrol take a dependency of at most 131 kB (seen on Slurm 22.05.8).
MAX_DEPENDENCY_CHARS = 100_000


def dependency(look: Look, *, halted: bool, on_failure: bool) -> Dependency:
    """Say what the next pass waits for.

    ``halted``: nothing is submitted any more, so nothing is left to decide. ``on_failure``: it also comes when a job
    ends badly; where all jobs must end, that is "afterok", with which Slurm cancels the pass when one does not. Either
    names elements: of an array as such that is known only when all of it has ended (seen on Slurm 22.05.8).
    """
    every = _ids(look, look.outstanding)
    sets = [] if halted else _smallest([*_deciding(look), *_windows(look)])
    if len(sets) > 1 or (on_failure and sets and set(sets[0]) != set(every)):
        # "?" can't say "all of these": of each set the job that was submitted last is likely to end last.
        any_of = _fitting({max(each, key=int) for each in sets}, len("afterany:?"), MAX_DEPENDENCY_CHARS // 2)
        failing = _elements(look, every, len("afternotok:?"), MAX_DEPENDENCY_CHARS // 2) if on_failure else ()
        return Dependency(any_of=any_of, or_failed=tuple(each for each in failing if each not in any_of))
    awaited = sets[0] if sets else every
    if on_failure:
        return Dependency({"afterok": _elements(look, awaited, len(":"), MAX_DEPENDENCY_CHARS)}, singleton=True)
    return Dependency({"afterany": _fitting(awaited, len(":"), MAX_DEPENDENCY_CHARS)}, singleton=True)


def _deciding(look: Look) -> list[frozenset[str]]:
    """List, for each group that waits and could go on by itself, the jobs that must end before it can."""
    waiting = look.held_back.union(group.key for group in look.waiting)
    found = []
    for group in look.waiting:
        keys = look.plan.deciders(group)
        # What takes from a group that waits itself goes on after that one.
        if not keys & waiting and not (group.unknown is None and look.plan.is_open_ended(group)):
            found.append(frozenset(_ids(look, keys & set(look.outstanding))))
    return [each for each in found if each]


def _windows(look: Look) -> list[frozenset[str]]:
    """List the jobs each of which leaves room for more when it ends."""
    return [frozenset({job_id}) for job_id in younger_half(look.live)] if look.held_back else []


def _smallest(sets: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Leave out the sets that hold another: they can't be complete before that one is."""
    unique = set(sets)
    return [each for each in unique if not any(other < each for other in unique)]


def _ids(look: Look, keys: Iterable[str]) -> list[str]:
    return [job_id for key in keys for job_id in look.outstanding[key]]


def _elements(look: Look, job_ids: Iterable[str], extra: int, room: int) -> tuple[str, ...]:
    """Name the elements of jobs; where that is too long, the jobs."""
    ids = set(job_ids)
    found = {shown for job_id in ids for shown in look.elements[job_id]}
    return _fitting(found if _length(found, extra) <= room else ids, extra, room)


def _fitting(job_ids: Collection[str], extra: int, room: int) -> tuple[str, ...]:
    """Sort ids, and leave out the oldest of too many: the pass after finds those that live and waits for them."""
    ids = sorted(set(job_ids), key=lambda job_id: [int(part) for part in job_id.split("_")])
    while _length(ids, extra) > room:
        ids = ids[len(ids) // 2 :]
    return tuple(ids)


def _length(job_ids: Collection[str], extra: int) -> int:
    return sum(len(job_id) + extra for job_id in job_ids)
