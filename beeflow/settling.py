"""Settle what was submitted: find out about each element without a result, once its job ended or was lost."""

from __future__ import annotations

import time
from dataclasses import dataclass

from beeflow import store
from beeflow.group_jobs import GroupJobs, was_dropped
from beeflow.layout import Layout
from beeflow.look import Look
from beeflow.models import ElementResult, Intent, TaskResult, WorkflowRecord, now
from beeflow.plan import Group
from beeflow.reduction import latest_attempt, part_of
from beeflow.scheduler import JobRecord
from beeflow.states import JobState, TaskState

_POLL_S = 1.0


@dataclass
class Settler:
    """Settles the elements of one workflow in one pass."""

    layout: Layout
    record: WorkflowRecord
    jobs: GroupJobs

    def settle(self, look: Look, group: Group, *, cancelled: bool) -> None:
        """Settle the elements of a group that were submitted and have no result."""
        doomed: dict[str, list[JobRecord]] = {}
        for number, intent in self.jobs.newest(group.key).items():
            job_id = self.jobs.known_id(intent)
            if job_id is None or not look.is_open(group, number):
                continue
            if intent.key in self.jobs.fresh and not cancelled:
                look.wait_for(group.key, job_id)
                continue
            job = self.jobs.record(intent, number)
            if job is None or job.state.ended:
                self.settle_ended(look, group, number, intent, job, cancelled=cancelled)
            elif cancelled:
                doomed.setdefault(intent.job_name, []).append(job)
            else:
                look.wait_for(group.key, job_id)
        self.cancel(look, group, doomed)

    def settle_ended(
        self, look: Look, group: Group, number: int, intent: Intent, job: JobRecord | None, *, cancelled: bool
    ) -> None:
        """Settle an element whose job ended: submit it again, or write the result that the job did not."""
        if cancelled and latest_attempt(self.layout, group.key, number) is None:
            return
        look.changed = True
        if was_dropped(job) and self.jobs.may_go_again(group.key, number) and not cancelled:
            return
        if job is not None and job.state is JobState.COMPLETED and self.appears(group.key, number):
            return
        self.publish(group, number, self.lost(group, number, intent, job))

    def appears(self, key: str, number: int) -> bool:
        """Wait for the result of a job that Slurm says went well: a shared file system may show it late."""
        path = self.layout.element_result(key, number)
        deadline = time.monotonic() + self.record.fs_settle_s
        while not path.exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def cancel(self, look: Look, group: Group, doomed: dict[str, list[JobRecord]]) -> None:
        """Cancel the jobs of a cancelled workflow; those that run have yet to end."""
        for name, jobs in doomed.items():
            shown = [job.job_id if job.array_task_id is None else f"{job.job_id}_{job.array_task_id}" for job in jobs]
            self.jobs.submitter.scheduler.cancel(name, shown)
            for job in jobs:
                if job.state is not JobState.PENDING:
                    look.wait_for(group.key, job.job_id)

    def lost(self, group: Group, number: int, intent: Intent, job: JobRecord | None) -> TaskResult:
        """Describe an element whose job ended without a result."""
        attempt = latest_attempt(self.layout, group.key, number)
        index = number - intent.offset
        log_path = self.layout.group_log(group.key) / f"{part_of(intent)}.{index}.log"
        # An element that was cancelled alone, before it began, is not even shown as such (seen on Slurm 22.05.8).
        unknown = TaskState.FAILED if attempt else TaskState.CANCELLED
        job_id = self.jobs.known_id(intent)
        began = "" if attempt else "before it started; "
        word = job.state.value if job else "no longer known"
        return TaskResult(
            state=job.state.task_state if job else unknown,
            reason=f"the job ended without a result: {began}Slurm: {word}",
            job_id=f"{job_id}_{index}" if intent.array else job_id,
            node=attempt.node if attempt else (job.node if job else None),
            host=attempt.host if attempt else None,
            started=attempt.started if attempt else None,
            ended=now(),
            stderr=str(log_path.relative_to(self.layout.root)),
        )

    def publish(self, group: Group, number: int, result: TaskResult) -> None:
        """Write a result in the place of a task that did not; one that came after all is kept."""
        path = self.layout.element_result(group.key, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        store.publish_record(path, ElementResult({group.tasks[number].label: result}))

    def refuse(self, look: Look, group: Group, numbers: list[int], reason: str) -> None:
        """Take a refusal for good."""
        for number in numbers:
            result = TaskResult(TaskState.FAILED, reason=f"not submitted: {reason}", ended=now())
            self.publish(group, number, result)
        look.changed = True
