"""Starting, pausing, resuming and cancelling workflows on a scheduler in memory."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from beeflow import control, store
from beeflow.cwl import compiler, documents
from beeflow.errors import SlurmError, SystemFileError, TransitionError
from beeflow.holding import Holding
from beeflow.layout import Layout, folders
from beeflow.listing import HELD_S, Queues, shows_paused, state_record, summarize
from beeflow.locking import holder_path
from beeflow.models import Holder, Summary, WorkflowRecord, now
from beeflow.results import dumps_graph
from beeflow.scheduler import Dependency, JobRecord, JobRequest, SlurmUnreachableError
from beeflow.states import Command, JobState, TaskState, WorkflowState
from beeflow.store import WorkflowDir
from beeflow.submission import Submitter
from tests import fakes
from tests.fakes import RECORD, FakeScheduler, flow, graph, step
from tests.running import Site
from tests.test_driver import World, chain, unknown, wide

START, PAUSE, RESUME, CANCEL = Command.START, Command.PAUSE, Command.RESUME, Command.CANCEL
LONG_AGO = "2020-01-01T00:00:00.000+00:00"
ECHOES = """
cwlVersion: v1.2
class: Workflow
inputs: {x: string}
outputs: {}
steps:
  a:
    in: {x: x}
    out: [said]
    run: &echo
      class: CommandLineTool
      baseCommand: echo
      inputs: {x: {type: [string, File], inputBinding: {}}}
      outputs: {said: stdout}
  b: {in: {x: a/said}, out: [said], run: *echo}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "LOOK_PAUSE_S", 0.0)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_layout(tmp_path, RECORD)


def make_layout(top: Path, record: WorkflowRecord) -> Layout:
    made = Layout(top / record.id)
    made.root.mkdir()
    for folder in folders(made):
        folder.mkdir()
    store.write_record(made.workflow, replace(record, created=LONG_AGO))
    return made


def started(world: World) -> World:
    """Give a workflow a driver that has run, and its pending successor."""
    do(START, world)
    world.passes = 0
    world.run()
    (driver, _) = passes(world)
    world.scheduler.end(driver.id, JobState.COMPLETED)
    return world


def do(command: Command, world: World) -> str:
    return control.perform_one(command, WorkflowDir(world.layout), lambda _: world.scheduler)


def passes(world: World) -> list[fakes.FakeJob]:
    return world.scheduler.named("-pass")


def live_passes(world: World) -> list[fakes.FakeJob]:
    return [job for job in passes(world) if not job.states[None][0].ended]


def run_pass(world: World) -> object:
    """Run the oldest pass that is pending, as Slurm would."""
    job = live_passes(world)[0]
    assert not job.held
    world.passes = int(job.request.script_args[0].rpartition(".")[2]) - 1
    ended = world.run()
    world.scheduler.end(job.id, JobState.COMPLETED)
    return ended


def held(world: World, path: str) -> set[int | None]:
    return {index for job in world.jobs(path) for index in job.held}


def shown(world: World) -> WorkflowState:
    """Return the state that bee-list shows."""
    return summary(world).state


def summary(world: World) -> Summary:
    """Describe a workflow as bee-list does."""

    class One(Queues):
        def of(self, record: WorkflowRecord) -> list[JobRecord]:
            return world.scheduler.query()

    return summarize(WorkflowDir(world.layout), One({}))


# -- pause ------------------------------------------------------------------------------------------------------------


def test_pause_holds_what_is_pending_and_leaves_what_runs(layout: Layout) -> None:
    world = started(wide(layout))
    s = world.job("s")
    s.states[1] = (JobState.RUNNING, "None")
    assert do(PAUSE, world) == f"Paused workflow {RECORD.id} (jobs running, which finish: 1; held: 6)."
    assert (held(world, "s"), held(world, "t"), held(world, "g")) == ({0, 2}, {0, 1, 2}, {None})
    assert not any(job.held for job in passes(world))
    assert shown(world) is WorkflowState.PAUSED


def test_pause_and_resume_leave_what_the_user_held(layout: Layout) -> None:
    world = started(wide(layout))
    world.scheduler.hold(f"{world.job('s').id}_[2]")
    do(PAUSE, world)
    do(RESUME, world)
    assert (held(world, "s"), held(world, "t"), held(world, "g")) == ({2}, set(), set())


def test_resume_releases_also_what_began_as_it_was_held(layout: Layout) -> None:
    world = started(wide(layout))
    do(PAUSE, world)
    world.job("s").states[0] = (JobState.RUNNING, "None")
    do(RESUME, world)
    assert held(world, "s") == set()


def test_a_pass_of_a_paused_workflow_submits_nothing_and_waits_for_what_is_held(layout: Layout) -> None:
    world = started(unknown(layout))
    do(PAUSE, world)
    world.finish("a", [1, 2])
    assert run_pass(world) is None
    assert world.jobs("s") == []
    slow = world.job("slow")
    assert world.scheduler.relinked[-1] == (world.successor, Dependency({"afterany": (slow.id,)}, singleton=True))
    assert shown(world) is WorkflowState.PAUSED
    do(RESUME, world)
    assert world.scheduler.relinked[-1] == (world.successor, Dependency(singleton=True))
    run_pass(world)
    assert len(world.jobs("s")) == 1


def test_where_nothing_of_a_paused_workflow_is_left_the_next_pass_is_held(layout: Layout) -> None:
    world = started(unknown(layout))
    do(PAUSE, world)
    world.finish("a", [1, 2])
    world.finish("slow")
    assert run_pass(world) is None
    (successor,) = live_passes(world)
    assert successor.held
    assert shown(world) is WorkflowState.PAUSED
    assert do(RESUME, world) == f"Resumed workflow {RECORD.id}."
    assert live_passes(world) == [successor]
    run_pass(world)
    world.finish("s", 1, 2)
    run_pass(world)
    world.finish("g", "end")
    assert run_pass(world) is not None


def test_a_paused_workflow_that_has_nothing_left_to_start_ends(layout: Layout) -> None:
    world = started(chain(layout))
    world.finish("a", 1)
    world.job("b").states[None] = (JobState.RUNNING, "None")
    do(PAUSE, world)
    world.finish("b", 2)
    assert run_pass(world) is not None


def test_what_a_driver_submits_while_the_pause_is_written_is_held_by_the_driver(layout: Layout) -> None:
    world = chain(layout)
    do(START, world)
    world.passes = 0

    def pause(job_id: str, request: JobRequest) -> None:
        if request.name.endswith("-001.0"):
            world.scheduler.on_accept = None
            assert Holding(Submitter(layout, RECORD, FakeScheduler())).pause()[0]

    world.scheduler.on_accept = pause
    assert world.run() is None
    assert held(world, "a") == {None}
    assert world.jobs("b") == []


def test_what_a_driver_held_as_the_workflow_was_resumed_is_released(layout: Layout) -> None:
    world = started(unknown(layout))
    do(PAUSE, world)
    world.finish("a", [1, 2])
    world.finish("slow")

    class Resumed(FakeScheduler):
        """Resumes the workflow while the pass looks."""

        def query(self, names: object = None) -> list[JobRecord]:
            Holding(Submitter(layout, RECORD, self)).resume()
            return super().query()

    world.scheduler = Resumed(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    assert run_pass(world) is None
    assert len(world.jobs("s")) == 1
    assert not live_passes(world)[0].held


def test_what_the_driver_relinked_over_bee_resume_comes_at_once(layout: Layout) -> None:
    world = started(unknown(layout))
    do(PAUSE, world)
    world.finish("a", [1, 2])

    class Resumed(FakeScheduler):
        """Resumes the workflow just before the pass relinks its successor."""

        def relink(self, job_id: str, dependency: Dependency) -> None:
            Holding(Submitter(layout, RECORD, self)).resume()
            super().relink(job_id, dependency)

    world.scheduler = Resumed(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    assert run_pass(world) is None
    assert live_passes(world)[0].dependency == Dependency(singleton=True)


def test_a_task_that_is_to_go_again_waits_for_resume(layout: Layout) -> None:
    world = started(chain(layout))
    world.scheduler.end(world.job("a").id, JobState.COMPLETED)
    world.finish("a", 1)
    do(PAUSE, world)
    world.scheduler.end(world.job("b").id, JobState.CANCELLED, "DependencyNeverSatisfied")
    assert run_pass(world) is None
    assert len(world.jobs("b")) == 1
    do(RESUME, world)
    run_pass(world)
    assert len(world.jobs("b")) == 2


def test_pause_looks_until_nothing_more_comes(layout: Layout) -> None:
    world = started(chain(layout))
    late = iter("123")

    class Busy(FakeScheduler):
        """A job of ours is requeued before each of the first looks."""

        def query(self, names: object = None) -> list[JobRecord]:
            if next(late, None):
                self.jobs[world.job("a").id].held.clear()
            return super().query()

    world.scheduler = Busy(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    do(PAUSE, world)
    assert held(world, "a") == held(world, "b") == {None}
    assert world.scheduler.queries == 4


# -- the same twice ---------------------------------------------------------------------------------------------------


def test_each_command_twice(layout: Layout) -> None:
    world = chain(layout)
    layout.held.write_text("")
    assert do(START, world) == f"Started workflow {RECORD.id}."
    assert do(START, world) == f"Workflow {RECORD.id} is under way already."
    assert len(passes(world)) == 2
    assert do(PAUSE, world).startswith(f"Paused workflow {RECORD.id} ")
    assert do(PAUSE, world) == f"Workflow {RECORD.id} is paused already."
    assert do(RESUME, world) == f"Resumed workflow {RECORD.id}."
    assert do(RESUME, world) == f"Workflow {RECORD.id} is under way already."
    assert do(CANCEL, world) == f"Cancelling workflow {RECORD.id}."
    assert do(CANCEL, world) == f"Workflow {RECORD.id} is being cancelled already."
    store.write_record(layout.state, state_record(RECORD, WorkflowState.ARCHIVED_CANCELLED))
    assert do(CANCEL, world) == f"Workflow {RECORD.id} is Archived/Cancelled already."
    assert len(passes(world)) == 2


@pytest.mark.parametrize("command", [START, RESUME])
def test_what_has_no_job_left_is_driven_again(layout: Layout, command: Command) -> None:
    world = started(chain(layout))
    for job in world.scheduler.jobs.values():
        world.scheduler.end(job.id, JobState.CANCELLED)
    assert shown(world) is WorkflowState.STALLED
    named = f"with: bee-start {RECORD.id}; to have what failed run again, too, with: bee-retry {RECORD.id}"
    assert summary(world).reason.endswith(named)
    do(command, world)
    assert len(live_passes(world)) == 2
    assert not any(job.held for job in live_passes(world))


@pytest.mark.parametrize("submitted", [1, 2])
def test_a_driver_that_a_killed_command_left_held_is_not_waited_for_in_vain(layout: Layout, submitted: int) -> None:
    class Killed(FakeScheduler):
        """Its caller is killed before it can release a job."""

        def release(self, *job_ids: str) -> None:
            raise fakes.KilledError

    world = chain(layout)
    world.scheduler = Killed(faults=[*[""] * submitted, fakes.KILLED])
    with pytest.raises(fakes.KilledError):
        do(START, world)
    assert shown(world) is WorkflowState.PENDING
    long_ago = time.time() - HELD_S - 1
    os.utime(layout.jobs, (long_ago, long_ago))
    assert shown(world) is WorkflowState.STALLED
    assert f"is held (JobHeldUser); continue it with: bee-start {RECORD.id}" in summary(world).reason
    world.scheduler = FakeScheduler(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    do(START, world)
    assert shown(world) is WorkflowState.PENDING
    assert not any(job.held for job in live_passes(world))


@pytest.mark.parametrize("has_failed", [False, True])
def test_where_commands_drive_one_goes_on_where_another_was_killed(tmp_path: Path, has_failed: bool) -> None:
    """The pass that a killed command left held may not submit what the command had yet to.

    ``has_failed``: before anything of it began, as on a full disk, so that it is to be submitted again, at once.
    """

    class Killed(FakeScheduler):
        """Its caller is killed when it has submitted its successor and one job."""

        def submit(self, request: JobRequest) -> str:
            if len(self.jobs) == 2:
                raise fakes.KilledError
            return super().submit(request)

    record = replace(RECORD, drive="here")
    (tmp_path / "w.cwl").write_text(ECHOES)
    compiled = compiler.compile_graph(documents.load(str(tmp_path / "w.cwl"), tmp_path / "cache"))
    world = World(make_layout(tmp_path, record), compiled, {"x": "x"}, {})
    world.scheduler = Killed()
    store.write_text(world.layout.graph, dumps_graph(world.graph))
    store.write_json(world.layout.job, world.inputs)
    with pytest.raises(fakes.KilledError):
        do(START, world)
    (left,) = live_passes(world)
    assert left.held
    if has_failed:
        world.scheduler.end(world.job("a").id, JobState.FAILED)
    world.scheduler = FakeScheduler(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    do(START, world)
    assert left.states[None][0] is JobState.CANCELLED
    assert [len(world.jobs(path)) for path in "ab"] == [1 + has_failed, 1]
    (successor,) = live_passes(world)
    assert not successor.held


def test_what_slurm_could_not_launch_is_not_waited_for_in_vain(layout: Layout) -> None:
    world = started(wide(layout))
    s = world.job("s")
    os.utime(layout.jobs, (0, 0))
    s.states = {0: (JobState.COMPLETED, "None"), 1: (JobState.PENDING, "launch failed requeued held"), 2: s.states[2]}
    assert shown(world) is WorkflowState.RUNNING
    s.states[2] = (JobState.COMPLETED, "None")
    assert shown(world) is WorkflowState.STALLED
    assert f"its job {s.id}_1 is held (launch failed requeued held); continue it" in summary(world).reason
    assert do(START, world) == f"Started workflow {RECORD.id}."
    assert world.scheduler.released[-1] == f"{s.id}_[1]"
    assert len(live_passes(world)) == 1


def test_what_slurm_could_not_launch_and_made_twice_is_cancelled(layout: Layout) -> None:
    world = started(wide(layout))
    s = world.job("s")
    second = world.scheduler.jobs[world.scheduler.submit(s.request)]
    for job in (s, second):
        job.states = dict.fromkeys(job.states, (JobState.PENDING, "launch failed requeued held"))
    do(START, world)
    assert {state for state, _ in second.states.values()} == {JobState.CANCELLED}
    assert {state for state, _ in s.states.values()} == {JobState.PENDING}
    assert world.scheduler.released[-1].startswith(f"{s.id}_")


def test_what_a_user_held_is_not_stalled(layout: Layout) -> None:
    world = started(chain(layout))
    os.utime(layout.jobs, (0, 0))
    world.scheduler.hold(world.job("a").id)
    assert shown(world) is WorkflowState.RUNNING


def test_what_vanished_while_it_was_paused_is_driven_again(layout: Layout) -> None:
    world = started(chain(layout))
    do(PAUSE, world)
    world.scheduler.jobs.clear()
    assert shown(world) is WorkflowState.PAUSED
    do(RESUME, world)
    assert len(live_passes(world)) == 2


@pytest.mark.parametrize("end", [JobState.CANCELLED, JobState.FAILED, None])
@pytest.mark.parametrize("command", [START, RESUME])
def test_what_never_began_is_submitted_again_when_all_jobs_vanished(
    layout: Layout, command: Command, end: JobState | None
) -> None:
    """However their jobs ended (None: Slurm no longer knows them): FAILED is what they are where the disk was full."""
    world = started(wide(layout))
    world.finish("s", 1)
    world.begin("s", 1)
    if command is RESUME:
        do(PAUSE, world)
    for job_id in list(world.scheduler.jobs):
        world.scheduler.end(job_id, end or JobState.CANCELLED)
        if end is None:
            world.scheduler.forget(job_id)
    do(command, world)
    assert run_pass(world) is None
    assert [list(job.request.array or []) for job in world.jobs("s")][-1] == [0]
    assert [job.request.script_args for job in world.jobs("s")][-1] == ("001-s.1:2",)
    assert world.result("s", 1).state is (TaskState.CANCELLED if end is JobState.CANCELLED else TaskState.FAILED)


def test_what_takes_from_a_vanished_task_that_need_not_run_does_not_wait_for_it(layout: Layout) -> None:
    """The job of the task was to find out that its condition is false; a pass has done that meanwhile."""
    steps = [step("a"), step("s", {"x": "a/out"}, when="no"), step("g", {"x": "a/out", "y": "s/out"})]
    world = World(layout, graph(flow([], steps)), {}, {"no": lambda _: False})
    site = Site(world, lambda name, inputs: [name, inputs["y"]] if name == "g" else name, asleep={"s", "g"})
    do(START, world)
    site.work()
    site.run_pass()
    site.work()
    for job in world.scheduler.jobs.values():
        world.scheduler.end(job.id, JobState.CANCELLED, "None")
    site.asleep.clear()
    do(START, world)
    assert site.run() == {"a": "COMPLETED", "s": "SKIPPED", "g": "COMPLETED"}
    assert world.result("g").outputs["out"] == ["g", None]


def test_what_was_cancelled_by_hand_while_a_pass_is_left_is_not_submitted_again(layout: Layout) -> None:
    world = started(wide(layout))
    do(PAUSE, world)
    world.scheduler.end(world.job("s").id, JobState.CANCELLED)
    do(RESUME, world)
    run_pass(world)
    assert world.result("s", 0).state is TaskState.CANCELLED


def test_a_resume_that_was_killed_is_shown_and_made_good(layout: Layout) -> None:
    world = started(chain(layout))
    do(PAUSE, world)
    Holding(Submitter(layout, RECORD, world.scheduler)).resume()
    assert shown(world) is WorkflowState.PAUSED
    assert do(RESUME, world) == f"Resumed workflow {RECORD.id}."
    assert held(world, "a") == held(world, "b") == set()
    assert shown(world) is WorkflowState.RUNNING


def test_a_pause_that_was_killed_is_made_good(layout: Layout) -> None:
    world = started(chain(layout))
    Holding(Submitter(layout, RECORD, world.scheduler)).pause()
    assert do(PAUSE, world).startswith("Paused")
    assert held(world, "a") == held(world, "b") == {None}


def test_a_driver_left_held_by_a_killed_command_is_let_go(layout: Layout) -> None:
    world = chain(layout)
    Submitter(layout, RECORD, world.scheduler).submit_pass(1, Dependency(singleton=True), hold=True)
    assert do(START, world) == f"Started workflow {RECORD.id}."
    assert not passes(world)[0].held


# -- what is not allowed ----------------------------------------------------------------------------------------------


def test_pausing_what_has_no_job_left_is_refused_and_leaves_nothing(layout: Layout) -> None:
    world = started(chain(layout))
    for job in world.scheduler.jobs.values():
        world.scheduler.end(job.id, JobState.CANCELLED)
    with pytest.raises(TransitionError, match="is Stalled: bee-pause is not possible; what is: bee-start, bee-resume"):
        do(PAUSE, world)
    assert not shows_paused(layout)


def test_what_bee_submit_is_about_to_start_can_be_paused(layout: Layout) -> None:
    store.write_record(layout.workflow, replace(RECORD, created=now()))
    world = chain(layout)
    do(PAUSE, world)
    assert world.run() is None
    assert world.jobs("a") == []


@pytest.mark.parametrize("command", [START, PAUSE, RESUME])
@pytest.mark.parametrize(
    ("state", "possible"),
    [
        (WorkflowState.ARCHIVED, "bee-copy, bee-rerun, bee-remove"),
        (WorkflowState.ARCHIVED_CANCELLED, "bee-retry, bee-copy, bee-rerun, bee-remove"),
    ],
)
def test_what_is_archived_is_refused_with_what_is_possible(
    layout: Layout, command: Command, state: WorkflowState, possible: str
) -> None:
    store.write_record(layout.state, state_record(RECORD, state))
    with pytest.raises(TransitionError, match=f"is {state.value}: {command.value} is .*: {possible}"):
        do(command, chain(layout))
    assert list(layout.control.iterdir()) == []


@pytest.mark.parametrize("command", [PAUSE, RESUME, CANCEL])
def test_a_workflow_without_its_folders_does_not_keep_a_command_from_others(tmp_path: Path, command: Command) -> None:
    records = [replace(RECORD, id=f"{each}fc631bb-0d92-4d07-94cb-3a3d86f5f6ea") for each in "12"]
    worlds = [started(chain(make_layout(tmp_path, record))) for record in records]
    broken, whole = (WorkflowDir(each.layout) for each in worlds)
    shutil.rmtree(broken.layout.control)
    told, other = control.perform(command, [broken, whole], lambda record: worlds[record.id == whole.id].scheduler)
    assert isinstance(told.error, SystemFileError)
    assert not isinstance(other.error, SystemFileError)


def test_what_is_over_stays_so_for_a_command_whatever_a_killed_retry_left(layout: Layout) -> None:
    store.write_record(layout.workflow, replace(RECORD, lock="soft"))
    store.write_record(layout.state, state_record(RECORD, WorkflowState.ARCHIVED_CANCELLED))
    holder = Holder("nowhere.example.org", "", "", 1, 1, now(), "bee-retry")
    store.write_record(holder_path(layout.retry_lock), holder)
    assert do(CANCEL, chain(layout)) == f"Workflow {RECORD.id} is Archived/Cancelled already."


@pytest.mark.parametrize("command", [START, PAUSE, RESUME])
def test_what_is_being_cancelled_is_refused(layout: Layout, command: Command) -> None:
    world = started(chain(layout))
    do(CANCEL, world)
    with pytest.raises(TransitionError, match=r"being cancelled: .*; what is: bee-cancel"):
        do(command, world)


def test_what_was_cancelled_and_gets_no_archive_is_over(layout: Layout) -> None:
    store.write_record(layout.workflow, replace(RECORD, use_archive=False))
    store.write_record(layout.state, state_record(RECORD, WorkflowState.CANCELLED))
    layout.cancel.write_text("")
    with pytest.raises(TransitionError, match=r"is Cancelled: .*; what is: bee-retry, bee-archive, bee-remove"):
        do(PAUSE, chain(layout))


@pytest.mark.parametrize("command", [PAUSE, RESUME])
def test_what_was_not_started_is_refused(layout: Layout, command: Command) -> None:
    layout.held.write_text("")
    with pytest.raises(TransitionError, match=r"is Submitted: .*; what is: bee-start, bee-cancel"):
        do(command, chain(layout))


def test_starting_what_is_paused_is_refused(layout: Layout) -> None:
    world = started(chain(layout))
    do(PAUSE, world)
    with pytest.raises(TransitionError, match=r"is Paused: .*; what is: bee-resume, bee-cancel"):
        do(START, world)


# -- no Slurm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [START, PAUSE, RESUME, CANCEL])
def test_where_slurm_does_not_answer_the_workflow_is_named_and_what_counts_all_the_same(
    layout: Layout, command: Command
) -> None:
    class Away(FakeScheduler):
        """Does not answer."""

        def query(self, names: object = None) -> list[JobRecord]:
            raise SlurmUnreachableError("squeue: no answer")

    world = started(chain(layout))
    world.scheduler = Away(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    with pytest.raises(SlurmUnreachableError) as told:
        do(command, world)
    counts = "; that it is to be so is noted, and passes keep to it" if command is not START else ""
    assert str(told.value) == f"workflow {RECORD.id}: squeue: no answer{counts}"


# -- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_leaves_jobs_that_only_look_like_ours(layout: Layout) -> None:
    world = started(chain(layout))
    a = world.job("a")
    alike = [world.scheduler.submit(replace(a.request, name=name)) for name in (a.request.name, a.request.name + "0")]
    do(CANCEL, world)
    assert a.states[None][0] is JobState.CANCELLED
    assert [world.scheduler.jobs[job_id].states[None][0] for job_id in alike] == [JobState.PENDING] * 2


def in_doubt(layout: Layout) -> World:
    """Make a workflow whose driver submitted its first task, and did not hear of it."""
    world = chain(layout)
    do(START, world)
    world.passes = 0
    world.scheduler.faults = [fakes.LOST_ANSWER]
    world.run()
    return world


def test_cancel_takes_a_job_whose_submission_is_in_doubt(layout: Layout) -> None:
    world = in_doubt(layout)
    do(CANCEL, world)
    assert world.job("a").states[None][0] is JobState.CANCELLED


def test_pause_holds_a_job_whose_submission_is_in_doubt(layout: Layout) -> None:
    world = in_doubt(layout)
    do(PAUSE, world)
    assert held(world, "a") == {None}
    do(RESUME, world)
    assert held(world, "a") == set()


def test_the_last_pass_takes_a_job_whose_submission_was_in_doubt_till_then(layout: Layout) -> None:
    world = in_doubt(layout)
    layout.cancel.write_text("")
    assert run_pass(world) is None
    assert world.job("a").states[None][0] is JobState.CANCELLED
    assert run_pass(world) is not None


def test_cancel_of_a_paused_workflow_lets_its_held_pass_go(layout: Layout) -> None:
    world = started(unknown(layout))
    do(PAUSE, world)
    world.finish("a", [1, 2])
    world.finish("slow")
    run_pass(world)
    assert live_passes(world)[0].held
    do(CANCEL, world)
    assert shown(world) is WorkflowState.RUNNING
    ended = run_pass(world)
    assert ended is not None


def test_cancel_takes_what_comes_late(layout: Layout) -> None:
    world = started(chain(layout))
    late: list[str] = []

    class Busy(FakeScheduler):
        """A driver submits a job after the first look."""

        def query(self, names: object = None) -> list[JobRecord]:
            found = super().query()
            if not late:
                submitter = Submitter(layout, RECORD, self)
                intent = replace(submitter.intents()[0], key="002-b.1", job_name=RECORD.job_name("002-b.1"))
                late.append(submitter.submit(intent, replace(world.job("b").request, name=intent.job_name)))
            return found

    world.scheduler = Busy(jobs=world.scheduler.jobs, next_id=world.scheduler.next_id)
    do(CANCEL, world)
    assert world.scheduler.jobs[late[0]].states[None][0] is JobState.CANCELLED


def test_cancel_of_what_has_no_pass_left_submits_one(layout: Layout) -> None:
    layout.held.write_text("")
    world = chain(layout)
    do(CANCEL, world)
    assert len(live_passes(world)) == 2
    assert not layout.held.exists()


# -- many -------------------------------------------------------------------------------------------------------------


def test_many_workflows_take_one_squeue_a_look(tmp_path: Path) -> None:
    scheduler = FakeScheduler()
    found = []
    for number in range(3):
        record = replace(RECORD, id=f"{number}{RECORD.id[1:]}")
        found.append(WorkflowDir(make_layout(tmp_path, record)))
    outcomes = control.perform(START, found, lambda _: scheduler)
    assert [outcome.said for outcome in outcomes] == [f"Started workflow {each.id}." for each in found]
    assert scheduler.queries == 1
    control.perform(PAUSE, found, lambda _: scheduler)
    assert scheduler.queries == 2


def test_one_that_fails_does_not_keep_the_others(tmp_path: Path) -> None:
    scheduler = FakeScheduler()
    records = [replace(RECORD, id=f"{number}{RECORD.id[1:]}") for number in range(3)]
    found = [WorkflowDir(make_layout(tmp_path, record)) for record in records]
    found[0].layout.workflow.unlink()
    store.write_record(found[1].layout.state, state_record(RECORD, WorkflowState.ARCHIVED))
    outcomes = control.perform(START, found, lambda _: scheduler)
    assert [(each.workflow_id, each.error.exit_code if each.error else 0) for each in outcomes] == [
        (found[0].id, 74),
        (found[1].id, 4),
        (found[2].id, 0),
    ]


def test_a_slurm_that_does_not_answer_is_asked_once_a_look(tmp_path: Path) -> None:
    class Away(FakeScheduler):
        def query(self, names: object = None) -> list[JobRecord]:
            self.queries += 1
            raise SlurmError("squeue: away")

    scheduler = Away()
    found = [WorkflowDir(make_layout(tmp_path, replace(RECORD, id=f"{n}{RECORD.id[1:]}"))) for n in range(2)]
    outcomes = control.perform(PAUSE, found, lambda _: scheduler)
    said = [f"workflow {each.id}: squeue: away; that it is to be so is noted, and passes keep to it" for each in found]
    assert [str(each.error) for each in outcomes] == said
    assert scheduler.queries == 1
