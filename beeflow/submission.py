"""Hand jobs to Slurm so that none runs twice and none is lost.

Intent file (created once) -> sbatch -> id file (linked without overwriting, by the submitter or by the job itself,
whoever is first). The job whose id is not in the file ends at once; the submitter cancels it when it sees it lost.
An intent without an id is in doubt: one squeue by name finds the job, or there is none and sbatch is called again.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from beeflow import scripts, store
from beeflow.errors import BeeError, SlurmError, SubmissionError
from beeflow.layout import Layout
from beeflow.locking import Lock
from beeflow.models import Holder, Intent, WorkflowRecord, now
from beeflow.scheduler import Dependency, JobRecord, JobRequest, Known, QueueFullError, Scheduler, SubmissionDoubtError
from beeflow.scheduler import command_lines as lines
from beeflow.scheduler.options import pass_options
from beeflow.states import JobState

log = logging.getLogger(__name__)

# How long after a submission in doubt Slurm is asked what became of it, and whether it takes it now.
DOUBT_PAUSES_S = (1.0, 4.0, 10.0)
PASS_SCRIPT = "pass.sh"  # noqa: S105 - a file name


def pass_key(number: int) -> str:
    """Name a pass: pass.1 is the driver."""
    return f"pass.{number}"


def pass_number(key: str) -> int:
    """Read the number of a pass from its key."""
    return int(key.rpartition(".")[2])


def claim(layout: Layout, key: str, job_id: str) -> bool:
    """Link the job's own id, the job's first act; False when another submission of the same job was first."""
    # Mostly the submitter was first.
    if not layout.job_id(key).exists() and store.publish(layout.job_id(key), job_id + "\n"):
        return True
    return (store.read_text(layout.job_id(key)) or "").strip() == job_id


def is_certain(job: JobRecord) -> bool:
    """True for a job that accounting says how it ended, and who wanted that."""
    return job.state.ended and (job.state is not JobState.CANCELLED or job.reason not in ("", "by 0"))


@dataclass
class Submitter:
    """Submits the jobs of one workflow. ``disbelieved``: keys of submissions whose results may not be the last word."""

    layout: Layout
    record: WorkflowRecord
    scheduler: Scheduler
    doubt_pauses_s: tuple[float, ...] = DOUBT_PAUSES_S
    asked: list[JobRecord] | None = field(default=None, init=False)
    asked_past: list[JobRecord] | None = field(default=None, init=False)
    submitted: set[str] = field(default_factory=set, init=False)
    disbelieved: set[str] = field(default_factory=set, init=False)

    def lock(self, path: Path) -> Lock:
        """Return a lock of the workflow."""
        return Lock(path, self.record.lock, self.is_live)

    def is_live(self, holder: Holder) -> bool:
        """Tell whether the job that holds a lock has not ended."""
        if holder.cluster != self.record.slurm.cluster_name:
            raise SlurmError(f"a job of another cluster, {holder.cluster or 'which has no name'}")
        return any(job.job_id == holder.job_id and not job.state.ended for job in self.scheduler.query())

    def known_id(self, key: str) -> str | None:
        """Return the id of a job that was submitted, or None."""
        text = store.read_text(self.layout.job_id(key))
        return text.strip() if text else None

    def intents(self) -> list[Intent]:
        """Read all intents, in the order of their keys."""
        found = [store.read_record(Intent, path) for path in sorted(self.layout.jobs.glob("*.json"))]
        return [intent for intent in found if intent]

    def queue(self) -> list[JobRecord]:
        """Return this workflow's jobs as Slurm has them: at most one squeue a pass."""
        if self.asked is None:
            names = sorted({intent.job_name for intent in self.intents()})
            self.asked = self.scheduler.query(names) if names else []
        return self.asked

    def past(self) -> list[JobRecord]:
        """Return what accounting, if there is any, says of jobs that Slurm has forgotten: at most one sacct a pass.

        Only what surely ended so: a job that lives was not forgotten, and one that Slurm itself cancelled, or root, may
        only have waited for another.
        """
        if self.asked_past is None:
            self.asked_past = []
            names = self._forgotten() if self.record.slurm.accounting else {}
            try:
                found = self.scheduler.history(sorted(names), self.record.created) if names else []
                self.asked_past = [job for job in found if names.get(job.job_id) == job.name and is_certain(job)]
            except BeeError as error:
                log.warning("what became of %d jobs is not known: %s", len(names), error)
        return self.asked_past

    def _forgotten(self) -> dict[str, str]:
        """Map to their names the jobs of which Slurm has forgotten an element that left no result."""
        known = Known(self.queue())
        found = {}
        for intent in self.intents():
            job_id = self.known_id(intent.key)
            gone = [each for each in intent.indices if not known.get(job_id, each if intent.array else None)]
            results = (self.layout.element_result(intent.group or "", intent.offset + each) for each in gone)
            is_open = bool(gone) and intent.key in self.disbelieved
            if intent.group and job_id and (is_open or not all(path.exists() for path in results)):
                found[job_id] = intent.job_name
        return found

    def ours(self, jobs: Iterable[JobRecord]) -> list[JobRecord]:
        """Leave out jobs that only have a name of ours: that of ours has an id we know, or one that is in doubt.

        One that Slurm made twice of a submission ends when it begins, unless it cannot be launched, and is ours to end.
        ``jobs``: as Slurm had them before this call; an intent is written before its job.
        """
        ids: dict[str, set[str | None]] = {}
        for intent in self.intents():
            ids.setdefault(intent.job_name, set()).add(self.known_id(intent.key))
        named = [job for job in jobs if job.name in ids]
        return [job for job in named if job.put_aside or {job.job_id, None} & ids[job.name]]

    def submit(self, intent: Intent, request: JobRequest) -> str:
        """Submit a job unless it already is; returns its id."""
        known = self.known_id(intent.key)
        if known:
            return known
        intent = dataclasses.replace(intent, argv=tuple(lines.sbatch_argv(request)))
        if not store.publish_record(self.layout.intent(intent.key), intent):
            found = self._in_doubt(intent)
            if found:
                return self._settle(intent, found)
        return self._settle(intent, self._sbatch(intent, request))

    def _sbatch(self, intent: Intent, request: JobRequest) -> str:
        try:
            job_id = self.scheduler.submit(request)
        except (SubmissionError, QueueFullError):
            # A clear no: nothing is in doubt.
            self.layout.intent(intent.key).unlink(missing_ok=True)
            raise
        except SlurmError:
            # Whoever looks next must ask Slurm again.
            self.asked = None
            raise
        self.submitted.add(job_id)
        return job_id

    def _in_doubt(self, intent: Intent) -> str | None:
        """Find a job that an sbatch we know no answer of may have made."""
        others = {self.known_id(other.key) for other in self.intents() if other.job_name == intent.job_name}
        # One that ended had put its own id into the file, or never began.
        found = [
            job.job_id
            for job in self.queue()
            if job.name == intent.job_name and job.job_id not in others and not job.state.ended
        ]
        log.info("submission of %s in doubt: %s", intent.key, f"found job {found[0]}" if found else "not in the queue")
        return found[0] if found else None

    def _settle(self, intent: Intent, job_id: str) -> str:
        if store.publish(self.layout.job_id(intent.key), job_id + "\n"):
            return job_id
        winner = self.known_id(intent.key)
        if winner is None:
            raise SlurmError(f"{self.layout.job_id(intent.key)}: vanished while job {job_id} was submitted")
        if winner != job_id:
            self.scheduler.cancel(intent.job_name, [job_id])
        return winner

    def submit_pass(self, number: int, dependency: Dependency, *, hold: bool = False) -> str:
        """Submit a pass over the workflow; where the answer got lost, look for it, and only then submit it again."""
        key = pass_key(number)
        request = self.pass_request(key, dependency, hold=hold)
        for pause_s in self.doubt_pauses_s:
            try:
                return self.submit(Intent(key, request.name, now(), ()), request)
            except SubmissionDoubtError as error:
                log.warning("%s; looking for %s in %g s", error, key, pause_s)
                time.sleep(pause_s)
        return self.submit(Intent(key, request.name, now(), ()), request)

    def pass_request(self, key: str, dependency: Dependency, *, hold: bool = False) -> JobRequest:
        """Build the sbatch of a pass. All passes share a name, and singleton keeps them apart."""
        return JobRequest(
            name=self.record.job_name(key),
            script=self.pass_script(),
            chdir=self.layout.root,
            output=self.layout.passes_log,
            options=pass_options(self.record.options, first=key == pass_key(1)),
            dependency=dependency,
            hold=hold,
            script_args=(key,),
        )

    def pass_script(self) -> Path:
        """Write the batch script of passes, once."""
        path = self.layout.log / PASS_SCRIPT
        if not path.exists():
            store.write_text(path, scripts.render("pass.sh", workflow_dir=str(self.layout.root)))
        return path

    def last_pass(self) -> int:
        """Return the number of the newest pass there is an intent of; 0 when there is none."""
        return max((pass_number(path.stem) for path in self.layout.jobs.glob("pass.*.json")), default=0)
