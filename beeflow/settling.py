"""Settle what was submitted: find out about each element without a result, once its job ended or was lost."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from beeflow import attempts, codec, interrupted, store
from beeflow.attempts import Progress
from beeflow.graph import Graph, RetryPolicy
from beeflow.group_jobs import MAX_SUBMISSIONS, GroupJobs, shown_as, was_dropped
from beeflow.layout import Layout
from beeflow.look import Halt, Look
from beeflow.models import Again, ElementResult, Intent, Lost, TaskResult, WorkflowRecord, now
from beeflow.plan import Group
from beeflow.reduction import part_of
from beeflow.scheduler import JobRecord
from beeflow.states import JobState, TaskState
from beeflow.tries import NODE_FAIL, OUT_OF_MEMORY, TIMEOUT

_POLL_S = 1.0
# A task that began so long after the first one of its job, in time limits, did not have its whole time limit.
_LATE = 0.1
# What the end of a job is to the tasks that ran: a cause to try them again.
_CAUSES = {
    JobState.BOOT_FAIL: NODE_FAIL,
    JobState.NODE_FAIL: NODE_FAIL,
    JobState.PREEMPTED: NODE_FAIL,
    JobState.OUT_OF_MEMORY: OUT_OF_MEMORY,
    JobState.TIMEOUT: TIMEOUT,
}


@dataclass(frozen=True)
class Ended:
    """An element whose job ended, or is no longer known (None), and did not publish its result."""

    group: Group
    number: int
    intent: Intent
    job: JobRecord | None
    limit_s: int

    @property
    def cause(self) -> str | None:
        """What the end of the job is a cause of."""
        return _CAUSES.get(self.job.state) if self.job else None

    @property
    def word(self) -> str:
        """What Slurm says of the job."""
        if self.job is None:
            return "no longer known"
        return f"{self.job.state.value} ({self.job.reason})" if was_dropped(self.job) else self.job.state.value


@dataclass
class Settler:
    """Settles the elements of one workflow in one pass."""

    layout: Layout
    record: WorkflowRecord
    jobs: GroupJobs
    graph: Graph

    def settle(self, look: Look, group: Group, halt: Halt) -> None:
        """Settle the elements of a group that were submitted and have no result."""
        doomed: dict[str, set[str]] = {}
        # Where commands drive, the next pass could not submit anything; and where Slurm was asked, it is known.
        got_further = bool(self.jobs.fresh) and not self.record.stops_on_error and self.record.drive != "here"
        got_further = got_further and self.jobs.submitter.asked is None
        for number, intent in self.jobs.newest(group.key).items():
            job_id = self.jobs.known_id(intent)
            if job_id is None:
                continue
            if not look.is_open(group, number):
                continue
            # A pass that got further was woken by what it waited for: the other jobs most likely live. Should one not,
            # then the next pass, which waits for it too, gets no further and asks.
            fresh = intent.key in self.jobs.fresh or (got_further and halt is Halt.NO)
            if fresh and intent.key not in self.jobs.fresh and self.jobs.accounted(group.key, [number]):
                # It goes again, and waits to be submitted: its old job is nothing to wait for.
                continue
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
                look.wait_for(group.key, job_id, shown_as(intent, number, job_id))
            else:
                self.keep(look, group, number)
        for name, shown in doomed.items():
            self.jobs.submitter.scheduler.cancel(name, sorted(shown), pending_only=halt is Halt.STOP)

    def settle_ended(self, look: Look, ended: Ended, halt: Halt) -> None:
        """Settle an element whose job ended: submit it again, or write the result that the job did not."""
        key, number, job = ended.group.key, ended.number, ended.job
        if job is not None and job.state.is_lost:
            interrupted.take_back(self.layout, key, number, job)
        progress = attempts.read(self.layout, key, number)
        is_waiting = self.jobs.accounted(key, [number])
        if is_waiting and halt is Halt.NO:
            # It goes again, and waits to be submitted.
            return
        ended = replace(ended, limit_s=max(ended.limit_s, progress.tally.time_limit_s))
        if progress.latest is None and (is_waiting or is_cancelled(job, halt)):
            # It does not begin any more; what an earlier job of it finished is kept.
            self.keep(look, ended.group, number)
            return
        # Once a pass and submission: a pass ends, for what it submits itself it does not settle.
        settled = (number, ended.intent.key, halt.name)
        if settled in self.jobs.settled:
            return
        self.jobs.settled.add(settled)
        look.changed = True
        dropped = self.jobs.is_dropped(ended.intent, number, job)
        if dropped and self.jobs.may_be_dropped(key, number) and halt is Halt.NO:
            return
        published = self.published(ended)
        known = {**progress.settled, **(published or {})}
        missing = [task.label for task in look.open_tasks(ended.group, number) if task.label not in known]
        # A result that is there stays there for whoever reads it: nothing of its element goes again.
        may_go = halt is Halt.NO and published is None
        again = self.again(look, ended, progress, missing) if may_go else set()
        retried = self.retried(ended, progress, set(missing) - again) if may_go else []
        again |= {each.label for each in retried}
        died = {label: self.lost(ended, progress, label) for label in missing if label not in again}
        if again:
            self.account(ended, progress, {**progress.settled, **died}, retried)
        elif published is None or missing:
            self.publish(ended.group, number, {**progress.settled, **died})

    def keep(self, look: Look, group: Group, number: int) -> None:
        """Publish what earlier jobs of an element finished: none comes that would."""
        settled = attempts.read(self.layout, group.key, number).settled
        if settled and not self.layout.element_result(group.key, number).exists():
            look.changed = True
            self.publish(group, number, settled)

    def again(self, look: Look, ended: Ended, progress: Progress, missing: list[str]) -> set[str]:
        """List the tasks of a dead job that have yet to have their chance."""
        if ended.job is not None and ended.job.state is JobState.CANCELLED:
            return set()
        unseen = {task.label for task in look.open_tasks(ended.group, ended.number) if any(task.holes())}
        unseen = {label for label in missing if label in unseen or label in progress.late}
        left = {label for label in missing if label not in progress.begun or was_cut_short(ended, progress, label)}
        if unseen and self.jobs.may_go_again(ended.group.key, ended.number):
            # It ran before what it takes from was made, or was to be seen: that job died too, or the files came late.
            return unseen | left
        if self.jobs.shown_id(ended.intent, ended.number) not in progress.jobs:
            most = 1 + self.policy(ended).node_fail
            lost = ended.cause == NODE_FAIL and self.jobs.may_go_again(ended.group.key, ended.number, most)
            return left if lost else set()
        return left - unseen

    def retried(self, ended: Ended, progress: Progress, labels: Collection[str]) -> list[Again]:
        """List those of a dead job's tasks that ran, and are tried again for what ended the job."""
        cause, tally, made = ended.cause, progress.tally, []
        attempt = progress.latest
        if cause is None or (cause == OUT_OF_MEMORY and (attempt is None or attempt.mem_mib is None)):
            # Nobody knows how much more that would be.
            return []
        why = f"time limit of {ended.limit_s} s" if cause == TIMEOUT else f"the job ended as {ended.word}"
        for label in sorted(labels & progress.begun.keys()):
            reason = tally.judge(codec.to_json(self.policy(ended)), label, cause, why)
            if reason is not None:
                made.append(Again(label, cause, reason, tally.begins[label]))
        return made

    def policy(self, ended: Ended) -> RetryPolicy:
        """Return how often tasks of an element are tried again."""
        return self.graph.tools[ended.group.step.tool or ""].retry

    def account(
        self, ended: Ended, progress: Progress, settled: Mapping[str, TaskResult], retried: Sequence[Again]
    ) -> None:
        """Keep what is known of an element that goes again."""
        policy, tally = self.policy(ended), progress.tally
        if any(each.cause == TIMEOUT for each in retried):
            tally.raise_to(time_limit_s=int(ended.limit_s * policy.timeout_factor))
        if any(each.cause == OUT_OF_MEMORY for each in retried) and progress.latest and progress.latest.mem_mib:
            tally.raise_to(mem_mib=int(progress.latest.mem_mib * policy.memory_factor))
        jobs = (*(progress.lost.jobs if progress.lost else ()), ended.intent.key)
        path = self.layout.lost(ended.group.key, ended.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        again = (*(progress.lost.again if progress.lost else ()), *retried)
        store.write_record(path, Lost(jobs, dict(settled), again, tally.time_limit_s, tally.mem_mib))

    def limit_s(self, look: Look, group: Group) -> int:
        """Return the time limit of a group's jobs."""
        record = look.results.group(group.key)
        return record.time_limit_s if record else 0

    def published(self, ended: Ended) -> Mapping[str, TaskResult] | None:
        """Read the result of an element; a shared file system may show that of a job that went well late.

        A pass waits once for all of them: the jobs have ended.
        """
        path = self.layout.element_result(ended.group.key, ended.number)
        while not path.exists():
            if ended.job is None or ended.job.state is not JobState.COMPLETED or self.has_waited():
                break
            time.sleep(_POLL_S)
        found = store.read_record(ElementResult, path)
        return found.tasks if found else None

    def has_waited(self) -> bool:
        """True once this pass has waited for files that show late."""
        if self.jobs.appear_by is None:
            self.jobs.appear_by = time.monotonic() + self.record.fs_settle_s
        return time.monotonic() > self.jobs.appear_by

    def lost(self, ended: Ended, progress: Progress, label: str) -> TaskResult:
        """Describe a task whose job ended without a result."""
        attempt, job = progress.latest, ended.job
        index = ended.number - ended.intent.offset
        log_path = self.layout.group_log(ended.group.key) / f"{part_of(ended.intent)}.{index}.log"
        # An element that was cancelled alone, before it began, is not even shown as such (seen on Slurm 22.05.8).
        unknown = TaskState.FAILED if attempt else TaskState.CANCELLED
        state = job.state.task_state if job else unknown
        return TaskResult(
            state=TaskState.TIMEOUT if was_cut(ended, progress, label) else state,
            reason=why_lost(ended, progress, label),
            job_id=self.jobs.shown_id(ended.intent, ended.number),
            node=attempt.node if attempt else (job.node if job else None),
            host=attempt.host if attempt else None,
            started=progress.begun.get(label, attempt.started if attempt else None),
            ended=now(),
            stderr=str(log_path.relative_to(self.layout.root)),
            tries=max(1, progress.tally.begins.get(label, 0)),
        )

    def publish(self, group: Group, number: int, results: Mapping[str, TaskResult]) -> None:
        """Write what an element did not say itself; what it says, also after all, is kept."""
        path = self.layout.element_result(group.key, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        while not store.publish_record(path, ElementResult(dict(results))):
            try:
                known = path.stat()
            except FileNotFoundError:
                continue  # an attempt set it aside
            found = store.read_record(ElementResult, path)
            if found is None:
                continue
            merged = ElementResult({**results, **found.tasks})
            if len(merged.tasks) == len(found.tasks) or store.replace_same(path, known, codec.dumps(merged)):
                return

    def refuse(self, look: Look, group: Group, numbers: list[int], reason: str) -> None:
        """Take a refusal for good."""
        for number in numbers:
            result = TaskResult(TaskState.FAILED, reason=f"not submitted: {reason}", ended=now())
            progress = attempts.read(self.layout, group.key, number)
            refused = {task.label: result for task in look.open_tasks(group, number)}
            self.publish(group, number, {**refused, **progress.settled})
        look.changed = look.changed or bool(numbers)


def is_cancelled(job: JobRecord | None, halt: Halt) -> bool:
    """True for a job that never began because its workflow was halted."""
    return halt is Halt.CANCEL or (halt is Halt.STOP and (job is None or job.state is JobState.CANCELLED))


def was_cut(ended: Ended, progress: Progress, label: str) -> bool:
    """True for a task that the runner says the time limit ended; it cannot tell that from a late scancel."""
    return label in progress.cut and (ended.job is None or ended.job.state is not JobState.CANCELLED)


def why_lost(ended: Ended, progress: Progress, label: str) -> str:
    """Say why there is no result of a task whose job ended."""
    slurm = f"Slurm: {ended.word}"
    if label in progress.tally.put_off:
        return f"{progress.tally.put_off[label]}; but the job ended; {slurm}"
    if was_cut(ended, progress, label):
        return f"time limit of {ended.limit_s} s, in {len(progress.tries[label])} job(s); {slurm}"
    if label in progress.late:
        return f"the job did not see the result of a step that it takes from; {slurm}"
    return f"the job ended without a result: {'' if progress.latest else 'before it started; '}{slurm}"


def was_cut_short(ended: Ended, progress: Progress, label: str) -> bool:
    """True for a task that its job's time limit ended before it had its own, unless that happened too often."""
    if len(progress.tries[label]) >= MAX_SUBMISSIONS:
        return False
    if was_cut(ended, progress, label):
        return True
    if ended.job is None or ended.job.state is not JobState.TIMEOUT or progress.first is None:
        return False
    late = datetime.fromisoformat(progress.begun[label]) - datetime.fromisoformat(progress.first)
    return late > timedelta(seconds=_LATE * ended.limit_s)
