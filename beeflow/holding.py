"""What the user wishes of a workflow, to pause or to end; what is pending of a paused one is held, and released again.

control/paused and control/cancel are the user's wishes. control/holds says what is held because of the first: what a
user held by hand is not in it, and stays held. Who changes a wish does so under one lock, and looks at Slurm after
that; who fulfils it reads it under the lock, and tells Slurm before giving the lock back. So the last wish is met, in
whatever order commands and passes come.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beeflow import store
from beeflow.layout import Layout
from beeflow.models import now
from beeflow.scheduler import JobRecord
from beeflow.scheduler.command_lines import render_elements
from beeflow.states import JobState
from beeflow.submission import Submitter, pass_key

LOCK_TIMEOUT_S = 120.0


def is_paused(layout: Layout) -> bool:
    """True while the user wants nothing more to begin."""
    return layout.paused.exists()


@dataclass(frozen=True)
class Wishes:
    """The wishes there are at a moment, each by its file: the next of the same kind is another file."""

    cancel: os.stat_result | None
    paused: os.stat_result | None

    @classmethod
    def read(cls, layout: Layout) -> Wishes:
        """See which there are."""
        return cls(store.stat(layout.cancel), store.stat(layout.paused))


@dataclass
class Holding:
    """The wishes and the holds of one workflow."""

    submitter: Submitter

    @property
    def layout(self) -> Layout:
        """The workflow's paths."""
        return self.submitter.layout

    def pause(self) -> tuple[bool, Wishes]:
        """Wish that nothing more begins. Returns whether that is new, and the wish.

        It is written anew where it was there: whoever forgets a wish that was before, or takes back his own, leaves it.
        """
        with self._locked():
            is_new = store.publish(self.layout.paused, now() + "\n")
            if not is_new:
                store.write_text(self.layout.paused, now() + "\n")
            return is_new, Wishes.read(self.layout)

    def resume(self) -> bool:
        """Wish that the workflow goes on; False when that was the wish already, and nothing is held."""
        with self._locked():
            return store.remove(self.layout.paused) or self.layout.holds.exists()

    def take_back(self, mine: Wishes) -> bool:
        """Forget one's own wish to pause; False where another has it, too, or something is held for it."""
        with self._locked():
            return not self.layout.holds.exists() and store.remove_same(self.layout.paused, mine.paused)

    def cancel(self, said: str) -> bool:
        """Wish that the workflow ends; False when that was the wish already.

        It is written anew then, too: bee-retry forgets only what was wished before it.
        """
        # First of all, for the lock may be kept a while.
        is_new = store.publish(self.layout.cancel, said)
        if not is_new:
            store.write_text(self.layout.cancel, said)
        with self._locked():
            if not self.layout.cancel.exists():
                # bee-retry just took it for the one that it knew.
                store.publish(self.layout.cancel, said)
            store.remove(self.layout.paused)
            store.remove(self.layout.holds)
        return is_new

    def forget(self, known: Wishes) -> None:
        """Forget what was wished then, and no wish since; what is held for none is released."""
        with self._locked():
            store.remove_same(self.layout.cancel, known.cancel)
            store.remove_same(self.layout.paused, known.paused)
            if self.layout.holds.exists() and not is_paused(self.layout):
                self.submitter.asked = None
                self._release(self.submitter.ours(self.submitter.queue()))

    def agree(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        """Hold or release what is not as the user wishes; returns that. ``jobs``: ours, asked for since the wish."""
        with self._locked():
            return self._hold(jobs) if is_paused(self.layout) else self._release(jobs)

    def hold_pass(self, job_id: str) -> bool:
        """Hold the next pass, which nothing else would keep from coming; False when the workflow is not paused."""
        with self._locked():
            if not is_paused(self.layout):
                return False
            self._note([job_id])
            self.submitter.scheduler.hold(job_id)
            return True

    def _hold(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        # Passes wait for these, and submit nothing.
        pass_name = self.submitter.record.job_name(pass_key(1))
        found = [job for job in jobs if job.name != pass_name and job.state is JobState.PENDING and not job.held]
        if found:
            self._note([job.shown for job in found])
            self.submitter.scheduler.hold(*render_elements(found))
        return found

    def _release(self, jobs: Sequence[JobRecord]) -> list[JobRecord]:
        noted = self._noted()
        found = [job for job in jobs if job.shown in noted and job.held and not job.state.ended]
        if found:
            self.submitter.scheduler.release(*render_elements(found))
        store.remove(self.layout.holds)
        return found

    def _note(self, shown: Sequence[str]) -> None:
        """Write what is about to be held."""
        store.write_text(self.layout.holds, "".join(f"{each}\n" for each in sorted(self._noted().union(shown))))

    def _noted(self) -> set[str]:
        return set((store.read_text(self.layout.holds) or "").split())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep holds and releases from overtaking each other: the one lock that is kept while Slurm is told."""
        with self.submitter.lock(self.layout.holds_lock).held(LOCK_TIMEOUT_S):
            yield
