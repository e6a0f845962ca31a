"""A command that is given at any point of another one, on a Slurm in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beeflow import actions, control, retry, store
from beeflow.errors import NotFoundError, TransitionError
from beeflow.holding import Holding, Wishes
from beeflow.layout import Layout
from beeflow.locking import holder_path
from beeflow.models import Retried, WorkflowRecord
from beeflow.retry import Choice, Retrying
from beeflow.states import Command, JobState, WorkflowState
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter
from tests.fakes import RECORD
from tests.running import Site
from tests.test_control import shown
from tests.test_driver import wide
from tests.test_retry import Fails, begun, copied, over
from tests.test_retry import layout as layout
from tests.test_retry import quick as quick


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_LOCK_S", 0.0)
    monkeypatch.setattr(actions, "RETRY_S", 0.0)


class Meanwhile:
    """Has something happen before the nth call of a retry that changes files; later, while wishes are locked."""

    CALLS = ("replace", "rename", "link", "unlink", "mkdir", "rmdir")

    def __init__(self, patch: pytest.MonkeyPatch, layout: Layout, calls: int, then: Callable[[], None]) -> None:
        self.retry_lock, self.wishes_lock = holder_path(layout.retry_lock), holder_path(layout.holds_lock)
        self.calls = calls
        self.then: Callable[[], None] | None = then
        for name in self.CALLS:
            patch.setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **options: Any) -> Any:
            is_free = self.retry_lock.exists() and not self.wishes_lock.exists()
            self.calls -= self.retry_lock.exists()
            if self.then and self.calls < 0 and is_free:
                then, self.then = self.then, None
                then()
            return call(*given, **options)

        return made


def give_command(site: Site, command: Command) -> str:
    return control.perform_one(command, WorkflowDir(site.layout), lambda _: site.world.scheduler)


def cancel(site: Site) -> str:
    return give_command(site, Command.CANCEL)


def give(site: Site) -> Retrying:
    return retry.retry(WorkflowDir(site.layout), site.world.scheduler, Choice())


def moments(
    site: Site, top: Path, patch: pytest.MonkeyPatch, then: Callable[[Site], None]
) -> Iterator[tuple[Site, Retrying | None]]:
    """Yield copies of a workflow that was retried, while something else was done: at every other point there is.

    None: the other command had a job submitted before the retry looked whether there is one.
    """
    for calls in range(0, 2000, 2):
        other = copied(site, top / str(calls))
        other.ran.clear()
        made: Retrying | None
        with patch.context() as watched:
            meanwhile = Meanwhile(watched, other.layout, calls, lambda: then(other))  # noqa: B023 - called at once
            try:
                made = give(other)
            except TransitionError:
                made = None
        if meanwhile.then:
            assert calls > 30
            return
        yield other, made
        shutil.rmtree(top / str(calls))
    raise AssertionError("it does not end")


def failed(layout: Layout) -> Site:
    site = begun(wide(layout), Fails("s[1]"))
    over(site)
    return site


def cancelled(layout: Layout) -> Site:
    site = begun(wide(layout), Fails())
    site.asleep = {"s"}
    site.run_pass()
    cancel(site)
    site.asleep.clear()
    over(site, WorkflowState.ARCHIVED_CANCELLED)
    return site


def stalled(layout: Layout) -> Site:
    site = begun(wide(layout), Fails("s[1]"))
    site.asleep = {"g"}
    site.run_pass()
    site.work()
    for job in site.world.scheduler.jobs.values():
        job.states = dict.fromkeys(job.states, (JobState.CANCELLED, "None"))
    site.asleep.clear()
    assert shown(site.world) is WorkflowState.STALLED
    return site


def stalled_while_cancelled(layout: Layout) -> Site:
    site = stalled(layout)
    store.write_text(layout.cancel, "2020-01-01\n")
    return site


@pytest.mark.parametrize("before", [failed, cancelled, stalled, stalled_while_cancelled])
def test_a_cancel_that_comes_while_a_workflow_is_retried_counts(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Callable[[Layout], Site]
) -> None:
    said: list[str] = []
    site = before(layout)
    for other, made in moments(site, tmp_path / "copies", monkeypatch, lambda each: said.append(cancel(each))):
        assert "already" not in said[-1].replace("being cancelled already", "")
        assert made.cancelled if made else before in (stalled, stalled_while_cancelled)
        over(other)
        assert other.ended is not None
        assert (other.ended.cancelled, dict(other.ran)) == (True, {})
    assert any("just being retried; it is cancelled as soon as that is done" in each for each in said) == (
        before in (failed, cancelled)
    )


def test_a_retry_ends_what_was_wished_before(layout: Layout) -> None:
    site = cancelled(layout)
    assert not give(site).cancelled
    assert set(over(site).values()) == {"COMPLETED"}


@pytest.mark.parametrize("before", [failed, stalled])
def test_two_retries_at_once(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Callable[[Layout], Site]
) -> None:
    def second(site: Site) -> None:
        with pytest.raises(TransitionError, match=f"workflow {RECORD.id} is just being retried"):
            give(site)

    for other, _ in moments(before(layout), tmp_path / "copies", monkeypatch, second):
        assert store.read_record(Retried, other.layout.retry) is not None
        assert retry.generation(WorkflowDir(other.layout)) == 2
        with pytest.raises(TransitionError, match=r"its job \d+ has not ended"):
            give(other)


@pytest.mark.parametrize("command", [Command.START, Command.PAUSE, Command.RESUME, Command.CANCEL, Command.RETRY])
def test_what_was_removed_meanwhile_is_said_to_be(layout: Layout, command: Command) -> None:
    site = failed(layout)
    record = WorkflowDir(layout).record()

    class Removed(WorkflowDir):
        """As it was when the command found it."""

        def record(self) -> WorkflowRecord:
            shutil.rmtree(layout.root, ignore_errors=True)
            return record

    def give_it() -> object:
        if command is Command.RETRY:
            return retry.retry(Removed(layout), site.world.scheduler, Choice())
        return control.perform_one(command, Removed(layout), lambda _: site.world.scheduler)

    with pytest.raises(NotFoundError, match="was removed meanwhile; see: bee-list"):
        give_it()
    assert not layout.root.exists()


class Halfway:
    """A command that has written its wish and seen what Slurm has, and does the rest later."""

    def __init__(self, site: Site, kind: type[actions.Action]) -> None:
        submitter = Submitter(site.layout, site.world.record, site.world.scheduler)
        self.action = kind(WorkflowDir(site.layout), submitter)
        assert self.action.begin()
        self.jobs = submitter.ours(site.world.scheduler.query())

    def go_on(self) -> str:
        assert self.action.act(self.jobs)
        return self.action.said


def stalled_at_first(layout: Layout) -> Site:
    """Make a workflow all of whose jobs were cancelled by hand before any began; none begins by itself."""
    site = begun(wide(layout), Fails())
    site.asleep = {"s", "t", "g"}
    site.run_pass()
    for job in site.world.scheduler.jobs.values():
        job.states = dict.fromkeys(job.states, (JobState.CANCELLED, "None"))
    assert shown(site.world) is WorkflowState.STALLED
    return site


def end_with(site: Site, command: Command) -> None:
    """Fail unless the workflow needs just this command to end."""
    site.asleep.clear()
    assert site.states()["g"] != "COMPLETED"
    give_command(site, command)
    assert set(over(site).values()) == {"COMPLETED"}


def end_paused(site: Site, late: Halfway) -> None:
    """Fail unless the workflow is paused, whatever the rest of a command does, and needs just bee-resume to end."""
    assert late.go_on().startswith("Paused workflow")
    assert shown(site.world) is WorkflowState.PAUSED
    end_with(site, Command.RESUME)


def test_a_pause_that_saw_no_job_leaves_the_pause_of_another_and_what_that_holds(layout: Layout) -> None:
    """What the other held would be held for ever: for whoever looks, by the user."""
    site = stalled_at_first(layout)
    late = Halfway(site, actions.Pausing)
    give_command(site, Command.RESUME)
    site.run_pass()
    assert give_command(site, Command.PAUSE).startswith("Paused workflow")
    assert shown(site.world) is WorkflowState.PAUSED
    end_paused(site, late)


def test_a_pause_that_saw_no_job_keeps_what_a_pass_held_for_it_since(layout: Layout) -> None:
    """The pass of a bee-start that was given first: it held the next one, which is to be let go by bee-resume."""
    site = stalled_at_first(layout)
    start = Halfway(site, actions.Starting)
    late = Halfway(site, actions.Pausing)
    start.go_on()
    site.run_pass()
    assert [job.held for job in site.live_passes()] == [{None}]
    end_paused(site, late)


def test_a_pause_of_what_is_paused_stays_though_the_first_is_taken_back(layout: Layout) -> None:
    site = stalled_at_first(layout)
    first = Halfway(site, actions.Pausing)
    assert give_command(site, Command.PAUSE) == f"Workflow {RECORD.id} is paused already."
    end_paused(site, first)


def test_a_retry_releases_what_was_held_for_a_pause_that_it_ends(layout: Layout) -> None:
    """Where no lock keeps bee-start's pass from coming meanwhile."""
    site = stalled_at_first(layout)
    start = Halfway(site, actions.Starting)
    holding = Holding(start.action.submitter)
    holding.pause()
    known = Wishes.read(layout)
    start.go_on()
    site.run_pass()
    assert [job.held for job in site.live_passes()] == [{None}]
    holding.forget(known)
    assert [job.held for job in site.live_passes()] == [set()]
    assert not layout.holds.exists()


def test_a_retry_of_what_is_being_cancelled_is_told_to_wait(layout: Layout) -> None:
    site = begun(wide(layout), Fails())
    site.asleep = {"s"}
    site.run_pass()
    with pytest.raises(TransitionError, match=r"is Running, and its job \d+ has not ended; cancel it first, or wait"):
        give(site)
    cancel(site)
    with pytest.raises(TransitionError, match=r"being cancelled, and its job \d+ has not ended; wait for its end"):
        give(site)
