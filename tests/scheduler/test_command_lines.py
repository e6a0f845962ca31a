"""Command lines and captured text. What is marked so was printed by Slurm 22.05.8."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from beeflow.errors import SlurmError
from beeflow.scheduler import Dependency, JobOptions, JobRecord, JobRequest
from beeflow.scheduler import command_lines as lines
from beeflow.states import JobState

TASK = JobRequest(
    name="bee-3fc631bb0d92-002.0",
    script=Path("/w/tasks/002-b/job.sh"),
    chdir=Path("/w"),
    output=Path("/w/tasks/002-b/slurm/0.%a.log"),
    options=JobOptions(timedelta(minutes=90), cpus_per_task=4, mem_mib=2048),
    script_args=("002-b.0:0",),
)


# -- sbatch -----------------------------------------------------------------------------------------------------------


def test_a_pass() -> None:
    request = JobRequest(
        name="bee-3fc631bb0d92-pass",
        script=Path("/w/log/pass.sh"),
        chdir=Path("/w"),
        output=Path("/w/log/passes.log"),
        options=JobOptions(timedelta(minutes=30), account="acc", partition="short", extra=("--comment=a b",)),
        dependency=Dependency({"afterany": ("12",)}, singleton=True),
        hold=True,
        script_args=("pass.2",),
    )
    assert lines.sbatch_argv(request) == [
        "sbatch",
        "--parsable",
        "--export=ALL",
        "--job-name=bee-3fc631bb0d92-pass",
        "--chdir=/w",
        "--output=/w/log/passes.log",
        "--requeue",
        "--time=0-00:30:00",
        "--cpus-per-task=1",
        "--account=acc",
        "--partition=short",
        "--comment=a b",
        "--open-mode=append",
        "--hold",
        "--dependency=singleton,afterany:12",
        "--kill-on-invalid-dep=yes",
        "/w/log/pass.sh",
        "pass.2",
    ]


def test_an_array_behind_another() -> None:
    argv = lines.sbatch_argv(
        replace(TASK, array=(0, 1, 2, 5), dependency=Dependency({"aftercorr": ("7",), "afterok": ("8", "9")}))
    )
    assert "--array=0-2,5" in argv
    assert "--dependency=aftercorr:7,afterok:8:9" in argv
    assert "--kill-on-invalid-dep=yes" in argv
    assert {"--cpus-per-task=4", "--mem=2048M", "--time=0-01:30:00"} <= set(argv)
    assert argv[-2:] == ["/w/tasks/002-b/job.sh", "002-b.0:0"]


def test_a_single_task_is_no_array_and_waits_for_nothing() -> None:
    argv = lines.sbatch_argv(TASK)
    assert not any(word.startswith(("--array", "--dependency", "--kill-on", "--hold", "--account")) for word in argv)


def test_what_is_not_wished_is_left_out() -> None:
    argv = lines.sbatch_argv(replace(TASK, requeue=False, open_mode_append=False))
    assert "--no-requeue" in argv
    assert "--requeue" not in argv
    assert not any(word.startswith("--open-mode") for word in argv)


def test_asking_only() -> None:
    argv = lines.sbatch_argv(replace(TASK, script=None), test_only=True)
    assert argv[-2:] == ["--test-only", "--wrap=true"]


def test_all_options() -> None:
    options = JobOptions(
        time_limit=timedelta(days=2, hours=3, minutes=4, seconds=5),
        account="a",
        partition="p",
        qos="q",
        reservation="r",
        cpus_per_task=2,
        ntasks=1,
        mem_mib=0,
        tmp_mib=10,
        gres="gpu:1",
        mail_type="END",
        mail_user="me@x",
        extra=("--exclusive", "--constraint=a&b"),
    )
    assert " ".join(lines.options_argv(options)) == (
        "--time=2-03:04:05 --cpus-per-task=2 --account=a --partition=p --qos=q --reservation=r --ntasks=1 --mem=0M "
        "--tmp=10M --gres=gpu:1 --mail-type=END --mail-user=me@x --exclusive --constraint=a&b"
    )


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        ("/w/log/passes.log", "/w/log/passes.log"),
        ("/w/slurm/0.%a.log", "/w/slurm/0.%a.log"),
        ("/w 100%/x.log", "/w 100%%/x.log"),
        ("/50%x/0.%a.log", "/50%%x/0.%a.log"),
        # A folder of the user's is never Slurm's to fill in.
        ("/50%jobs/0.%a.log", "/50%%jobs/0.%a.log"),
        ("/100%all/%A/passes.log", "/100%%all/%%A/passes.log"),
    ],
)
def test_percent_signs_of_folders_are_escaped(path: str, escaped: str) -> None:
    assert f"--output={escaped}" in lines.sbatch_argv(replace(TASK, output=Path(path)))


@pytest.mark.parametrize(
    ("stdout", "job_ids"),
    [
        ("123\n", ["123"]),
        ("123;beeflow\n", ["123"]),
        ("sbatch: lua: no account given\n123\n", ["123"]),
        ("42 jobs are ahead of you\n123;a-b.c\n\n", ["123"]),
        ("123\n124\n", ["123", "124"]),
    ],
)
def test_parse_submitted(stdout: str, job_ids: list[str]) -> None:
    assert lines.parse_submitted(stdout) == job_ids


@pytest.mark.parametrize("stdout", ["", "\n", "Submitted batch job 123", "123 ;x y", "-5"])
def test_parse_submitted_without_an_id(stdout: str) -> None:
    with pytest.raises(SlurmError, match="printed no job id"):
        lines.parse_submitted(stdout)


# Seen on Slurm 22.05.8: option that provokes it -> what sbatch prints on stderr.
REFUSED = {
    "--partition=nope": (
        "sbatch: error: invalid partition specified: nope\n"
        "sbatch: error: Batch job submission failed: Invalid partition name specified\n"
    ),
    "--reservation=nope": "sbatch: error: Batch job submission failed: Requested reservation is invalid\n",
    "-c 999": "sbatch: error: Batch job submission failed: More processors requested than permitted\n",
    "--mem=99999999M": (
        "sbatch: error: Memory specification can not be satisfied\n"
        "sbatch: error: Batch job submission failed: Requested node configuration is not available\n"
    ),
    "--gres=gpu:5": "sbatch: error: Invalid generic resource (gres) specification\n",
    "--dependency=afterok:abc": "sbatch: error: Batch job submission failed: Job dependency problem\n",
    "--constraint=zz": "sbatch: error: Batch job submission failed: Invalid feature specification\n",
    "--time=bogus": "sbatch: error: Invalid --time specification\n",
    "--nosuch": "sbatch: unrecognized option '--nosuch'\nTry \"sbatch --help\" for more information\n",
    # src/common/slurm_errno.c of 22.05; needs accounting to provoke.
    "--account=nope": (
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n"
    ),
}


# The same, of which fewer jobs might be taken.
POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)\n"
)
LIMITS = {
    "--array=0-99999999": "sbatch: error: Batch job submission failed: Invalid job array specification\n",
    "QOS": f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}",
    "association": f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}",
    "not told which": POLICY,
}


@pytest.mark.parametrize("stderr", LIMITS.values(), ids=LIMITS)
def test_a_limit(stderr: str) -> None:
    assert lines.refusal_kind(stderr) == "limit"


def test_a_full_queue() -> None:
    # Seen on Slurm 22.05.8, at MaxJobCount.
    stderr = (
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n"
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable\n"
    )
    assert lines.refusal_kind(stderr) == "full"


@pytest.mark.parametrize("stderr", REFUSED.values(), ids=REFUSED)
def test_a_refusal(stderr: str) -> None:
    assert lines.refusal_kind(stderr) == "refused"
    assert not lines.refusal_words(stderr).startswith("sbatch")


@pytest.mark.parametrize(
    "stderr",
    [
        # Seen on Slurm 22.05.8 with slurmctld down.
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
        "sbatch: error: Batch job submission failed: Connection refused\n",
        # src/common/slurm_errno.c of Slurm 23.02 and of 24.05.
        "sbatch: error: Batch job submission failed: Rate limit exceeded, please retry momentarily\n",
        "sbatch: error: Batch job submission failed: Rate limit exceeded, please retry later\n",
    ],
)
def test_no_controller(stderr: str) -> None:
    assert lines.refusal_kind(stderr) == "unreachable"


@pytest.mark.parametrize(
    "words",
    [
        # slurmctld may have the job: these come after the request was sent (src/common/slurm_errno.c).
        "Socket timed out on send/recv operation",
        "Message receive failure",
        "Unable to contact slurm controller (receive failure)",
        "Zero Bytes were transmitted or received",
        "Unexpected message received",
        "Unable to contact slurm controller (send failure)",
        "Unable to contact slurm controller (shutdown failure)",
        "Protocol authentication error",
    ],
)
def test_perhaps(words: str) -> None:
    assert lines.refusal_kind(f"sbatch: error: Batch job submission failed: {words}\n") == "doubt"


def test_a_release_that_a_dying_controller_did_not_answer() -> None:
    # Seen on Slurm 22.05.8.
    stderr = (
        "slurm_msg_sendto: address:port=127.0.0.1:23480 msg_type=3001: Unexpected missing socket error\n"
        "Unexpected message received for job 205\n"
        "slurm_suspend error: Unexpected message received\n"
    )
    assert (lines.has_failed(1, stderr), lines.refusal_kind(lines.complaint(stderr))) == (True, "doubt")


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (
            REFUSED["--partition=nope"],
            "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified",
        ),
        ("scontrol: error: Job 5 gone\nscontrol: error: Job 5 gone\n", "Job 5 gone"),
        ("", "no reason given"),
        ("\n \n", "no reason given"),
    ],
)
def test_refusal_words(stderr: str, words: str) -> None:
    assert lines.refusal_words(stderr) == words


# -- squeue -----------------------------------------------------------------------------------------------------------

# Seen on Slurm 22.05.8: squeue --noheader --states=all --format='%F|%K|%T|%N|%r|%j' with SLURM_BITSTR_LEN=0.
SQUEUE = """\
358|N/A|FAILED|bee2|NonZeroExitCode|bee-ended
356|N/A|PENDING||Dependency|bee-dep
355|0,5,10,15,20|PENDING||JobHeldUser|bee-stride
353|3-5,9%2|PENDING||JobHeldUser|bee-fake-a.0
357|0|RUNNING|bee1|None|bee-run
379|N/A|CANCELLED||DependencyNeverSatisfied|bee-nosat
380|0-3|CANCELLED||DependencyNeverSatisfied|bee-nosat
"""


def test_parse_squeue() -> None:
    records = lines.parse_squeue(SQUEUE)
    assert records[0] == JobRecord("358", "bee-ended", JobState.FAILED, "NonZeroExitCode", None, "bee2")
    assert records[1] == JobRecord("356", "bee-dep", JobState.PENDING, "Dependency", None, "")
    assert JobRecord("357", "bee-run", JobState.RUNNING, "None", 0, "bee1") in records
    indices = {wanted: [each.array_task_id for each in records if each.job_id == wanted] for wanted in ("355", "353")}
    assert indices == {"355": [0, 5, 10, 15, 20], "353": [3, 4, 5, 9]}
    assert len(records) == 17


def test_an_empty_queue() -> None:
    assert lines.parse_squeue("") == lines.parse_squeue("\n") == []


def test_a_reason_of_several_words() -> None:
    (record,) = lines.parse_squeue("5|N/A|PENDING||ReqNodeNotAvail, UnavailableNodes:a[1-2]|bee-x\n")
    assert (record.reason, record.name) == ("ReqNodeNotAvail, UnavailableNodes:a[1-2]", "bee-x")


def test_an_unknown_state_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (record,) = lines.parse_squeue("5|N/A|LAUNCH_FAILED||None|bee-x\n")
    assert record.state is JobState.UNKNOWN
    assert "LAUNCH_FAILED" in caplog.text


@pytest.mark.parametrize("foreign", ["a|b", "nl\nname", "\n", "", "x\n|", "a||||||b", "\u2028", "cr\rname"])
def test_odd_names_of_the_users_other_jobs_do_not_hide_ours(foreign: str) -> None:
    # Seen on Slurm 22.05.8: job names may hold "|" and line breaks, and bee-list asks for all jobs of the user.
    ours = "5|N/A|RUNNING|bee1|None|bee-3fc631bb0d92-pass"
    records = lines.parse_squeue(f"{ours}\n1366|N/A|PENDING||JobHeldUser|{foreign}\n{ours}\n")
    assert [each.job_id for each in records] == ["5", "1366", "5"]


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("N/A", [None]),
        ("", [None]),
        ("0", [0]),
        ("4", [4]),
        ("1-3", [1, 2, 3]),
        ("3-5,9%2", [3, 4, 5, 9]),
        ("0-20:5", [0, 5, 10, 15, 20]),
        ("1-6:2,8", [1, 3, 5, 8]),
        ("0-3:2%1", [0, 2]),
    ],
)
def test_parse_array(text: str, indices: list[int | None]) -> None:
    assert lines.parse_array(text) == indices


@pytest.mark.parametrize(
    ("indices", "text"),
    [([0], "0"), ([0, 1], "0-1"), ([0, 2], "0,2"), ([0, 1, 2, 7, 9, 10], "0-2,7,9-10"), (range(1000), "0-999")],
)
def test_render_array(indices: list[int], text: str) -> None:
    assert lines.render_array(indices) == text


@pytest.mark.parametrize("seed", range(20))
def test_rendered_arrays_come_back(seed: int) -> None:
    indices = sorted(random.Random(seed).sample(range(60), 1 + seed))
    assert lines.parse_array(lines.render_array(indices)) == indices


def test_squeue_argv() -> None:
    argv = lines.squeue_argv("me", ["b", "a"])
    assert argv[0] == "squeue"
    assert {"--noheader", "--array", "--states=all", "--user=me", "--name=b,a"} <= set(argv)
    assert not any(word.startswith("--name") for word in lines.squeue_argv("me", None))
    assert lines.squeue_argv("me", ["b", "a"], merged=True) == [word for word in argv if word != "--array"]


# -- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependency", "text"),
    [
        (Dependency(), ""),
        (Dependency(singleton=True), "singleton"),
        (Dependency({"afterok": ()}), ""),
        (Dependency({"afterany": ("1", "2")}, singleton=True), "singleton,afterany:1:2"),
        (Dependency({"afterok": ("1",), "aftercorr": ("2",)}), "afterok:1,aftercorr:2"),
        (Dependency(any_of=("1", "2")), "afterany:1?afterany:2"),
        (Dependency(any_of=("1",), or_failed=("2", "3")), "afterany:1?afternotok:2?afternotok:3"),
    ],
)
def test_dependencies(dependency: Dependency, text: str) -> None:
    assert dependency.render() == text
    assert lines.relink_argv("9", dependency) == ["scontrol", "update", "JobId=9", f"Dependency={text}"]


def test_scancel_may_complain_of_what_is_gone() -> None:
    gone = "scancel: error: Kill job error on job id 999999: Invalid job id specified\n"
    denied = "scancel: error: Kill job error on job id 12: Access/permission denied"
    assert lines.complaint(gone) == ""
    assert lines.complaint(gone + denied) == denied


def test_live_elements_are_those_to_cancel() -> None:
    states = (JobState.PENDING, JobState.RUNNING, JobState.COMPLETED)
    records = [JobRecord("12", "n", state, array_task_id=index) for index, state in enumerate(states)]
    shown = ["12_0", "12_1", "12_2", "12_3", "13_0"]
    assert lines.live_elements(records, shown, pending_only=False) == ["12_0", "12_1"]
    assert lines.live_elements(records, shown, pending_only=True) == ["12_0"]


def test_scancel_takes_only_jobs_of_the_name() -> None:
    assert lines.scancel_argv("bee-x", ["1", "2_3"]) == ["scancel", "--name=bee-x", "1", "2_3"]
    assert lines.scancel_argv("x", ["1"], pending_only=True)[1:] == ["--name=x", "--state=PENDING", "1"]


def test_elements_are_named_as_scontrol_takes_them() -> None:
    jobs = [JobRecord("12", "n", JobState.PENDING, "", index) for index in (3, 0, 1, 7)]
    jobs.insert(1, JobRecord("13", "n", JobState.PENDING))
    assert lines.render_elements(jobs) == ["12_[0-1,3,7]", "13"]
    assert lines.render_elements([]) == []


def test_lists_of_jobs_fit_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(lines.job_lists([])) == []
    assert list(lines.job_lists(["1", "2_[0-3]"])) == ["1,2_[0-3]"]
    monkeypatch.setattr(lines, "MAX_ARGUMENT_CHARS", 10)
    assert list(lines.job_lists(["1234", "5678", "9", "2_[0-300,302]"])) == ["1234,5678", "9", "2_[0-300,302]"]


# scontrol hold and scancel --quiet of Slurm 22.05.8.
@pytest.mark.parametrize(
    ("stderr", "failed"),
    [
        ("Invalid job id specified for job 99999\nslurm_suspend error: No error\n", False),
        ("22_0-3: Job has already finished\n", False),
        ("", False),
        ("scancel: error: Kill job error on job id 9999: Invalid job id specified\n", False),
        ("scancel: error: Kill job error on job id 7: Access/permission denied\n", True),
        ("slurm_suspend error: Unable to contact slurm controller (connect failure)\n", True),
        ("Access/permission denied for job 7\n", True),
    ],
)
def test_what_slurm_says_of_jobs_that_ended(stderr: str, failed: bool) -> None:
    assert lines.has_failed(1, stderr) is failed
    assert not lines.has_failed(0, stderr)
    assert lines.has_failed(-9, stderr)


@pytest.mark.parametrize(
    ("reason", "held"), [("JobHeldUser", True), ("JobHeldAdmin", True), ("Dependency", False), ("Priority", False)]
)
def test_what_is_held(reason: str, held: bool) -> None:
    assert JobRecord("1", "n", JobState.PENDING, reason).held is held


def test_mail() -> None:
    assert lines.mail_argv("1", "END", "") == ["scontrol", "update", "JobId=1", "MailType=END"]
    assert lines.mail_argv("1", "END", "me@x")[-1] == "MailUser=me@x"


# Seen on Slurm 22.05.8, shortened.
CONFIG = """\
Configuration data as of 1795383897
AccountingStorageBackupHost = (null)
ClusterName             = beeflow
MaxArraySize            = 10001
MaxDBDMsgs              = 20000
MaxJobCount             = 50000
MaxJobId                = 67043328
SLURM_CONF              = /home/user/.beeflow/slurm/slurm.conf
SLURM_VERSION           = 22.05.8
"""


def test_parse_limits() -> None:
    limits = lines.parse_limits(CONFIG)
    assert (limits.cluster_name, limits.slurm_version) == ("beeflow", "22.05.8")
    assert (limits.max_array_size, limits.max_job_count) == (10001, 50000)
    assert not limits.accounting


@pytest.mark.parametrize(
    ("storage", "accounting"),
    [("accounting_storage/slurmdbd", True), ("accounting_storage/none", False), ("(null)", False)],
)
def test_whether_there_is_accounting(storage: str, accounting: bool) -> None:
    assert lines.parse_limits(f"{CONFIG}AccountingStorageType   = {storage}\n").accounting is accounting


@pytest.mark.parametrize("text", ["", CONFIG.replace("MaxJobCount", "Other"), CONFIG.replace("10001", "many")])
def test_a_configuration_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SlurmError, match="scontrol show config: cannot read"):
        lines.parse_limits(text)


# -- sacct: as src/sacct/print.c of Slurm 22.05 writes it; times by SLURM_TIME_FORMAT=%s -------------------------------

SACCT = """\
12|COMPLETED|n1|1795383900|bee-x-001.0
13_0|TIMEOUT|n1|1795383901|bee-x-002.0
13_1|OUT_OF_MEMORY|n2|1795383901|bee-x-002.0
13_2|CANCELLED by 1000|None assigned|1795383901|bee-x-002.0
13_[3-5,9%2]|CANCELLED by 0|None assigned|1795383901|bee-x-002.0
14|NODE_FAIL|n1|1795383902|bee-x-003.0
14|FAILED|n2|1795383999|bee-x-003.0
14.batch|CANCELLED|n1|1795383902|batch
14.extern|COMPLETED|n1|1795383902|extern
14.0|COMPLETED|n1|1795383902|hostname
15+0|COMPLETED|n1|1795383902|a heterogeneous job
12|FAILED|n7|1700000000|another|user's, of that number
16|RUNNING|n[1-2]|1795383903|bee-x-004.0
17|CANCELLED|None assigned|1795383904|bee-x-005.0
"""


def test_parse_sacct() -> None:
    found = {(each.shown, each.name): (each.state.value, each.node, each.reason) for each in lines.parse_sacct(SACCT)}
    by_root = ("CANCELLED", "", "by 0")
    assert found == {
        ("12", "bee-x-001.0"): ("COMPLETED", "n1", ""),
        ("13_0", "bee-x-002.0"): ("TIMEOUT", "n1", ""),
        ("13_1", "bee-x-002.0"): ("OUT_OF_MEMORY", "n2", ""),
        ("13_2", "bee-x-002.0"): ("CANCELLED", "", "by 1000"),
        **{(f"13_{index}", "bee-x-002.0"): by_root for index in (3, 4, 5, 9)},
        ("14", "bee-x-003.0"): ("FAILED", "n2", ""),
        ("12", "another|user's, of that number"): ("FAILED", "n7", ""),
        ("16", "bee-x-004.0"): ("RUNNING", "n[1-2]", ""),
        ("17", "bee-x-005.0"): ("CANCELLED", "", ""),
    }


def test_of_a_requeued_job_the_last_run_counts_in_whatever_order() -> None:
    backwards = "\n".join(reversed(SACCT.splitlines()))
    (one,) = [each for each in lines.parse_sacct(backwards) if each.job_id == "14"]
    assert one.state is JobState.FAILED


@pytest.mark.parametrize("text", ["", "sacct: nothing\n", "12|\n", "|||||\n"])
def test_what_is_no_job_of_sacct(text: str) -> None:
    assert lines.parse_sacct(text) == []


def test_sacct_is_asked_for_jobs_by_number_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        argv = lines.sacct_argv("12,13", "2026-11-23T23:30:00.000+00:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert argv[0] == "sacct"
    assert "--starttime=2026-11-23T01:30:00" in argv
    assert "--jobs=12,13" in argv
    assert argv[-1] == "--format=JobID,State,NodeList,Submit,JobName"
