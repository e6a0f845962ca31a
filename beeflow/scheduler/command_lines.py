"""Build Slurm's command lines and parse what the programs print. Pure; sources are the man pages of 22.05."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from beeflow.config import format_time_limit, parse_time_limit
from beeflow.errors import SlurmError
from beeflow.scheduler import Dependency, JobOptions, JobRecord, JobRequest, Limits
from beeflow.states import JobState

# squeue --format: array job id, array index, state, node, reason, name. The name comes last: other jobs of the user may
# have any. -O would pad every column; SLURM_BITSTR_LEN=0 lifts the limit on the index expression.
SQUEUE_FORMAT = "%F|%K|%T|%N|%r|%j"

SACCT_FORMAT = "JobID,State,NodeList,Submit,JobName"

# The kernel takes 131 kB.
MAX_ARGUMENT_CHARS = 60_000

# Slurm's words for "nothing was done, ask again", and for "perhaps": seen on Slurm 22.05.8, src/common/slurm_errno.c;
# the rate limit is of Slurm 23.02 (SlurmctldParameters=rl_enable), "retry later" of 24.05. Authentication may fail for
# the answer as well as for the question. SILENT is ours, of a program that was killed or gave up without a word.
SILENT = "ended without a word"
_UNREACHABLE = (
    "(connect failure)",
    "Connection refused",
    "Unable to process configuration file",
    "Rate limit exceeded",
    "Unable to create job record, try again",
    "the DB index is being set, try again",
)
_DOUBT = (
    SILENT,
    "Socket timed out",
    "Connection timed out",
    "(send failure)",
    "(receive failure)",
    "(shutdown failure)",
    "Zero Bytes were transmitted",
    "Unexpected message received",
    "Unexpected missing socket error",
    "Message send failure",
    "Message receive failure",
    "Communication shutdown failure",
    "Slurm backup controller in standby",
    "Controller is in standby mode",
    "authentication",
    "I/O error",
)
# What it says once it is tired of "sleeping and retrying" at MaxJobCount (EAGAIN).
_FULL = "Resource temporarily unavailable"
# The words for a job that there is nothing to do about.
_ENDED = (
    "slurm_suspend error: No error",
    "Invalid job id",
    "Job has already finished",
    "Job is no longer pending execution",
    "already completing",
)
# Too many jobs submitted, by association or QOS; or more elements than max_array_tasks (SchedulerParameters). Slurm
# has the same words for a job that is too big or too long for an account, which fewer elements don't help.
_LIMIT = ("MaxSubmitJob", "Job violates accounting/QOS policy", "Invalid job array specification")
# Of a job that fits no node there is, and, by sbatch --test-only, of one whose nodes are all down or drained.
_NO_NODE = "Requested node configuration is not available"


def options_argv(options: JobOptions) -> list[str]:
    """Write job options as sbatch's long options; what is empty is left to the site."""
    named = {
        "account": options.account,
        "partition": options.partition,
        "qos": options.qos,
        "reservation": options.reservation,
        "ntasks": options.ntasks,
        "mem": None if options.mem_mib is None else f"{options.mem_mib}M",
        "tmp": None if options.tmp_mib is None else f"{options.tmp_mib}M",
        "gres": options.gres,
        "mail-type": options.mail_type,
        "mail-user": options.mail_user,
    }
    argv = [f"--time={format_time_limit(options.time_limit)}", f"--cpus-per-task={options.cpus_per_task}"]
    argv += [f"--{name}={value}" for name, value in named.items() if value not in (None, "")]
    return [*argv, *options.extra]


def sbatch_argv(request: JobRequest, *, test_only: bool = False) -> list[str]:
    """Build one sbatch command line."""
    dependency = request.dependency.render()
    argv = ["sbatch", "--parsable", "--export=ALL", f"--job-name={request.name}", f"--chdir={request.chdir}"]
    argv += [f"--output={escape(str(request.output))}", "--requeue" if request.requeue else "--no-requeue"]
    argv += options_argv(request.options)
    argv += ["--open-mode=append"] if request.open_mode_append else []
    argv += ["--hold"] if request.hold else []
    argv += [f"--array={render_array(request.array)}"] if request.array is not None else []
    argv += [f"--dependency={dependency}"] if dependency else []
    argv += ["--kill-on-invalid-dep=yes"] if dependency else []
    argv += ["--test-only"] if test_only else []
    return [*argv, "--wrap=true"] if request.script is None else [*argv, str(request.script), *request.script_args]


def render_array(indices: Sequence[int]) -> str:
    """Write array indices as --array takes them: [0, 1, 2, 7] -> "0-2,7"."""
    parts: list[str] = []
    for _, run in itertools.groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ",".join(parts)


def escape(path: str) -> str:
    """Double the percent signs of folders: sbatch expands %j and friends in all of --output; the name's own stay."""
    folder, slash, name = path.rpartition("/")
    return folder.replace("%", "%%") + slash + name


def parse_submitted(stdout: str) -> list[str]:
    """Read what sbatch --parsable prints ("123" or "123;cluster"); warnings may stand before it.

    One id, or more where the job was submitted more than once.
    """
    found = (re.fullmatch(r"(\d+)(;\S+)?", line.strip()) for line in stdout.splitlines())
    job_ids = [match.group(1) for match in found if match]
    if not job_ids:
        raise SlurmError(f"sbatch printed no job id: {stdout.strip()!r}")
    return job_ids


def refusal_kind(stderr: str) -> str:
    """Tell what sbatch's complaint means: "unreachable", "doubt", "full", "limit" or "refused"."""
    if any(words in stderr for words in _UNREACHABLE):
        return "unreachable"
    if any(words in stderr for words in _DOUBT):
        return "doubt"
    if _FULL in stderr:
        return "full"
    if any(words in stderr for words in _LIMIT):
        return "limit"
    return "refused"


def lacks_nodes(stderr: str) -> bool:
    """True when sbatch --test-only has no node for a job: for ever, or for now."""
    return _NO_NODE in stderr


def refusal_words(stderr: str) -> str:
    """Return Slurm's own words without the program's prefixes."""
    lines = [
        re.sub(r"^(sbatch|scontrol|squeue|scancel|allocation failure): (error: )?", "", line).strip()
        for line in stderr.splitlines()
    ]
    return "; ".join(dict.fromkeys(line for line in lines if line)) or "no reason given"


def complaint(stderr: str) -> str:
    """Return what scontrol or scancel complains of, but for jobs that ended or are forgotten: "" when that is all."""
    return "\n".join(line for line in stderr.splitlines() if line.strip() and not any(word in line for word in _ENDED))


def squeue_argv(user: str, names: Sequence[str] | None, *, merged: bool = False) -> list[str]:
    """Build the one squeue a command or a recovering pass makes.

    --array: else (``merged``) pending elements share a line, whose reason is all of theirs ("Resources,JobHeldUser").
    """
    argv = ["squeue", "--noheader", "--states=all", f"--user={user}", f"--format={SQUEUE_FORMAT}"]
    argv += [] if merged else ["--array"]
    return [*argv, f"--name={','.join(names)}"] if names is not None else argv


def parse_squeue(stdout: str) -> list[JobRecord]:
    """Read squeue's lines; a condensed array line ("3-5,9%2") becomes one record an element.

    Our jobs' names are plain. What does not look like a job is the rest of a foreign name with a line break in it.
    """
    return [record for line in stdout.splitlines() if _SQUEUE_LINE.match(line) for record in _parse_squeue_line(line)]


_SQUEUE_LINE = re.compile(r"\d+\|[^|]*\|[A-Z_]+\|[^|]*\|[^|]*\|")


def _parse_squeue_line(line: str) -> Iterator[JobRecord]:
    job_id, array, state, node, reason, name = line.split("|", 5)
    for index in parse_array(array):
        yield JobRecord(job_id, name.strip(), JobState.parse(state), reason, index, node)


def parse_array(text: str) -> list[int | None]:
    """Read an array expression: "N/A" -> [None], "4" -> [4], "1-3,7%2" -> [1, 2, 3, 7]."""
    if not text or text == "N/A":
        return [None]
    indices: list[int | None] = []
    for part in text.split("%")[0].split(","):
        bounds, _, stride = part.partition(":")
        first, _, last = bounds.partition("-")
        indices.extend(range(int(first), int(last or first) + 1, int(stride or 1)))
    return indices


def sacct_argv(job_ids: str, since: str) -> list[str]:
    """Build the one sacct of a recovering pass. ``job_ids``: joined by commas; ``since``: a recorded time.

    --jobs and no names: only so are jobs told that never became eligible. --duplicates: without it sacct chooses among
    jobs of one number, which it may have given twice.
    """
    # sacct reads local time. A day before that: clocks differ.
    begin = datetime.fromisoformat(since).astimezone() - timedelta(days=1)
    argv = ["sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", f"--jobs={job_ids}"]
    return [*argv, f"--starttime={begin:%Y-%m-%dT%H:%M:%S}", f"--format={SACCT_FORMAT}"]


def parse_sacct(stdout: str) -> list[JobRecord]:
    """Read sacct's lines; of several runs of a job, or jobs of one number and name, the one submitted last.

    Elements that never ran share a line ("12_[3-5,9%2]"). Steps ("12.batch") are left out.
    """
    newest: dict[tuple[str, str, int | None], tuple[str, JobRecord]] = {}
    for match in filter(None, map(_SACCT_LINE.fullmatch, stdout.splitlines())):
        job_id, array, state, by, nodes, submitted, name = match.groups("")
        node = "" if nodes == "None assigned" else nodes
        for index in parse_array(array.strip("_[]")):
            record = JobRecord(job_id, name.strip(), JobState.parse(state), by.strip(), index, node)
            known = newest.get((job_id, name, index))
            if known is None or submitted >= known[0]:
                newest[job_id, name, index] = (submitted, record)
    return [record for _, record in newest.values()]


# Times are numbers (SLURM_TIME_FORMAT), or else sort as they are written.
_SACCT_LINE = re.compile(r"(\d+)(_\d+|_\[[^\]|]*\])?\|([A-Z_]+)( by \d+)?\|([^|]*)\|([^|]*)\|(.*)")


def relink_argv(job_id: str, dependency: Dependency) -> list[str]:
    """Build the scontrol that replaces a pending job's dependency."""
    return ["scontrol", "update", f"JobId={job_id}", f"Dependency={dependency.render()}"]


def change_argv(job_id: str, begin_in_s: float, time_limit_s: int, mem_mib: int) -> list[str]:
    """Build the scontrol that changes what a pending job asks for; none where there is nothing to change."""
    given = {
        "StartTime": f"now+{math.ceil(begin_in_s)}" if begin_in_s else "",
        "TimeLimit": format_time_limit(timedelta(seconds=time_limit_s)) if time_limit_s else "",
        "MinMemoryNode": str(mem_mib) if mem_mib else "",
    }
    words = [f"{name}={value}" for name, value in given.items() if value]
    return ["scontrol", "update", f"JobId={job_id}", *words] if words else []


def parse_max_time(stdout: str) -> int | None:
    """Read the longest time limit of a partition in seconds from ``scontrol show partition``; None: there is none."""
    match = re.search(r"\bMaxTime=(\S+)", stdout)
    if match is None:
        raise SlurmError(f"scontrol show partition: cannot read {stdout.strip()!r}")
    if match.group(1) in ("UNLIMITED", "NONE"):
        return None
    try:
        return int(parse_time_limit(match.group(1)).total_seconds())
    except ValueError as error:
        raise SlurmError(f"scontrol show partition: {error}") from error


def render_elements(jobs: Iterable[JobRecord]) -> list[str]:
    """Write jobs and elements as scontrol takes them: "12", "13_[0-3,7]"."""
    indices: dict[str, set[int]] = {}
    for job in jobs:
        found = indices.setdefault(job.job_id, set())
        if job.array_task_id is not None:
            found.add(job.array_task_id)
    return [f"{job_id}_[{render_array(sorted(each))}]" if each else job_id for job_id, each in indices.items()]


def job_lists(job_ids: Iterable[str]) -> Iterator[str]:
    """Join ids by commas, in texts that an argument may be."""
    batch: list[str] = []
    for job_id in job_ids:
        if batch and sum(len(each) + 1 for each in batch) + len(job_id) > MAX_ARGUMENT_CHARS:
            yield ",".join(batch)
            batch = []
        batch.append(job_id)
    if batch:
        yield ",".join(batch)


def has_failed(returncode: int, stderr: str) -> bool:
    """True when scontrol or scancel did not do all: of jobs that ended or are forgotten there was nothing to do.

    scancel --quiet says nothing of those, and ends with 1 all the same (seen on Slurm 22.05.8).
    """
    return returncode < 0 or (returncode > 0 and bool(complaint(stderr)))


def mail_argv(job_id: str, mail_type: str, mail_user: str) -> list[str]:
    """Build the scontrol that asks for mail about a job."""
    argv = ["scontrol", "update", f"JobId={job_id}", f"MailType={mail_type}"]
    return [*argv, f"MailUser={mail_user}"] if mail_user else argv


def scancel_argv(name: str | None, job_ids: Sequence[str], *, pending_only: bool = False) -> list[str]:
    """Build a scancel that takes only jobs of this name: ids start over when a controller loses its state."""
    argv = ["scancel", *([f"--name={name}"] if name else [])]
    return [*argv, *(["--state=PENDING"] if pending_only else []), *job_ids]


def live_elements(records: Iterable[JobRecord], shown_ids: Sequence[str], *, pending_only: bool) -> list[str]:
    """Keep those array elements ("12_3") that are among the records and have not ended, or are pending."""
    live = {
        f"{record.job_id}_{record.array_task_id}"
        for record in records
        if (record.state is JobState.PENDING if pending_only else not record.state.ended)
    }
    return [shown for shown in shown_ids if shown in live]


def has_accounting(storage: str | None) -> bool:
    """Tell from slurm.conf's AccountingStorageType whether there is a database that sacct reads."""
    return (storage or "").strip() == "accounting_storage/slurmdbd"


def parse_limits(stdout: str) -> Limits:
    """Read ``scontrol show config``."""
    values = dict(re.findall(r"^(\w+)\s+= (.*)$", stdout, re.MULTILINE))
    version = re.search(r"SLURM_VERSION\s+= (\S+)", stdout)
    try:
        return Limits(
            cluster_name=values["ClusterName"].strip(),
            slurm_version=version.group(1) if version else "",
            max_array_size=int(values["MaxArraySize"]),
            max_job_count=int(values["MaxJobCount"]),
            accounting=has_accounting(values.get("AccountingStorageType")),
        )
    except (KeyError, ValueError) as error:
        raise SlurmError(f"scontrol show config: cannot read {error}") from error
