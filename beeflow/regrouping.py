"""Have results follow their tasks where the tasks of a step are not those of before, as a retry may make it.

An element runs the tasks at its place among the step's labels. When a task that decides a width runs again there may
be others, and those after them move.
"""

from __future__ import annotations

from beeflow import attempts, store
from beeflow.group_jobs import GroupJobs
from beeflow.layout import Layout
from beeflow.models import ElementResult, GroupRecord, Lost, Moved, Taken, TaskResult


def regroup(layout: Layout, jobs: GroupJobs, known: GroupRecord, made: GroupRecord) -> None:
    """Replace a group's record; elements with tasks that they did not run before go again, with what is known of them.

    Killed anywhere and done again, it goes on.
    """
    grown = [number for number in range(made.elements) if not runs(made, number) <= runs(known, number)]
    if grown:
        moved = store.read_record(Moved, layout.moved(made.key))
        if moved is None or moved.labels != made.labels:
            moved = Moved(made.labels, results(layout, known))
            store.write_record(layout.moved(made.key), moved)
        for number in grown:
            mine = {label: moved.tasks[label] for label in sorted(runs(made, number) & moved.tasks.keys())}
            attempts.put_aside(layout, made.key, number, Lost(jobs.known_keys(made.key, number), mine))
            if len(mine) == len(runs(made, number)):
                store.publish_record(layout.element_result(made.key, number), ElementResult(mine))
        # The description is of the tasks of before.
        store.remove(layout.run(made.key))
    store.write_record(layout.group_record(made.key), made)
    store.remove(layout.moved(made.key))


def take(layout: Layout, made: GroupRecord) -> bool:
    """Give the tasks of a new group what a re-execution took for them; False when that is nothing.

    Not where the tasks are others than it was taken for. Done again it changes nothing.
    """
    taken = store.read_record(Taken, layout.taken(made.key))
    if taken is None or taken.labels != made.labels:
        return False
    for number in range(made.elements):
        mine = {label: taken.tasks[label] for label in sorted(runs(made, number) & taken.tasks.keys())}
        if not mine:
            continue
        layout.element(made.key, number).mkdir(parents=True, exist_ok=True)
        if len(mine) == len(runs(made, number)):
            store.publish_record(layout.element_result(made.key, number), ElementResult(mine))
        else:
            store.write_record(layout.lost(made.key, number), Lost((), mine))
    return True


def runs(group: GroupRecord, number: int) -> set[str]:
    """Return the labels of the tasks that an element runs."""
    return set(group.labels_of(number)).difference(group.skipped)


def results(layout: Layout, group: GroupRecord) -> dict[str, TaskResult]:
    """Read what came of a group's tasks: label -> result."""
    found: dict[str, TaskResult] = {}
    for number in range(group.elements):
        labels = set(group.labels_of(number))
        known = attempts.known(layout, group.key, number)
        found.update((label, each) for label, each in known.items() if label in labels)
    return found
