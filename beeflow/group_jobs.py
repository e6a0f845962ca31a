"""The Slurm jobs of a workflow's groups: which element was submitted in which job, and what Slurm says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from beeflow import attempts, store
from beeflow.layout import Layout
from beeflow.models import Intent, Lost, Retried
from beeflow.plan import Plan
from beeflow.reduction import numbers_of, part_of
from beeflow.scheduler import JobRecord, Known
from beeflow.states import JobState
from beeflow.submission import Submitter

# A task that Slurm dropped though its inputs are good (DependencyNeverSatisfied) is submitted again, this often.
MAX_SUBMISSIONS = 4


@dataclass
class GroupJobs:
    """What was submitted. ``fresh``: keys of what this pass submitted itself, so that Slurm need not be asked.

    ``settled``: what this pass settled: an element, the submission before, and the Halt. ``appear_by``: until when
    (monotonic) this pass waits for results that a shared file system shows late.
    """

    layout: Layout
    submitter: Submitter
    fresh: set[str] = field(default_factory=set)
    settled: set[tuple[int, str, str]] = field(default_factory=set)
    appear_by: float | None = None
    _intents: dict[str, list[Intent]] = field(default_factory=dict)
    _counts: dict[str, Counter[int]] = field(default_factory=dict)
    _vanished: set[str] | None = None
    _queue: Known | None = None
    _past: Known | None = None
    _plan: Plan | None = None
    _deaths: dict[str, int] = field(default_factory=dict)

    def see(self, plan: Plan) -> None:
        """Take note of what the groups take from each other, as far as that is known by now."""
        self._plan = plan
        self._deaths.clear()

    def intents(self, key: str) -> list[Intent]:
        """List the submissions of a group, in order."""
        if key not in self._intents:
            found = [store.read_record(Intent, path) for path in list(self.layout.jobs.glob(f"{key}.*.json"))]
            self._intents[key] = sorted((each for each in found if each), key=part_of)
        return self._intents[key]

    def next_part(self, key: str) -> int:
        """Return the number of the next submission of a group."""
        return 1 + max((part_of(intent) for intent in self.intents(key)), default=-1)

    def note(self, intent: Intent) -> None:
        """Remember a submission that this pass made."""
        self.fresh.add(intent.key)
        self.forget(intent.group or "")

    def forget(self, key: str) -> None:
        """Read a group's submissions anew: there is one more, one was refused, or is in doubt."""
        self._intents.pop(key, None)
        self._counts.pop(key, None)

    def known_id(self, intent: Intent) -> str | None:
        """Return the id of a submission, or None while it is in doubt."""
        return self.submitter.known_id(intent.key)

    def newest(self, key: str) -> dict[int, Intent]:
        """Map each element that was submitted to its newest submission."""
        return {number: intent for intent in self.intents(key) for number in numbers_of(intent)}

    def submitted(self, key: str) -> set[int]:
        """List the elements whose newest submission has an id: a job runs or ran them."""
        known = {intent.key for intent in self.intents(key) if self.known_id(intent)}
        return {number for number, intent in self.newest(key).items() if intent.key in known}

    def in_doubt(self, key: str) -> list[Intent]:
        """List the submissions we know no answer of."""
        return [intent for intent in self.intents(key) if not self.known_id(intent)]

    def record(self, intent: Intent, number: int) -> JobRecord | None:
        """Find what Slurm says of an element, in the one squeue of this pass, else in the one sacct."""
        if self._queue is None or self.submitter.asked is None:
            self._queue = Known(self.submitter.queue())
        element = (self.known_id(intent) or "", number - intent.offset if intent.array else None)
        found = self._queue.get(*element)
        if found is None and self.submitter.record.slurm.accounting:
            if self._past is None:
                self._past = Known(self.submitter.past())
            return self._past.get(*element)
        return found

    def may_go_again(self, key: str, number: int, most: int = MAX_SUBMISSIONS) -> bool:
        """True while an element has not been submitted too often since the user last asked for it (bee-retry)."""
        if key not in self._counts:
            retried = store.read_record(Retried, self.layout.retry)
            new = (intent for intent in self.intents(key) if retried is None or intent.created > retried.at)
            self._counts[key] = Counter(each for intent in new for each in numbers_of(intent))
        return self._counts[key][number] < most

    def may_be_dropped(self, key: str, number: int) -> bool:
        """True while Slurm has not dropped an element too often: it does when a job of what that takes from dies."""
        if self.may_go_again(key, number):
            return True
        return self.may_go_again(key, number, MAX_SUBMISSIONS + self._deaths_above(key))

    def _deaths_above(self, key: str) -> int:
        """Count how often elements that a group takes from went again because a job of theirs died."""
        if key not in self._deaths:
            above, waiting = set[str](), [key]
            while self._plan and waiting:
                waiting += self._plan.producers(self._plan.groups[waiting.pop()]) - above
                above.update(waiting)
            paths = (path for each in above for path in self.layout.group(each).glob("*/*/lost.json"))
            self._deaths[key] = sum(len(found.jobs) for path in paths if (found := store.read_record(Lost, path)))
        return self._deaths[key]

    def known_keys(self, key: str, number: int) -> tuple[str, ...]:
        """Name the newest submission of an element, unless there is none or it is in doubt."""
        intent = self.newest(key).get(number)
        return (intent.key,) if intent and self.known_id(intent) else ()

    def shown_id(self, intent: Intent, number: int) -> str:
        """Return the job of an element as Slurm shows it: "12", or "12_3"."""
        return shown_as(intent, number, self.known_id(intent) or "")

    def accounted(self, key: str, numbers: Iterable[int]) -> set[int]:
        """List the elements whose newest job died in the middle and is accounted for: they go again."""
        newest = self.newest(key)
        lost = {number: store.read_record(Lost, self.layout.lost(key, number)) for number in numbers}
        return {
            number for number, found in lost.items() if found and number in newest and newest[number].key in found.jobs
        }

    def needs(self, key: str, numbers: Iterable[int]) -> dict[tuple[int, int], list[int]]:
        """Sort elements by what they are to have beyond what their step asks for: seconds and MiB, 0 for nothing."""
        known, needs = self.newest(key), dict[tuple[int, int], list[int]]()
        for number in numbers:
            lost = store.read_record(Lost, self.layout.lost(key, number)) if number in known else None
            needs.setdefault((lost.time_limit_s, lost.mem_mib) if lost else (0, 0), []).append(number)
        return needs

    def dropped(self, key: str) -> set[int]:
        """List the elements to submit again because Slurm dropped their job, or lost it; asks nothing anew."""
        if self.submitter.asked is None:
            return set()
        return {
            number
            for number, intent in self.newest(key).items()
            if intent.key not in self.fresh
            and self.is_dropped(intent, number, self.record(intent, number))
            and self.may_be_dropped(key, number)
        }

    def has_ended(self, key: str, numbers: Iterable[int]) -> bool:
        """True where Slurm was asked, and said that the newest job of one of these elements has ended."""
        if self.submitter.asked is None:
            return False
        newest = self.newest(key)
        intents = ((newest[number], number) for number in numbers if number in newest)
        found = (self.record(intent, number) for intent, number in intents if intent.key not in self.fresh)
        return any(job is not None and job.state.ended for job in found)

    def is_dropped(self, intent: Intent, number: int, job: JobRecord | None) -> bool:
        """True for an element that never began, though not because anybody wanted that."""
        return was_dropped(job) or self.has_vanished(intent, number, job)

    def has_vanished(self, intent: Intent, number: int, job: JobRecord | None) -> bool:
        """True for an element whose job made no task begin, of a workflow that the user had go on when no job was left.

        Whatever ended its job: with a full disk, say, jobs fail before they can begin anything.
        """
        if job is not None and not job.state.ended:
            return False
        if self._vanished is None:
            self._vanished = set((store.read_text(self.layout.vanished) or "").split())
        if intent.key not in self._vanished:
            return False
        return self.shown_id(intent, number) not in attempts.read(self.layout, intent.group or "", number).jobs


def shown_as(intent: Intent, number: int, job_id: str) -> str:
    """Write the job of an element as Slurm shows it."""
    return f"{job_id}_{number - intent.offset}" if intent.array else job_id


def was_dropped(job: JobRecord | None) -> bool:
    """True when Slurm itself cancelled a pending job because of what it waited for."""
    return job is not None and job.state is JobState.CANCELLED and job.reason == "DependencyNeverSatisfied"
