"""Settle what was submitted: find out about each element without a result, once its job ended or was lost."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from beeflow import attempts, store
from beeflow.attempts import Progress
from beeflow.group_jobs import GroupJobs
from beeflow.layout import Layout
from beeflow.look import Halt, Look
from beeflow.models import ElementResult, Intent, Lost, TaskResult, WorkflowRecord, now
from beeflow.plan import Group
from beeflow.reduction import part_of
from beeflow.scheduler import JobRecord
from beeflow.states import JobState, TaskState

_POLL_S = 1.0
# A task that began this late in its element did not have its whole time limit.
_LATE = 0.1


@dataclass(frozen=True)
class Ended:
    """An element whose job ended, or is no longer known (None), and did not publish its result."""

    group: Group
    number: int
    intent: Intent
    job: JobRecord | None
    limit_s: int


@dataclass
class Settler:
    """Settles the elements of one workflow in one pass."""

    layout: Layout
    record: WorkflowRecord
    jobs: GroupJobs

    def settle(self, look: Look, group: Group, halt: Halt) -> None:
        """Settle the elements of a group that were submitted and have no result."""
        doomed: dict[str, set[str]] = {}
        got_further = bool(self.jobs.fresh) and not self.record.stops_on_error
        for number, intent in self.jobs.newest(group.key).items():
            job_id = self.jobs.known_id(intent)
            if job_id is None or not look.is_open(group, number):
                continue
            # A pass that got further was woken by what it waited for: the other jobs most likely live. Should one not,
            # then the next pass, which waits for it too, gets no further and asks.
            fresh = intent.key in self.jobs.fresh or (got_further and halt is Halt.NO)
            job = None if fresh else self.jobs.record(intent, number)
            if not fresh and (job is None or job.state.ended):
                self.settle_ended(look, Ended(group, number, intent, job, self.limit_s(look, group)), halt)
                continue
            pending = job is not None and job.state is JobState.PENDING
            if halt is Halt.CANCEL:
                doomed.setdefault(intent.job_name, set()).add(self.jobs.shown_id(intent, number))
            elif halt is Halt.STOP and (fresh or pending):
                # The whole array: of that, only what is pending is cancelled.
                doomed.setdefault(intent.job_name, set()).add(job_id)
            if halt is Halt.NO or not pending:
                look.wait_for(group.key, job_id)
        for name, shown in doomed.items():
            self.jobs.submitter.scheduler.cancel(name, sorted(shown), pending_only=halt is Halt.STOP)

    def settle_ended(self, look: Look, ended: Ended, halt: Halt) -> None:
        """Settle an element whose job ended: submit it again, or write the result that the job did not."""
        key, number, job = ended.group.key, ended.number, ended.job
        progress = attempts.read(self.layout, key, number)
        if progress.latest is None and is_cancelled(job, halt):
            return
        look.changed = True
        dropped = self.jobs.is_dropped(ended.intent, number, job)
        if dropped and self.jobs.may_go_again(key, number) and halt is Halt.NO:
            return
        if job is not None and job.state is JobState.COMPLETED and self.appears(key, number):
            return
        missing = [task.label for task in look.open_tasks(ended.group, number) if task.label not in progress.settled]
        again = self.again(look, ended, progress, missing) if halt is Halt.NO else set()
        died = {label: self.lost(ended, progress, label) for label in missing if label not in again}
        settled = {**progress.settled, **died}
        if again:
            self.account(ended, progress, settled)
        else:
            self.publish(ended.group, number, settled)

    def again(self, look: Look, ended: Ended, progress: Progress, missing: list[str]) -> set[str]:
        """List the tasks of a dead job that have yet to have their chance."""
        if ended.job is not None and ended.job.state is JobState.CANCELLED:
            return set()
        waiting = {task.label for task in look.open_tasks(ended.group, ended.number) if any(task.holes())}
        if waiting and self.jobs.may_go_again(ended.group.key, ended.number):
            # It ran before what it takes from was made: that job died too, and goes again.
            return waiting
        if self.jobs.shown_id(ended.intent, ended.number) not in progress.jobs:
            return set()
        return {label for label in missing if label not in progress.begun or was_cut_short(ended, progress, label)}

    def account(self, ended: Ended, progress: Progress, settled: Mapping[str, TaskResult]) -> None:
        """Keep what is known of an element that goes again."""
        jobs = (*(progress.lost.jobs if progress.lost else ()), self.jobs.shown_id(ended.intent, ended.number))
        path = self.layout.lost(ended.group.key, ended.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_record(path, Lost(jobs, dict(settled)))

    def limit_s(self, look: Look, group: Group) -> int:
        """Return the time limit of a group's jobs."""
        record = look.results.group(group.key)
        return record.time_limit_s if record else 0

    def appears(self, key: str, number: int) -> bool:
        """Wait for the result of a job that Slurm says went well: a shared file system may show it late."""
        path = self.layout.element_result(key, number)
        deadline = time.monotonic() + self.record.fs_settle_s
        while not path.exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def lost(self, ended: Ended, progress: Progress, label: str) -> TaskResult:
        """Describe a task whose job ended without a result."""
        attempt, job = progress.latest, ended.job
        index = ended.number - ended.intent.offset
        log_path = self.layout.group_log(ended.group.key) / f"{part_of(ended.intent)}.{index}.log"
        # An element that was cancelled alone, before it began, is not even shown as such (seen on Slurm 22.05.8).
        unknown = TaskState.FAILED if attempt else TaskState.CANCELLED
        began = "" if attempt else "before it started; "
        word = job.state.value if job else "no longer known"
        return TaskResult(
            state=job.state.task_state if job else unknown,
            reason=f"the job ended without a result: {began}Slurm: {word}",
            job_id=self.jobs.shown_id(ended.intent, ended.number),
            node=attempt.node if attempt else (job.node if job else None),
            host=attempt.host if attempt else None,
            started=progress.begun.get(label, attempt.started if attempt else None),
            ended=now(),
            stderr=str(log_path.relative_to(self.layout.root)),
        )

    def publish(self, group: Group, number: int, results: Mapping[str, TaskResult]) -> None:
        """Write a result in the place of an element that did not; one that came after all is kept."""
        path = self.layout.element_result(group.key, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.publish_record(path, ElementResult(dict(results)))

    def refuse(self, look: Look, group: Group, numbers: list[int], reason: str) -> None:
        """Take a refusal for good."""
        for number in numbers:
            result = TaskResult(TaskState.FAILED, reason=f"not submitted: {reason}", ended=now())
            progress = attempts.read(self.layout, group.key, number)
            refused = {task.label: result for task in look.open_tasks(group, number)}
            self.publish(group, number, {**refused, **progress.settled})
        look.changed = True


def is_cancelled(job: JobRecord | None, halt: Halt) -> bool:
    """True for a job that never began because its workflow was halted."""
    return halt is Halt.CANCEL or (halt is Halt.STOP and (job is None or job.state is JobState.CANCELLED))


def was_cut_short(ended: Ended, progress: Progress, label: str) -> bool:
    """True for a task that its element's time limit ended before it had its own."""
    if ended.job is None or ended.job.state is not JobState.TIMEOUT or progress.latest is None:
        return False
    late = datetime.fromisoformat(progress.begun[label]) - datetime.fromisoformat(progress.latest.started)
    return late > timedelta(seconds=_LATE * ended.limit_s)
