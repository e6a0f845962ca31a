from __future__ import annotations

import logging

import pytest

from beeflow.states import Command, JobState, TaskState, WorkflowState, useful_commands

# squeue(1) of Slurm 22.05, JOB STATE CODES.
SLURM_WORDS = (
    "BOOT_FAIL CANCELLED COMPLETED COMPLETING CONFIGURING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING PREEMPTED "
    "RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED RUNNING SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED "
    "SUSPENDED TIMEOUT"
)
ENDED = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT"


@pytest.mark.parametrize("word", SLURM_WORDS.split())
def test_every_word_of_slurm_is_known(word: str) -> None:
    state = JobState.parse(word)
    assert state.value == word
    assert state.ended == (word in ENDED.split())


def test_there_is_no_word_beside_slurms() -> None:
    assert {state.value for state in JobState} == {*SLURM_WORDS.split(), "UNKNOWN"}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("CANCELLED by 1000", JobState.CANCELLED),
        (" RUNNING ", JobState.RUNNING),
        ("POWERED_UP", JobState.UNKNOWN),
        ("", JobState.UNKNOWN),
        ("running", JobState.UNKNOWN),
    ],
)
def test_parse(word: str, state: JobState) -> None:
    assert JobState.parse(word) is state


def test_an_unknown_word_is_logged_and_is_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        state = JobState.parse("MELTED")
    assert not state.ended
    assert "MELTED" in caplog.text


@pytest.mark.parametrize("state", JobState)
def test_a_job_without_a_result_never_means_success(state: JobState) -> None:
    assert state.task_state.final
    assert not state.task_state.good


@pytest.mark.parametrize(
    ("job", "task"),
    [
        (JobState.COMPLETED, TaskState.FAILED),
        (JobState.FAILED, TaskState.FAILED),
        (JobState.CANCELLED, TaskState.CANCELLED),
        (JobState.REVOKED, TaskState.CANCELLED),
        (JobState.TIMEOUT, TaskState.TIMEOUT),
        (JobState.DEADLINE, TaskState.TIMEOUT),
        (JobState.OUT_OF_MEMORY, TaskState.OUT_OF_MEMORY),
        (JobState.NODE_FAIL, TaskState.NODE_FAIL),
        (JobState.BOOT_FAIL, TaskState.NODE_FAIL),
        (JobState.PREEMPTED, TaskState.NODE_FAIL),
        (JobState.UNKNOWN, TaskState.FAILED),
    ],
)
def test_what_a_lost_job_means_for_its_task(job: JobState, task: TaskState) -> None:
    assert job.task_state is task


def test_final_states_of_workflows() -> None:
    assert {state.value for state in WorkflowState if not state.final} == {
        "Submitted",
        "Pending",
        "Running",
        "Paused",
        "Stalled",
    }


@pytest.mark.parametrize("state", WorkflowState)
def test_archived_and_outcome_are_inverse(state: WorkflowState) -> None:
    if state.value in ("Completed", "Failed", "Cancelled"):
        assert state.archived.final
        assert state.archived is not state
        assert state.archived.outcome is state
        assert state.archived.value.startswith("Archived")
        assert state.outcome is state
    else:
        # What has not ended, or is archived already, has no archived state.
        with pytest.raises(KeyError):
            _ = state.archived
        assert state.outcome.final == state.final


def test_archived_words() -> None:
    words = [state.archived.value for state in (WorkflowState.COMPLETED, WorkflowState.FAILED, WorkflowState.CANCELLED)]
    assert words == ["Archived", "Archived/Failed", "Archived/Cancelled"]


def test_task_states() -> None:
    assert {state.value for state in TaskState if not state.final} == {"WAITING", "PENDING", "RUNNING"}
    assert {state.value for state in TaskState if state.good} == {"COMPLETED", "SKIPPED"}
    assert all(state.final for state in TaskState if state.good)


# Command -> states in which it does something; those in which it finds its work done; all others are refused.
TRANSITIONS = {
    "bee-start": ("Submitted Stalled", "Pending Running"),
    "bee-pause": ("Pending Running", "Paused"),
    "bee-resume": ("Paused Stalled", "Pending Running"),
    "bee-cancel": ("Submitted Pending Running Paused Stalled", "Cancelled Archived/Cancelled"),
    "bee-retry": ("Stalled Failed Cancelled Archived/Failed Archived/Cancelled", "Completed Archived"),
    "bee-archive": (
        "Completed Failed Cancelled",
        "Submitted Pending Running Paused Stalled Archived Archived/Failed Archived/Cancelled",
    ),
    "bee-copy": ("Archived Archived/Failed Archived/Cancelled", ""),
    "bee-rerun": ("Archived Archived/Failed Archived/Cancelled", ""),
    "bee-remove": ("Completed Failed Cancelled Archived Archived/Failed Archived/Cancelled", ""),
}


@pytest.mark.parametrize("command", Command)
def test_transitions(command: Command) -> None:
    changes, leaves = (words.split() for words in TRANSITIONS[command.value])
    assert {state.value for state in WorkflowState if command.changes(state)} == set(changes)
    assert {state.value for state in WorkflowState if command.allowed(state)} == {*changes, *leaves}


@pytest.mark.parametrize(
    ("state", "commands"),
    [
        (WorkflowState.PAUSED, ["bee-resume", "bee-cancel"]),
        (WorkflowState.RUNNING, ["bee-pause", "bee-cancel"]),
        (WorkflowState.ARCHIVED_FAILED, ["bee-retry", "bee-copy", "bee-rerun", "bee-remove"]),
        (WorkflowState.CANCELLED, ["bee-retry", "bee-archive", "bee-remove"]),
        (WorkflowState.COMPLETED, ["bee-archive", "bee-remove"]),
    ],
)
def test_useful_commands(state: WorkflowState, commands: list[str]) -> None:
    assert useful_commands(state) == commands
